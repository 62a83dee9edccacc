//! The changelog: a compacted topic that holds the state of every partition's engine, and from which whoever takes a
//! partition over has it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use driftline_detectors::Engine;
use driftline_detectors::state::{Restoring, StateRecord};
use driftline_ingest::failpoints::{Step, reach};
use driftline_ingest::kafka::{Admin, ClientSettings, OutRecord, Reader, Start, TopicSpec, Until, end_transaction_of};
use driftline_ingest::{PartitionBatch, Polled, Source, TopicPartition};

use super::ledger::Ledger;
use super::reading::{Reading, Unreadable};
use crate::commands::CommandError;

const POLL: Duration = Duration::from_millis(100);
/// Where nothing more can be read for so long, and there is more, the writer of the transaction that it is in is gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// A partition's state as it was last committed.
pub struct Restored {
    /// Its engine; the world is not in the state, and is to be applied.
    pub engine: Engine,
    /// What it is the state of; `None` where nothing was ever committed.
    pub ledger: Option<Ledger>,
}

/// How far a restore has come, told by the thread that it runs on; and whether it is still wanted, told to it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records read.
    pub records: AtomicU64,
    /// Share of the topic's partition that was read, in thousandths.
    pub thousandths: AtomicU64,
    /// Set where the result is not wanted any more.
    pub is_over: AtomicBool,
}

/// See the module.
pub struct Changelog {
    topic: StateTopic,
    /// The ledgers as they were last written.
    written: BTreeMap<i32, Ledger>,
}

/// Where state is read back from; a clone is for another thread.
#[derive(Clone)]
pub struct StateTopic {
    settings: ClientSettings,
    topic: Arc<str>,
    group: String,
}

impl Changelog {
    /// Opens the topic, and makes it where it is not there, with as many partitions as the source has.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the broker refuses, or the topic is not what it must be.
    pub fn open(
        admin: &Admin,
        settings: &ClientSettings,
        topic: &str,
        partitions: i32,
        group: &str,
    ) -> Result<Self, CommandError> {
        let config = [("cleanup.policy", "compact"), ("max.message.bytes", "16777216")];
        admin.create(&TopicSpec::new(topic, partitions, &config))?;
        let found = admin.partitions(topic)?.unwrap_or(partitions);
        if found != partitions {
            return Err(CommandError::Usage(format!(
                "the state topic `{topic}` has {found} partitions and the source has {partitions}: an agent's state would \
                 be looked for where it is not; give source.kafka.state_topic another name to begin anew"
            )));
        }
        if admin.topic_setting(topic, "cleanup.policy")?.is_some_and(|policy| policy != "compact") {
            return Err(CommandError::Usage(format!(
                "the state topic `{topic}` must have cleanup.policy=compact alone: what was learned long ago would be \
                 deleted"
            )));
        }
        let topic = StateTopic { settings: settings.clone(), topic: topic.into(), group: group.to_owned() };
        Ok(Self { topic, written: BTreeMap::new() })
    }

    /// The group whose state it is.
    pub fn group(&self) -> &str {
        &self.topic.group
    }

    /// Where state is read back from.
    pub fn topic(&self) -> &StateTopic {
        &self.topic
    }

    /// A partition was restored: what is written from here on is told by how it differs from this.
    pub fn resume(&mut self, place: i32, ledger: Option<&Ledger>) {
        match ledger {
            Some(ledger) => drop(self.written.insert(place, ledger.clone())),
            None => drop(self.written.remove(&place)),
        }
    }

    /// The records that bring a partition's state in the topic up to what it is now.
    pub fn records(
        &mut self,
        place: i32,
        changes: Vec<StateRecord>,
        ledger: Ledger,
    ) -> impl Iterator<Item = OutRecord> {
        let news = self.written.get(&place) != Some(&ledger);
        let renewed = news.then(|| (Ledger::KEY.to_vec(), Some(ledger.encode())));
        if news {
            self.written.insert(place, ledger);
        }
        let topic = self.topic.topic.clone();
        let changes = changes.into_iter().map(|StateRecord { key, value }| (key, value));
        changes.chain(renewed).map(move |(key, value)| OutRecord {
            topic: topic.clone(),
            partition: Some(place),
            key: Some(key),
            value,
            headers: Vec::new(),
        })
    }
}

impl StateTopic {
    /// Reads the state of a partition up to the last commit. `writers` are the transactional ids of who may have
    /// committed it last; nobody else may be writing to it, and what they have left open is ended. `None` where the
    /// state came to be not wanted any more. It goes into `restoring`, into which nothing has gone yet.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where a record is damaged or missing: it says which, and what to do. Nothing is made up for it.
    pub fn restore(
        &self,
        place: i32,
        writers: &BTreeSet<String>,
        restoring: Restoring,
        progress: &Progress,
    ) -> Result<Option<Restored>, CommandError> {
        let partition = TopicPartition::new(&*self.topic, place);
        let mut reader = Reader::open(&self.settings, &[(partition.clone(), Start::Beginning)], Until::End, &[])?;
        reach(Step::StateOpened);
        let mut reading = Reading::of(restoring);
        let (mut moved, mut ended) = (Instant::now(), false);
        loop {
            if progress.is_over.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match reader.poll(POLL)? {
                Polled::Records(batches) => {
                    for batch in &batches {
                        self.read(batch, &mut reading)?;
                        progress.records.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
                    }
                    reach(Step::StatePartlyRead);
                    progress.thousandths.store((1000.0 * reader.share()) as u64, Ordering::Relaxed);
                    moved = Instant::now();
                }
                Polled::Finished => break,
                _ if !ended && moved.elapsed() >= PATIENCE => {
                    // A broker that is busy is slow to answer too; a transaction that is open shows.
                    if reader.waits_for_transaction(&partition)? {
                        for writer in writers {
                            tracing::warn!(
                                "{partition} waits for a transaction that `{writer}` has left open: ending it"
                            );
                            end_transaction_of(&self.settings, writer)?;
                        }
                        // Once: where it was another's, these may live and be fenced for nothing.
                        ended = true;
                    }
                    moved = Instant::now();
                }
                _ => {}
            }
        }
        reach(Step::StateRead);
        let (engine, ledger) = reading.finish().map_err(|error| self.refused(&partition, error))?;
        Ok(Some(Restored { engine, ledger }))
    }

    fn read(&self, batch: &PartitionBatch, reading: &mut Reading) -> Result<(), CommandError> {
        reading.take(batch).map_err(|error| self.refused(&batch.partition, error))?;
        match reading.ledger() {
            Some(read) if read.group != self.group => {
                let what = format!("it is the state of the group `{}`, and this is `{}`", read.group, self.group);
                Err(self.unusable(&batch.partition, &what))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with the topic is for somebody to decide about; what is wrong with this machine's disk may pass.
    fn refused(&self, partition: &TopicPartition, error: Unreadable) -> CommandError {
        match error {
            Unreadable::State(what) => self.unusable(partition, &what),
            Unreadable::Store(error) => CommandError::Interrupted(error.to_string()),
        }
    }

    fn unusable(&self, partition: &TopicPartition, what: &str) -> CommandError {
        CommandError::Usage(format!(
            "the state in {partition} cannot be used: {what}. To begin anew, give source.kafka.group and \
             source.kafka.state_topic new names; baselines are then learned from the records that the source still has"
        ))
    }
}
