//! Writes what the source has to the archive, beside scoring: a member of a consumer group of its own.
//!
//! It reads the source for itself, so that an archive that takes nothing for a while holds up no alert, and alerts that come
//! make no small files. Where it goes on after a restart stands in the archive's own listing ([`driftline_archive`]); the
//! group only shares the partitions out, and has no positions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftline_archive::{Archive, ArchiveError, Range};
use driftline_core::Limits;
use driftline_ingest::kafka::{ClientSettings, GroupSettings, KafkaSource};
use driftline_ingest::{Assignment, Decoder, PartitionBatch, Polled, Source, TopicPartition, decoder};

use super::outage::Outage;
use super::service::Service;
use crate::commands::CommandError;
use crate::config::Source as SourceConfig;
use crate::http::Readiness;

const POLL: Duration = Duration::from_millis(100);
/// A range that takes more memory than this is written, and the largest where all of them take as much.
const MOST_BYTES: (usize, usize) = (64 << 20, 256 << 20);
/// A range of so many tenants and hours is written: each is a file.
const MOST_FILES: usize = 256;

/// The archiving thread.
pub struct Archiver {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), CommandError>>,
}

impl Archiver {
    /// Starts it, where an archive is configured.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the archive is none, or there is no thread to be had.
    pub fn start(service: &Service) -> Result<Option<Self>, CommandError> {
        let Service { config, kafka, .. } = service;
        let (Some(settings), SourceConfig::Kafka(source), Some(client)) = (&config.archive, &config.source, kafka)
        else {
            return Ok(None);
        };
        let usage = |error: &dyn std::fmt::Display| CommandError::Usage(error.to_string());
        let stop = Arc::new(AtomicBool::new(false));
        let archiving = Archiving {
            archive: Archive::at(&settings.path).map_err(|error| usage(&error))?,
            every: settings.every,
            client: client.clone(),
            group: GroupSettings {
                group: format!("{}.archive", source.group),
                // Nothing is read back for it, so it may come back under another name.
                instance: None,
                writer: String::new(),
                topics: vec![source.topic.clone()],
                internal: Vec::new(),
            },
            decoder: decoder::by_name(&source.format).map_err(|error| usage(&error))?,
            limits: config.limits.clone(),
            outage: Outage::new("archive", &service.readiness, &service.metrics, &stop),
            readiness: service.readiness.clone(),
            stop: stop.clone(),
            open: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("archive".to_owned())
            .spawn(move || archiving.run())
            .map_err(|error| CommandError::Failed(format!("cannot start a thread: {error}")))?;
        Ok(Some(Self { stop, thread }))
    }

    /// Has it write what it has read, and end.
    ///
    /// # Errors
    ///
    /// Why it has ended before.
    pub fn stop(self) -> Result<(), CommandError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err(CommandError::Failed("the archiving thread has failed".to_owned())))
    }
}

/// A range that is being read.
struct Open {
    range: Range,
    /// When its first record came.
    since: Option<Instant>,
}

struct Archiving {
    archive: Archive,
    every: Duration,
    client: ClientSettings,
    group: GroupSettings,
    decoder: &'static dyn Decoder,
    limits: Limits,
    outage: Outage,
    readiness: Readiness,
    stop: Arc<AtomicBool>,
    open: BTreeMap<TopicPartition, Open>,
}

impl Archiving {
    fn run(mut self) -> Result<(), CommandError> {
        loop {
            match self.session() {
                Err(CommandError::Interrupted(why)) => self.outage.wait(&why)?,
                Err(error) => {
                    tracing::error!("nothing is archived any more: {error}");
                    self.readiness.degrade("archive", format!("nothing is archived any more: {error}"));
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// From joining the group to the end, or until something has come between: then what is not written is read again.
    fn session(&mut self) -> Result<(), CommandError> {
        self.open.clear();
        let mut source = KafkaSource::open(&self.client, &self.group)?;
        while !self.stop.load(Ordering::Relaxed) {
            match source.poll(POLL)? {
                Polled::Records(batches) => batches.iter().for_each(|batch| self.take(batch)),
                Polled::Assigned(assignments) => self.begin(&mut source, assignments)?,
                Polled::Revoked(partitions) => {
                    self.write(&mut source, &partitions)?;
                    self.give_up(&mut source, &partitions)?;
                }
                Polled::Lost(partitions) => self.give_up(&mut source, &partitions)?,
                Polled::Idle | Polled::Finished => {}
            }
            let due = self.due();
            self.write(&mut source, &due)?;
        }
        let all: Vec<_> = self.open.keys().cloned().collect();
        self.write(&mut source, &all)
    }

    fn begin(&mut self, source: &mut KafkaSource, assignments: Vec<Assignment>) -> Result<(), CommandError> {
        for Assignment { partition, first, .. } in assignments {
            let archived = self.resume(&partition)?;
            if let Some(archived) = archived.filter(|archived| *archived < first) {
                tracing::warn!(
                    "{partition}: offsets {archived} to {} were removed by the topic's retention before they were archived",
                    first - 1
                );
            }
            let from = archived.unwrap_or(first).max(first);
            self.open_at(&partition, from);
            source.begin(&[(partition, Some(from))])?;
        }
        Ok(())
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<Option<i64>, CommandError> {
        loop {
            match self.archive.resume(&partition.topic, partition.partition) {
                Ok(next) => return Ok(next),
                Err(error @ ArchiveError::Io { .. }) => self.outage.wait(&error.to_string())?,
                Err(error) => return Err(CommandError::Failed(error.to_string())),
            }
        }
    }

    fn open_at(&mut self, partition: &TopicPartition, from: i64) {
        let range = Range::new(&partition.topic, partition.partition, from);
        self.open.insert(partition.clone(), Open { range, since: None });
    }

    fn take(&mut self, batch: &PartitionBatch) {
        let Some(open) = self.open.get_mut(&batch.partition) else { return };
        open.since.get_or_insert_with(Instant::now);
        let range = &mut open.range;
        for record in batch.iter() {
            // At its own time, whenever it was read. What is no event is among the dead letters.
            decoder::decode(self.decoder, &record, &self.limits, &mut |decoded| {
                if let Ok(event) = decoded {
                    range.push(event, record.value, record.offset, record.observed_at);
                }
            });
        }
        range.read_to(batch.next_offset());
    }

    /// The ranges that are to be written now.
    fn due(&self) -> Vec<TopicPartition> {
        let (one, all) = MOST_BYTES;
        let is_due = |open: &Open| {
            let is_full = open.range.bytes() >= one || open.range.files() >= MOST_FILES;
            is_full || open.since.is_some_and(|since| since.elapsed() >= self.every)
        };
        let mut due: Vec<_> = self.open.iter().filter(|(_, open)| is_due(open)).map(|(name, _)| name.clone()).collect();
        if due.is_empty() && self.open.values().map(|open| open.range.bytes()).sum::<usize>() >= all {
            let largest = self.open.iter().max_by_key(|(_, open)| open.range.bytes());
            due.extend(largest.map(|(name, _)| name.clone()));
        }
        due
    }

    /// Writes ranges, and goes on behind them; where another has written one, behind that.
    fn write(&mut self, source: &mut KafkaSource, partitions: &[TopicPartition]) -> Result<(), CommandError> {
        for partition in partitions {
            let Some(open) = self.open.get(partition).filter(|open| !open.range.is_empty()) else { continue };
            let until = open.range.until();
            let next = match open.range.write(&self.archive) {
                Ok(_) => until,
                // By another, or by a try of ours of which the outcome was not known.
                Err(ArchiveError::Claimed { .. }) => self.resume(partition)?.unwrap_or(until),
                // What has been read is read again, behind what is listed.
                Err(error @ ArchiveError::Io { .. }) => return Err(CommandError::Interrupted(error.to_string())),
                Err(error) => return Err(CommandError::Failed(error.to_string())),
            };
            self.open_at(partition, next);
            if next != until {
                source.seek(&[(partition.clone(), next)])?;
            }
            self.outage.over();
        }
        Ok(())
    }

    fn give_up(&mut self, source: &mut KafkaSource, partitions: &[TopicPartition]) -> Result<(), CommandError> {
        partitions.iter().for_each(|partition| drop(self.open.remove(partition)));
        Ok(source.release(partitions)?)
    }
}
