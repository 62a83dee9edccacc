//! The one way in which a group's position moves: a transaction that holds everything made of the records before it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::error::Failure;
use super::native::{self, GroupMetadata};
use super::{ClientSettings, KafkaError, OutRecord};
use crate::failpoints::{Step, reach};
use crate::source::TopicPartition;

/// Defaults that what is configured goes over.
const DEFAULTS: &[(&str, &str)] = &[
    // All records of a transaction are there at once: nothing is gained by waiting for more.
    ("linger.ms", "0"),
    // While the coordinator still writes the end of the last transaction, librdkafka asks again after so long; with its
    // own default of 100 ms, that is what most commits would take.
    ("retry.backoff.ms", "5"),
    // Records are bounded at ingest; what the topic takes is for the broker to say.
    ("message.max.bytes", "16777216"),
    // Past this time the broker aborts the transaction of a writer that has died, and its partitions can go on.
    ("transaction.timeout.ms", "30000"),
];

const FIXED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // As Kafka's Java clients choose partitions.
    ("partitioner", "murmur2_random"),
];

/// How long a commit, or the abort after it, may take before its outcome is given up as unknown.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// Why a commit did not go through, by what is to be done about it.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written, no position moved, and the writer is as before. Restore every partition that was in the
    /// transaction and go on from the committed positions; where the group has moved on (a rebalance), the next poll
    /// says so.
    #[error("the transaction was aborted: {0}")]
    Aborted(#[source] KafkaError),
    /// As [`CommitError::Aborted`], because the broker does not take some of the records, and will not until somebody puts
    /// it right.
    #[error("{source}; {remedy}")]
    Refused {
        /// The first one of the records given that was refused. Records for one partition travel together and are refused
        /// together, so it may be another one's fault.
        index: usize,
        /// Why.
        source: KafkaError,
        /// What is to be done.
        remedy: &'static str,
        /// Whether that can be done while this process waits.
        can_pass: bool,
    },
    /// Another process writes under the same transactional id: this one was taken for dead, and must stop.
    #[error("another process has taken over as this instance: {0}")]
    Fenced(#[source] KafkaError),
    /// The outcome is not known, or the client is of no use any more. Open a new writer, which ends the transaction one
    /// way or the other, then go on from the committed positions.
    #[error("the outcome of the transaction is not known: {0}")]
    Unknown(#[source] KafkaError),
}

/// What has become of the records of the open transaction.
#[derive(Default)]
struct Deliveries(Mutex<Delivered>);

#[derive(Default)]
struct Delivered {
    confirmed: usize,
    /// The first that failed.
    failed: Option<(usize, Failure)>,
}

impl ClientContext for Deliveries {
    fn error(&self, _: ClientError, reason: &str) {
        tracing::warn!(target: "librdkafka", "{reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut delivered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => delivered.confirmed += 1,
            Err((error, _)) if delivered.failed.is_none() => {
                delivered.failed = Some((index, Failure::of(error.rdkafka_error_code().unwrap_or(Code::Fail))));
            }
            Err(_) => {}
        }
    }
}

/// What went wrong in an open transaction.
struct Fault {
    doing: String,
    failure: Failure,
    /// The record at fault, if it was one.
    record: Option<usize>,
    /// Whether it was refused here, before any broker saw it.
    is_ours: bool,
}

impl Fault {
    fn new(doing: &str, failure: Failure) -> Self {
        Self { doing: doing.to_owned(), failure, record: None, is_ours: false }
    }
}

/// The one transactional producer of an instance.
pub struct TransactionalWriter {
    producer: BaseProducer<Deliveries>,
}

impl TransactionalWriter {
    /// Makes a writer. Any other with the same `transactional_id` is fenced from here on, and a transaction that it left
    /// open is ended. Waits for the broker.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] for settings that librdkafka does not take, and where the broker refuses (no right to the id) or
    /// does not answer for half a minute.
    pub fn new(settings: &ClientSettings, transactional_id: &str) -> Result<Self, KafkaError> {
        let mut fixed = FIXED.to_vec();
        fixed.push(("transactional.id", transactional_id));
        let doing = format!("starting transactions as `{transactional_id}`");
        let producer: BaseProducer<Deliveries> = settings
            .client(DEFAULTS, &fixed)
            .create_with_context(Deliveries::default())
            .map_err(|error| KafkaError::from_client(&doing, error))?;
        retry(Instant::now() + HALF_A_MINUTE, |left| producer.init_transactions(left))
            .map_err(|failure| KafkaError::broker(doing, failure))?;
        Ok(Self { producer })
    }

    /// Writes `records` and moves the group's `positions` (of each partition the offset of the next record to read, and
    /// `metadata` beside it), all or nothing. When it returns, every record was confirmed by the broker, and a
    /// `read_committed` reader sees all of them.
    ///
    /// # Errors
    ///
    /// [`CommitError`] says what is to be done.
    pub fn commit(
        &mut self,
        positions: &[(TopicPartition, i64)],
        metadata: &str,
        group: &GroupMetadata,
        records: &[OutRecord],
    ) -> Result<(), CommitError> {
        let deadline = Instant::now() + HALF_A_MINUTE;
        let mut filled = self.fill(positions, metadata, group, records, deadline);
        // After an abort librdkafka goes on to throw away, in the background, what was queued; records of this
        // transaction may have been among it. So it is begun again, once.
        if filled.as_ref().is_err_and(|fault| fault.failure.code == Code::PurgeQueue) {
            match filled.map_err(|fault| self.abort(fault)) {
                Ok(()) | Err(CommitError::Aborted(_)) => {}
                Err(error) => return Err(error),
            }
            filled = self.fill(positions, metadata, group, records, deadline);
        }
        filled.map_err(|fault| self.abort(fault))?;
        // A commit that was not answered in time is asked for again: it may have gone through.
        match retry(deadline, |left| self.producer.commit_transaction(left)) {
            Ok(()) => {
                reach(Step::Committed);
                Ok(())
            }
            Err(failure) if failure.abortable => Err(self.abort(Fault::new("committing", failure))),
            Err(failure) => Err(unknown("committing", failure)),
        }
    }

    /// Begins a transaction and puts everything into it.
    fn fill(
        &self,
        positions: &[(TopicPartition, i64)],
        metadata: &str,
        group: &GroupMetadata,
        records: &[OutRecord],
        deadline: Instant,
    ) -> Result<(), Fault> {
        *self.delivered() = Delivered::default();
        self.producer.begin_transaction().map_err(|error| Fault::new("beginning a transaction", failure(error)))?;
        reach(Step::TransactionBegun);
        for (index, record) in records.iter().enumerate() {
            self.send(index, record, deadline)?;
            if index == records.len() / 2 {
                reach(Step::RecordsPartlySent);
            }
        }
        reach(Step::RecordsSent);
        self.confirm(records, deadline)?;
        reach(Step::RecordsConfirmed);
        if positions.is_empty() {
            return Ok(());
        }
        let offsets = offsets(positions, metadata).map_err(|error| Fault::new("naming positions", failure(error)))?;
        native::send_offsets(&self.producer, &offsets, group, remaining(deadline))
            .map_err(|failure| Fault::new("moving the group's positions", failure))?;
        reach(Step::PositionsSent);
        Ok(())
    }

    fn send(&self, index: usize, record: &OutRecord, deadline: Instant) -> Result<(), Fault> {
        let mut unsent = record.to_base(index);
        loop {
            let (error, back) = match self.producer.send(unsent) {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            if error.rdkafka_error_code() != Some(Code::QueueFull) || Instant::now() >= deadline {
                let failure = failure(error);
                return Err(Fault { doing: writing(record), failure, record: Some(index), is_ours: true });
            }
            // What is delivered in the meantime makes room.
            self.producer.poll(Duration::from_millis(1));
            unsent = back;
        }
    }

    /// Waits until the broker has confirmed every record. `flush` would do, but waits in steps of 100 ms.
    fn confirm(&self, records: &[OutRecord], deadline: Instant) -> Result<(), Fault> {
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(Duration::from_millis(1));
        }
        let delivered = self.delivered();
        match &delivered.failed {
            Some((index, failure)) => {
                let doing = records.get(*index).map_or_else(String::new, writing);
                Err(Fault { doing, failure: failure.clone(), record: Some(*index), is_ours: false })
            }
            None if delivered.confirmed < records.len() => {
                Err(Fault::new("waiting for records to be written", Failure::of(Code::MessageTimedOut)))
            }
            None => Ok(()),
        }
    }

    fn delivered(&self) -> MutexGuard<'_, Delivered> {
        self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the open transaction without effect, and says what that leaves to be done.
    fn abort(&self, fault: Fault) -> CommitError {
        let Fault { doing, failure, record, is_ours } = fault;
        if failure.fatal {
            return unknown(&doing, failure);
        }
        // Nothing more is sent; and nothing is in flight when librdkafka waits for it.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + HALF_A_MINUTE;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(Duration::from_millis(1));
        }
        if let Err(failure) = retry(deadline, |left| self.producer.abort_transaction(left)) {
            return unknown("aborting the transaction", failure);
        }
        let refusal = refusal(failure.code, is_ours);
        let source = KafkaError::broker(doing, failure);
        match (record, refusal) {
            (Some(index), Some((remedy, can_pass))) => CommitError::Refused { index, source, remedy, can_pass },
            _ => CommitError::Aborted(source),
        }
    }
}

/// Ends the transaction that a writer has left open, without effect. The writer is fenced: where it lives after all, its
/// next commit says so.
///
/// # Errors
///
/// As [`TransactionalWriter::new`].
pub fn end_transaction_of(settings: &ClientSettings, transactional_id: &str) -> Result<(), KafkaError> {
    TransactionalWriter::new(settings, transactional_id).map(drop)?;
    reach(Step::LeftOpenEnded);
    Ok(())
}

/// Whether another process is at work under the same id, or nobody knows.
fn unknown(doing: &str, failure: Failure) -> CommitError {
    let fenced = matches!(failure.code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch);
    let source = KafkaError::broker(doing, failure);
    if fenced { CommitError::Fenced(source) } else { CommitError::Unknown(source) }
}

/// What is to be done about a record that is refused until somebody does it, and whether this process can wait for that.
/// `None` for what is no refusal.
fn refusal(code: Code, is_ours: bool) -> Option<(&'static str, bool)> {
    Some(match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            ("the topic is gone: make it again as it was", true)
        }
        Code::TopicAuthorizationFailed => ("allow this program's user to write to the topic (ACL)", true),
        Code::MessageSizeTooLarge | Code::InvalidMessageSize if is_ours => {
            ("raise `message.max.bytes` in source.kafka.librdkafka", false)
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => ("raise `max.message.bytes` of the topic", true),
        Code::InvalidMessage | Code::InvalidRecord => {
            ("the topic's own settings refuse it (a schema, a time that is too old): lift them", true)
        }
        Code::PolicyViolation => ("the cluster's policy refuses it: change the policy or the topic", true),
        Code::InvalidTopic => ("give the topic a name that Kafka takes", false),
        _ => return None,
    })
}

/// Calls until it succeeds, fails for good, or the time is over.
fn retry(deadline: Instant, mut call: impl FnMut(Duration) -> Result<(), ClientError>) -> Result<(), Failure> {
    loop {
        match call(remaining(deadline)).map_err(failure) {
            Err(failure) if failure.retriable && Instant::now() < deadline => {}
            result => return result,
        }
    }
}

fn writing(record: &OutRecord) -> String {
    format!("writing to {}", record.topic)
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn failure(error: ClientError) -> Failure {
    match error {
        ClientError::Transaction(error) => error.into(),
        error => Failure::of(error.rdkafka_error_code().unwrap_or(Code::Fail)),
    }
}

fn offsets(positions: &[(TopicPartition, i64)], metadata: &str) -> Result<TopicPartitionList, ClientError> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, offset) in positions {
        let mut element = list.add_partition(&partition.topic, partition.partition);
        element.set_offset(Offset::Offset(*offset))?;
        element.set_metadata(metadata);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_can_put_right_is_waited_for() {
        for code in [Code::UnknownTopicOrPartition, Code::TopicAuthorizationFailed, Code::MessageSizeTooLarge] {
            assert!(refusal(code, false).is_some_and(|(_, can_pass)| can_pass), "{code:?}");
        }
        // No broker has a say in these.
        assert!(refusal(Code::MessageSizeTooLarge, true).is_some_and(|(_, can_pass)| !can_pass));
        assert!(refusal(Code::InvalidTopic, false).is_some_and(|(_, can_pass)| !can_pass));
        // And these are no refusals: they pass by themselves.
        for code in [Code::NotEnoughReplicas, Code::MessageTimedOut, Code::BrokerTransportFailure] {
            assert_eq!(refusal(code, false), None, "{code:?}");
        }
    }
}
