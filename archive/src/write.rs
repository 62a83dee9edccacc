//! Gathers the events of a range of offsets, and writes them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::Path;

use arrow_array::RecordBatch;
use driftline_core::{Event, Timestamp, record_hash, truncate};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use uuid::Uuid;

use crate::listing::{ListedFile, file_name, plain, sync};
use crate::rows::Rows;
use crate::{Archive, ArchiveError, Listed};

/// What Hive's readers take for the folder of what has no value.
const NOTHING: &str = "__HIVE_DEFAULT_PARTITION__";
/// Longest tenant that names a folder as it is, in bytes of the name.
const LONGEST: usize = 120;

/// The events of a partition from one offset up to another, on their way to the archive.
pub struct Range {
    topic: String,
    partition: i32,
    from: i64,
    until: i64,
    events: u64,
    bytes: usize,
    /// The last record of which an event was added.
    last: Option<i64>,
    /// By folder.
    rows: BTreeMap<String, Rows>,
}

impl Range {
    /// A range that begins at an offset, and is empty.
    pub fn new(topic: &str, partition: i32, from: i64) -> Self {
        let topic = topic.to_owned();
        Self { topic, partition, from, until: from, events: 0, bytes: 0, last: None, rows: BTreeMap::new() }
    }

    /// Adds an event of the record at an offset.
    pub fn push(&mut self, event: &Event<'_>, record: &[u8], offset: i64, observed_at: Timestamp) {
        let is_first = self.last != Some(offset);
        self.last = Some(offset);
        self.events += 1;
        // The columns beside the record hold about as much again.
        self.bytes += 256 + 2 * record.len();
        let rows = self.rows.entry(folder(event)).or_insert_with(Rows::new);
        rows.push(event, is_first.then_some(record), offset, observed_at);
    }

    /// All records before this offset were read, be they events or not.
    pub fn read_to(&mut self, until: i64) {
        self.until = self.until.max(until);
    }

    /// The offset after the last record.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// Whether no record was read.
    pub fn is_empty(&self) -> bool {
        self.from == self.until
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Files that it would be written to: one for each tenant and hour.
    pub fn files(&self) -> usize {
        self.rows.len()
    }

    /// Writes it and lists it. It may be tried again where that fails.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Claimed`] where another writer was first, and otherwise as [`Archive::claim`].
    pub fn write(&self, archive: &Archive) -> Result<Listed, ArchiveError> {
        let mut files = Vec::with_capacity(self.rows.len());
        let outcome = self.write_files(archive, &mut files).and_then(|()| {
            let listed = Listed {
                schema: Listed::SCHEMA.to_owned(),
                topic: self.topic.clone(),
                partition: self.partition,
                from: self.from,
                until: self.until,
                events: self.events,
                files: files.clone(),
            };
            archive.claim(&listed).map(|()| listed)
        });
        // Once it may be listed, its files are the archive's.
        if matches!(outcome, Err(ArchiveError::Claimed { .. } | ArchiveError::Damaged { .. })) {
            for file in &files {
                // It is hidden: where it cannot be removed, it takes room and nothing else.
                drop(fs::remove_file(archive.root.join(&file.folder).join(&file.hidden)));
            }
        }
        outcome
    }

    fn write_files(&self, archive: &Archive, files: &mut Vec<ListedFile>) -> Result<(), ArchiveError> {
        let name = file_name(&self.topic, self.partition, self.from, "parquet");
        for (folder, rows) in &self.rows {
            let path = archive.root.join(folder);
            fs::create_dir_all(&path).map_err(ArchiveError::io("make", &path))?;
            let hidden = format!(".{}", Uuid::new_v4());
            files.push(ListedFile {
                folder: folder.clone(),
                name: name.clone(),
                hidden: hidden.clone(),
                events: rows.len(),
            });
            let batch = rows.batch().map_err(|error| ArchiveError::damaged(&path, error))?;
            write_file(&path.join(hidden), &batch)?;
            sync(&path)?;
        }
        Ok(())
    }
}

fn write_file(path: &Path, batch: &RecordBatch) -> Result<(), ArchiveError> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(ArchiveError::io("write", path))?;
    let write = |file: &File| -> Result<(), ParquetError> {
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None)?;
        writer.write(batch)?;
        writer.close().map(drop)
    };
    write(&file).map_err(|error| ArchiveError::io("write", path)(std::io::Error::other(error)))?;
    file.sync_all().map_err(ArchiveError::io("write", path))
}

/// The folder of an event.
fn folder(event: &Event<'_>) -> String {
    let tenant = match plain(&event.tenant) {
        tenant if tenant.is_empty() => NOTHING.to_owned(),
        tenant if tenant.len() > LONGEST => {
            format!("{}-{:032x}", truncate(&tenant, LONGEST / 2), record_hash(event.tenant.as_bytes()))
        }
        tenant => tenant,
    };
    // `2026-03-02T08:11:24.715Z`
    let time = event.time.to_string();
    let (date, hour) = (time.get(..10).unwrap_or_default(), time.get(11..13).unwrap_or_default());
    format!("tenant={tenant}/date={date}/hour={hour}")
}
