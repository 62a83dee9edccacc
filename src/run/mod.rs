//! The stream processor: one thread takes records in batches, decodes and scores them; one commits what came of them;
//! one a sink delivers alerts.
//!
//! All partitions of an instance are scored by one thread, each with an engine of its own, so that a control record
//! holds from one place in all of them: between two batches.

mod backing;
mod changelog;
mod commits;
mod committer;
mod control_log;
#[cfg(test)]
mod flood;
mod identity_folder;
mod instance;
pub(crate) mod ledger;
mod memory;
#[cfg(test)]
mod model;
mod owner;
mod scorer;
mod service;
mod sinks;
mod takeover;

pub use service::run;

use driftline_ingest::TopicPartition;
use driftline_ingest::kafka::OutRecord;

use driftline_core::Alert;

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
}

impl Work {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
            && self.alerts.is_empty()
            && self.records.is_empty()
            && self.dead_letter_lines.is_empty()
    }

    /// Takes up what came of later batches.
    pub fn absorb(&mut self, later: Self) {
        for (partition, offset) in later.positions {
            match self.positions.iter_mut().find(|(known, _)| *known == partition) {
                Some((_, known)) => *known = offset,
                None => self.positions.push((partition, offset)),
            }
        }
        self.alerts.extend(later.alerts);
        self.records.extend(later.records);
        self.dead_letter_lines.extend(later.dead_letter_lines);
    }
}
