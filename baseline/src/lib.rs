//! The store of published baselines: what agents were found to do by a run over history, kept as versions that never
//! change, so that a later run can begin with them and name what it began with.
//!
//! A version is a folder `STORE/VERSION` with two files: `baselines.ndjson`, a line an agent ([`Baseline`]), and
//! `manifest.json` ([`Manifest`]). It is named after its content, so that publishing the same twice gives one version.
//!
//! ```
//! use driftline_baseline::{Baseline, Store};
//! use driftline_core::Timestamp;
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let mut baseline = Baseline { tenant: "acme".to_owned(), agent: "support".to_owned(), ..Baseline::default() };
//! baseline.tools.learn(7, 3);
//! let store = Store::new(folder);
//! let published = store.publish(vec![baseline.clone()], "2026-03-02T00:00:00Z".parse::<Timestamp>()?, "history/*.ndjson")?;
//! let manifest = store.find("latest")?;
//! assert_eq!(manifest, published);
//! assert_eq!(store.read(&manifest.version)?, [baseline]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod baseline;
mod error;
mod store;

pub use baseline::Baseline;
pub use error::StoreError;
pub use store::{Manifest, Store};
