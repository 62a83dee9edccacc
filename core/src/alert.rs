//! What people receive: alert v1, and the ids that make a replay raise the same ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Access, Action, Credential, Delegation, Network, Principal, Resource, Sensitivity, Session, Task, Timestamp,
};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word that the contract uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// In what sense an act departs from what it should be; several may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The identity document does not provide for it.
    Undeclared,
    /// The permissions held do not cover it.
    OutsideGrant,
    /// It is not what this agent does.
    Unusual,
}

/// Whether the alert's cause holds still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It does.
    #[default]
    Firing,
    /// It no longer does.
    Resolved,
}

/// Something that an alert concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct EntityRef {
    /// `agent`, `session`, `credential`, …
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// The agent that an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct AlertAgent {
    /// Its id.
    pub id: String,
    /// Its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who answers for it, by its identity document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its team, by its identity document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Whether a listed gateway has verified the identity.
    #[serde(default)]
    pub verified: bool,
}

/// One piece of what led to the alert: what was seen beside what is usual.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was looked at (`tool`, `resource`, `events_per_hour`, …).
    pub feature: String,
    /// What was seen.
    pub observed: String,
    /// What is usual, the most usual first, with shares or counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// How many observations the usual was learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_count: Option<u64>,
    /// Whether its peers do it (`3 of 12 peers`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<String>,
    /// How improbable it is for this agent, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
}

/// One act of a finding that is made of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When.
    pub time: Timestamp,
    /// Which event.
    pub event: String,
    /// What happened, in words.
    pub what: String,
}

/// Where a dimension of behaviour moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// Which.
    pub dimension: String,
    /// Since when.
    pub since: Timestamp,
    /// From what.
    pub from: String,
    /// To what.
    pub to: String,
}

/// What was at stake, as far as known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Impact {
    /// Bytes sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// Records touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Distinct resources touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<u64>,
    /// The most sensitive of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<Sensitivity>,
    /// What it cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// The baseline that an alert was judged by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BaselineRef {
    /// The published version; absent where it was learned from the stream alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Events that it was learned from.
    pub events: u64,
    /// When the first of them happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// The rule that an alert was raised by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RuleRef {
    /// Its id.
    pub id: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Alert, v1: one JSON object on the alerts topic, in alert files, and in the body of webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// [`Alert::SCHEMA`].
    pub schema: String,
    /// The same for the same alert of a replay ([`alert_id`]).
    pub id: Uuid,
    /// The same for repeats of one cause ([`fingerprint`]).
    pub fingerprint: String,
    /// Event time of the event, or the deadline, that tipped it.
    pub time: Timestamp,
    /// When it was raised, by the machine's clock; in a replay equal to `time`.
    pub detected_at: Timestamp,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// All that it concerns.
    pub entities: Vec<EntityRef>,
    /// The organisation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// The agent; absent for a finding about many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AlertAgent>,
    /// The run it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// On whose behalf the agent acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The chain of custody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegation: Vec<Delegation>,
    /// The act that tipped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What that act touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// What it proved itself with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The strongest contributor.
    pub detector: String,
    /// `deviation` for what learned detectors decide together, else the finding's kind.
    pub family: String,
    /// The detector's own finer name.
    pub kind: String,
    /// In what sense it departs.
    pub basis: Vec<Basis>,
    /// A sentence that names who and what.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// The agent's risk after this alert, 0 to 100.
    pub risk: f64,
    /// The probability of evidence as strong from an honest session; absent for a deterministic finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The evidence itself, as a betting score; absent for a deterministic finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_value: Option<f64>,
    /// What was seen beside what is usual, the strongest first.
    pub evidence: Vec<Evidence>,
    /// The acts of a finding that is made of several, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Where behaviour moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What was at stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// Ids of the contributing events.
    pub events: Vec<String>,
    /// MITRE ATT&CK technique ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attack: Vec<String>,
    /// MITRE ATLAS technique ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub atlas: Vec<String>,
    /// OWASP agentic ids (ASI01 to ASI10).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owasp: Vec<String>,
    /// What happened, in a sentence.
    pub summary: String,
    /// What to do, in a sentence.
    pub recommendation: String,
    /// What it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineRef>,
    /// The rule, where one raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
    /// The identity document's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The hash of the settings in force.
    pub config: String,
    /// What routing matches on.
    pub labels: std::collections::BTreeMap<String, String>,
}

impl Alert {
    /// The value of [`Alert::schema`].
    pub const SCHEMA: &'static str = "driftline.alert/1";
}

/// The namespace of alert ids (a random UUID, fixed for ever).
const NAMESPACE: Uuid = Uuid::from_u128(0x7d1c_5c0e_91f4_4f0b_a6d2_3e8b_52c7_90ae);

/// The id of an alert: a UUIDv5 (RFC 9562) of what it is about and what tipped it, and of nothing that a new version of
/// a detector would change.
///
/// The parts are joined by a byte that none can hold unescaped (U+0000 is escaped in JSON text and refused in names).
pub fn alert_id(tenant: &str, entity_kind: &str, entity_id: &str, family: &str, anchor: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, [tenant, entity_kind, entity_id, family, anchor].join("\0").as_bytes())
}

/// The fingerprint that groups repeats of one cause: 16 hexadecimal digits.
pub fn fingerprint(tenant: &str, entity_kind: &str, entity_id: &str, family: &str, kind: &str) -> String {
    let joined = [tenant, entity_kind, entity_id, family, kind].join("\0");
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(joined.as_bytes()))
}

/// Whether an access changes something.
impl Access {
    /// Writes, deletions, runs and grants do; reads do not.
    pub const fn is_change(self) -> bool {
        !matches!(self, Self::Read)
    }
}
