//! The control log of a running instance: its records are folded in order, whoever wrote them, and written by the
//! leader, the owner of partition 0.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftline_core::{Applied, Change, ControlEntry, ControlRecord};
use driftline_detectors::{Conductor, Control, Engine};
use driftline_ingest::kafka::{Admin, ClientSettings, OutRecord, Reader, Start, TopicSpec, Until};
use driftline_ingest::{Polled, Source, SourceError, TopicPartition};

use super::baselines::Baselines;
use crate::commands::CommandError;

/// The control topic, read from its beginning and followed.
pub struct ControlLog {
    topic: ControlTopic,
    reader: Reader,
}

/// Where the log is.
#[derive(Clone)]
pub struct ControlTopic {
    settings: ClientSettings,
    name: String,
}

impl ControlLog {
    /// Opens the topic (one partition, kept for ever), and makes it where it is not there.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the broker refuses, or the topic has several partitions.
    pub fn open(admin: &Admin, settings: &ClientSettings, topic: &str) -> Result<Self, CommandError> {
        // Kept for ever, and an epoch of a large fleet is a large record.
        let config = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("max.message.bytes", "67108864"),
        ];
        admin.create(&TopicSpec::new(topic, 1, &config))?;
        if admin.partitions(topic)?.unwrap_or(1) != 1 {
            return Err(CommandError::Usage(format!(
                "the control topic `{topic}` has several partitions; it is one sequence and needs exactly one"
            )));
        }
        let from = [(TopicPartition::new(topic, 0), Start::Beginning)];
        let reader = Reader::open(settings, &from, Until::Forever, &[])?;
        Ok(Self { topic: ControlTopic { settings: settings.clone(), name: topic.to_owned() }, reader })
    }

    /// Records that have come since, without waiting for more.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the topic cannot be read. What is no control record is logged and passed over: its number
    /// will be missing, which the fold tells.
    pub fn read(&mut self) -> Result<Vec<ControlRecord>, SourceError> {
        let mut records = Vec::new();
        while let Polled::Records(batches) = self.reader.poll(Duration::ZERO)? {
            for record in batches.iter().flat_map(|batch| batch.iter()) {
                match ControlEntry::parse(record.value) {
                    Ok(ControlEntry::Record(control)) => records.push(control),
                    // Where records hold is for a replay to know.
                    Ok(ControlEntry::Applied(_)) => {}
                    Err(error) => tracing::error!(offset = record.offset, "{}: {error}", self.topic.name),
                }
            }
        }
        Ok(records)
    }

    /// Where the log is read from; a clone is for another thread.
    pub fn topic(&self) -> &ControlTopic {
        &self.topic
    }

    /// The record as it is written.
    pub fn encode(&self, record: &ControlRecord) -> OutRecord {
        self.entry(record.number.to_string(), record)
    }

    /// The note as it is written.
    pub fn encode_note(&self, note: &Applied) -> OutRecord {
        self.entry(format!("{}-{}", note.from, note.until), note)
    }

    fn entry(&self, key: String, entry: &impl serde::Serialize) -> OutRecord {
        // Plain data always has a JSON form.
        let value = serde_json::to_vec(entry).unwrap_or_default();
        OutRecord { partition: Some(0), ..OutRecord::new(self.topic.name.as_str(), key, value) }
    }
}

impl ControlTopic {
    /// Brings the engine of a partition, which has taken up the first `from` records, to the written end of the log. The conductor stands
    /// where the engine does then; `None` where that came to be not wanted any more.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the topic cannot be read, or is not the log that it was.
    pub fn bring_up(
        &self,
        engine: &mut Engine,
        from: u64,
        (baselines, place): (&Baselines, i32),
        is_over: &AtomicBool,
    ) -> Result<Option<Conductor>, CommandError> {
        let start = [(TopicPartition::new(self.name.as_str(), 0), Start::Beginning)];
        let mut reader = Reader::open(&self.settings, &start, Until::End, &[])?;
        let mut conductor = Conductor::default();
        loop {
            if is_over.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match reader.poll(Duration::from_millis(100))? {
                Polled::Records(batches) => {
                    for record in batches.iter().flat_map(|batch| batch.iter()) {
                        let failed = |why: String| {
                            CommandError::Failed(format!("{}: offset {}: {why}", self.name, record.offset))
                        };
                        let entry = ControlEntry::parse(record.value).map_err(|error| failed(error.to_string()))?;
                        let ControlEntry::Record(record) = entry else { continue };
                        let (control, _) = conductor.fold(&record).map_err(|error| failed(error.to_string()))?;
                        if record.number < from {
                            continue;
                        }
                        // The others only change the world, and nothing happens in it before the last one.
                        let is_baseline = matches!(record.change, Change::Baseline { .. });
                        if is_baseline || (control.is_clock && !engine.is_empty()) {
                            engine.apply(&control);
                        }
                        baselines.give(engine, &record, place)?;
                    }
                }
                Polled::Finished => break,
                _ => {}
            }
        }
        engine.apply(&Control { world: conductor.world().clone(), is_clock: false });
        Ok(Some(conductor))
    }
}

/// Where each partition stands, as a control record names it.
pub fn positions<'p>(next: impl IntoIterator<Item = (&'p TopicPartition, &'p i64)>) -> BTreeMap<String, i64> {
    next.into_iter().map(|(partition, offset)| (partition.to_string(), *offset)).collect()
}
