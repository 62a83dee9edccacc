//! The consumer's handle: made, assigned to, asked and closed.

use std::collections::VecDeque;
use std::ffi::{CString, c_void};
use std::os::raw::{c_char, c_int};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::log::on_log;
use super::{check, partitions, take_error, text};
use crate::kafka::KafkaError;
use crate::kafka::error::Failure;
use crate::source::TopicPartition;

/// Something that happened inside a call to librdkafka, to be dealt with after it.
#[derive(Debug)]
pub(in crate::kafka) enum Note {
    /// The group gave partitions to this member, which must now assign them.
    Assign(Vec<TopicPartition>),
    /// The group wants partitions back, which must now be unassigned; or has already taken them.
    Revoke { partitions: Vec<TopicPartition>, lost: bool },
    /// The client failed as a whole.
    Failed(Failure),
}

/// What callbacks leave behind. They run on the thread that polls, inside the poll.
#[derive(Default)]
pub(super) struct Notes {
    queue: Mutex<VecDeque<Note>>,
    /// Set while no broker can be reached, as far as is known.
    unreachable: AtomicBool,
    /// Set from when the consumer closes: a callback then answers at once what would else be left to the caller.
    closing: AtomicBool,
    /// Held by whoever asks the group something, and by who sets `closing`: librdkafka (2.12.1) never answers what reaches
    /// a group as it ends.
    asking: RwLock<()>,
}

impl Notes {
    fn push(&self, note: Note) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(note);
    }

    fn pop(&self) -> Option<Note> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn close(&self) {
        let _nobody_asks = self.asking.write().unwrap_or_else(PoisonError::into_inner);
        self.closing.store(true, Ordering::SeqCst);
    }
}

/// A consumer. See the module's documentation for what makes it sound.
pub(in crate::kafka) struct Client {
    client: NonNull<rd::rd_kafka_t>,
    /// The queue that all messages and all callbacks of this consumer come through.
    queue: NonNull<rd::rd_kafka_queue_t>,
    /// From [`Box::into_raw`]; C holds this pointer too.
    notes: NonNull<Notes>,
}

// SAFETY: an `rd_kafka_t` and its queues may be used by any thread at any time (librdkafka, INTRODUCTION.md, "Threads
// and callbacks"), and `Notes` is `Sync`.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Makes a consumer; it connects in the background.
    pub fn new(config: &ClientConfig) -> Result<Arc<Self>, KafkaError> {
        let native = config.create_native_config().map_err(|error| KafkaError::from_client("setting up", error))?;
        let notes = NonNull::from(Box::leak(Box::<Notes>::default()));
        // SAFETY: the configuration is alive, its copy is taken over by `rd_kafka_new` where that succeeds and destroyed
        // here where it does not; `notes` lives until after `rd_kafka_destroy`. The buffer is as long as is said.
        unsafe {
            let conf = rd::rd_kafka_conf_dup(native.ptr());
            rd::rd_kafka_conf_set_opaque(conf, notes.as_ptr().cast());
            rd::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance));
            rd::rd_kafka_conf_set_error_cb(conf, Some(on_error));
            rd::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            let mut message = [0 as c_char; 512];
            let kind = rd::rd_kafka_type_t::RD_KAFKA_CONSUMER;
            let Some(client) = NonNull::new(rd::rd_kafka_new(kind, conf, message.as_mut_ptr(), message.len())) else {
                rd::rd_kafka_conf_destroy(conf);
                drop(Box::from_raw(notes.as_ptr()));
                let failure = Failure::with_message(Code::InvalidArgument, text(message.as_ptr()));
                return Err(KafkaError::broker("making a Kafka consumer", failure));
            };
            // Errors and logs of the client itself come through the consumer's queue too, so that there is one to poll.
            rd::rd_kafka_poll_set_consumer(client.as_ptr());
            let Some(queue) = NonNull::new(rd::rd_kafka_queue_get_consumer(client.as_ptr())) else {
                rd::rd_kafka_destroy(client.as_ptr());
                drop(Box::from_raw(notes.as_ptr()));
                let failure = Failure::with_message(Code::UnknownGroup, "a consumer needs a `group.id`".into());
                return Err(KafkaError::broker("making a Kafka consumer", failure));
            };
            Ok(Arc::new(Self { client, queue, notes }))
        }
    }

    pub(super) fn ptr(&self) -> *mut rd::rd_kafka_t {
        self.client.as_ptr()
    }

    pub(super) fn queue(&self) -> *mut rd::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    fn notes(&self) -> &Notes {
        // SAFETY: from `Box::leak`, freed only when `self` is dropped, and never borrowed mutably.
        unsafe { self.notes.as_ref() }
    }

    /// What happened in earlier calls, the oldest first.
    pub fn note(&self) -> Option<Note> {
        self.notes().pop()
    }

    /// Joins the group for these topics.
    pub fn subscribe(&self, topics: &[&str]) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_topic_unassigned(topic);
        }
        // SAFETY: both are alive; the list is only read.
        check(unsafe { rd::rd_kafka_subscribe(self.ptr(), list.ptr()) })
    }

    /// Whether the group moves single partitions rather than all at once. Known from the first rebalance on.
    pub fn is_cooperative(&self) -> bool {
        // SAFETY: the client is alive.
        unsafe { is_cooperative(self.ptr()) }
    }

    /// Starts to read partitions at the offsets in the list, beside those that are read.
    pub fn assign(&self, list: &TopicPartitionList) -> Result<(), Failure> {
        // SAFETY: both are alive; the list is only read, and the error object is ours.
        unsafe {
            match is_cooperative(self.ptr()) {
                true => take_error(rd::rd_kafka_incremental_assign(self.ptr(), list.ptr())),
                false => check(rd::rd_kafka_assign(self.ptr(), list.ptr())),
            }
        }
    }

    /// Stops to read partitions, and tells the group that they are free.
    pub fn unassign(&self, partitions: &[TopicPartition]) -> Result<(), Failure> {
        let list = list(partitions);
        // SAFETY: both are alive; the list is only read, and the error object is ours.
        unsafe {
            match is_cooperative(self.ptr()) {
                true => take_error(rd::rd_kafka_incremental_unassign(self.ptr(), list.ptr())),
                false => check(rd::rd_kafka_assign(self.ptr(), ptr::null())),
            }
        }
    }

    /// Where the group stands in the partitions of the list: fills in their offsets and metadata.
    pub fn committed(&self, list: &mut TopicPartitionList, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: both are alive, and the list is ours to change.
        check(unsafe { rd::rd_kafka_committed(self.ptr(), list.ptr(), millis(timeout)) })
    }

    /// Commits the offsets and the metadata in the list, as a member of the group and outside any transaction.
    pub fn commit(&self, list: &TopicPartitionList) -> Result<(), Failure> {
        // SAFETY: both are alive; the list is only read.
        check(unsafe { rd::rd_kafka_commit(self.ptr(), list.ptr(), 0) })
    }

    /// Goes to the offsets in the list, in partitions that are being read.
    pub fn seek(&self, list: &mut TopicPartitionList, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: both are alive, the list is ours to change, and the error object is ours.
        unsafe { take_error(rd::rd_kafka_seek_partitions(self.ptr(), list.ptr(), millis(timeout))) }
    }

    /// The offset after the last one that was handed out, or passed over because it holds no record; `None` where none
    /// was yet.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let list = list(std::slice::from_ref(partition));
        // SAFETY: both are alive, and the list is ours to change.
        check(unsafe { rd::rd_kafka_position(self.ptr(), list.ptr()) }).ok()?;
        // Negative numbers stand for "not known yet".
        list.elements().first()?.offset().to_raw().filter(|offset| *offset >= 0)
    }

    /// The first offset of a partition's log and the one after its last, as the last answer to a fetch had them.
    pub fn cached_ends(&self, partition: &TopicPartition) -> Option<(i64, i64)> {
        let topic = CString::new(&*partition.topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: all pointers are alive during the call.
        let result = unsafe {
            rd::rd_kafka_get_watermark_offsets(
                self.ptr(),
                topic.as_ptr(),
                partition.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        // Negative numbers stand for "not known yet".
        (check(result).is_ok() && high >= 0).then_some((low.max(0), high))
    }

    /// The same, asked of the broker.
    pub fn query_ends(&self, partition: &TopicPartition, timeout: Duration) -> Result<(i64, i64), Failure> {
        let topic = CString::new(&*partition.topic).map_err(|_| Failure::of(Code::InvalidTopic))?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: all pointers are alive during the call.
        check(unsafe {
            rd::rd_kafka_query_watermark_offsets(
                self.ptr(),
                topic.as_ptr(),
                partition.partition,
                &raw mut low,
                &raw mut high,
                millis(timeout),
            )
        })?;
        Ok((low, high))
    }

    /// Where the logs of the partitions in the list end, asked of the broker: fills in their offsets.
    pub fn query_last(&self, list: &mut TopicPartitionList, timeout: Duration) -> Result<(), Failure> {
        // The time before which nothing is sought: past all records.
        list.set_all_offsets(Offset::End)
            .map_err(|error| Failure::of(error.rdkafka_error_code().unwrap_or(Code::InvalidArgument)))?;
        // SAFETY: both are alive, and the list is ours to change.
        check(unsafe { rd::rd_kafka_offsets_for_times(self.ptr(), list.ptr(), millis(timeout)) })
    }

    /// Whether no broker can be reached, as far as is known.
    pub fn is_unreachable(&self) -> bool {
        self.notes().unreachable.load(Ordering::Relaxed)
    }

    /// Asks until a broker answers, or `self` is of use to nobody else any more; [`Client::is_unreachable`] says so then.
    pub fn await_broker(self: &Arc<Self>) {
        while Arc::strong_count(self) > 1 {
            let mut metadata = ptr::null();
            // SAFETY: the client is alive; what is returned is ours, and given back.
            let answered = unsafe {
                let answered =
                    check(rd::rd_kafka_metadata(self.ptr(), 0, ptr::null_mut(), &raw mut metadata, 1000)).is_ok();
                if answered {
                    rd::rd_kafka_metadata_destroy(metadata);
                }
                answered
            };
            if answered {
                return self.notes().unreachable.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Asks the group something, unless the consumer closes.
    pub(super) fn ask<T>(&self, question: impl FnOnce(*mut rd::rd_kafka_t) -> Option<T>) -> Option<T> {
        let _asking = self.notes().asking.read().unwrap_or_else(PoisonError::into_inner);
        if self.notes().closing.load(Ordering::SeqCst) { None } else { question(self.ptr()) }
    }

    /// Leaves the group and stops reading; the partitions are free for others when it returns. Every rebalance that came as
    /// a [`Note`] has been answered by then.
    pub fn close(&self) {
        self.notes().close();
        // SAFETY: the client is alive.
        if let Err(failure) = check(unsafe { rd::rd_kafka_consumer_close(self.ptr()) }) {
            tracing::debug!("closing the consumer: {}", failure.message);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.notes().close();
        // SAFETY: the last user of all three; each is given up once, in the order that librdkafka asks for, and no
        // callback runs after `rd_kafka_destroy`.
        unsafe {
            rd::rd_kafka_queue_destroy(self.queue.as_ptr());
            rd::rd_kafka_destroy(self.client.as_ptr());
            drop(Box::from_raw(self.notes.as_ptr()));
        }
    }
}

/// The partitions as librdkafka has them, without offsets.
pub(in crate::kafka) fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

/// A time-out as librdkafka has it.
pub(super) fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

/// Whether the group moves single partitions rather than all at once.
///
/// # Safety
///
/// `client` is alive.
unsafe fn is_cooperative(client: *mut rd::rd_kafka_t) -> bool {
    // SAFETY: the client is alive, and the protocol's name is a constant of librdkafka's.
    unsafe { text(rd::rd_kafka_rebalance_protocol(client)) == "COOPERATIVE" }
}

/// Notes a rebalance. The group goes on once the caller has assigned or unassigned, which librdkafka allows at any time
/// after the callback.
///
/// # Safety
///
/// librdkafka calls it, with the client, a list that it lends for the call, and the `Notes` that it was given.
unsafe extern "C" fn on_rebalance(
    client: *mut rd::rd_kafka_t,
    what: rd::rd_kafka_resp_err_t,
    list: *mut rd::rd_kafka_topic_partition_list_t,
    notes: *mut c_void,
) {
    // SAFETY: as librdkafka documents the callback; `notes` outlives the client.
    unsafe {
        let notes = &*notes.cast::<Notes>();
        if notes.closing.load(Ordering::SeqCst) {
            // A group that ends takes this for giving up all there is, whatever it asked and by whatever protocol. One that
            // has ended would not answer.
            if rd::rd_kafka_consumer_closed(client) == 0 {
                drop(check(rd::rd_kafka_assign(client, ptr::null())));
            }
            return;
        }
        match what {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                notes.push(Note::Assign(partitions(list)));
            }
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                let lost = rd::rd_kafka_assignment_lost(client) != 0;
                notes.push(Note::Revoke { partitions: partitions(list), lost });
            }
            // The rebalance failed; librdkafka wants everything unassigned, and tries again.
            error => {
                notes.push(Note::Failed(Failure::of(Code::from(error))));
                drop(check(rd::rd_kafka_assign(client, ptr::null())));
            }
        }
    }
}

/// Notes that the client failed as a whole; what passes by itself is only logged.
///
/// # Safety
///
/// librdkafka calls it, with the client, a text that it lends for the call, and the `Notes` that it was given.
unsafe extern "C" fn on_error(client: *mut rd::rd_kafka_t, code: c_int, reason: *const c_char, notes: *mut c_void) {
    // SAFETY: as librdkafka documents the callback; `notes` outlives the client, and the buffer is as long as is said.
    unsafe {
        let reason = text(reason);
        let code = rd::rd_kafka_resp_err_t::try_from(code).map_or(Code::Unknown, Code::from);
        let failure = match code {
            Code::Fatal => {
                let mut message = [0 as c_char; 512];
                let code = rd::rd_kafka_fatal_error(client, message.as_mut_ptr(), message.len());
                Failure { fatal: true, ..Failure::with_message(Code::from(code), text(message.as_ptr())) }
            }
            Code::Authentication | Code::SSL => Failure::with_message(code, reason),
            code => {
                if code == Code::AllBrokersDown {
                    (*notes.cast::<Notes>()).unreachable.store(true, Ordering::Relaxed);
                }
                return tracing::warn!(target: "librdkafka", "{reason}");
            }
        };
        (*notes.cast::<Notes>()).push(Note::Failed(failure));
    }
}
