//! Records that are not where they belong: sent on through an internal topic, with where they come from in their
//! headers, so that they are judged as if they had been read where they were.

use driftline_core::{Position, Timestamp};

use crate::kafka::{Keyed, OutRecord, partition_of};
use crate::source::Record;

const POSITION: &str = "driftline.position";
const OBSERVED_AT: &str = "driftline.observed_at";

/// The record for the internal `topic` of so many `partitions`: the same bytes, under the agent's key, in the partition
/// that the key belongs to.
///
/// `position` is where the record was read first ([`crate::Records::position`]).
pub fn forward(
    record: &Record<'_>,
    position: &Position,
    keyed: Keyed,
    (tenant, agent): (&str, &str),
    topic: &str,
    partitions: i32,
) -> OutRecord {
    let key = keyed.key(tenant, agent).into_bytes();
    OutRecord {
        topic: topic.into(),
        partition: Some(partition_of(&key, partitions)),
        key: Some(key),
        value: Some(record.value.to_vec()),
        headers: vec![
            (POSITION, position.to_string().into_bytes()),
            (OBSERVED_AT, record.observed_at.millis().to_string().into_bytes()),
        ],
    }
}

/// Where a forwarded record was read first, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub position: Position,
    pub observed_at: Timestamp,
}

/// Reads an [`Origin`] from headers.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    position: Option<Position>,
    observed_at: Option<Timestamp>,
}

impl Origins {
    /// Takes one header into account; others than [`forward`] writes are passed over.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        let text = std::str::from_utf8(value).ok();
        match name {
            POSITION => self.position = text.and_then(|text| text.parse().ok()),
            OBSERVED_AT => {
                self.observed_at = text.and_then(|text| text.parse().ok()).and_then(Timestamp::from_millis);
            }
            _ => {}
        }
    }

    /// The origin, if the headers held all of it.
    pub fn finish(self) -> Option<Origin> {
        Some(Origin { position: self.position?, observed_at: self.observed_at? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_bring_back_position_and_time() {
        let observed_at = Timestamp::from_millis(1_772_439_084_715).unwrap();
        let record = Record { key: None, value: b"{}", offset: 9, observed_at, origin: None, oversize: None };
        let position: Position = "cloudtrail/2/9".parse().unwrap();
        let out = forward(&record, &position, Keyed::None, ("acme", "a"), "internal", 5);
        assert_eq!(out.key.as_deref(), Some(&b"acme/a"[..]));
        assert_eq!(out.partition, Some(partition_of(b"acme/a", 5)));
        assert_eq!(out.value.as_deref(), Some(&b"{}"[..]));

        let mut origins = Origins::default();
        origins.header("traceparent", b"\xff");
        for (name, value) in &out.headers {
            origins.header(name, value);
        }
        assert_eq!(origins.finish(), Some(Origin { position, observed_at }));

        let mut half = Origins::default();
        half.header(POSITION, b"t/0/1");
        half.header(OBSERVED_AT, b"soon");
        assert_eq!(half.finish(), None);
    }
}
