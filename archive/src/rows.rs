//! Events as columns.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use driftline_core::{Event, Timestamp};

const ZONE: &str = "+00:00";
/// Columns that are text; those of the same names in `driftline query`'s table of events hold the same.
const TEXTS: [&str; 9] = ["id", "agent", "version", "session", "principal", "tool", "server", "resource", "outcome"];
/// The record's offset, when it was read, and its bytes.
pub const OFFSET: &str = "offset";
pub const OBSERVED_AT: &str = "observed_at";
pub const RECORD: &str = "record";

/// Columns under way.
pub struct Rows {
    times: TimestampMillisecondBuilder,
    observed: TimestampMillisecondBuilder,
    offsets: Int64Builder,
    texts: [StringBuilder; TEXTS.len()],
    /// A record of several events stands beside the first.
    records: BinaryBuilder,
    rows: u64,
}

impl Rows {
    pub fn new() -> Self {
        Self {
            times: TimestampMillisecondBuilder::new().with_timezone(ZONE),
            observed: TimestampMillisecondBuilder::new().with_timezone(ZONE),
            offsets: Int64Builder::new(),
            texts: Default::default(),
            records: BinaryBuilder::new(),
            rows: 0,
        }
    }

    pub fn schema() -> SchemaRef {
        let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())), false);
        let mut fields = vec![time("time"), time(OBSERVED_AT), Field::new(OFFSET, DataType::Int64, false)];
        fields.extend(TEXTS.map(|name| Field::new(name, DataType::Utf8, true)));
        fields.push(Field::new(RECORD, DataType::Binary, true));
        Arc::new(Schema::new(fields))
    }

    /// Adds an event, and the record that it came in, unless another event of it was added before.
    pub fn push(&mut self, event: &Event<'_>, record: Option<&[u8]>, offset: i64, observed_at: Timestamp) {
        self.rows += 1;
        self.times.append_value(event.time.millis());
        self.observed.append_value(observed_at.millis());
        self.offsets.append_value(offset);
        let texts = [
            Some(event.id.as_str()),
            Some(event.agent.id.as_str()),
            event.agent.version.as_deref(),
            event.session.as_ref().map(|session| session.id.as_str()),
            event.principal.as_ref().map(|principal| principal.id.as_str()),
            Some(event.action.name.as_str()),
            event.action.server.as_deref(),
            event.resource.as_ref().map(|resource| resource.id.as_str()),
            Some(event.outcome.name()),
        ];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_option(text));
        self.records.append_option(record);
    }

    pub fn len(&self) -> u64 {
        self.rows
    }

    /// All rows so far.
    pub fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.times.finish_cloned()),
            Arc::new(self.observed.finish_cloned()),
            Arc::new(self.offsets.finish_cloned()),
        ];
        columns.extend(self.texts.iter().map(|column| Arc::new(column.finish_cloned()) as ArrayRef));
        columns.push(Arc::new(self.records.finish_cloned()));
        RecordBatch::try_new(Self::schema(), columns)
    }
}
