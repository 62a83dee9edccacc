//! Where a replay goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_core::ControlRecord;
use driftline_detectors::{Conductor, Engine};
use driftline_ingest::Place;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::commit::Progress;
use super::database::{ALERTS, CONTROL, INPUT, OUTBOX, PROGRESS_KEY, STATE, Store};
use super::error::StoreError;

/// What the last commit has left.
#[derive(Default)]
pub struct Resumed {
    /// How far it had come.
    pub progress: Progress,
    /// What was read of each file.
    pub input: BTreeMap<Arc<str>, Place>,
    /// The fold of all control records.
    pub conductor: Conductor,
    /// The engines, which keep their changes.
    pub engines: Vec<Engine>,
}

impl Store {
    /// Reads what the last commit has left. The records that everything began with are taken from `begun`; what the
    /// database has of them was found to be the same.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub fn resume(&self, begun: &[ControlRecord], engines: u16) -> Result<Resumed, StoreError> {
        let conductor = self.conductor(begun)?;
        Ok(Resumed {
            progress: self.json(&self.meta(PROGRESS_KEY)?)?,
            input: self.input().map_err(|error| self.explain(error))?,
            engines: self.engines(&conductor, engines)?,
            conductor,
        })
    }

    /// Hands over the line of every alert, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read; the closure's own error in the inner result.
    pub fn alerts<E>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<Result<(), E>, StoreError> {
        self.lines(ALERTS, &mut each)
    }

    /// The lines of the last commit for a file.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub fn outbox(&self, file: &str) -> Result<Vec<u8>, StoreError> {
        let read = || -> Result<Vec<u8>, redb::Error> {
            let outbox = self.database.begin_read()?.open_table(OUTBOX)?;
            Ok(outbox.get(file)?.map(|lines| lines.value().to_vec()).unwrap_or_default())
        };
        read().map_err(|error| self.explain(error))
    }

    /// Hands over the line of every control record, in order.
    ///
    /// # Errors
    ///
    /// As [`Store::alerts`].
    pub fn control_log<E>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<Result<(), E>, StoreError> {
        self.lines(CONTROL, &mut each)
    }

    /// Hands over the lines of a numbered table, in order.
    fn lines<E>(
        &self,
        table: TableDefinition<'_, u64, &[u8]>,
        each: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, StoreError> {
        let mut read = || -> Result<Result<(), E>, redb::Error> {
            for row in self.database.begin_read()?.open_table(table)?.iter()? {
                if let Err(error) = each(row?.1.value()) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        read().map_err(|error| self.explain(error))
    }

    fn input(&self) -> Result<BTreeMap<Arc<str>, Place>, redb::Error> {
        let mut input = BTreeMap::new();
        for row in self.database.begin_read()?.open_table(INPUT)?.iter()? {
            let (file, place) = row?;
            let (next, digest) = place.value();
            input.insert(file.value().into(), Place { next, digest });
        }
        Ok(input)
    }

    fn conductor(&self, begun: &[ControlRecord]) -> Result<Conductor, StoreError> {
        let mut conductor = Conductor::default();
        let mut fold = |record: &ControlRecord| {
            // What was found about many is among the alerts.
            conductor.fold(record).map(drop).map_err(|error| self.damaged(error))
        };
        begun.iter().try_for_each(&mut fold)?;
        let mut read = || -> Result<Result<(), StoreError>, redb::Error> {
            let control = self.database.begin_read()?.open_table(CONTROL)?;
            for row in control.range(begun.len() as u64..)? {
                let folded = self.json(row?.1.value()).and_then(|record| fold(&record));
                if folded.is_err() {
                    return Ok(folded);
                }
            }
            Ok(Ok(()))
        };
        read().map_err(|error| self.explain(error))??;
        Ok(conductor)
    }

    fn engines(&self, conductor: &Conductor, count: u16) -> Result<Vec<Engine>, StoreError> {
        let mut restoring: Vec<_> = (0..count).map(|_| Engine::restore(conductor.world().clone())).collect();
        let mut read = || -> Result<Result<(), StoreError>, redb::Error> {
            for row in self.database.begin_read()?.open_table(STATE)?.iter()? {
                let (key, value) = row?;
                let (engine, key) = key.value();
                let Some(restoring) = restoring.get_mut(usize::from(engine)) else {
                    return Ok(Err(self.damaged(format!("state of engine {engine}, of {count}"))));
                };
                if let Err(error) = restoring.add(key, Some(value.value())) {
                    return Ok(Err(self.damaged(error)));
                }
            }
            Ok(Ok(()))
        };
        read().map_err(|error| self.explain(error))??;
        let restored = restoring.into_iter().map(|restoring| restoring.finish());
        restored.collect::<Result<_, _>>().map_err(|error| self.damaged(error))
    }
}
