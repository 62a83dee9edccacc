//! `--exclude-alerts FILE`: what raised alerts is not learned, as in the stream.

use std::collections::HashMap;
use std::path::Path;

use driftline_core::baseline::Exclusion;
use driftline_core::{Alert, Event};

use crate::{JobError, alerts};

/// Events that alerts name. A session that has any of them is kept out.
#[derive(Debug, Default)]
pub struct Alerted {
    events: HashMap<Named, Vec<Session>>,
}

/// Tenant, agent, and the event's id.
type Named = (String, String, String);

/// In which session an alert names an event, where it says so, and what of that is not to be learned.
type Session = (Option<String>, Exclusion);

impl Alerted {
    /// Reads a file of alerts, a line each.
    ///
    /// # Errors
    ///
    /// [`JobError::Usage`] names file and line of what is no alert.
    pub fn read(path: &Path) -> Result<Self, JobError> {
        let mut alerted = Self::default();
        alerts::read(path, |alert| alerted.add(alert))?;
        Ok(alerted)
    }

    fn add(&mut self, alert: &Alert) {
        let exclusion = Exclusion::by(alert);
        let Some(agent) = alert.agent.as_ref().filter(|_| exclusion > Exclusion::None) else { return };
        for event in &alert.events {
            let named = (alert.tenant.clone(), agent.id.clone(), event.clone());
            let session = alert.session.as_ref().map(|session| session.id.clone());
            self.events.entry(named).or_default().push((session, exclusion));
        }
    }

    /// What of an event's session is not to be learned, as far as this event tells.
    pub fn exclusion(&self, event: &Event<'_>) -> Exclusion {
        if self.events.is_empty() {
            return Exclusion::None;
        }
        let of = |id: &str| {
            let named = (event.tenant.to_string(), event.agent.id.to_string(), id.to_owned());
            let sessions = self.events.get(&named).into_iter().flatten();
            // An alert may name what led to it in other sessions, which were not alerted on.
            let is_it = |session: &Option<String>| match (session, &event.session) {
                (Some(alerted), Some(session)) => *alerted == *session.id,
                (None, _) => true,
                (Some(_), None) => false,
            };
            sessions.filter(|(session, _)| is_it(session)).map(|&(_, exclusion)| exclusion).max().unwrap_or_default()
        };
        // An id that was used for something else before is told apart by the record's hash.
        of(&event.id).max(of(&event.told_apart()))
    }
}
