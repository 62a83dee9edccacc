//! Topics as a source, shared with the other members of a consumer group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::error::Failure;
use super::native::{Client, Consumed, GroupMetadata, Membership, Note, Taker};
use super::standing::{Inquiry, Standing};
use super::unassigned::Lookout;
use super::{ClientSettings, KafkaError};
use crate::source::{LogEnd, Polled, Source, SourceError, TopicPartition};

/// Records taken at a time: enough that they come from several partitions, which are worked on side by side.
const BATCH: usize = 16_384;

/// What leaving the group may take: past it the broker gives this member up by itself, after its session's time-out.
const CLOSING: Duration = Duration::from_secs(10);

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

/// Defaults of the classic group protocol; the new one (`group.protocol=consumer`) knows none of them.
pub(super) const CLASSIC: &[(&str, &str)] = &[
    // Only partitions that move stop, and the others go on.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // After so long without a heartbeat, a member's partitions go to the others.
    ("session.timeout.ms", "6000"),
    // A member learns of a rebalance by its next heartbeat: with librdkafka's 3 s, that is what most take-overs would take.
    ("heartbeat.interval.ms", "1000"),
];

/// What is read, and as whom.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// The consumer group.
    pub group: String,
    /// A name for this member that outlives it: a member that comes back under it within `session.timeout.ms` gets its
    /// partitions back without a rebalance. `None`: the broker makes one up.
    pub instance: Option<String>,
    /// The transactional id that this member commits under ([`crate::kafka::TransactionalWriter`]); it stands beside the
    /// positions of partitions from when they are assigned. Empty for a member that commits nothing.
    pub writer: String,
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
    standing: Standing,
    /// For members of a name that outlives them.
    _lookout: Option<Lookout>,
    /// Where the group stands in partitions that it has given to this member.
    inquiries: Vec<Inquiry>,
    /// Handed out as assigned, and not started yet.
    given: BTreeSet<TopicPartition>,
    /// To be released by the caller.
    revoked: Option<Polled>,
    /// Rebalances and failures that wait for the ones before them.
    notes: VecDeque<Note>,
    /// Waits for a broker to be there again.
    outage: Option<JoinHandle<()>>,
    /// Where each partition that is read was started; 0 where nobody had committed a position.
    started: BTreeMap<TopicPartition, i64>,
}

impl KafkaSource {
    /// Joins the group; partitions come with later polls.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] for settings that librdkafka does not take. That brokers cannot be reached shows in the log, and
    /// passes.
    pub fn open(settings: &ClientSettings, group: &GroupSettings) -> Result<Self, KafkaError> {
        let is_classic = settings.get("group.protocol") != Some("consumer");
        let classic = if is_classic { CLASSIC } else { &[] };
        let mut fixed = vec![
            ("group.id", group.group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
        ];
        fixed.extend(group.instance.as_deref().map(|instance| ("group.instance.id", instance)));
        let client = Client::new(&settings.client(&[DEFAULTS, classic].concat(), &fixed))?;
        let topics: Vec<&str> = group.topics.iter().map(String::as_str).collect();
        let internal: Vec<&str> = group.internal.iter().map(String::as_str).collect();
        client
            .subscribe(&topics)
            .map_err(|failure| KafkaError::broker(format!("subscribing to {}", topics.join(", ")), failure))?;
        let lookout = group.instance.as_ref().filter(|_| is_classic && !internal.is_empty());
        let lookout = lookout.map(|_| Lookout::begin(settings, group)).transpose().map_err(|error| {
            KafkaError::broker("starting a thread", Failure::with_message(Code::Fail, error.to_string()))
        })?;
        Ok(Self {
            taker: Taker::new(client.clone(), BATCH, &internal),
            _lookout: lookout,
            internal: internal.into_iter().map(Arc::from).collect(),
            standing: Standing::new(client.clone(), group, settings)?,
            client,
            inquiries: Vec::new(),
            given: BTreeSet::new(),
            revoked: None,
            notes: VecDeque::new(),
            outage: None,
            started: BTreeMap::new(),
        })
    }

    /// The member's standing in its group, for the commit that moves the group's position; to be taken anew for each.
    /// `None` where the member has not joined yet, or the group has given it up.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.membership().now()
    }

    /// Whether brokers can be reached, as far as is known. Where they cannot, records come again when they can.
    pub fn is_reachable(&mut self) -> bool {
        if self.client.is_unreachable() && self.outage.as_ref().is_none_or(JoinHandle::is_finished) {
            let client = self.client.clone();
            // Without a thread the next call tries again.
            self.outage =
                std::thread::Builder::new().name("outage".to_owned()).spawn(move || client.await_broker()).ok();
        }
        !self.client.is_unreachable()
    }

    /// For whoever commits on another thread: tells the member's standing at any time.
    pub fn membership(&self) -> Membership {
        Membership::of(&self.client)
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
            match self.notes.pop_front() {
                None => return self.answered(),
                Some(Note::Assign(partitions)) => {
                    // librdkafka stops all partitions until a rebalance is answered. So it is answered at once, with
                    // nothing, and the new ones are read when the caller starts them.
                    passing(self.client.assign(&TopicPartitionList::new()), "taking partitions over")?;
                    if !partitions.is_empty() {
                        self.inquiries.push(self.standing.ask(self.with_internal(partitions))?);
                    }
                }
                Some(Note::Revoke { partitions, .. }) if partitions.is_empty() => self.unassign(&[])?,
                Some(Note::Revoke { partitions, lost }) => {
                    let partitions = self.with_internal(partitions);
                    self.inquiries.iter_mut().for_each(|inquiry| inquiry.forget(&partitions));
                    self.inquiries.retain(|inquiry| !inquiry.is_over());
                    self.revoked = Some(if lost { Polled::Lost(partitions) } else { Polled::Revoked(partitions) });
                }
                Some(Note::Failed(failure)) => return Err(KafkaError::broker("reading from Kafka", failure).into()),
            }
        }
    }

    /// Partitions of which it is known by now where the group stands.
    fn answered(&mut self) -> Result<Option<Polled>, SourceError> {
        let answers = self.inquiries.iter().enumerate();
        let Some((i, answer)) = answers.filter_map(|(i, inquiry)| Some((i, inquiry.answer()?))).next() else {
            return Ok(None);
        };
        self.inquiries.remove(i);
        let assignments = answer?;
        self.given.extend(assignments.iter().map(|assignment| assignment.partition.clone()));
        Ok(Some(Polled::Assigned(assignments)))
    }

    /// The partitions, and those of the internal topics that go with them.
    fn with_internal(&self, partitions: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let numbers: BTreeSet<i32> = partitions.iter().map(|partition| partition.partition).collect();
        let internal = |topic: &Arc<str>| numbers.iter().map(|&n| TopicPartition::new(topic.clone(), n)).collect();
        let more: Vec<Vec<TopicPartition>> = self.internal.iter().map(internal).collect();
        partitions.into_iter().chain(more.into_iter().flatten()).collect()
    }

    /// Answers the rebalances that the caller has not dealt with: the group waits for that.
    ///
    /// One that librdkafka has not told of yet must not be answered: it would tell of it while it closes, and what then
    /// comes as an answer reaches a group that has ended, which hangs.
    fn answer_all(&mut self) {
        let read: Vec<TopicPartition> = self.started.keys().cloned().collect();
        while let Some(note) = self.client.note() {
            self.notes.push_back(note);
        }
        let mut answers = Vec::new();
        if self.revoked.take().is_some() {
            answers.push(self.client.unassign(&read));
        }
        for note in std::mem::take(&mut self.notes) {
            answers.push(match note {
                Note::Assign(_) => self.client.assign(&TopicPartitionList::new()),
                Note::Revoke { .. } => self.client.unassign(&read),
                Note::Failed(_) => Ok(()),
            });
        }
        for failure in answers.into_iter().filter_map(Result::err) {
            tracing::debug!("leaving the group: {}", failure.message);
        }
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
        self.given.retain(|partition| !released.contains(partition));
        let read: Vec<_> = released.into_iter().filter(|partition| self.started.remove(partition).is_some()).collect();
        self.unassign(&read)
    }

    fn begin(&mut self, at: &[(TopicPartition, Option<i64>)]) -> Result<(), SourceError> {
        let mut list = TopicPartitionList::with_capacity(at.len());
        let mut add = |partition: &TopicPartition, offset: Option<i64>| {
            list.add_partition_offset(
                &partition.topic,
                partition.partition,
                offset.map_or(Offset::Invalid, Offset::Offset),
            )
            .map_err(|error| KafkaError::from_client(format!("starting to read {partition}"), error))
        };
        if !self.client.is_cooperative() {
            // The eager protocol knows the assignment as a whole only: those that are read go on where they are.
            for (partition, start) in &self.started {
                add(partition, Some(self.client.position(partition).unwrap_or(*start)))?;
            }
        }
        for (partition, offset) in at {
            if !self.given.remove(partition) {
                let (partition, offset) = (partition.clone(), offset.unwrap_or(0));
                return Err(SourceError::Seek { partition, offset, why: "the partition is not assigned" });
            }
            add(partition, *offset)?;
            self.started.insert(partition.clone(), offset.unwrap_or(0));
        }
        self.client.assign(&list).map_err(|failure| KafkaError::broker("starting to read partitions", failure))?;
        Ok(())
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), SourceError> {
        if let Some((partition, offset)) = to.iter().find(|(partition, _)| !self.started.contains_key(partition)) {
            let (partition, offset) = (partition.clone(), *offset);
            return Err(SourceError::Seek { partition, offset, why: "the partition is not assigned" });
        }
        seek(&self.client, to)?;
        self.started.extend(to.iter().cloned());
        Ok(())
    }

    fn log_end(&self, partition: &TopicPartition) -> Option<LogEnd> {
        log_end(&self.client, partition, *self.started.get(partition)?)
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.inquiries.clear();
        self.answer_all();
        let client = self.client.clone();
        let (done, closed) = bounded(1);
        let close = move || {
            client.close();
            // Nobody waits any more where it took too long.
            let _ = done.send(());
        };
        match std::thread::Builder::new().name("closing".to_owned()).spawn(close) {
            Err(error) => tracing::error!("cannot start a thread to leave the consumer group: {error}"),
            Ok(_) if closed.recv_timeout(CLOSING).is_err() => {
                tracing::error!("the consumer has not left its group in {} s: going on without", CLOSING.as_secs());
            }
            Ok(_) => {}
        }
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
