//! Records in, and what must be kept out again: sources, decoders, positions, dead letters, and all of Driftline's use of
//! Kafka. It knows nothing of detectors.
//!
//! ```
//! use std::time::Duration;
//! use driftline_core::Limits;
//! use driftline_ingest::{FileOptions, FileSource, Polled, Source, decoder};
//!
//! # let folder = std::env::temp_dir().join(format!("driftline-ingest-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("day.ndjson").display().to_string();
//! std::fs::write(&path, "{\"time\": 0, \"agent\": {\"id\": \"a\"}, \"action\": {\"name\": \"read_file\"}}\n")?;
//! let mut source = FileSource::open(&[&path], FileOptions::default())?;
//! let native = decoder::by_name("native")?;
//! let mut agents = Vec::new();
//! loop {
//!     match source.poll(Duration::from_millis(100))? {
//!         Polled::Records(batches) => {
//!             for record in batches.iter().flat_map(|batch| batch.iter()) {
//!                 decoder::decode(native, &record, &Limits::default(), &mut |event| {
//!                     agents.extend(event.map(|event| event.agent.id.to_string()));
//!                 });
//!             }
//!         }
//!         Polled::Finished => break,
//!         _ => {}
//!     }
//! }
//! assert_eq!(agents, ["a"]);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dead_letter;
pub mod decoder;
pub mod dump;
pub mod failpoints;
mod file;
mod forward;
pub mod kafka;
mod memory;
mod source;
#[cfg(feature = "testing")]
pub mod testing;

pub use dead_letter::{DeadLetter, Streak};
pub use decoder::Decoder;
pub use file::{FileError, FileOptions, FileSource, Place};
pub use forward::forward;
pub use memory::{MemorySource, OwnedRecord};
pub use source::{
    Assignment, LogEnd, PartitionBatch, Polled, Progress, Record, Records, Source, SourceError, TopicPartition, now,
};
