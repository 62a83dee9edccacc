//! What a sink is handed: an alert, and the repeats of it that are told in the same breath.

use driftline_core::Alert;
use uuid::Uuid;

/// An alert and its repeats (same fingerprint, same status) that waited with it. Every alert of the log is in exactly
/// one group, as its alert or as one of its repeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The first of them.
    pub alert: Alert,
    /// The ids of the others, in the log's order.
    pub repeats: Vec<Uuid>,
}

impl Group {
    /// How many alerts it stands for: 1 and its repeats.
    pub fn count(&self) -> usize {
        1 + self.repeats.len()
    }
}

impl From<Alert> for Group {
    fn from(alert: Alert) -> Self {
        Self { alert, repeats: Vec::new() }
    }
}
