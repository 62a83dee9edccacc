//! What an agent's own events do not say: numbered control records.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{IdentityDocument, Limits, Position, Timestamp};

/// One record of the control log. The log is a total order: a record's number is its offset in the control topic, or
/// its line in a file, from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlRecord {
    /// [`ControlRecord::SCHEMA`].
    pub schema: String,
    /// Its place in the log.
    pub number: u64,
    /// Position from which it holds in the partitions of the instance that wrote it: the next offset of each
    /// `topic/partition` there. For the partitions of others, [`Applied`] says it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions: BTreeMap<String, i64>,
    /// What it says.
    #[serde(flatten)]
    pub change: Change,
}

/// From where control records hold in partitions of an instance that has not written them: a note in the same topic. It
/// has no number, and is in the transaction that commits these positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// [`Applied::SCHEMA`].
    pub schema: String,
    /// The number of the first record it is about.
    pub from: u64,
    /// The number after the last one.
    pub until: u64,
    /// The next offset of each `topic/partition` when they were applied there.
    pub positions: BTreeMap<String, i64>,
}

/// What stands in a control topic, or in a line of a control log.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlEntry {
    /// A record.
    Record(ControlRecord),
    /// A note of where records hold.
    Applied(Applied),
}

/// What a control record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The settings that decide; the first record of a log.
    Settings {
        /// All of them.
        settings: Settings,
    },
    /// An identity document is new or changed.
    Identity {
        /// The document.
        document: Box<IdentityDocument>,
    },
    /// An identity document is gone.
    IdentityRemoved {
        /// Its tenant, where it named one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<String>,
        /// The agent's id.
        id: String,
    },
    /// Event time has come this far for everybody.
    Clock {
        /// The watermark.
        clock: Timestamp,
    },
    /// An hour of event time is closed: what many agents did in it.
    Epoch {
        /// The statistics.
        epoch: Epoch,
    },
    /// Agents are known from a published baseline. What it says of each of them, engines are given beside the log.
    Baseline {
        /// The version's name in its store.
        version: String,
        /// The hash of its content, in hexadecimal.
        content: String,
        /// What its agents have done together, where the log begins with it. It ends with the history, and closes no hour
        /// of the stream. Of one that is taken up later, engines contribute to the next hour's epoch what is new of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        /// What of the stream it contains.
        #[serde(default)]
        contained: Contained,
        /// Which engine has which agents; `None` where that is nobody else's business.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spread: Option<Spread>,
    },
}

/// What a baseline was built from, so that no event is learned twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contained {
    /// Of each `topic/partition` the offset of the first record that it does not contain.
    pub positions: BTreeMap<String, i64>,
    /// The earliest event time that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Its last event.
    pub last: Timestamp,
}

impl Contained {
    /// Whether an event of this time, in a record that stands before the position, is in it. One that is later than all of
    /// it was not learned, or is of another topic of that name.
    pub fn spans(&self, time: Timestamp) -> bool {
        time <= self.last && self.since.is_none_or(|since| since <= time)
    }

    /// Whether an event of this time, in a record at this position, is in it.
    pub fn has(&self, position: &Position, time: Timestamp) -> bool {
        position.is_before(&self.positions) && self.spans(time)
    }
}

/// How agents are spread over the partitions of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How many partitions there are.
    pub partitions: i32,
    /// Whether the key that a partition is chosen by has the tenant in it.
    pub by_tenant: bool,
}

/// Settings that change which alerts are raised. They are part of the control log, so that a replay decides alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Sessions whose evidence would come from an honest session with at most this probability are alerted on. Default:
    /// what the budget gives, or without one the fixed level that the detectors were measured at.
    pub level: Option<f64>,
    /// False alerts that are acceptable in a day of event time, in each part of the fleet that `budget_scope` names. Of no
    /// effect beside a level.
    pub alert_budget: Option<f64>,
    /// Whose false alerts the budget is about.
    pub budget_scope: BudgetScope,
    /// Whether baselines learn from what is scored. Default true.
    pub learn: bool,
    /// How far an event may lag behind the newest one before the clock passes it, in milliseconds. Default 10 minutes.
    pub allowed_lateness_ms: i64,
    /// How far an event's time may run ahead of the time it was read at; later times are held to that. Milliseconds,
    /// default 5 minutes.
    pub allowed_earliness_ms: i64,
    /// Share of a tenant's agents that must have an identity document before an agent without one is alerted on by
    /// itself. Until then they are listed in one finding. Default 0.8.
    pub registration_share: f64,
    /// Gateways whose word on an agent's identity is believed.
    pub gateways: Vec<String>,
    /// Bounds on what is kept.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: None,
            alert_budget: None,
            budget_scope: BudgetScope::Fleet,
            learn: true,
            allowed_lateness_ms: 10 * 60_000,
            allowed_earliness_ms: 5 * 60_000,
            registration_share: 0.8,
            gateways: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// Whose false alerts a budget is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// All agents' together.
    #[default]
    Fleet,
    /// Each tenant's own.
    Tenant,
    /// Each peer group's own.
    Group,
}

/// What agents did together in an hour of event time. Everything in it is a sum of integers or a sorted list, so that
/// contributions merge to the same epoch in whatever order they come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// Which epoch, from 0.
    pub number: u64,
    /// The hour's end.
    pub until: Timestamp,
    /// By peer group, ordered by tenant and name.
    pub groups: Vec<GroupCounts>,
    /// By tenant, ordered by name.
    pub tenants: Vec<TenantCounts>,
}

/// What came to a peer group's baseline in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupCounts {
    /// The tenant.
    pub tenant: String,
    /// The group.
    pub group: String,
    /// Agents that were learned from for the first time.
    pub agents: u64,
    /// Judgements begun that could each end in a false alert: of sessions, and of hours.
    #[serde(default)]
    pub tests: u64,
    /// For each category: how many of its agents used it for the first time. Ordered by dimension and key.
    pub keys: Vec<KeyCount>,
}

/// How many more agents of a group use a category. There are many in a record, so it is written as an array of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u8, u64, u32)", into = "(u8, u64, u32)")]
pub struct KeyCount {
    /// The dimension.
    pub dimension: u8,
    /// The category's key ([`crate::key`]).
    pub key: u64,
    /// Agents.
    pub agents: u32,
}

impl From<(u8, u64, u32)> for KeyCount {
    fn from((dimension, key, agents): (u8, u64, u32)) -> Self {
        Self { dimension, key, agents }
    }
}

impl From<KeyCount> for (u8, u64, u32) {
    fn from(count: KeyCount) -> Self {
        (count.dimension, count.key, count.agents)
    }
}

/// Counts over the agents of a tenant in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TenantCounts {
    /// The tenant.
    pub tenant: String,
    /// Agents seen for the first time that have an identity document.
    pub registered: u64,
    /// Agents seen for the first time that have none.
    pub unregistered: u64,
    /// Some of these: the least ids, at most [`TenantCounts::SAMPLE`].
    pub sample: Vec<String>,
    /// Events of agents that found no room ([`Limits::agents_per_tenant`], [`Limits::new_agents_per_hour`]). Of tenants that
    /// are not kept they stand under the tenant without a name.
    pub turned_away: u64,
}

impl TenantCounts {
    /// Most ids in [`TenantCounts::sample`].
    pub const SAMPLE: usize = 20;
}

/// A line of a control log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("not a control record: {0}")]
pub struct ControlError(#[from] serde_json::Error);

impl Applied {
    /// The value of [`Applied::schema`].
    pub const SCHEMA: &'static str = "driftline.applied/1";

    /// A note about the records `from..until`.
    pub fn new(from: u64, until: u64, positions: BTreeMap<String, i64>) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), from, until, positions }
    }
}

impl ControlEntry {
    /// Reads one entry, by its `schema`.
    ///
    /// # Errors
    ///
    /// [`ControlError`] where the bytes are neither.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlError> {
        #[derive(Deserialize)]
        struct Kind<'b> {
            #[serde(borrow)]
            schema: std::borrow::Cow<'b, str>,
        }
        match serde_json::from_slice::<Kind<'_>>(bytes)?.schema.as_ref() {
            Applied::SCHEMA => Ok(Self::Applied(serde_json::from_slice(bytes)?)),
            _ => Ok(Self::Record(serde_json::from_slice(bytes)?)),
        }
    }
}

impl ControlRecord {
    /// The value of [`ControlRecord::schema`].
    pub const SCHEMA: &'static str = "driftline.control/1";

    /// A record that holds wherever the reader stands.
    pub fn new(number: u64, change: Change) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), number, positions: BTreeMap::new(), change }
    }
}
