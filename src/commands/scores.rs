//! The line that is written for each event where scores are asked for (contract, section 4).

use std::io::Write;

use driftline_core::Event;
use driftline_detectors::{DETECTORS, Scored};
use serde::Serialize;

use crate::commands::CommandError;

#[derive(Serialize)]
struct Score<'e> {
    id: &'e str,
    agent: &'e str,
    session: Option<&'e str>,
    score: f64,
    detectors: std::collections::BTreeMap<&'static str, f64>,
}

/// Writes an event's scores as a line.
pub fn write_score(out: &mut impl Write, event: &Event<'_>, scored: &Scored) -> Result<(), CommandError> {
    let score = Score {
        id: &event.id,
        agent: &event.agent.id,
        session: event.session.as_ref().map(|session| session.id.as_str()),
        score: scored.score,
        detectors: DETECTORS.iter().map(|detector| detector.name()).zip(scored.p).collect(),
    };
    serde_json::to_writer(&mut *out, &score).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}
