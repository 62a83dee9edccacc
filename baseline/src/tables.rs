//! Baselines as two tables, for SQL.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use driftline_core::Origin;
use driftline_core::baseline::{Entry, Size};
use driftline_core::observation::Dimension;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// What stands for the hours in the column of dimensions.
const HOURS: &str = "hour";
/// A row with this key and no name says that not all categories of the dimension are kept: no category is without a name.
const SAMPLE: &str = "sample/";
/// Requests that are kept, by key: sessions that had one, and how many distinct acts they led to.
const REQUEST: &str = "request";
/// Where targets came from; the name says it.
const ORIGIN: &str = "origin";
/// Rows that are written at a time.
const ROWS: usize = 1 << 16;

/// Rows of one table, gathered by column and written in batches.
struct Table {
    texts: Vec<(&'static str, StringBuilder)>,
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
            texts: texts.map(|name| (name, StringBuilder::new())).into(),
            numbers: numbers.map(|name| (name, Vec::new())).into(),
            times: times.map(|name| (name, Vec::new())).into(),
            writer: None,
        }
    }

    fn push(&mut self, texts: &[&str], numbers: &[u64], times: &[i64]) -> Result<(), ParquetError> {
        self.texts.iter_mut().zip(texts).for_each(|((_, column), text)| column.append_value(text));
        self.numbers.iter_mut().zip(numbers).for_each(|((_, column), number)| column.push(*number));
        self.times.iter_mut().zip(times).for_each(|((_, column), time)| column.push(*time));
        match self.texts.first().is_some_and(|(_, column)| arrow_array::builder::ArrayBuilder::len(column) >= ROWS) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
        for (name, column) in &mut self.texts {
            columns.push((name, Arc::new(column.finish())));
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
                ["sessions", "excluded", "events", "denied", "failed", "grants", "room"],
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
                baseline.excluded,
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
        for request in baseline.habits.requests.list() {
            row(REQUEST, "", request.key, u64::from(request.sessions), request.acts.len() as u64)?;
        }
        for (origin, &events) in Origin::ALL.iter().zip(baseline.habits.targets.all()) {
            if events > 0 {
                row(ORIGIN, origin.name(), *origin as u64, 0, u64::from(events))?;
            }
        }
        Ok(())
    }

    /// Both files.
    pub fn finish(self) -> Result<[Vec<u8>; 2], ParquetError> {
        Ok([self.agents.finish()?, self.counts.finish()?])
    }
}
