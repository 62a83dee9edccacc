//! Writing without a transaction: events in bulk, and single control records whose offset matters.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use super::error::Failure;
use super::{ClientSettings, KafkaError, OutRecord};

/// Defaults that what is configured goes over: for bulk, since one record is flushed at once anyway.
const DEFAULTS: &[(&str, &str)] = &[
    ("linger.ms", "50"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "100000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "524288"),
    ("message.max.bytes", "16777216"),
];

const FIXED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // As Kafka's Java clients choose partitions.
    ("partitioner", "murmur2_random"),
];

/// How long the broker may take to confirm what was written.
const PATIENCE: Duration = Duration::from_secs(60);

/// Deliveries are looked after once in so many records: each look asks the clock, which costs more than to queue one.
const POLL_EVERY: u32 = 256;

/// Marks the record whose offset is asked for.
const ASKED: usize = 1;

/// What came of the records.
#[derive(Default)]
struct Deliveries(Mutex<Delivered>);

#[derive(Default)]
struct Delivered {
    /// The offset of the record that was asked for.
    offset: Option<i64>,
    failed: u64,
    /// The first failure, until somebody is told.
    first: Option<Failure>,
}

impl ClientContext for Deliveries {
    fn error(&self, _: ClientError, reason: &str) {
        tracing::warn!(target: "librdkafka", "{reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        match result {
            Ok(message) if opaque == ASKED => self.lock().offset = Some(message.offset()),
            Ok(_) => {}
            Err((error, _)) => {
                let mut delivered = self.lock();
                delivered.failed += 1;
                let failure = || Failure::of(error.rdkafka_error_code().unwrap_or(Code::Fail));
                delivered.first.get_or_insert_with(failure);
            }
        }
    }
}

impl Deliveries {
    fn lock(&self) -> std::sync::MutexGuard<'_, Delivered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An idempotent producer: each record is written once, in order, and confirmed by every replica in sync.
pub struct Producer {
    producer: BaseProducer<Deliveries>,
    /// Records queued since deliveries were last looked after.
    unpolled: u32,
}

impl Producer {
    /// Makes a producer; it connects in the background.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] for settings that librdkafka does not take.
    pub fn new(settings: &ClientSettings) -> Result<Self, KafkaError> {
        let config = settings.client(DEFAULTS, FIXED);
        let producer = config.create_with_context(Deliveries::default());
        let producer = producer.map_err(|error| KafkaError::from_client("making a Kafka producer", error))?;
        Ok(Self { producer, unpolled: 0 })
    }

    /// Queues a record, waiting where the queue is full; [`Producer::flush`] says whether it was written.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where an earlier record could not be written, or this one can't be queued within a minute.
    pub fn send(&mut self, record: &OutRecord) -> Result<(), KafkaError> {
        self.queue(record, 0)?;
        self.unpolled += 1;
        if self.unpolled < POLL_EVERY {
            return Ok(());
        }
        self.unpolled = 0;
        self.producer.poll(Duration::ZERO);
        self.outcome()
    }

    /// Waits until everything queued is written.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where a record could not be written within a minute.
    pub fn flush(&self) -> Result<(), KafkaError> {
        let deadline = Instant::now() + PATIENCE;
        // Asks librdkafka not to wait for more; then takes note of deliveries until there are none to come.
        while self.producer.flush(Duration::ZERO).is_err() && Instant::now() < deadline {
            self.producer.poll(Duration::from_millis(1));
        }
        match self.producer.in_flight_count() {
            0 => self.outcome(),
            n => Err(KafkaError::broker(format!("writing {n} records"), Failure::of(Code::MessageTimedOut))),
        }
    }

    /// Writes one record and returns the offset that it got.
    ///
    /// # Errors
    ///
    /// As [`Producer::flush`].
    pub fn append(&mut self, record: &OutRecord) -> Result<i64, KafkaError> {
        self.producer.context().lock().offset = None;
        self.queue(record, ASKED)?;
        self.flush()?;
        let offset = self.producer.context().lock().offset;
        offset.ok_or_else(|| KafkaError::broker(writing(record), Failure::of(Code::MessageTimedOut)))
    }

    fn queue(&self, record: &OutRecord, opaque: usize) -> Result<(), KafkaError> {
        let deadline = Instant::now() + PATIENCE;
        let mut unsent = record.to_base(opaque);
        loop {
            let (error, back) = match self.producer.send(unsent) {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            if error.rdkafka_error_code() != Some(Code::QueueFull) || Instant::now() >= deadline {
                return Err(KafkaError::from_client(writing(record), error));
            }
            self.producer.poll(Duration::from_millis(1));
            unsent = back;
        }
    }

    /// Tells of records that could not be written, once.
    fn outcome(&self) -> Result<(), KafkaError> {
        let mut delivered = self.producer.context().lock();
        match delivered.first.take() {
            None => Ok(()),
            Some(failure) => {
                let failed = std::mem::take(&mut delivered.failed);
                Err(KafkaError::broker(format!("{failed} records were not written"), failure))
            }
        }
    }
}

fn writing(record: &OutRecord) -> String {
    format!("writing to {}", record.topic)
}
