//! One commit: all that has come since the one before, or nothing of it.

use std::sync::Arc;

use driftline_core::{Alert, ControlRecord, Timestamp};
use driftline_detectors::state::StateRecord;
use driftline_ingest::Place;
use serde::{Deserialize, Serialize};

use super::database::{ALERTS, CONTROL, INPUT, META, OUTBOX, PROGRESS_KEY, STATE, Store, json};
use super::error::StoreError;

/// How far a replay has come, over all its runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The highest event time so far, in Unix milliseconds; 0 before any.
    pub highest: i64,
    /// Events scored.
    pub events: u64,
    /// Records, or parts of them, that were no events.
    pub rejected: u64,
    /// Events that were repeats.
    pub repeats: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Bytes of scores.
    pub scores: u64,
    /// Bytes of dead letters.
    pub dead_letters: u64,
}

impl Progress {
    /// The highest event time so far; [`Timestamp::MIN`] before any.
    pub fn highest(&self) -> Timestamp {
        Timestamp::from_millis(self.highest).unwrap_or(Timestamp::MIN)
    }
}

/// What goes into a commit.
pub struct Commit<'c> {
    /// How far it has come, these alerts included.
    pub progress: &'c Progress,
    /// Files that were read from.
    pub input: &'c [(Arc<str>, Place)],
    /// Control records that were made.
    pub control: &'c [ControlRecord],
    /// State that has changed, by engine.
    pub state: &'c [Vec<StateRecord>],
    /// Alerts that were raised, in order.
    pub alerts: &'c [Alert],
    /// Lines that go to files once they are committed, by file: they take the place of those of the commit before, which
    /// have been written.
    pub outbox: &'c [(&'static str, &'c [u8])],
}

impl Store {
    /// Commits; on return it holds even if the machine loses power.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it could not be written: nothing of it is in the database then, and the store is of no more
    /// use.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        self.write(commit).map_err(|error| self.explain(error))
    }

    fn write(&self, commit: &Commit<'_>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert(PROGRESS_KEY, &*json(commit.progress)?)?;
            let mut input = transaction.open_table(INPUT)?;
            for (file, place) in commit.input {
                input.insert(&**file, (place.next, place.digest))?;
            }
            let mut control = transaction.open_table(CONTROL)?;
            for record in commit.control {
                control.insert(record.number, &*json(record)?)?;
            }
            let mut state = transaction.open_table(STATE)?;
            for (engine, records) in (0u16..).zip(commit.state) {
                for StateRecord { key, value } in records {
                    match value {
                        Some(value) => state.insert((engine, &**key), &**value)?,
                        None => state.remove((engine, &**key))?,
                    };
                }
            }
            let mut alerts = transaction.open_table(ALERTS)?;
            let first = commit.progress.alerts - commit.alerts.len() as u64;
            for (number, alert) in (first..).zip(commit.alerts) {
                let mut line = json(alert)?;
                line.push(b'\n');
                alerts.insert(number, &*line)?;
            }
            if !commit.outbox.is_empty() {
                let mut outbox = transaction.open_table(OUTBOX)?;
                for (file, lines) in commit.outbox {
                    outbox.insert(*file, *lines)?;
                }
            }
        }
        Ok(transaction.commit()?)
    }
}
