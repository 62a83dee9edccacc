//! An engine's state as records, so that it can leave the process and come back exactly: into a compacted changelog, or
//! a local store.
//!
//! A [`StateRecord`] is a key and a whole value, or a key without one where the section is gone (a tombstone). Whoever
//! keeps the last record of each key holds the state: nothing is ever added to a value in place, so that compaction
//! loses nothing. [`crate::Engine::take_changes`] says what has changed, [`crate::Engine::restore`] takes it back.
//!
//! What is not state: the world, which is the fold of the control log; the counters; alerts that were not taken (take
//! them in the same commit); and what is derived from the rest (deadlines, the index to agents, documents looked up).
//!
//! # Keys
//!
//! | part | bytes | |
//! | --- | --- | --- |
//! | kind of the entity | 1 | `0` the partition, `1` an agent |
//! | tenant | LEB128 length in as few bytes as it takes, then UTF-8 | |
//! | id | the same | |
//! | section | 1 | see below |
//! | category | 8, big-endian | of the section `name` only |
//!
//! Any two different keys differ in bytes, whatever is in tenant and id, and none is the beginning of another. In byte
//! order the partition comes first, then agents, with an agent's sections side by side.
//!
//! | section | number | entity | holds |
//! | --- | --- | --- | --- |
//! | `baseline` | 1 | agent | what was learned: tools, families, resources, hours, grants, its group, when it was first seen; from version 2 on, versions, requests and targets; from version 3 on, networks and clients; from version 4 on, what drift is told by; from version 5 on, what sessions sent |
//! | `live` | 2 | agent | what an event changes: sessions, refusals, the hour, the last ids, risk, version; from version 2 on, what sessions pursue; from version 4 on, their course |
//! | `group` | 3 | partition (tenant, group) | what the next epoch will say of a peer group; from version 3 on, judgements begun |
//! | `tenant` | 4 | partition (tenant) | what the next epoch will say of a tenant |
//! | `name` | 5 | partition | the name of a category, for explanations |
//! | `arrivals` | 6 | partition | how many new agents each tenant has brought in the clock's hour; not there before the first |
//!
//! # Values
//!
//! | part | bytes | |
//! | --- | --- | --- |
//! | version | 1 | [`VERSION`] |
//! | section | 1 | as in the key |
//! | body | | [postcard](https://postcard.jamesmunns.com/wire-format) of the section's type, below |
//! | checksum | 8, little-endian | XXH3-64 of all before it, seeded with the XXH3-64 of the key: a value under another's key is found out |
//!
//! The bodies are what serde derives for `Baseline` and `Live` (`state/agent.rs`) and the types inside them (`Session`,
//! `Surprise`, `Denial`, `Hour`, `Repeats`, `Wealth`, `Expected`, `Dimension`, and `Severity`, `Sensitivity` and `Access`
//! of core), for what version 2 adds (`Baseline2`, `Live2`, `Pursuit`, `Request`, `Origin`) version 3 (`Baseline3`, `GroupBody3`) and version 4
//! (`Baseline4`, `Live4`, `Course`, `Drift`, `Tasks`, `Task`, `Histogram`, `Wager`, `Tally`) and version 5 (`Baseline5`), and for `GroupBody`, `TenantBody`, `NameBody` and
//! `ArrivalsBody` (`state/partition.rs`). Postcard writes fields in the order
//! of their declaration, without names, and variants by number: **to move, add, remove or retype one is to change the
//! format**. `tests/state.rs` reads a file of each version and fails then; a change takes a new version, and whoever must
//! read the old one keeps its types.

mod agent;
mod changes;
mod error;
mod key;
mod partition;
mod restore;
mod value;
pub(crate) mod wire;

pub(crate) use agent::{put_section, records as agent_records};
pub(crate) use changes::Changes;
pub use error::{At, StateError};
pub use key::{Entity, Key, Kind, Section};
pub use restore::Restoring;
pub use value::VERSION;

/// One section of one entity, whole; without a value where it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// Of what ([`Key::parse`] reads it).
    pub key: Vec<u8>,
    /// The section, or `None` for a tombstone.
    pub value: Option<Vec<u8>>,
}
