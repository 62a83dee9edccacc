//! Messages by the batch, borrowed from the buffers that librdkafka received them in.

use std::collections::BTreeSet;
use std::os::raw::c_char;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use driftline_core::{Position, Timestamp};
use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::client::{Client, millis};
use super::text;
use crate::forward::{Origin, Origins};
use crate::kafka::error::Failure;
use crate::source::{PartitionBatch, Record, Records, TopicPartition, now};

type Message = NonNull<rd::rd_kafka_message_t>;

/// What one call took from the queue.
#[derive(Default)]
pub(in crate::kafka) struct Consumed {
    /// Records, by partition.
    pub batches: Vec<PartitionBatch>,
    /// What librdkafka reports about single partitions, or about the consumer as a whole.
    pub failures: Vec<Failure>,
}

/// Takes messages from a client's queue.
pub(in crate::kafka) struct Taker {
    client: Arc<Client>,
    /// Topics whose records were forwarded, and say where from in their headers.
    internal: BTreeSet<String>,
    /// The names of topics, each held once.
    names: BTreeSet<Arc<str>>,
    /// Scratch space, empty between calls.
    taken: Vec<*mut rd::rd_kafka_message_t>,
}

// SAFETY: of all fields only the pointers are not `Send`, and there are none between calls.
unsafe impl Send for Taker {}

impl Taker {
    /// Takes at most `max` messages a call; `internal` topics are those whose records were forwarded.
    pub fn new(client: Arc<Client>, max: usize, internal: &[&str]) -> Self {
        let internal = internal.iter().map(|topic| (*topic).to_owned()).collect();
        Self { client, internal, names: BTreeSet::new(), taken: Vec::with_capacity(max) }
    }

    /// Takes what is there, waiting at most `timeout` for the first message.
    pub fn take(&mut self, timeout: Duration) -> Consumed {
        // The call waits until it has as many as were asked for; so it is asked for one, and then for what is there.
        self.fetch(timeout, 1);
        if !self.taken.is_empty() {
            self.fetch(Duration::ZERO, self.taken.capacity());
        }
        self.sort()
    }

    fn fetch(&mut self, timeout: Duration, count: usize) {
        let spare = self.taken.spare_capacity_mut();
        let count = count.min(spare.len());
        // SAFETY: the queue is alive, and there is room for `count` pointers behind those that are there; as many as the
        // call returns have been written. The messages are ours from then on.
        unsafe {
            let queue = self.client.queue();
            let taken = rd::rd_kafka_consume_batch_queue(queue, millis(timeout), spare.as_mut_ptr().cast(), count);
            let taken = usize::try_from(taken).unwrap_or(0).min(count);
            self.taken.set_len(self.taken.len() + taken);
        }
    }

    /// Sorts messages by partition, and errors from messages.
    fn sort(&mut self) -> Consumed {
        let mut consumed = Consumed::default();
        let mut groups: Vec<((*mut rd::rd_kafka_topic_t, i32), Vec<Message>)> = Vec::new();
        // Partitions come in long runs, so the group of the last message is looked at first.
        let mut current = 0;
        let mut taken = std::mem::take(&mut self.taken);
        for pointer in taken.drain(..) {
            let Some(pointer) = NonNull::new(pointer) else { continue };
            // SAFETY: the message is ours and does not change.
            let message = unsafe { pointer.as_ref() };
            match Code::from(message.err) {
                Code::NoError => {
                    let place = (message.rkt, message.partition);
                    if groups.get(current).is_none_or(|group| group.0 != place) {
                        current = groups.iter().position(|group| group.0 == place).unwrap_or(groups.len());
                    }
                    match groups.get_mut(current) {
                        Some(group) => group.1.push(pointer),
                        None => groups.push((place, vec![pointer])),
                    }
                    continue;
                }
                // SAFETY: the message is alive, and lends its text for the call.
                code => consumed
                    .failures
                    .push(Failure::with_message(code, unsafe { text(rd::rd_kafka_message_errstr(message)) })),
            }
            // SAFETY: an error's message is ours, and not used afterwards.
            unsafe { rd::rd_kafka_message_destroy(pointer.as_ptr()) }
        }
        self.taken = taken;
        consumed.batches = groups.into_iter().map(|(_, messages)| self.batch(messages)).collect();
        consumed
    }

    fn partition(&mut self, message: &rd::rd_kafka_message_t) -> TopicPartition {
        let name = match message.rkt.is_null() {
            true => String::new(),
            // SAFETY: a message holds on to its topic, and the topic lends its name.
            false => unsafe { text(rd::rd_kafka_topic_name(message.rkt)) },
        };
        let topic = match self.names.get(name.as_str()) {
            Some(topic) => topic.clone(),
            None => {
                let topic: Arc<str> = name.into();
                self.names.insert(topic.clone());
                topic
            }
        };
        TopicPartition { topic, partition: message.partition }
    }

    /// `messages` are of one partition, and at least one.
    fn batch(&mut self, messages: Vec<Message>) -> PartitionBatch {
        // SAFETY: the messages are ours and do not change.
        let partition = self.partition(unsafe { messages[0].as_ref() });
        let origins = match self.internal.contains(&*partition.topic) {
            // SAFETY: the messages are ours, and nobody else sees them yet.
            true => messages.iter().map(|message| unsafe { origin(*message) }).collect(),
            false => Vec::new(),
        };
        let batch =
            Batch { _client: self.client.clone(), partition: partition.clone(), messages, origins, read_at: now() };
        PartitionBatch { partition, records: Box::new(batch) }
    }
}

/// Messages of one partition.
struct Batch {
    /// Keeps the client alive for as long as its messages are.
    _client: Arc<Client>,
    partition: TopicPartition,
    messages: Vec<Message>,
    /// One for each message of an internal topic; none of any other.
    origins: Vec<Option<Origin>>,
    read_at: Timestamp,
}

// SAFETY: the messages are this batch's alone, and are not tied to the thread that took them.
unsafe impl Send for Batch {}

impl Records for Batch {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        // SAFETY: the message is this batch's and does not change; what it points to lives as long as it does, which is
        // as long as `self`.
        unsafe {
            let message = self.messages[i].as_ref();
            let origin = self.origins.get(i).and_then(Option::as_ref);
            Record {
                key: (!message.key.is_null()).then(|| bytes(message.key.cast(), message.key_len)),
                value: bytes(message.payload.cast(), message.len),
                offset: message.offset,
                observed_at: origin.map_or_else(|| appended_at(message, self.read_at), |origin| origin.observed_at),
                origin: origin.map(|origin| &origin.position),
                oversize: None,
            }
        }
    }

    fn position(&self, i: usize) -> Position {
        let record = self.get(i);
        record.origin.cloned().unwrap_or_else(|| Position::Kafka {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            offset: record.offset,
        })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for message in &self.messages {
            // SAFETY: each message is this batch's, is destroyed once, and not used afterwards.
            unsafe { rd::rd_kafka_message_destroy(message.as_ptr()) }
        }
    }
}

/// # Safety
///
/// `start` is null, or points to `len` bytes that stay as they are for `'a`.
unsafe fn bytes<'a>(start: *const u8, len: usize) -> &'a [u8] {
    match start.is_null() {
        true => &[],
        // SAFETY: the caller vouches for it.
        false => unsafe { slice::from_raw_parts(start, len) },
    }
}

/// The broker's own time where the topic has `LogAppendTime`, else when the batch was read: a time of the producer's
/// says nothing of when the record came.
fn appended_at(message: &rd::rd_kafka_message_t, read_at: Timestamp) -> Timestamp {
    let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is alive and is only read; `kind` is written.
    let millis = unsafe { rd::rd_kafka_message_timestamp(message, &raw mut kind) };
    match kind {
        rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
            Timestamp::from_millis(millis).unwrap_or(read_at)
        }
        _ => read_at,
    }
}

/// What the headers of a forwarded record say of where it comes from.
///
/// # Safety
///
/// The message is the caller's alone: librdkafka parses headers when they are first asked for, and keeps them in it.
unsafe fn origin(message: Message) -> Option<Origin> {
    let mut headers = ptr::null_mut();
    let mut origins = Origins::default();
    // SAFETY: the caller owns the message, which owns its headers; names end in a zero byte, and values are as long as
    // is said.
    unsafe {
        super::check(rd::rd_kafka_message_headers(message.as_ptr(), &raw mut headers)).ok()?;
        for i in 0.. {
            let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null(), 0);
            let found = rd::rd_kafka_header_get_all(headers, i, &raw mut name, &raw mut value, &raw mut size);
            if super::check(found).is_err() {
                break;
            }
            origins.header(&text(name), bytes(value.cast(), size));
        }
    }
    origins.finish()
}
