//! Topics as a source, shared with the other members of a consumer group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::error::Failure;
use super::native::{Client, Consumed, GroupMetadata, Note, Taker, list};
use super::writer::end_transaction_of;
use super::{ClientSettings, KafkaError};
use crate::source::{Assignment, LogEnd, Polled, Source, SourceError, TopicPartition};

/// Records taken at a time: enough that they come from several partitions, which are worked on side by side.
const BATCH: usize = 16_384;

/// How long the coordinator may take for an answer. A position that belongs to an open transaction is known only when
/// that ends, so the question is asked again at the next poll.
const ANSWER: Duration = Duration::from_secs(1);

/// A position that is not known for so long belongs to a transaction whose writer is gone: those that live take
/// milliseconds. Nobody else may be writing to partitions that were given to this member.
const PATIENCE: Duration = Duration::from_secs(1);

/// Defaults that what is configured goes over.
const DEFAULTS: &[(&str, &str)] = &[
    // Where nobody committed a position yet.
    ("auto.offset.reset", "earliest"),
    // What is fetched ahead: bounded in memory, and enough that a batch is always there.
    ("queued.max.messages.kbytes", "65536"),
    ("queued.min.messages", "200000"),
    ("max.partition.fetch.bytes", "1048576"),
    ("fetch.max.bytes", "33554432"),
    ("fetch.wait.max.ms", "100"),
    // librdkafka waits a second where its queue is full, which is a second without records once it is empty.
    ("fetch.queue.backoff.ms", "5"),
];

/// Defaults of the classic group protocol; the new one (`group.protocol=consumer`) knows neither.
const CLASSIC: &[(&str, &str)] = &[
    // Only partitions that move stop, and the others go on.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // After so long without a heartbeat, a member's partitions go to the others.
    ("session.timeout.ms", "6000"),
];

/// What is read, and as whom.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// The consumer group.
    pub group: String,
    /// A name for this member that outlives it: a member that comes back under it within `session.timeout.ms` gets its
    /// partitions back without a rebalance. `None`: the broker makes one up.
    pub instance: Option<String>,
    /// Topics whose partitions the group shares out.
    pub topics: Vec<String>,
    /// Topics of forwarded records, with as many partitions: whoever is given a partition reads those of the same number
    /// too, so that what belongs together is in one place. Their headers say where a record was read first; headers of
    /// other topics are not believed.
    pub internal: Vec<String>,
}

/// A member of a consumer group.
///
/// The position of the group is moved by [`crate::kafka::TransactionalWriter::commit`] alone. On drop the member leaves
/// the group, so what was done must be committed before.
pub struct KafkaSource {
    client: Arc<Client>,
    taker: Taker,
    internal: Vec<Arc<str>>,
    /// Sees positions as they were before a transaction that is still open.
    before: Arc<Client>,
    settings: ClientSettings,
    /// Since when positions have been asked for in vain.
    waiting: Option<Instant>,
    /// Assigned by the group, and not yet by us.
    assigning: Option<Vec<TopicPartition>>,
    /// To be released by the caller.
    revoked: Option<Polled>,
    /// Rebalances and failures that wait for the ones before them.
    notes: VecDeque<Note>,
    /// Where each partition that is assigned was started; 0 where nobody had committed a position.
    assigned: BTreeMap<TopicPartition, i64>,
}

impl KafkaSource {
    /// Joins the group; partitions come with later polls.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] for settings that librdkafka does not take. That brokers cannot be reached shows in the log, and
    /// passes.
    pub fn open(settings: &ClientSettings, group: &GroupSettings) -> Result<Self, KafkaError> {
        let classic = if settings.get("group.protocol") == Some("consumer") { &[] } else { CLASSIC };
        let mut fixed = vec![
            ("group.id", group.group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
        ];
        let uncommitted = [("group.id", group.group.as_str()), ("isolation.level", "read_uncommitted")];
        let before = Client::new(&settings.client(&[], &uncommitted))?;
        fixed.extend(group.instance.as_deref().map(|instance| ("group.instance.id", instance)));
        let client = Client::new(&settings.client(&[DEFAULTS, classic].concat(), &fixed))?;
        let topics: Vec<&str> = group.topics.iter().map(String::as_str).collect();
        let internal: Vec<&str> = group.internal.iter().map(String::as_str).collect();
        client
            .subscribe(&topics)
            .map_err(|failure| KafkaError::broker(format!("subscribing to {}", topics.join(", ")), failure))?;
        Ok(Self {
            taker: Taker::new(client.clone(), BATCH, &internal),
            internal: internal.into_iter().map(Arc::from).collect(),
            client,
            before,
            settings: settings.clone(),
            waiting: None,
            assigning: None,
            revoked: None,
            notes: VecDeque::new(),
            assigned: BTreeMap::new(),
        })
    }

    /// The member's standing in its group, for the commit that moves the group's position; to be taken anew for each.
    /// `None` where the member has not joined yet.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.client.group_metadata()
    }

    /// What is to be done before records are taken again: a rebalance, or a failure of the client.
    fn serve(&mut self) -> Result<Option<Polled>, SourceError> {
        while let Some(note) = self.client.note() {
            self.notes.push_back(note);
        }
        loop {
            match &self.revoked {
                Some(Polled::Revoked(partitions)) => return Ok(Some(Polled::Revoked(partitions.clone()))),
                Some(Polled::Lost(partitions)) => return Ok(Some(Polled::Lost(partitions.clone()))),
                _ => {}
            }
            if let Some(partitions) = &self.assigning {
                let Some(assignments) = self.start(partitions)? else {
                    self.end_what_nobody_will()?;
                    return Ok(Some(Polled::Idle));
                };
                self.waiting = None;
                self.assigned.extend(assignments.iter().map(|a| (a.partition.clone(), a.committed.unwrap_or(0))));
                self.assigning = None;
                return Ok(Some(Polled::Assigned(assignments)));
            }
            match self.notes.pop_front() {
                None => return Ok(None),
                Some(Note::Assign(partitions)) if partitions.is_empty() => self.assign(&TopicPartitionList::new())?,
                Some(Note::Assign(partitions)) => self.assigning = Some(self.with_internal(partitions)),
                Some(Note::Revoke { partitions, .. }) if partitions.is_empty() => self.unassign(&[])?,
                Some(Note::Revoke { partitions, lost }) => {
                    let partitions = self.with_internal(partitions);
                    self.revoked = Some(if lost { Polled::Lost(partitions) } else { Polled::Revoked(partitions) });
                }
                Some(Note::Failed(failure)) => return Err(KafkaError::broker("reading from Kafka", failure).into()),
            }
        }
    }

    /// The partitions, and those of the internal topics that go with them.
    fn with_internal(&self, partitions: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let numbers: BTreeSet<i32> = partitions.iter().map(|partition| partition.partition).collect();
        let internal = |topic: &Arc<str>| numbers.iter().map(|&n| TopicPartition::new(topic.clone(), n)).collect();
        let more: Vec<Vec<TopicPartition>> = self.internal.iter().map(internal).collect();
        partitions.into_iter().chain(more.into_iter().flatten()).collect()
    }

    /// Finds out where the group stands and starts to read there; `None` where that is not known yet.
    fn start(&self, partitions: &[TopicPartition]) -> Result<Option<Vec<Assignment>>, SourceError> {
        let assignments = match self.standing(partitions) {
            Ok(assignments) => assignments,
            Err(error) if error.is_retriable() => {
                tracing::info!("waiting: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mut list = TopicPartitionList::with_capacity(assignments.len());
        for Assignment { partition, committed, expired, .. } in &assignments {
            let start = committed.map_or(Offset::Invalid, |offset| Offset::Offset(offset + expired.cast_signed()));
            list.add_partition_offset(&partition.topic, partition.partition, start)
                .map_err(|error| KafkaError::from_client(format!("starting to read {partition}"), error))?;
        }
        self.assign(&list)?;
        Ok(Some(assignments))
    }

    /// Ends the transactions that hold positions up, where they have done so for long. Their writers' names stand beside
    /// the positions that they committed before.
    fn end_what_nobody_will(&mut self) -> Result<(), SourceError> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let Some(partitions) = self.assigning.as_deref().filter(|_| since.elapsed() >= PATIENCE) else { return Ok(()) };
        let mut known = list(partitions);
        if self.before.committed(&mut known, ANSWER).is_err() {
            return Ok(());
        }
        let writers: BTreeSet<String> = known.elements().iter().map(|element| element.metadata().to_owned()).collect();
        for writer in writers.iter().filter(|writer| !writer.is_empty()) {
            tracing::warn!("positions wait for a transaction that `{writer}` has left open: ending it");
            end_transaction_of(&self.settings, writer)?;
        }
        self.waiting = None;
        Ok(())
    }

    /// Where the group stands in partitions.
    fn standing(&self, partitions: &[TopicPartition]) -> Result<Vec<Assignment>, KafkaError> {
        let doing = "asking for the group's positions";
        let mut list = list(partitions);
        self.client.committed(&mut list, ANSWER).map_err(|failure| KafkaError::broker(doing, failure))?;
        let mut assignments = Vec::with_capacity(partitions.len());
        for element in list.elements() {
            element.error().map_err(|error| KafkaError::from_client(doing, error))?;
            let partition = TopicPartition::new(element.topic(), element.partition());
            let committed = element.offset().to_raw().filter(|offset| *offset >= 0);
            let expired = match committed {
                Some(offset) => {
                    let ends = self.client.query_ends(&partition, ANSWER);
                    let (first, _) =
                        ends.map_err(|f| KafkaError::broker(format!("asking where {partition} starts"), f))?;
                    u64::try_from(first - offset).unwrap_or(0)
                }
                None => 0,
            };
            if expired > 0 {
                tracing::error!("{partition}: retention has removed {expired} offsets that nobody had read");
            }
            assignments.push(Assignment { partition, committed, metadata: element.metadata().to_owned(), expired });
        }
        Ok(assignments)
    }

    fn assign(&self, list: &TopicPartitionList) -> Result<(), SourceError> {
        passing(self.client.assign(list), "taking partitions over")
    }

    fn unassign(&self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        passing(self.client.unassign(partitions), "giving partitions up")
    }
}

/// A rebalance may be overtaken by the next one, which then says what is assigned.
fn passing(result: Result<(), Failure>, doing: &str) -> Result<(), SourceError> {
    match result {
        Ok(()) => Ok(()),
        Err(failure) if failure.fatal => Err(KafkaError::broker(doing, failure).into()),
        Err(failure) => {
            tracing::warn!("{doing}: {}", failure.message);
            Ok(())
        }
    }
}

impl Source for KafkaSource {
    fn poll(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        if let Some(polled) = self.serve()? {
            return Ok(polled);
        }
        let Consumed { batches, failures } = self.taker.take(timeout);
        for failure in failures {
            self.notes.extend(needs_somebody(failure).map(Note::Failed));
        }
        if !batches.is_empty() {
            return Ok(Polled::Records(batches));
        }
        Ok(self.serve()?.unwrap_or(Polled::Idle))
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        let released = match &self.revoked {
            Some(Polled::Revoked(revoked) | Polled::Lost(revoked)) => revoked.clone(),
            _ => return Ok(()),
        };
        if !released.iter().all(|partition| partitions.contains(partition)) {
            // The group takes them back all at once; the caller is given the rest again.
            return Ok(());
        }
        self.revoked = None;
        for partition in &released {
            self.assigned.remove(partition);
        }
        self.unassign(&released)
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), SourceError> {
        if let Some((partition, offset)) = to.iter().find(|(partition, _)| !self.assigned.contains_key(partition)) {
            let (partition, offset) = (partition.clone(), *offset);
            return Err(SourceError::Seek { partition, offset, why: "the partition is not assigned" });
        }
        seek(&self.client, to)?;
        self.assigned.extend(to.iter().cloned());
        Ok(())
    }

    fn log_end(&self, partition: &TopicPartition) -> Option<LogEnd> {
        log_end(&self.client, partition, *self.assigned.get(partition)?)
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        if self.assigning.is_some() {
            let _ = self.client.assign(&TopicPartitionList::new());
        }
        if let Some(Polled::Revoked(partitions) | Polled::Lost(partitions)) = &self.revoked {
            let _ = self.client.unassign(partitions);
        }
        // The group knows nothing of these, and takes back only its own.
        let internal = |partition: &&TopicPartition| self.internal.contains(&partition.topic);
        let internal: Vec<TopicPartition> = self.assigned.keys().filter(internal).cloned().collect();
        if !internal.is_empty() {
            let _ = self.client.unassign(&internal);
        }
        self.client.close();
    }
}

/// The end of a log, and whether everything before it was handed out since `start`.
pub(super) fn log_end(client: &Client, partition: &TopicPartition, start: i64) -> Option<LogEnd> {
    let (first, offset) = client.cached_ends(partition)?;
    let position = client.position(partition).unwrap_or_else(|| start.max(first));
    Some(LogEnd { offset, reached: position >= offset })
}

/// Goes to other offsets of partitions that are being read.
pub(super) fn seek(client: &Client, to: &[(TopicPartition, i64)]) -> Result<(), KafkaError> {
    if to.is_empty() {
        return Ok(());
    }
    let mut list = TopicPartitionList::with_capacity(to.len());
    for (partition, offset) in to {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))
            .map_err(|error| KafkaError::from_client(format!("going to offset {offset} of {partition}"), error))?;
    }
    client
        .seek(&mut list, Duration::from_secs(10))
        .map_err(|failure| KafkaError::broker("going to other offsets", failure))?;
    for element in list.elements() {
        let doing = || format!("going to another offset of {}/{}", element.topic(), element.partition());
        element.error().map_err(|error| KafkaError::from_client(doing(), error))?;
    }
    Ok(())
}

/// Failures that pass by themselves are logged; the others are for the caller to deal with.
pub(super) fn needs_somebody(failure: Failure) -> Option<Failure> {
    let passes = failure.retriable && !failure.fatal;
    // The group went on without this member, which joins again by itself.
    let rejoins = matches!(failure.code, Code::PollExceeded | Code::RebalanceInProgress | Code::UnknownMemberId);
    if passes || rejoins {
        tracing::warn!("reading from Kafka: {}", failure.message);
        return None;
    }
    Some(failure)
}
