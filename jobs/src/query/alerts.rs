//! The table `alerts`.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder, UInt64Builder,
};

use crate::{JobError, alerts};

const TEXTS: [&str; 13] = [
    "id",
    "fingerprint",
    "tenant",
    "agent",
    "version",
    "session",
    "detector",
    "family",
    "kind",
    "severity",
    "title",
    "summary",
    "event",
];

/// Reads files of alerts, a row each. `event` is the first that an alert names, `events` how many it does.
///
/// # Errors
///
/// [`JobError::Usage`] names file and line of what is no alert.
pub fn read(files: &[PathBuf]) -> Result<RecordBatch, JobError> {
    let mut times = TimestampMillisecondBuilder::new().with_timezone("+00:00");
    let mut texts: [StringBuilder; TEXTS.len()] = Default::default();
    let mut events = UInt64Builder::new();
    let mut fractions: [Float64Builder; 3] = Default::default();
    for file in files {
        alerts::read(file, |alert| {
            times.append_value(alert.time.millis());
            let (id, severity) = (alert.id.to_string(), alert.severity.to_string());
            let agent = alert.agent.as_ref();
            let row = [
                Some(id.as_str()),
                Some(alert.fingerprint.as_str()),
                Some(alert.tenant.as_str()),
                agent.map(|agent| agent.id.as_str()),
                agent.and_then(|agent| agent.version.as_deref()),
                alert.session.as_ref().map(|session| session.id.as_str()),
                Some(alert.detector.as_str()),
                Some(alert.family.as_str()),
                Some(alert.kind.as_str()),
                Some(severity.as_str()),
                Some(alert.title.as_str()),
                Some(alert.summary.as_str()),
                alert.events.first().map(String::as_str),
            ];
            texts.iter_mut().zip(row).for_each(|(column, text)| column.append_option(text));
            events.append_value(alert.events.len() as u64);
            let numbers = [Some(alert.risk), alert.p_value, alert.e_value];
            fractions.iter_mut().zip(numbers).for_each(|(column, number)| column.append_option(number));
        })?;
    }
    let mut columns: Vec<(&str, ArrayRef)> = vec![("time", Arc::new(times.finish()))];
    columns.extend(TEXTS.iter().zip(&mut texts).map(|(name, column)| (*name, Arc::new(column.finish()) as ArrayRef)));
    columns.push(("events", Arc::new(events.finish())));
    let named = ["risk", "p_value", "e_value"].into_iter().zip(&mut fractions);
    columns.extend(named.map(|(name, column)| (name, Arc::new(column.finish()) as ArrayRef)));
    RecordBatch::try_from_iter(columns).map_err(|error| JobError::Failed(error.to_string()))
}
