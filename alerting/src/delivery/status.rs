//! How a delivery goes, for metrics and readiness.

use std::sync::{Arc, Mutex, PoisonError};

use driftline_core::Timestamp;

/// What a worker has done and how it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryReport {
    /// Alerts that the sink has taken, repeats included.
    pub delivered: u64,
    /// Messages that the sink has taken.
    pub messages: u64,
    /// Tries that failed and were followed by a wait.
    pub retried: u64,
    /// Messages that were refused in their full form and went out in the plain one.
    pub rejected: u64,
    /// Alerts that a silence held back.
    pub suppressed: u64,
    /// Alerts that no route sends to this sink.
    pub not_routed: u64,
    /// Records of the alert log that were no alerts.
    pub unreadable: u64,
    /// Alerts that were read and wait to be sent.
    pub pending: u64,
    /// The last failure, when and why; safe to show, without secrets.
    pub last_error: Option<(Timestamp, String)>,
    /// When the sink last took a message.
    pub last_success: Option<Timestamp>,
    /// Set from the first failure, of the sink or of the alert log, until it goes on.
    pub failing: Option<Failure>,
}

/// Nothing gets through at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Since when.
    pub since: Timestamp,
    /// Whether it takes a person to change that: readiness should be degraded at once.
    pub misconfigured: bool,
}

/// A handle on the report of a worker that may run in another thread.
#[derive(Debug, Clone, Default)]
pub struct DeliveryStatus(Arc<Mutex<DeliveryReport>>);

impl DeliveryStatus {
    /// The report as it is now.
    pub fn report(&self) -> DeliveryReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut DeliveryReport)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
