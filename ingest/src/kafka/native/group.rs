//! A consumer's standing in its group, for the transaction that moves its positions (KIP-447).

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::producer::{Producer, ProducerContext};

use super::client::{Client, millis};
use super::{take_error, text};
use crate::kafka::error::Failure;

/// Which group a consumer is in, as which member, since which rebalance. The broker refuses positions that come with
/// one of a past rebalance, so that a member that was thought dead cannot undo its successor's work.
///
/// Taken for each commit, because a rebalance changes it.
pub struct GroupMetadata(NonNull<rd::rd_kafka_consumer_group_metadata_t>);

// SAFETY: librdkafka never changes the object after it was made, and does not tie it to a thread.
unsafe impl Send for GroupMetadata {}

/// A member of a group, as far as those who commit need it.
#[derive(Clone)]
pub struct Membership(Arc<Client>);

impl Membership {
    pub(in crate::kafka) fn of(client: &Arc<Client>) -> Self {
        Self(client.clone())
    }

    /// The member's standing now; `None` where it has not joined, is leaving, or the group has given it up. A broker takes what
    /// comes without a member's name where the group has no members, from whoever it is: it must not be sent.
    pub fn now(&self) -> Option<GroupMetadata> {
        // SAFETY: the client is alive; what is returned is ours, and lends its text for as long as it lives.
        self.0.ask(|client| unsafe {
            let metadata = GroupMetadata(NonNull::new(rd::rd_kafka_consumer_group_metadata(client))?);
            let name = text(rd::rd_kafka_consumer_group_metadata_member_id(metadata.0.as_ptr()));
            let joined = rd::rd_kafka_consumer_group_metadata_generation_id(metadata.0.as_ptr()) >= 0;
            (joined && !name.is_empty()).then_some(metadata)
        })
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: it is ours, and not used afterwards.
        unsafe { rd::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

impl std::fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupMetadata")
    }
}

/// Adds positions to the producer's open transaction.
pub(in crate::kafka) fn send_offsets<C: ProducerContext>(
    producer: &impl Producer<C>,
    offsets: &TopicPartitionList,
    group: &GroupMetadata,
    timeout: Duration,
) -> Result<(), Failure> {
    // SAFETY: all three are alive during the call and only read; the error object that is returned is ours.
    unsafe {
        let client = producer.client().native_ptr();
        take_error(rd::rd_kafka_send_offsets_to_transaction(client, offsets.ptr(), group.0.as_ptr(), millis(timeout)))
    }
}
