//! Driftline's jobs over history, on DataFusion: baselines from months of events (`build`), and SQL over
//! events, alerts and baselines (`query`).
//!
//! ```text
//! files, topic, archive ─► our own decoder ─► Arrow ─► by session: session_log(act) ─► by agent and version: baseline(log) ─► store
//! ```
//!
//! Both steps are aggregates of DataFusion whose partial state is a value of `driftline_core::baseline`, so that whatever
//! the plan does (partitions, threads, spilling to disk) the outcome is the same. All of it stands behind the feature
//! `datafusion`: it takes minutes to build.
#![cfg(feature = "datafusion")]

mod alerts;
mod archive;
pub mod build;
pub mod diff;
mod error;
mod exclude;
mod logs;
mod merged;
mod output;
pub mod query;
mod scan;
pub mod show;
mod topic;
pub mod versions;

pub use error::JobError;
