//! Reads records back.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, BinaryArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use driftline_core::Timestamp;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::listing::ListedFile;
use crate::rows::{OBSERVED_AT, OFFSET, RECORD};
use crate::{Archive, ArchiveError, Listed};

/// A record that is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived<'b> {
    /// Its bytes.
    pub record: &'b [u8],
    /// Its offset in the partition.
    pub offset: i64,
    /// When it was read.
    pub observed_at: Timestamp,
}

/// Some records of a file, in order of offset.
#[derive(Debug)]
pub struct Block {
    records: BinaryArray,
    offsets: Int64Array,
    observed: TimestampMillisecondArray,
    /// The rows with a record: one of several events stands beside the first.
    rows: Vec<usize>,
}

impl Block {
    fn of(batch: &RecordBatch) -> Option<Self> {
        let records = batch.column_by_name(RECORD)?.as_binary_opt::<i32>()?.clone();
        let offsets = batch.column_by_name(OFFSET)?.as_primitive_opt::<Int64Type>()?.clone();
        let observed = batch.column_by_name(OBSERVED_AT)?.as_primitive_opt::<TimestampMillisecondType>()?.clone();
        let rows = (0..records.len()).filter(|&row| records.is_valid(row)).collect();
        Some(Self { records, offsets, observed, rows })
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A record, below [`Block::len`].
    pub fn get(&self, i: usize) -> Archived<'_> {
        let row = self.rows[i];
        Archived {
            record: self.records.value(row),
            offset: self.offsets.value(row),
            observed_at: Timestamp::from_millis(self.observed.value(row)).unwrap_or_default(),
        }
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Archived<'_>> {
        (0..self.len()).map(|i| self.get(i))
    }
}

impl Archive {
    /// The files of a range that may hold events of these hours, `2026-03-02/08` to `2026-03-02/09`, ends included.
    pub fn files<'l>(&self, listed: &'l Listed, since: Option<&str>, until: Option<&str>) -> Vec<&'l ListedFile> {
        let is_inside = |file: &&ListedFile| {
            let hour = || {
                let (_, rest) = file.folder.split_once("/date=")?;
                let (date, hour) = rest.split_once("/hour=")?;
                Some(format!("{date}/{hour}"))
            };
            // What is not where it should be is read.
            hour().is_none_or(|hour| {
                since.is_none_or(|since| since <= hour.as_str()) && until.is_none_or(|until| hour.as_str() <= until)
            })
        };
        listed.files.iter().filter(is_inside).collect()
    }

    /// Opens a file of a range.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] where it is not there, or not as it was written.
    pub fn open(
        &self,
        file: &ListedFile,
    ) -> Result<impl Iterator<Item = Result<Block, ArchiveError>> + use<>, ArchiveError> {
        self.put_in_place(std::slice::from_ref(file))?;
        let path = self.root.join(&file.folder).join(&file.name);
        let opened = File::open(&path).map_err(ArchiveError::io("read", &path))?;
        let reader = reader(opened).map_err(|problem| ArchiveError::damaged(&path, problem))?;
        Ok(reader.map(move |batch| match batch {
            Ok(batch) => {
                Block::of(&batch).ok_or_else(|| ArchiveError::damaged(&path, "its columns are of other types"))
            }
            Err(error) => Err(ArchiveError::damaged(&path, error)),
        }))
    }
}

fn reader(file: File) -> Result<ParquetRecordBatchReader, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    let mask = {
        let columns = builder.parquet_schema();
        let missing = [OFFSET, OBSERVED_AT, RECORD]
            .into_iter()
            .find(|name| !columns.columns().iter().any(|column| column.name() == *name));
        if let Some(missing) = missing {
            return Err(format!("it has no column `{missing}`"));
        }
        ProjectionMask::columns(columns, [OFFSET, OBSERVED_AT, RECORD])
    };
    builder.with_projection(mask).with_batch_size(8192).build().map_err(|error| error.to_string())
}
