//! The stream processor: one thread takes records in batches, decodes and scores them; one commits what came of them;
//! one a sink delivers alerts.
//!
//! All partitions of an instance are scored by one thread, each with an engine of its own, so that a control record
//! holds from one place in all of them: between two batches.

#[cfg(feature = "archive")]
mod archiver;
mod backing;
mod baselines;
mod changelog;
mod commits;
mod committer;
mod control_log;
mod files;
#[cfg(test)]
mod flood;
mod identity_folder;
mod instance;
mod ledger;
pub(crate) mod local;
mod memory;
#[cfg(test)]
mod model;
mod outage;
mod owner;
pub(crate) mod reading;
mod scorer;
mod service;
mod shared;
mod sinks;
mod size;
mod takeover;
mod watchdog;

pub use baselines::is_at;
pub use service::run;

use std::sync::Arc;

use driftline_core::{Alert, ControlRecord, Timestamp};
use driftline_detectors::state::StateRecord;
use driftline_ingest::kafka::OutRecord;
use driftline_ingest::{Place, TopicPartition};

/// What came of batches: it is committed whole or not at all.
#[derive(Debug, Default)]
pub struct Work {
    /// Of each partition the offset of the next record to read.
    pub positions: Vec<(TopicPartition, i64)>,
    /// Alerts raised.
    pub alerts: Vec<Alert>,
    /// Records for other topics: dead letters, records that belong elsewhere, control records.
    pub records: Vec<OutRecord>,
    /// Dead letters for a file, as lines.
    pub dead_letter_lines: Vec<u8>,
    /// What is kept in a database where there is no Kafka.
    pub kept: Kept,
    /// About how much memory what came of batches takes, in bytes.
    pub bytes: usize,
}

/// What a topic takes where there is Kafka.
#[derive(Debug, Default)]
pub struct Kept {
    /// Control records that were made.
    pub control: Vec<ControlRecord>,
    /// The state that has changed.
    pub state: Vec<StateRecord>,
    /// How far files were read.
    pub input: Vec<(Arc<str>, Place)>,
    /// The highest event time.
    pub highest: Timestamp,
}

impl Work {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
            && self.alerts.is_empty()
            && self.records.is_empty()
            && self.dead_letter_lines.is_empty()
            && self.kept.control.is_empty()
    }

    /// Takes up what came of later batches.
    pub fn absorb(&mut self, later: Self) {
        for (partition, offset) in later.positions {
            match self.positions.iter_mut().find(|(known, _)| *known == partition) {
                Some((_, known)) => *known = offset,
                None => self.positions.push((partition, offset)),
            }
        }
        // An alert is about as large as the records that it quotes.
        self.bytes += later.dead_letter_lines.len() + 2048 * later.alerts.len();
        self.bytes += later.records.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum::<usize>();
        self.alerts.extend(later.alerts);
        self.records.extend(later.records);
        self.dead_letter_lines.extend(later.dead_letter_lines);
    }
}
