//! Where records come from, seen from the side of those who work on them: one trait, whatever is behind it.
//!
//! A source is polled, never pushes: who does not poll is not sent anything, and that is all the backpressure there is.
//! Records come by the batch and by the partition, and borrow from the buffer they were read into.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use driftline_core::{Position, Timestamp};

use crate::file::FileError;
use crate::kafka::KafkaError;

/// A partition of a topic; of a file, its path and partition 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic, or the file's path (`-` for standard input).
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl TopicPartition {
    /// A partition of a topic.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// One record: bytes with a place, before anybody looked into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The record's bytes; empty for a tombstone. Where [`Record::oversize`] is set these are only its first.
    pub value: &'a [u8],
    /// The offset in the partition; of a file, the line, from 1.
    pub offset: i64,
    /// When it was first read: the broker's own time where the topic has `LogAppendTime`, else the machine's clock at
    /// ingest. A record that came a second way (see [`Record::origin`]) keeps the time of the first.
    pub observed_at: Timestamp,
    /// Where it was read first, if that is not here: it was forwarded by another instance, or comes from a dump.
    pub origin: Option<&'a Position>,
    /// The record's whole length in bytes, where it was too long to be held.
    pub oversize: Option<u64>,
}

/// The records of one partition, in order of offset, in the memory they were read into.
pub trait Records: Send {
    /// How many there are; never 0 in a batch that a source gave.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `i`, counted from 0.
    ///
    /// # Panics
    ///
    /// Where `i` is not less than [`Records::len`].
    fn get(&self, i: usize) -> Record<'_>;

    /// Where the record at `i` was read first: its origin if it has one, else its place in this source.
    fn position(&self, i: usize) -> Position;
}

/// A batch of records of one partition.
pub struct PartitionBatch {
    /// The partition.
    pub partition: TopicPartition,
    /// Its records.
    pub records: Box<dyn Records>,
}

impl PartitionBatch {
    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.records.len()).map(|i| self.records.get(i))
    }

    /// The offset after the last record: where to go on once the batch is accounted for.
    pub fn next_offset(&self) -> i64 {
        match self.records.len() {
            0 => 0,
            len => self.records.get(len - 1).offset + 1,
        }
    }
}

impl fmt::Debug for PartitionBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionBatch({}, {} records)", self.partition, self.records.len())
    }
}

/// A partition that a source starts to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub partition: TopicPartition,
    /// The committed position: the offset of the next record to read. `None` where nobody committed one yet.
    pub committed: Option<i64>,
    /// What the last committer wrote beside the position; empty where it wrote nothing.
    pub metadata: String,
    /// The first offset that the log still has.
    pub first: i64,
}

impl Assignment {
    /// Where the partition is to be read on: the committed position, else the beginning of the log.
    pub fn next(&self) -> i64 {
        self.committed.unwrap_or(self.first)
    }

    /// Offsets from the committed position to the start of the log: at most so many records were removed by retention
    /// before anybody read them.
    pub fn expired(&self) -> u64 {
        u64::try_from(self.first - self.next()).unwrap_or(0)
    }
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// Records: at most one batch a partition.
    Records(Vec<PartitionBatch>),
    /// Partitions that are this member's from now on, beside those that already were. None of them is read before
    /// [`Source::begin`]; the others go on meanwhile.
    Assigned(Vec<Assignment>),
    /// Partitions that another member is to have: drain them, commit, then call [`Source::release`]. Until then every
    /// poll gives this again and no records.
    Revoked(Vec<TopicPartition>),
    /// Partitions that another member already has: drop their state without a commit (it would be refused), then call
    /// [`Source::release`]. Until then every poll gives this again and no records.
    Lost(Vec<TopicPartition>),
    /// Nothing within the time given.
    Idle,
    /// Nothing more will come: every file has been read to its end.
    Finished,
}

/// The end of a partition's log, as far as it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// The offset that the next record written will get, as of the last answer from the broker.
    pub offset: i64,
    /// Whether everything up to the end has been handed out.
    pub reached: bool,
}

/// How much of a bounded source has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes read, as they lie on the disk (compressed).
    pub bytes: u64,
    /// Bytes there are; 0 where that cannot be known (standard input).
    pub total: u64,
}

/// Where records come from.
pub trait Source: Send {
    /// What came next, waiting for it at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the source cannot go on by itself. What passes by itself (a broker that is away for a
    /// while) is logged and is no error.
    fn poll(&mut self, timeout: Duration) -> Result<Polled, SourceError>;

    /// Lets go of partitions that a poll gave as revoked or lost, after the caller has committed what it did with them.
    ///
    /// # Errors
    ///
    /// As [`Source::poll`].
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError>;

    /// Begins to read partitions that a poll gave as assigned, each at an offset; `None` stands for the source's own
    /// beginning. To be called once for each, unless it was taken back before.
    ///
    /// # Errors
    ///
    /// As [`Source::poll`], and for a partition that is not assigned.
    fn begin(&mut self, _at: &[(TopicPartition, Option<i64>)]) -> Result<(), SourceError> {
        Ok(())
    }

    /// Goes on at these offsets, each in a partition that is being read: back to the committed position after an abort,
    /// or past what was already done.
    ///
    /// # Errors
    ///
    /// As [`Source::poll`]; standard input cannot go back.
    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), SourceError>;

    /// The end of a partition's log; `None` where it has none or it is not known yet.
    fn log_end(&self, _partition: &TopicPartition) -> Option<LogEnd> {
        None
    }

    /// How much has been read; `None` for a source without an end.
    fn progress(&self) -> Option<Progress> {
        None
    }
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The broker refused, or the client failed.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The source cannot go to that offset.
    #[error("cannot go to offset {offset} of {partition}: {why}")]
    Seek {
        /// The partition.
        partition: TopicPartition,
        /// The offset asked for.
        offset: i64,
        /// Why not.
        why: &'static str,
    },
    /// A source that is defined elsewhere cannot be read.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// The machine's clock.
pub fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(millis).ok().and_then(Timestamp::from_millis).unwrap_or(Timestamp::MAX)
}
