//! A partition's state as it is read from its topic: the records of an engine, and the ledger beside them.

use driftline_detectors::state::Restoring;
use driftline_detectors::{BackingError, Engine};
use driftline_ingest::PartitionBatch;

use super::ledger::{Held, Ledger};

/// See the module. Batches of one partition are taken in order.
pub struct Reading {
    restoring: Restoring,
    ledger: Option<Ledger>,
}

/// Why a partition's state cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The topic does not hold what it should: a sentence that says which record, or what is missing.
    #[error("{0}")]
    State(String),
    /// What does not fit in memory finds no room.
    #[error(transparent)]
    Store(BackingError),
}

impl Reading {
    /// Nothing was read yet.
    pub fn of(restoring: Restoring) -> Self {
        Self { restoring, ledger: None }
    }

    /// Takes up records.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] for the first that cannot be used.
    pub fn take(&mut self, batch: &PartitionBatch) -> Result<(), Unreadable> {
        for record in batch.iter() {
            let at = |what: String| Unreadable::State(format!("the record at offset {} {what}", record.offset));
            match record.key {
                Some(Ledger::KEY) => self.ledger = Some(Ledger::parse(record.value).map_err(at)?),
                Some(key) => {
                    let value = (!record.value.is_empty()).then_some(record.value);
                    self.restoring.add(key, value).map_err(|error| match error {
                        BackingError::State(error) => at(error.to_string()),
                        error @ BackingError::Store(_) => Unreadable::Store(error),
                    })?;
                }
                None => return Err(at("has no key".to_owned())),
            }
        }
        Ok(())
    }

    /// The ledger that was read last.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// The engine, and what it is the state of: `None` where nothing was ever committed.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] where records are missing.
    pub fn finish(self) -> Result<(Engine, Option<Ledger>), Unreadable> {
        let engine = self.restoring.finish().map_err(|error| match error {
            BackingError::State(error) => Unreadable::State(error.to_string()),
            error @ BackingError::Store(_) => Unreadable::Store(error),
        })?;
        let covered = self.ledger.as_ref().unwrap_or(&Ledger::nothing("")).covers(Held::of(&engine));
        covered.map_err(Unreadable::State)?;
        Ok((engine, self.ledger))
    }
}
