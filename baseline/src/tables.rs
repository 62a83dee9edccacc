//! Baselines as two tables, and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::ArrowError;
use bytes::Bytes;
use driftline_core::Timestamp;
use driftline_core::baseline::{Baseline, Size};
use driftline_core::observation::Dimension;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// The baseline of one version of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The agent's tenant; empty where events name none.
    pub tenant: String,
    /// The agent's id.
    pub agent: String,
    /// Its version; empty where events name none.
    pub version: String,
    /// What it was found to do.
    pub baseline: Baseline,
}

/// What stands for the hours in the column of dimensions.
const HOURS: &str = "hour";
/// A row with this key and no name says that not all categories of the dimension are kept: no category is without a name.
const SAMPLE: &str = "sample/";
/// Rows that are written at a time.
const ROWS: usize = 1 << 16;

/// Rows of one table, gathered by column and written in batches.
struct Table {
    texts: Vec<(&'static str, Vec<String>)>,
    numbers: Vec<(&'static str, Vec<u64>)>,
    times: Vec<(&'static str, Vec<i64>)>,
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl Table {
    fn new<const T: usize, const N: usize, const M: usize>(
        texts: [&'static str; T],
        numbers: [&'static str; N],
        times: [&'static str; M],
    ) -> Self {
        Self {
            texts: texts.map(|name| (name, Vec::new())).into(),
            numbers: numbers.map(|name| (name, Vec::new())).into(),
            times: times.map(|name| (name, Vec::new())).into(),
            writer: None,
        }
    }

    fn push(&mut self, texts: &[&str], numbers: &[u64], times: &[i64]) -> Result<(), ParquetError> {
        self.texts.iter_mut().zip(texts).for_each(|((_, column), text)| column.push((*text).to_owned()));
        self.numbers.iter_mut().zip(numbers).for_each(|((_, column), number)| column.push(*number));
        self.times.iter_mut().zip(times).for_each(|((_, column), time)| column.push(*time));
        match self.texts.first().is_some_and(|(_, column)| column.len() >= ROWS) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
        for (name, column) in &mut self.texts {
            columns.push((name, Arc::new(StringArray::from(std::mem::take(column)))));
        }
        for (name, column) in &mut self.numbers {
            columns.push((name, Arc::new(UInt64Array::from(std::mem::take(column)))));
        }
        for (name, column) in &mut self.times {
            columns.push((name, Arc::new(Int64Array::from(std::mem::take(column)))));
        }
        let batch = RecordBatch::try_from_iter(columns)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => {
                // What wrote it must not change what the content is named after.
                let properties = WriterProperties::builder().set_created_by("driftline".to_owned()).build();
                empty.insert(ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?)
            }
        };
        writer.write(&batch)
    }

    fn finish(mut self) -> Result<Vec<u8>, ParquetError> {
        self.flush()?;
        self.writer.map_or(Ok(Vec::new()), ArrowWriter::into_inner)
    }
}

/// Writes `agents.parquet` and `counts.parquet` as entries come, which must be in order.
pub(crate) struct Writer {
    agents: Table,
    counts: Table,
}

impl Writer {
    pub fn new() -> Self {
        Self {
            agents: Table::new(
                ["tenant", "agent", "version", "platform"],
                ["sessions", "events", "denied", "failed", "grants", "room"],
                ["first_ms", "last_ms"],
            ),
            counts: Table::new(["tenant", "agent", "version", "dimension", "name"], ["key", "sessions", "events"], []),
        }
    }

    pub fn push(&mut self, entry: &Entry) -> Result<(), ParquetError> {
        let Entry { tenant, agent, version, baseline } = entry;
        let (first, last) = baseline.span().unwrap_or_default();
        self.agents.push(
            &[tenant, agent, version, baseline.platform()],
            &[
                baseline.sessions,
                baseline.events,
                baseline.denied,
                baseline.failed,
                baseline.grants,
                baseline.room() as u64,
            ],
            &[first.millis(), last.millis()],
        )?;
        let mut row = |dimension: &str, name: &str, key: u64, sessions: u64, events: u64| {
            self.counts.push(&[tenant, agent, version, dimension, name], &[key, sessions, events], &[])
        };
        for dimension in Dimension::ALL {
            let counts = baseline.counts(dimension);
            for count in counts.iter() {
                row(dimension.name(), &count.name, count.key, u64::from(count.sessions), count.events)?;
            }
            if counts.is_sample() {
                row(&format!("{SAMPLE}{}", dimension.name()), "", 0, 0, counts.distinct())?;
            }
        }
        for (hour, events) in baseline.hours() {
            row(HOURS, "", hour.unsigned_abs(), 0, u64::from(events))?;
        }
        for size in Size::ALL {
            for (bucket, times) in baseline.sizes(size).iter() {
                row(size.name(), "", u64::from(bucket), 0, times)?;
            }
        }
        Ok(())
    }

    /// Both files.
    pub fn finish(self) -> Result<[Vec<u8>; 2], ParquetError> {
        Ok([self.agents.finish()?, self.counts.finish()?])
    }
}

/// Reads both files; says what of them is not as it was written.
pub(crate) fn read([agents, counts]: [Bytes; 2]) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for batch in batches(agents)? {
        let batch = batch.map_err(|error| error.to_string())?;
        let [tenant, agent, version, platform] = texts(&batch, ["tenant", "agent", "version", "platform"])?;
        let numbers = numbers(&batch, ["sessions", "events", "denied", "failed", "grants", "room"])?;
        let [first, last] = times(&batch, ["first_ms", "last_ms"])?;
        for row in 0..batch.num_rows() {
            let [sessions, events, denied, failed, grants, room] = numbers.map(|column| column.value(row));
            let mut baseline = Baseline::new(usize::try_from(room).unwrap_or(usize::MAX));
            (baseline.sessions, baseline.events) = (sessions, events);
            (baseline.denied, baseline.failed, baseline.grants) = (denied, failed, grants);
            let time = |millis| Timestamp::MIN.plus_millis(millis);
            baseline.meet(time(first.value(row)), time(last.value(row)), platform.value(row));
            let text = |column: &StringArray| column.value(row).to_owned();
            entries.push(Entry { tenant: text(tenant), agent: text(agent), version: text(version), baseline });
        }
    }
    let places: BTreeMap<(String, String, String), usize> = entries
        .iter()
        .enumerate()
        .map(|(i, entry)| ((entry.tenant.clone(), entry.agent.clone(), entry.version.clone()), i))
        .collect();
    let dimensions: BTreeMap<_, _> = Dimension::ALL.map(|dimension| (dimension.name(), dimension)).into();
    let sizes: BTreeMap<_, _> = Size::ALL.map(|size| (size.name(), size)).into();
    let mut place = 0;
    for batch in batches(counts)? {
        let batch = batch.map_err(|error| error.to_string())?;
        let [tenant, agent, version, dimension, name] =
            texts(&batch, ["tenant", "agent", "version", "dimension", "name"])?;
        let [key, sessions, events] = numbers(&batch, ["key", "sessions", "events"])?;
        for row in 0..batch.num_rows() {
            let (tenant, agent, version) = (tenant.value(row), agent.value(row), version.value(row));
            // Rows of one agent's version stand together.
            if entries.get(place).is_none_or(|at| at.tenant != tenant || at.agent != agent || at.version != version) {
                let whose = (tenant.to_owned(), agent.to_owned(), version.to_owned());
                place = *places.get(&whose).ok_or("counts of an agent that is not there")?;
            }
            let (baseline, key, events) = (&mut entries[place].baseline, key.value(row), events.value(row));
            let what = dimension.value(row);
            if let Some(&dimension) = dimensions.get(what) {
                let sessions = u32::try_from(sessions.value(row)).unwrap_or(u32::MAX);
                baseline.add_count(dimension, key, sessions, events, name.value(row));
            } else if let Some(&size) = sizes.get(what) {
                let bucket = u16::try_from(key).map_err(|_| format!("`{what}` has no bucket {key}"))?;
                baseline.add_size(size, bucket, events);
            } else if what == HOURS {
                let hour = i64::try_from(key).ok().filter(|&hour| hour <= Timestamp::MAX.hour());
                let hour = hour.ok_or_else(|| format!("{key} is no hour since the epoch"))?;
                baseline.add_hour(hour, u32::try_from(events).unwrap_or(u32::MAX));
            } else if let Some(&dimension) = what.strip_prefix(SAMPLE).and_then(|name| dimensions.get(name)) {
                baseline.set_sample(dimension);
            } else {
                return Err(format!("`{}` is nothing that is counted", driftline_core::terminal(what)));
            }
        }
    }
    Ok(entries)
}

fn batches(bytes: Bytes) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    builder.build().map_err(|error| error.to_string())
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("there is no column `{name}`"))
}

fn texts<'b, const N: usize>(batch: &'b RecordBatch, names: [&str; N]) -> Result<[&'b StringArray; N], String> {
    let columns: Result<Vec<_>, String> = names
        .iter()
        .map(|name| column(batch, name)?.as_string_opt().ok_or_else(|| format!("`{name}` is not of text")))
        .collect();
    columns?.try_into().map_err(|_| "columns are missing".to_owned())
}

fn numbers<'b, const N: usize>(batch: &'b RecordBatch, names: [&str; N]) -> Result<[&'b UInt64Array; N], String> {
    let columns: Result<Vec<_>, String> = names
        .iter()
        .map(|name| {
            column(batch, name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| format!("`{name}` is not of numbers"))
        })
        .collect();
    columns?.try_into().map_err(|_| "columns are missing".to_owned())
}

fn times<'b, const N: usize>(batch: &'b RecordBatch, names: [&str; N]) -> Result<[&'b Int64Array; N], String> {
    let columns: Result<Vec<_>, String> = names
        .iter()
        .map(|name| {
            column(batch, name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| format!("`{name}` is not of times"))
        })
        .collect();
    columns?.try_into().map_err(|_| "columns are missing".to_owned())
}
