//! Input as a table: each core takes the next block of lines, decodes it, and hands it on as Arrow columns.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, BinaryBuilder, RecordBatch, StringBuilder, UInt64Builder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use driftline_baseline::Part;
use driftline_core::baseline::{Act, Exclusion, session_key};
use driftline_core::{Event, Limits, Position, Timestamp};
use driftline_ingest::{
    Decoder, FileOptions, FileSource, PartitionBatch, Place, Polled, Source, TopicPartition, decoder,
};

use crate::JobError;
use crate::archive::ArchiveSource;
use crate::exclude::Alerted;
use crate::topic::Topic;

/// Of what could not be decoded, so many are told by themselves.
const BAD_TOLD: usize = 5;
/// A file's lines, or a partition's offsets, are numbered below this; its own number stands above.
const LINE_BITS: u32 = 40;

/// What is read, and how.
pub struct Input {
    /// The format.
    pub decoder: &'static dyn Decoder,
    /// Events before it are passed over.
    pub since: Option<Timestamp>,
    /// Events from it on are passed over.
    pub until: Option<Timestamp>,
    /// More records than this that are no events end the job.
    pub max_bad: Option<u64>,
    /// What is kept out.
    pub alerted: Alerted,
    /// Bounds on records.
    pub limits: Limits,
    source: Mutex<Under>,
    /// The number of each file, in the order in which they are read, or of each partition.
    numbers: BTreeMap<TopicPartition, u64>,
    /// Whether it is a topic, or was archived from one.
    is_topic: bool,
    /// What was read so far.
    pub read: Read,
}

/// What is being read, and what was read of each file.
struct Under {
    source: Box<dyn Source>,
    /// By file: after its first record, and now.
    places: BTreeMap<Arc<str>, [Place; 2]>,
}

impl Under {
    /// Goes past the records of files; those of a dump are known by their offsets.
    fn pass(&mut self, batches: &[PartitionBatch]) {
        for batch in batches {
            for record in batch.iter().filter(|record| record.origin.is_none()) {
                match self.places.get_mut(&batch.partition.topic) {
                    Some([_, now]) => now.pass(&record),
                    None => {
                        let mut place = Place::default();
                        place.pass(&record);
                        self.places.insert(batch.partition.topic.clone(), [place; 2]);
                    }
                }
            }
        }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub struct Read {
    /// Events inside the range.
    pub events: AtomicU64,
    /// Events outside it.
    pub outside: AtomicU64,
    /// Records that are no events.
    pub rejected: AtomicU64,
    /// Bytes of the files, as they lie on the disk.
    pub bytes: AtomicU64,
    bad: Mutex<Vec<String>>,
    positions: Mutex<BTreeMap<String, i64>>,
}

impl Read {
    /// The first records that are no events, with what is wrong with them.
    pub fn bad(&self) -> Vec<String> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far each part of the source was read: the next offset, or line.
    pub fn positions(&self) -> BTreeMap<String, i64> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("numbers", &self.numbers).finish_non_exhaustive()
    }
}

impl Input {
    /// Opens files, folders or patterns.
    ///
    /// # Errors
    ///
    /// [`JobError::Usage`] for what is not there, or matches nothing.
    pub fn open(paths: &[String], decoder: &'static dyn Decoder) -> Result<Self, JobError> {
        let source = FileSource::open(paths, FileOptions::default())?;
        let files: Vec<_> = source.files().map(|file| TopicPartition { topic: file.clone(), partition: 0 }).collect();
        Ok(Self::new(Box::new(source), files, decoder))
    }

    /// Opens an archive, of which what is outside the range is not read.
    ///
    /// # Errors
    ///
    /// As [`ArchiveSource::open`].
    pub fn archive(
        folder: &str,
        range: (Option<Timestamp>, Option<Timestamp>),
        decoder: &'static dyn Decoder,
    ) -> Result<Self, JobError> {
        let source = ArchiveSource::open(folder, range.0, range.1)?;
        let (partitions, ends) = (source.partitions.clone(), source.ends.clone());
        let input = Self { is_topic: true, ..Self::new(Box::new(source), partitions, decoder) };
        // What came after the last event was read too.
        *input.read.positions.lock().unwrap_or_else(PoisonError::into_inner) = ends;
        Ok(input)
    }

    /// Opens a topic.
    ///
    /// # Errors
    ///
    /// As [`Topic::open`].
    pub fn topic(topic: &Topic, name: &str, decoder: &'static dyn Decoder) -> Result<Self, JobError> {
        let (reader, partitions) = topic.open(name)?;
        Ok(Self { is_topic: true, ..Self::new(Box::new(reader), partitions, decoder) })
    }

    fn new(source: Box<dyn Source>, parts: Vec<TopicPartition>, decoder: &'static dyn Decoder) -> Self {
        Self {
            decoder,
            since: None,
            until: None,
            max_bad: None,
            alerted: Alerted::default(),
            limits: Limits::default(),
            source: Mutex::new(Under { source, places: BTreeMap::new() }),
            numbers: parts.into_iter().zip(0..).collect(),
            is_topic: false,
            read: Read::default(),
        }
    }

    /// Bytes that the files have; 0 where that is not known, as of a topic.
    pub fn bytes(&self) -> u64 {
        let files = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        files.source.progress().map_or(0, |progress| progress.total)
    }

    /// What was read of each file, ordered by what it says.
    pub fn parts(&self) -> Vec<Part> {
        let files = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let part = |[first, now]: &[Place; 2]| Part { next: now.next, first: first.hex(), all: now.hex() };
        let mut parts: Vec<_> = files.places.values().map(part).collect();
        parts.sort_unstable();
        parts
    }

    /// The next block of lines; `None` at the end.
    fn next(&self) -> Result<Option<Vec<PartitionBatch>>, JobError> {
        let mut files = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let polled = files.source.poll(Duration::from_secs(1))?;
            self.read.bytes.store(files.source.progress().map_or(0, |progress| progress.bytes), Relaxed);
            match polled {
                Polled::Records(batches) => {
                    if !self.is_topic {
                        files.pass(&batches);
                    }
                    return Ok(Some(batches));
                }
                Polled::Finished => return Ok(None),
                _ => {}
            }
        }
    }

    fn is_inside(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Decodes a block.
    fn decode(&self, batch: &PartitionBatch, rows: &mut impl Rows) -> Result<(), JobError> {
        let file = self.numbers.get(&batch.partition).copied().unwrap_or(0) << LINE_BITS;
        let (mut events, mut outside, mut rejected) = (0, 0, 0);
        for (i, record) in batch.iter().enumerate() {
            let order = file + record.offset.unsigned_abs();
            decoder::decode(self.decoder, &record, &self.limits, &mut |decoded| match decoded {
                Ok(event) if self.is_inside(event.time) => {
                    events += 1;
                    rows.push(event, order, self.alerted.exclusion(event));
                }
                Ok(_) => outside += 1,
                Err(error) => {
                    rejected += 1;
                    let mut bad = self.read.bad.lock().unwrap_or_else(PoisonError::into_inner);
                    if bad.len() < BAD_TOLD {
                        bad.push(format!("{}: {error}", batch.records.position(i)));
                    }
                }
            });
        }
        self.note_position(batch);
        self.read.events.fetch_add(events, Relaxed);
        self.read.outside.fetch_add(outside, Relaxed);
        let rejected = self.read.rejected.fetch_add(rejected, Relaxed) + rejected;
        match self.max_bad {
            Some(most) if rejected > most => Err(JobError::Usage(format!(
                "{rejected} records are no events, more than --max-bad allows:\n{}",
                self.read.bad().join("\n")
            ))),
            _ => Ok(()),
        }
    }

    /// Notes how far a block comes: of each partition where it is of a dump, else of the file.
    fn note_position(&self, batch: &PartitionBatch) {
        let mut positions = self.read.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut note = |name: String, next: i64| {
            let known = positions.entry(name).or_default();
            *known = (*known).max(next);
        };
        for record in batch.iter() {
            match record.origin {
                Some(Position::Kafka { topic, partition, offset }) => {
                    note(format!("{topic}/{partition}"), offset.saturating_add(1));
                }
                _ => break,
            }
        }
        if let Some(last) = batch.iter().last().filter(|last| last.origin.is_none()) {
            let name = if self.is_topic { batch.partition.to_string() } else { batch.partition.topic.to_string() };
            note(name, last.offset.saturating_add(1));
        }
    }
}

/// Columns under way, of a table that is made of events.
pub trait Rows: Send + Sized + 'static {
    /// The table's columns.
    fn schema() -> SchemaRef;
    /// No row yet.
    fn new() -> Self;
    /// Adds an event that stands at this place of the input.
    fn push(&mut self, event: &Event<'_>, order: u64, exclusion: Exclusion);
    /// All rows.
    ///
    /// # Errors
    ///
    /// As [`RecordBatch::try_new`].
    fn finish(self, schema: &SchemaRef) -> Result<RecordBatch>;
}

/// The acts of the input: tenant, agent, version, session, act.
pub struct Acts {
    tenants: StringBuilder,
    agents: StringBuilder,
    versions: StringBuilder,
    sessions: UInt64Builder,
    acts: BinaryBuilder,
    written: Vec<u8>,
}

impl Rows for Acts {
    fn schema() -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        Arc::new(Schema::new(vec![
            text("tenant"),
            text("agent"),
            text("version"),
            Field::new("session", DataType::UInt64, false),
            Field::new("act", DataType::Binary, false),
        ]))
    }

    fn new() -> Self {
        Self {
            tenants: StringBuilder::new(),
            agents: StringBuilder::new(),
            versions: StringBuilder::new(),
            sessions: UInt64Builder::new(),
            acts: BinaryBuilder::new(),
            written: Vec::new(),
        }
    }

    fn push(&mut self, event: &Event<'_>, order: u64, exclusion: Exclusion) {
        self.tenants.append_value(event.tenant.as_str());
        self.agents.append_value(event.agent.id.as_str());
        self.versions.append_value(event.agent.version.as_deref().unwrap_or(""));
        self.sessions.append_value(session_key(event));
        self.written.clear();
        Act::of(event, order).excluded(exclusion).write(&mut self.written);
        self.acts.append_value(&self.written);
    }

    fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.tenants.finish()),
            Arc::new(self.agents.finish()),
            Arc::new(self.versions.finish()),
            Arc::new(self.sessions.finish()),
            Arc::new(self.acts.finish()),
        ];
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

/// One of the threads that read.
struct Reader<R> {
    input: Arc<Input>,
    schema: SchemaRef,
    rows: PhantomData<fn() -> R>,
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("input", &self.input).finish_non_exhaustive()
    }
}

impl<R: Rows> PartitionStream for Reader<R> {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(self.schema.clone(), 2);
        let (sender, input, schema) = (builder.tx(), self.input.clone(), self.schema.clone());
        builder.spawn_blocking(move || {
            let external = |error: JobError| DataFusionError::External(Box::new(error));
            while let Some(batches) = input.next().map_err(external)? {
                let mut rows = R::new();
                for batch in &batches {
                    input.decode(batch, &mut rows).map_err(external)?;
                }
                if sender.blocking_send(rows.finish(&schema)).is_err() {
                    // Nobody wants more.
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}

/// The input as a table that so many threads read.
///
/// # Errors
///
/// As [`StreamingTable::try_new`].
pub fn table<R: Rows>(input: &Arc<Input>, threads: usize) -> Result<StreamingTable> {
    let schema = R::schema();
    let part = || {
        Arc::new(Reader { input: input.clone(), schema: schema.clone(), rows: PhantomData::<fn() -> R> })
            as Arc<dyn PartitionStream>
    };
    StreamingTable::try_new(schema.clone(), (0..threads).map(|_| part()).collect())
}
