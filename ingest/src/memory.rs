//! A source over what it is given, for tests and for staging attacks: no file, no broker, no thread.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use driftline_core::{Position, Timestamp};

use crate::source::{Assignment, LogEnd, PartitionBatch, Polled, Record, Records, Source, SourceError, TopicPartition};

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The record's key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The record's bytes.
    pub value: Vec<u8>,
    /// The offset in the partition.
    pub offset: i64,
    /// When it was first read.
    pub observed_at: Timestamp,
    /// Where it was read first, if not here.
    pub origin: Option<Position>,
    /// The whole length, where `value` holds only its first bytes.
    pub oversize: Option<u64>,
}

impl From<Record<'_>> for OwnedRecord {
    fn from(record: Record<'_>) -> Self {
        Self {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.to_vec(),
            offset: record.offset,
            observed_at: record.observed_at,
            origin: record.origin.cloned(),
            oversize: record.oversize,
        }
    }
}

struct OwnedRecords {
    partition: TopicPartition,
    records: Vec<OwnedRecord>,
}

impl Records for OwnedRecords {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        let record = &self.records[i];
        Record {
            key: record.key.as_deref(),
            value: &record.value,
            offset: record.offset,
            observed_at: record.observed_at,
            origin: record.origin.as_ref(),
            oversize: record.oversize,
        }
    }

    fn position(&self, i: usize) -> Position {
        let record = &self.records[i];
        record.origin.clone().unwrap_or_else(|| Position::Kafka {
            topic: self.partition.topic.clone(),
            partition: self.partition.partition,
            offset: record.offset,
        })
    }
}

/// A log in memory: partitions with records, which can be appended to, assigned and revoked.
///
/// ```
/// use std::time::Duration;
/// use driftline_core::Timestamp;
/// use driftline_ingest::{MemorySource, Polled, Source, TopicPartition};
///
/// let partition = TopicPartition::new("agent-events", 0);
/// let mut source = MemorySource::new(100);
/// source.append(&partition, None, b"{}", Timestamp::MIN);
/// source.assign(&[partition.clone()]);
/// assert!(matches!(source.poll(Duration::ZERO)?, Polled::Assigned(_)));
/// source.begin(&[(partition, None)])?;
/// let Polled::Records(batches) = source.poll(Duration::ZERO)? else { panic!() };
/// assert_eq!(batches[0].records.get(0).value, b"{}");
/// assert!(matches!(source.poll(Duration::ZERO)?, Polled::Idle));
/// # Ok::<(), driftline_ingest::SourceError>(())
/// ```
pub struct MemorySource {
    batch: usize,
    logs: BTreeMap<TopicPartition, Vec<OwnedRecord>>,
    /// The next offset to hand out, of each partition that was started.
    next: BTreeMap<TopicPartition, usize>,
    pending: VecDeque<Polled>,
    /// Revoked and not yet released.
    revoked: Vec<TopicPartition>,
    finish: bool,
}

impl MemorySource {
    /// An empty log whose batches hold at most `batch` records a partition.
    pub fn new(batch: usize) -> Self {
        Self {
            batch: batch.max(1),
            logs: BTreeMap::new(),
            next: BTreeMap::new(),
            pending: VecDeque::new(),
            revoked: Vec::new(),
            finish: false,
        }
    }

    /// Appends a record to a partition, which comes to be where it was not, and returns its offset.
    pub fn append(
        &mut self,
        partition: &TopicPartition,
        key: Option<&[u8]>,
        value: &[u8],
        observed_at: Timestamp,
    ) -> i64 {
        let log = self.logs.entry(partition.clone()).or_default();
        let offset = log.len() as i64;
        log.push(OwnedRecord {
            key: key.map(<[u8]>::to_vec),
            value: value.to_vec(),
            offset,
            observed_at,
            origin: None,
            oversize: None,
        });
        offset
    }

    /// Assigns partitions, which nobody has committed a position of.
    pub fn assign(&mut self, partitions: &[TopicPartition]) {
        let assignments = partitions.iter().cloned();
        let assignments =
            assignments.map(|partition| Assignment { partition, committed: None, metadata: String::new(), first: 0 });
        self.pending.push_back(Polled::Assigned(assignments.collect()));
    }

    /// Revokes partitions, as a rebalance does.
    pub fn revoke(&mut self, partitions: &[TopicPartition]) {
        self.revoked.extend_from_slice(partitions);
    }

    /// Says [`Polled::Finished`] at the end of the log, where a source without an end would be idle.
    pub fn finish(&mut self) {
        self.finish = true;
    }
}

impl Source for MemorySource {
    fn poll(&mut self, _timeout: Duration) -> Result<Polled, SourceError> {
        if let Some(polled) = self.pending.pop_front() {
            return Ok(polled);
        }
        if !self.revoked.is_empty() {
            return Ok(Polled::Revoked(self.revoked.clone()));
        }
        let mut batches = Vec::new();
        for (partition, next) in &mut self.next {
            let log = self.logs.get(partition).map_or(&[][..], Vec::as_slice);
            let records = &log[(*next).min(log.len())..(*next + self.batch).min(log.len())];
            if !records.is_empty() {
                *next += records.len();
                let records = OwnedRecords { partition: partition.clone(), records: records.to_vec() };
                batches.push(PartitionBatch { partition: partition.clone(), records: Box::new(records) });
            }
        }
        Ok(match batches.is_empty() {
            false => Polled::Records(batches),
            true if self.finish => Polled::Finished,
            true => Polled::Idle,
        })
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.revoked.retain(|partition| !partitions.contains(partition));
        self.next.retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }

    fn begin(&mut self, at: &[(TopicPartition, Option<i64>)]) -> Result<(), SourceError> {
        let offset = |offset: Option<i64>| offset.and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
        self.next.extend(at.iter().map(|(partition, at)| (partition.clone(), offset(*at))));
        Ok(())
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), SourceError> {
        for (partition, offset) in to {
            let next = usize::try_from(*offset).ok().and_then(|o| Some((self.next.get_mut(partition)?, o)));
            let Some((next, offset)) = next else {
                let (partition, offset) = (partition.clone(), *offset);
                return Err(SourceError::Seek { partition, offset, why: "the partition is not assigned" });
            };
            *next = offset;
        }
        Ok(())
    }

    fn log_end(&self, partition: &TopicPartition) -> Option<LogEnd> {
        let end = self.logs.get(partition).map_or(0, Vec::len);
        Some(LogEnd { offset: end as i64, reached: *self.next.get(partition)? >= end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_partition_gives_nothing_until_it_is_released_and_the_others_go_on() {
        let partitions = [TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
        let mut source = MemorySource::new(1);
        for i in 0..4u8 {
            source.append(&partitions[usize::from(i) % 2], None, &[i], Timestamp::MIN);
        }
        source.assign(&partitions);
        source.poll(Duration::ZERO).unwrap();
        assert!(matches!(source.poll(Duration::ZERO).unwrap(), Polled::Idle), "read before it was begun");
        source.begin(&partitions.clone().map(|partition| (partition, None))).unwrap();
        source.poll(Duration::ZERO).unwrap();
        source.revoke(&partitions[..1]);
        for _ in 0..2 {
            assert!(matches!(source.poll(Duration::ZERO).unwrap(), Polled::Revoked(p) if p == partitions[..1]));
        }
        source.release(&partitions[..1]).unwrap();
        let Polled::Records(batches) = source.poll(Duration::ZERO).unwrap() else { panic!("no records") };
        assert_eq!(batches.len(), 1);
        assert_eq!((&batches[0].partition, batches[0].records.get(0).value), (&partitions[1], &[3][..]));
        assert_eq!(source.log_end(&partitions[1]), Some(LogEnd { offset: 2, reached: true }));
        source.seek(&[(partitions[1].clone(), 1)]).unwrap();
        assert_eq!(source.log_end(&partitions[1]), Some(LogEnd { offset: 2, reached: false }));
        assert!(source.seek(&[(partitions[0].clone(), 0)]).is_err());
    }
}
