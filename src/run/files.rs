//! Files as a source that goes on where it was: what was accounted for is read again, compared, and passed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftline_core::Position;
use driftline_ingest::{FileSource, PartitionBatch, Place, Polled, Record, Records, Source, TopicPartition};

use crate::commands::CommandError;
use crate::store::Passed;

/// What standard input is called; it cannot be read again, so all of it is new.
const STDIN: &str = "-";

/// See the module.
pub struct KeptFiles {
    source: FileSource,
    passed: Passed,
}

/// The records of a batch from one of them on.
struct Rest {
    records: Box<dyn Records>,
    from: usize,
}

impl Records for Rest {
    fn len(&self) -> usize {
        self.records.len() - self.from
    }

    fn get(&self, i: usize) -> Record<'_> {
        self.records.get(self.from + i)
    }

    fn position(&self, i: usize) -> Position {
        self.records.position(self.from + i)
    }
}

impl KeptFiles {
    /// Files of which so much was accounted for. One that is not there any more is told, and not missed.
    pub fn new(source: FileSource, mut places: BTreeMap<Arc<str>, Place>) -> Self {
        places.retain(|file, place| {
            let is_there = source.files().any(|there| there == file);
            if !is_there && &**file != STDIN {
                tracing::warn!("{file} is gone; it was read up to line {}", place.next.saturating_sub(1));
            }
            is_there && &**file != STDIN
        });
        Self { source, passed: Passed::from(places) }
    }

    /// What comes next; nothing that was accounted for.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where a file cannot be read, or is not the one that was accounted for.
    pub fn poll(&mut self, timeout: Duration) -> Result<Polled, CommandError> {
        match self.source.poll(timeout)? {
            Polled::Records(batches) => {
                let mut new = Vec::with_capacity(batches.len());
                for batch in batches {
                    new.extend(self.rest(batch)?);
                }
                Ok(if new.is_empty() { Polled::Idle } else { Polled::Records(new) })
            }
            Polled::Finished => {
                self.passed.end()?;
                Ok(Polled::Finished)
            }
            polled => Ok(polled),
        }
    }

    /// The files themselves.
    pub fn source(&mut self) -> &mut FileSource {
        &mut self.source
    }

    fn rest(&mut self, batch: PartitionBatch) -> Result<Option<PartitionBatch>, CommandError> {
        let PartitionBatch { partition, records } = batch;
        if &*partition.topic == STDIN {
            return Ok(Some(PartitionBatch { partition, records }));
        }
        let mut from = 0;
        for i in 0..records.len() {
            from += usize::from(!self.passed.take(&partition.topic, &records.get(i))?);
        }
        if from == records.len() {
            return Ok(None);
        }
        Ok(Some(PartitionBatch { partition, records: Box::new(Rest { records, from }) }))
    }

    /// Where it stands in files that were read since this was last asked, as far as they were accounted for.
    pub fn places(&mut self, accounted: &BTreeMap<TopicPartition, i64>) -> Vec<(Arc<str>, Place)> {
        let mut places = self.passed.take_changed();
        places.retain(|(file, place)| {
            let next = accounted.get(&TopicPartition { topic: file.clone(), partition: 0 });
            next.is_some_and(|next| u64::try_from(*next) == Ok(place.next))
        });
        places
    }
}
