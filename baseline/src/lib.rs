//! The store of published baselines: what agents were found to do over history, kept as versions that never change, so
//! that a later run can begin with them and name what it began with.
//!
//! A version is a folder `STORE/VERSION`: `baselines.zst`, which is what is read back; the same as tables for SQL,
//! `agents.parquet`, a row for each version of each agent, and `counts.parquet`, a row for each thing that was counted of it;
//! and `manifest.json` ([`Manifest`]). It is named after its content, so that publishing the same twice gives one version.
//! `STORE/current` names the version in force.
//!
//! To publish takes the feature `publish`, which has Parquet in it; to read takes nothing of it.
//!
//! ```
//! # #[cfg(feature = "publish")] {
//! use driftline_baseline::{About, Entry, Store};
//! use driftline_core::baseline::{Act, Baseline, SessionLog};
//! use driftline_core::{Event, Limits};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let record = br#"{"time": 0, "agent": {"id": "support"}, "action": {"name": "look"}}"#;
//! let mut log = SessionLog::default();
//! log.push(&Act::of(&Event::decode(record, &Limits::default())?, 0));
//! let mut baseline = Baseline::new(1024);
//! log.lessons(|lesson| baseline.learn(lesson));
//! let entry = Entry { tenant: "acme".into(), agent: "support".into(), version: "1.0".into(), baseline };
//!
//! let store = Store::new(folder);
//! let published = store.publish(std::iter::once(entry.clone()), About::default())?;
//! assert_eq!(store.find("current")?, published);
//! assert_eq!(store.read(&published.version)?, [entry]);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compact;
mod diff;
mod error;
mod manifest;
mod store;
#[cfg(feature = "publish")]
mod tables;

pub use diff::{Change, Difference, Kind};
pub use driftline_core::baseline::Entry;
pub use error::StoreError;
pub use manifest::{About, Manifest, Part};
pub use store::Store;
