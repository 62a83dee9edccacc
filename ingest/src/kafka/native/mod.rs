//! The only place that speaks to C, and so the only unsafe code: librdkafka's consumer as far as Driftline needs it.
//!
//! Why not `rdkafka`'s own consumer: it takes messages one by one, which costs as much again as parsing them. librdkafka
//! gives them by the batch (`rd_kafka_consume_batch_queue`), but that call has no way to give out rebalances as events,
//! which is how `rdkafka` wants them; so the two cannot be mixed, and this is a consumer of its own on `rdkafka`'s
//! bindings.
//!
//! What makes it sound:
//!
//! - [`Client`] owns one `rd_kafka_t`, which may be used from any thread. It is destroyed when the last [`Arc`] to it is
//!   dropped, and every batch holds one, so no message outlives the client it came from.
//! - A batch owns its messages: nobody else has pointers to them, they do not change, and each is destroyed once.
//! - What C is lent for longer than a call is only the callbacks' notes, on the heap at a fixed address; it is freed after
//!   `rd_kafka_destroy` has returned, when no callback can run any more.
//! - Callbacks do not panic: they take a lock whose poisoning is ignored, and allocate.
//!
//! `enable.partition.eof` stays off: `rd_kafka_consume_batch_queue` (2.12.1) counts such an event as a record, so that the
//! position is one too far; after the next rebalance a record would be missing, or all of them come again.
//!
//! [`Arc`]: std::sync::Arc

#![expect(unsafe_code, reason = "librdkafka's batch interface is to be had through its C bindings only")]

mod batch;
mod client;
mod group;
mod log;

pub(super) use batch::{Consumed, Taker};
pub(super) use client::{Client, Note, list};
pub(super) use group::send_offsets;
pub use group::{GroupMetadata, Membership};

use std::ffi::CStr;
use std::os::raw::c_char;
use std::sync::Arc;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::error::Failure;
use crate::source::TopicPartition;

/// Text that librdkafka lends.
///
/// # Safety
///
/// `text` is null or points to a string that ends in a zero byte and stays as it is during the call.
unsafe fn text(text: *const c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: not null, and the caller vouches for the rest.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
    }
}

/// What an error code says.
fn check(code: rd::rd_kafka_resp_err_t) -> Result<(), Failure> {
    match code {
        rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(Failure::of(Code::from(code))),
    }
}

/// Takes over an error object; null is success.
///
/// # Safety
///
/// `error` is null or an error object that the caller owns; it is destroyed here.
unsafe fn take_error(error: *mut rd::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller owns the object; it is read before it is destroyed, and not used afterwards.
    unsafe {
        let failure = Failure {
            code: Code::from(rd::rd_kafka_error_code(error)),
            message: text(rd::rd_kafka_error_string(error)),
            fatal: rd::rd_kafka_error_is_fatal(error) != 0,
            retriable: rd::rd_kafka_error_is_retriable(error) != 0,
            abortable: rd::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        rd::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

/// The partitions in a list.
///
/// # Safety
///
/// `list` is null or points to a list that stays as it is during the call.
unsafe fn partitions(list: *const rd::rd_kafka_topic_partition_list_t) -> Vec<TopicPartition> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: a list holds `cnt` elements from `elems` on, each with a topic's name.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        let elements = (0..count).map(|i| &*(*list).elems.add(i));
        elements.map(|element| TopicPartition::new(Arc::from(text(element.topic)), element.partition)).collect()
    }
}
