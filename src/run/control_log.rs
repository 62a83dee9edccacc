//! The control log of a running instance: its records are folded in order, whoever wrote them, and written by the
//! leader, the owner of partition 0.

use std::collections::BTreeMap;
use std::time::Duration;

use driftline_core::ControlRecord;
use driftline_detectors::{Conductor, Control};
use driftline_ingest::kafka::{Admin, ClientSettings, OutRecord, Reader, Start, TopicSpec, Until};
use driftline_ingest::{Polled, Source, SourceError, TopicPartition};

use crate::commands::CommandError;

/// The control topic, read from its beginning and followed.
pub struct ControlLog {
    settings: ClientSettings,
    topic: String,
    reader: Reader,
}

impl ControlLog {
    /// Opens the topic (one partition, kept for ever), and makes it where it is not there.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the broker refuses, or the topic has several partitions.
    pub fn open(settings: &ClientSettings, topic: &str) -> Result<Self, CommandError> {
        let admin = Admin::new(settings)?;
        // Kept for ever, and an epoch of a large fleet is a large record.
        let config = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("max.message.bytes", "67108864"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let spec = TopicSpec { name: topic.to_owned(), partitions: 1, replication: None, config: config.to_vec() };
        admin.create(&spec)?;
        if admin.partitions(topic)?.unwrap_or(1) != 1 {
            return Err(CommandError::Usage(format!(
                "the control topic `{topic}` has several partitions; it is one sequence and needs exactly one"
            )));
        }
        let from = [(TopicPartition::new(topic, 0), Start::Beginning)];
        let reader = Reader::open(settings, &from, Until::Forever, &[])?;
        Ok(Self { settings: settings.clone(), topic: topic.to_owned(), reader })
    }

    /// Records that have come since; with `to_end`, all that there are.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the topic cannot be read. What is no control record is logged and passed over: its number
    /// will be missing, which the fold tells.
    pub fn read(&mut self, to_end: bool) -> Result<Vec<ControlRecord>, SourceError> {
        let partition = TopicPartition::new(self.topic.as_str(), 0);
        let end = if to_end { self.reader.written_end(&partition)? } else { 0 };
        let mut records = Vec::new();
        loop {
            let timeout = Duration::from_millis(if to_end { 100 } else { 0 });
            match self.reader.poll(timeout)? {
                Polled::Records(batches) => {
                    for record in batches.iter().flat_map(|batch| batch.iter()) {
                        match ControlRecord::parse(record.value) {
                            Ok(control) => records.push(control),
                            Err(error) => tracing::error!(offset = record.offset, "{}: {error}", self.topic),
                        }
                    }
                }
                _ if self.reader.next_offset(&partition).unwrap_or(0) >= end => return Ok(records),
                _ => {}
            }
        }
    }

    /// The world as of the first `from` records, and what each later one before `until` made of it: for an engine that has
    /// taken up only those.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the topic cannot be read, or is not the log that it was.
    pub fn since(&self, from: u64, until: u64) -> Result<Vec<Control>, CommandError> {
        let start = [(TopicPartition::new(self.topic.as_str(), 0), Start::Beginning)];
        let mut reader = Reader::open(&self.settings, &start, Until::End, &[])?;
        let mut conductor = Conductor::default();
        let mut controls = vec![Control { world: conductor.world().clone(), is_clock: false }];
        loop {
            match reader.poll(Duration::from_millis(100))? {
                Polled::Records(batches) => {
                    for record in batches.iter().flat_map(|batch| batch.iter()) {
                        let failed = |why: String| {
                            CommandError::Failed(format!("{}: offset {}: {why}", self.topic, record.offset))
                        };
                        let record = ControlRecord::parse(record.value).map_err(|error| failed(error.to_string()))?;
                        if record.number >= until {
                            continue;
                        }
                        let (control, _) = conductor.fold(&record).map_err(|error| failed(error.to_string()))?;
                        if record.number < from {
                            controls[0] = Control { is_clock: false, ..control };
                        } else {
                            controls.push(control);
                        }
                    }
                }
                Polled::Finished => return Ok(controls),
                _ => {}
            }
        }
    }

    /// The record as it is written.
    pub fn encode(&self, record: &ControlRecord) -> OutRecord {
        // A control record is plain data: it always has a JSON form.
        let value = serde_json::to_vec(record).unwrap_or_default();
        OutRecord { partition: Some(0), ..OutRecord::new(self.topic.as_str(), record.number.to_string(), value) }
    }
}

/// Where each partition stands, as a control record names it.
pub fn positions(next: &BTreeMap<TopicPartition, i64>) -> BTreeMap<String, i64> {
    next.iter().map(|(partition, offset)| (partition.to_string(), *offset)).collect()
}
