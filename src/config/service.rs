//! The process itself: identity documents, HTTP, logs, metrics, and its place in the group.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use driftline_baseline::Store;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::Source;

/// What agents are and may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identities {
    /// A folder of identity documents, one `.yaml`, `.yml` or `.json` file each; folders in it are not read.
    pub path: PathBuf,
    /// How often the folder is looked at for changes.
    #[serde(default = "reload", with = "friendly")]
    #[schemars(with = "String")]
    pub reload: Duration,
}

fn reload() -> Duration {
    Duration::from_secs(30)
}

/// What agents are known from before the stream tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// A store of published baselines, which all instances can read: a folder, of which the version in force is taken, or
    /// `FOLDER@VERSION`. A version that is put in force later is taken up without a restart, once the stream has read what it
    /// contains.
    pub store: String,
    /// How often the store is looked at for another version.
    #[serde(default = "reload", with = "friendly")]
    #[schemars(with = "String")]
    pub reload: Duration,
}

impl Baseline {
    /// A store that is looked at as often as is usual.
    pub fn of(store: &str) -> Self {
        Self { store: store.to_owned(), reload: reload() }
    }

    /// What stands in the way of it: the field, and what to do.
    pub fn problem(&self, source: &Source) -> Option<(&'static str, String)> {
        if self.reload.is_zero() {
            return Some(("baseline.reload", "is 0; give a time, as in 30s".to_owned()));
        }
        if let Source::Files(_) = source {
            let message = "goes with `[source.kafka]`, whose positions tell what a baseline contains; over files, \
                           `driftline replay --baseline` begins with one";
            return Some(("baseline", message.to_owned()));
        }
        let (store, version) = Store::at(&self.store);
        store.find(version).err().map(|error| ("baseline.store", error.to_string()))
    }
}

/// Where what is read is kept, as Parquet files: each record once, and complete or not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// A folder, which all instances write to: `tenant=…/date=…/hour=…/`, and `_listing/` that tells what is complete. It takes
    /// a program that was built with the feature `archive`.
    pub path: String,
    /// How long records wait at most until they are written; the longer, the fewer and larger the files are.
    #[serde(default = "every", with = "friendly")]
    #[schemars(with = "String")]
    pub every: Duration,
}

fn every() -> Duration {
    Duration::from_secs(300)
}

impl Archive {
    /// A folder that is written to as often as is usual.
    pub fn of(path: &str) -> Self {
        Self { path: path.to_owned(), every: every() }
    }

    /// What stands in the way of it: the field, and what to do.
    pub fn problem(&self, source: &Source) -> Option<(&'static str, String)> {
        if self.every.is_zero() {
            return Some(("archive.every", "is 0; give a time, as in 5m".to_owned()));
        }
        if let Source::Files(_) = source {
            return Some(("archive", "goes with `[source.kafka]`: files are kept as they are".to_owned()));
        }
        #[cfg(feature = "archive")]
        return driftline_archive::Archive::at(&self.path).err().map(|error| ("archive.path", error.to_string()));
        #[cfg(not(feature = "archive"))]
        Some(("archive", "this program was built without it: cargo build --release --features archive".to_owned()))
    }
}

/// The listener for `/metrics`, `/healthz` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port. Other than on this machine's loopback address, anyone who reaches the port can read the
    /// metrics: there is no authentication.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)) }
    }
}

/// What is logged, to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or by module, as in `info,driftline_ingest=debug`. The
    /// variable `RUST_LOG` goes before it.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// This process among those of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Instance {
    /// Its name in the consumer group and in transactions; no two running instances share it. Where absent, a random
    /// one is kept in the state folder.
    pub id: Option<String>,
    /// The folder of what this instance keeps. Over files, the database of position, state, control log and alerts is in it.
    pub state: PathBuf,
    /// Agents that are in memory at most, all partitions together; about 2 KB each. Past it those that were heard of
    /// longest ago go to a file in the state folder, and come back when they are heard of. Decides nothing: alerts are the
    /// same for any number.
    pub agents_in_memory: usize,
}

impl Default for Instance {
    fn default() -> Self {
        Self { id: None, state: PathBuf::from("driftline-state"), agents_in_memory: 1_000_000 }
    }
}

/// How long something may stand still before it is told. Machine time; no alert depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Watchdog {
    /// The scoring thread does not come round: `/readyz` says so. Past librdkafka's `max.poll.interval.ms` (five minutes)
    /// its partitions go to others; this is to be well below.
    #[serde(with = "friendly")]
    #[schemars(with = "String")]
    pub scoring: Duration,
    /// A commit does not end: `/readyz` says so.
    #[serde(with = "friendly")]
    #[schemars(with = "String")]
    pub commit: Duration,
    /// A partition has more to read, and its position does not move: `/readyz` says so.
    #[serde(with = "friendly")]
    #[schemars(with = "String")]
    pub partition: Duration,
    /// Alerts wait for a sink, and none goes out: `/readyz` says so.
    #[serde(with = "friendly")]
    #[schemars(with = "String")]
    pub sink: Duration,
    /// The scoring thread does not come round for so long that it will not any more: `/healthz` fails, so that whoever
    /// looks after the process starts it anew. A commit that is waited for is no such case.
    #[serde(with = "friendly")]
    #[schemars(with = "String")]
    pub hung: Duration,
}

impl Default for Watchdog {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            scoring: seconds(30),
            commit: seconds(30),
            partition: seconds(60),
            sink: seconds(300),
            hung: seconds(600),
        }
    }
}

/// What is counted for Prometheus beyond the fixed set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// How many agents, the riskiest, have series of their own (for a short time up to twice as many); at most 1,000. The
    /// others are summed up as `other`.
    pub top_agents: usize,
}

impl Metrics {
    /// The largest value of [`Metrics::top_agents`].
    pub const MAX_TOP_AGENTS: usize = 1000;
}

impl Default for Metrics {
    fn default() -> Self {
        Self { top_agents: 20 }
    }
}
