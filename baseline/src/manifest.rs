//! What a version says about itself.

use std::collections::BTreeMap;

use driftline_core::Timestamp;
use serde::{Deserialize, Serialize};

/// What baselines were built from; whoever publishes them says it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct About {
    /// When it was built.
    pub created_at: Timestamp,
    /// Files, folders or topic, as they were given.
    pub source: Vec<String>,
    /// The earliest event time that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The event time before which all had to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How far each part of the source was read: the next offset of `topic/partition`, or the next line of a file.
    pub positions: BTreeMap<String, i64>,
    /// The same of files, whatever they are called: what they begin with, and all that was read of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Records that are no events.
    pub rejected: u64,
    /// Events outside the range.
    pub outside: u64,
    /// The program's version.
    pub tool: String,
}

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// The line after the last record that was read, from 1.
    pub next: u64,
    /// A hash of the first record and its line, in hexadecimal.
    pub first: String,
    /// A hash of all records that were read, and of their lines, in hexadecimal.
    pub all: String,
}

/// What a version holds, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`Manifest::SCHEMA`].
    pub schema: String,
    /// The version: the first 16 hexadecimal digits of `content`.
    pub version: String,
    /// The 128-bit XXH3 of all files beside this one, in hexadecimal. It tells damage, not malice: who may write to the store is up
    /// to the file system.
    pub content: String,
    /// Agents.
    pub agents: u64,
    /// Versions of agents.
    pub versions: u64,
    /// Sessions that were learned.
    pub sessions: u64,
    /// Sessions that were kept out, since they were alerted on.
    #[serde(default)]
    pub excluded: u64,
    /// Events that were learned; of records that come twice in a session, one.
    pub events: u64,
    /// The first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// What it was built from.
    #[serde(flatten)]
    pub about: About,
}

impl Manifest {
    /// The value of [`Manifest::schema`].
    pub const SCHEMA: &'static str = "driftline.baseline-manifest/1";
}
