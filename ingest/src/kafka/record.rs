//! A record on its way out.

use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; `None` for the one that the key belongs to ([`crate::kafka::partition_of`]), or any where there is
    /// no key.
    pub partition: Option<i32>,
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The bytes; `None` for a tombstone, which removes the key from a compacted topic.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

impl OutRecord {
    /// A record with a key, for the partition that the key belongs to.
    pub fn new(topic: impl Into<Arc<str>>, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: Some(key.into()),
            value: Some(value.into()),
            headers: Vec::new(),
        }
    }

    /// As `rdkafka` has it; `opaque` comes back with the delivery.
    pub(super) fn to_base(&self, opaque: usize) -> BaseRecord<'_, [u8], [u8], usize> {
        let mut record = BaseRecord::with_opaque_to(&self.topic, opaque);
        record.partition = self.partition;
        record.key = self.key.as_deref();
        record.payload = self.value.as_deref();
        if !self.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(self.headers.len());
            record.headers = Some(
                self.headers
                    .iter()
                    .fold(headers, |headers, (name, value)| headers.insert(Header { key: name, value: Some(value) })),
            );
        }
        record
    }
}
