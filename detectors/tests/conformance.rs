//! What every detector must keep to, and the engine with them. The suite runs over [`DETECTORS`]: a new detector is
//! listed there, and gets a case for each of its kinds in `conformance/cases.rs`, which the suite asks for.

#![cfg(test)]

#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/hostile.rs"]
mod hostile;
#[path = "conformance/kinds.rs"]
mod kinds;
#[path = "conformance/learning.rs"]
mod learning;
#[path = "conformance/replay.rs"]
mod replay;
#[path = "conformance/restart.rs"]
mod restart;
#[path = "support/store.rs"]
mod store;
#[path = "conformance/story.rs"]
mod story;
mod support;

use driftline_detectors::{DETECTORS, Scored};

/// What holds of every score, whatever the event.
fn check(scored: &Scored) {
    for (detector, p) in DETECTORS.iter().zip(scored.p) {
        assert!((0.0..=1.0).contains(&p), "{}: p = {p}", detector.name());
    }
    assert!(scored.score.is_finite() && scored.score >= 0.0, "score = {}", scored.score);
    assert!((0.0..=100.0).contains(&scored.risk), "risk = {}", scored.risk);
}
