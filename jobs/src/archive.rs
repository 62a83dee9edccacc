//! An archive as input: what is listed in it, as it was read from its topics.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use driftline_archive::{Archive, ArchiveError, Block, ListedFile};
use driftline_core::{Position, Timestamp};
use driftline_ingest::{PartitionBatch, Polled, Record, Records, Source, SourceError, TopicPartition};

use crate::JobError;

/// The blocks of a file.
type Blocks = Box<dyn Iterator<Item = Result<Block, ArchiveError>> + Send>;

/// Reads an archive to its end.
pub struct ArchiveSource {
    archive: Archive,
    /// Files that are to be read, the next one first.
    files: VecDeque<(TopicPartition, ListedFile)>,
    under_way: Option<(TopicPartition, Blocks)>,
    /// How far each `topic/partition` is archived.
    pub ends: BTreeMap<String, i64>,
    /// All partitions that there is something of.
    pub partitions: Vec<TopicPartition>,
}

impl ArchiveSource {
    /// Opens the archive in a folder, of which files are read that may hold events of this range.
    ///
    /// # Errors
    ///
    /// [`JobError::Usage`] where its listing is damaged.
    pub fn open(folder: &str, since: Option<Timestamp>, until: Option<Timestamp>) -> Result<Self, JobError> {
        let archive = Archive::at(folder).map_err(usage)?;
        let hour = |time: Timestamp| {
            // `2026-03-02T08:11:24.715Z`
            let text = time.to_string();
            Some(format!("{}/{}", text.get(..10)?, text.get(11..13)?))
        };
        let (since, until) = (since.and_then(hour), until.and_then(hour));
        let (mut files, mut ends, mut partitions) = (VecDeque::new(), BTreeMap::new(), Vec::new());
        for listed in archive.list().map_err(usage)? {
            let partition = TopicPartition::new(listed.topic.as_str(), listed.partition);
            ends.insert(partition.to_string(), listed.until);
            if partitions.last() != Some(&partition) {
                partitions.push(partition.clone());
            }
            let inside = archive.files(&listed, since.as_deref(), until.as_deref());
            files.extend(inside.into_iter().map(|file| (partition.clone(), file.clone())));
        }
        Ok(Self { archive, files, under_way: None, ends, partitions })
    }

    /// Whether what is named is an archive.
    pub fn is_at(paths: &[String]) -> bool {
        matches!(paths, [path] if Archive::is_at(Path::new(path)))
    }
}

fn usage(error: ArchiveError) -> JobError {
    JobError::Usage(error.to_string())
}

fn other(error: ArchiveError) -> SourceError {
    SourceError::Other(Box::new(error))
}

impl Source for ArchiveSource {
    fn poll(&mut self, _: Duration) -> Result<Polled, SourceError> {
        loop {
            if let Some((partition, blocks)) = &mut self.under_way {
                match blocks.next() {
                    Some(block) => {
                        let block = block.map_err(other)?;
                        if block.is_empty() {
                            continue;
                        }
                        let partition = partition.clone();
                        let records = Box::new(ArchivedRecords { partition: partition.clone(), block });
                        return Ok(Polled::Records(vec![PartitionBatch { partition, records }]));
                    }
                    None => self.under_way = None,
                }
            }
            let Some((partition, file)) = self.files.pop_front() else { return Ok(Polled::Finished) };
            let blocks = self.archive.open(&file).map_err(other)?;
            self.under_way = Some((partition, Box::new(blocks)));
        }
    }

    fn release(&mut self, _: &[TopicPartition]) -> Result<(), SourceError> {
        Ok(())
    }

    fn seek(&mut self, to: &[(TopicPartition, i64)]) -> Result<(), SourceError> {
        match to.first() {
            None => Ok(()),
            Some((partition, offset)) => Err(SourceError::Seek {
                partition: partition.clone(),
                offset: *offset,
                why: "an archive is read from its beginning",
            }),
        }
    }
}

/// A block's records, at their places in the topic.
struct ArchivedRecords {
    partition: TopicPartition,
    block: Block,
}

impl Records for ArchivedRecords {
    fn len(&self) -> usize {
        self.block.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        let archived = self.block.get(i);
        Record {
            key: None,
            value: archived.record,
            offset: archived.offset,
            observed_at: archived.observed_at,
            origin: None,
            oversize: None,
        }
    }

    fn position(&self, i: usize) -> Position {
        let TopicPartition { topic, partition } = &self.partition;
        Position::Kafka { topic: topic.clone(), partition: *partition, offset: self.block.get(i).offset }
    }
}
