//! Partitions read without a group: from an offset that the caller keeps, to the end or following on. The control log,
//! the alerts topic, and dumps are read so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::{log_end, needs_somebody, seek};
use super::error::Failure;
use super::native::{Client, Consumed, Note, Taker, list};
use super::{ClientSettings, KafkaError};
use crate::source::{LogEnd, Polled, Source, SourceError, TopicPartition};

/// Records taken at a time.
const BATCH: usize = 4096;

const DEFAULTS: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "65536"),
    ("max.partition.fetch.bytes", "4194304"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
];

const FIXED: &[(&str, &str)] = &[
    // librdkafka reads under a group's name only; nothing is ever joined or committed under this one.
    ("group.id", "driftline-reader"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // An offset that retention has removed is an error, for whoever keeps the offset must know.
    ("auto.offset.reset", "error"),
];

const COMMITTED: (&str, &str) = ("isolation.level", "read_committed");
/// A log ends after its last record, even where the transaction of that one is still open or the marker of a commit that
/// was answered is still on its way: a reader to the end waits for it. `read_committed` would name an earlier end, and
/// what had just been committed would be missed.
const WRITTEN: (&str, &str) = ("isolation.level", "read_uncommitted");

/// Where a reader starts in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first record that the log still has.
    Beginning,
    /// At this offset.
    Offset(i64),
    /// After the last record there is when the reader is opened.
    End,
}

/// How far a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the end that the log had when the reader was opened; then it is finished. Transactions that were open then are
    /// waited for.
    End,
    /// On and on.
    Forever,
}

/// Reads partitions without a group. Aborted transactions are not seen, nor open ones.
pub struct Reader {
    client: Arc<Client>,
    /// Sees what is written and not yet committed.
    asking: Arc<Client>,
    taker: Taker,
    until: Until,
    /// Where each partition was started.
    starts: BTreeMap<TopicPartition, i64>,
    /// Of each partition that is not read to the end that it had, this end.
    stops: BTreeMap<TopicPartition, i64>,
    /// Offsets there were between the starts and the ends that the logs had.
    span: i64,
}

impl Reader {
    /// Opens a reader. Waits for the broker where it must know where a log begins or ends.
    ///
    /// `internal` topics are those whose records were forwarded, as in [`super::GroupSettings::internal`].
    ///
    /// # Errors
    ///
    /// [`KafkaError`] for settings that librdkafka does not take, for partitions that there aren't, and where the broker
    /// does not answer within half a minute.
    pub fn open(
        settings: &ClientSettings,
        partitions: &[(TopicPartition, Start)],
        until: Until,
        internal: &[&str],
    ) -> Result<Self, KafkaError> {
        let open = |isolation| Client::new(&settings.client(DEFAULTS, &[FIXED, &[isolation]].concat()));
        let (client, asking) = (open(COMMITTED)?, open(WRITTEN)?);
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let (mut starts, mut stops, mut span) = (BTreeMap::new(), BTreeMap::new(), 0);
        for (partition, start) in partitions {
            let (first, end) = ends(&asking, partition, deadline)?;
            let start = match *start {
                Start::Beginning => first,
                Start::Offset(offset) => offset,
                Start::End => end,
            };
            let doing = || format!("reading {partition} from offset {start}");
            if start < first || start > end {
                let message = format!("the log has offsets {first} to {end}: retention has removed what came before");
                return Err(KafkaError::broker(doing(), Failure::with_message(Code::OffsetOutOfRange, message)));
            }
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(start))
                .map_err(|error| KafkaError::from_client(doing(), error))?;
            starts.insert(partition.clone(), start);
            if start < end {
                span += end - start;
                stops.insert(partition.clone(), end);
            }
        }
        client.assign(&list).map_err(|failure| KafkaError::broker("starting to read", failure))?;
        let taker = Taker::new(client.clone(), BATCH, internal);
        Ok(Self { client, asking, taker, until, starts, stops, span })
    }

    /// The offset after the last record that was written to a partition, asked of the broker now; its transaction may
    /// still be open.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker does not answer within half a minute.
    pub fn written_end(&self, partition: &TopicPartition) -> Result<i64, KafkaError> {
        ends(&self.asking, partition, Instant::now() + Duration::from_secs(30)).map(|(_, end)| end)
    }

    /// The same of several partitions, which need not be those that are read, asked of all brokers at once.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where not all of them are told within `timeout`.
    pub fn written_ends(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let doing = "asking where logs end";
        let mut list = list(partitions);
        self.asking.query_last(&mut list, timeout).map_err(|failure| KafkaError::broker(doing, failure))?;
        let mut ends = BTreeMap::new();
        for element in list.elements() {
            element.error().map_err(|error| KafkaError::from_client(doing, error))?;
            let partition = TopicPartition::new(element.topic(), element.partition());
            match element.offset() {
                Offset::Offset(end) => drop(ends.insert(partition, end)),
                _ => return Err(KafkaError::broker(format!("{doing}: {partition}"), Failure::of(Code::NoOffset))),
            }
        }
        Ok(ends)
    }

    /// The offset of the next record of a partition, as far as it was read.
    pub fn next_offset(&self, partition: &TopicPartition) -> Option<i64> {
        let start = self.starts.get(partition)?;
        Some(self.client.position(partition).unwrap_or(*start))
    }

    /// How much was read of what there was when the reader was opened, from 0 to 1. Compaction leaves gaps between
    /// offsets, so this tells of time that has passed, not exactly of records.
    pub fn share(&self) -> f64 {
        let left =
            |(partition, stop): (&TopicPartition, &i64)| (stop - self.next_offset(partition).unwrap_or(0)).max(0);
        let left: i64 = self.stops.iter().map(left).sum();
        if self.span == 0 { 1.0 } else { 1.0 - left as f64 / self.span as f64 }
    }

    /// Whether what is left to read of a partition belongs to a transaction that is still open, as the broker has it now.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker does not answer within half a minute.
    pub fn waits_for_transaction(&self, partition: &TopicPartition) -> Result<bool, KafkaError> {
        let Some(stop) = self.stops.get(partition) else { return Ok(false) };
        let (_, committed) = ends(&self.client, partition, Instant::now() + Duration::from_secs(30))?;
        Ok(committed < *stop)
    }

    /// Takes one call's records into account. A batch may reach past the stop: it is handed out whole, since its records
    /// are there and committed; but no further one of that partition.
    fn advance(&mut self, consumed: &mut Consumed) {
        if self.until == Until::Forever {
            return;
        }
        consumed.batches.retain(|batch| self.stops.contains_key(&batch.partition));
        // The last offsets of a log may be those of markers, which are no records but move the position.
        self.stops.retain(|partition, stop| self.client.position(partition).is_none_or(|position| position < *stop));
    }
}

/// The first offset of a log and the one after its last.
fn ends(client: &Client, partition: &TopicPartition, deadline: Instant) -> Result<(i64, i64), KafkaError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match client.query_ends(partition, left) {
            Ok(ends) => return Ok(ends),
            Err(failure) if failure.retriable && Instant::now() < deadline => {}
            Err(failure) => return Err(KafkaError::broker(format!("asking for the ends of {partition}"), failure)),
        }
    }
}

impl Source for Reader {
    fn poll(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        if self.until == Until::End && self.stops.is_empty() {
            return Ok(Polled::Finished);
        }
        let mut consumed = self.taker.take(timeout);
        while let Some(note) = self.client.note() {
            if let Note::Failed(failure) = note {
                return Err(KafkaError::broker("reading from Kafka", failure).into());
            }
        }
        if let Some(failure) = std::mem::take(&mut consumed.failures).into_iter().find_map(needs_somebody) {
            return Err(KafkaError::broker("reading from Kafka", failure).into());
        }
        self.advance(&mut consumed);
        Ok(match consumed.batches.is_empty() {
            true => Polled::Idle,
            false => Polled::Records(consumed.batches),
        })
    }

    fn release(&mut self, _partitions: &[TopicPartition]) -> Result<(), SourceError> {
        Ok(())
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), SourceError> {
        seek(&self.client, to)?;
        self.starts.extend(to.iter().cloned());
        Ok(())
    }

    fn log_end(&self, partition: &TopicPartition) -> Option<LogEnd> {
        log_end(&self.client, partition, *self.starts.get(partition)?)
    }
}
