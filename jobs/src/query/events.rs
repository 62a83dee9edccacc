//! The table `events`.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder, UInt64Builder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use driftline_core::baseline::Exclusion;
use driftline_core::observation::resources;
use driftline_core::{Event, wire_name};

use crate::scan;

const TEXTS: [&str; 16] = [
    "id",
    "tenant",
    "agent",
    "version",
    "platform",
    "session",
    "principal",
    "task",
    "request",
    "kind",
    "tool",
    "server",
    "access",
    "resource",
    "resource_kind",
    "outcome",
];
const NUMBERS: [&str; 6] = ["resources", "bytes_in", "bytes_out", "records", "input_tokens", "output_tokens"];
const FRACTIONS: [&str; 2] = ["duration_ms", "cost_usd"];
/// The zone of all times.
const ZONE: &str = "+00:00";

/// Columns under way.
pub struct Rows {
    times: TimestampMillisecondBuilder,
    texts: [StringBuilder; TEXTS.len()],
    numbers: [UInt64Builder; NUMBERS.len()],
    fractions: [Float64Builder; FRACTIONS.len()],
}

impl scan::Rows for Rows {
    fn schema() -> SchemaRef {
        let mut fields = vec![Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())), false)];
        fields.extend(TEXTS.map(|name| Field::new(name, DataType::Utf8, true)));
        fields.extend(NUMBERS.map(|name| Field::new(name, DataType::UInt64, true)));
        fields.extend(FRACTIONS.map(|name| Field::new(name, DataType::Float64, true)));
        Arc::new(Schema::new(fields))
    }

    fn new() -> Self {
        Self {
            times: TimestampMillisecondBuilder::new().with_timezone(ZONE),
            texts: Default::default(),
            numbers: Default::default(),
            fractions: Default::default(),
        }
    }

    fn push(&mut self, event: &Event<'_>, _: u64, _: Exclusion) {
        self.times.append_value(event.time.millis());
        let (agent, action, task) = (&event.agent, &event.action, event.task.as_ref());
        let (kind, access) = (wire_name(action.kind), action.access.map(wire_name));
        let texts = [
            Some(event.id.as_str()),
            Some(event.tenant.as_str()),
            Some(agent.id.as_str()),
            agent.version.as_deref(),
            agent.platform.as_deref(),
            event.session.as_ref().map(|session| session.id.as_str()),
            event.principal.as_ref().map(|principal| principal.id.as_str()),
            task.and_then(|task| task.kind.as_deref()),
            task.and_then(|task| task.intent.as_deref()),
            Some(kind.as_str()),
            Some(action.name.as_str()),
            action.server.as_deref(),
            access.as_deref(),
            resources(event).next().map(|resource| resource.id.as_str()),
            resources(event).next().and_then(|resource| resource.kind.as_deref()),
            Some(event.outcome.name()),
        ];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_option(text));
        let usage = event.usage.unwrap_or_default();
        let touched = resources(event).count() as u64;
        let numbers =
            [Some(touched), usage.bytes_in, usage.bytes_out, usage.records, usage.input_tokens, usage.output_tokens];
        self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.append_option(number));
        let fractions = [usage.duration_ms, usage.cost_usd];
        self.fractions.iter_mut().zip(fractions).for_each(|(column, number)| column.append_option(number));
    }

    fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.times.finish())];
        columns.extend(self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend(self.numbers.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend(self.fractions.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}
