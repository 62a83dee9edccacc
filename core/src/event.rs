//! What an agent did: the event as the engine reads it.
//!
//! The parts are generic over their text: `Text<'a>` borrows from the record on the way in, `String` owns in what
//! Driftline writes ([`crate::ActionEvent`], [`crate::Alert`]).

use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::{Returned, Text, Timestamp};

/// What kind of act it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// A tool was called; also where the producer did not say.
    #[default]
    ToolCall,
    /// An API was called.
    ApiCall,
    /// Data was read or written.
    DataAccess,
    /// Somebody's permissions were changed.
    PermissionChange,
    /// A credential was used.
    CredentialUse,
    /// Work was handed to another agent.
    Delegation,
    /// A message was sent to another agent.
    Message,
    /// The agent logged in.
    Login,
    /// The agent was created, changed, suspended or retired.
    Lifecycle,
}

/// What the act does to what it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Reads it.
    Read,
    /// Changes or adds to it.
    Write,
    /// Removes it.
    Delete,
    /// Runs it.
    Execute,
    /// Gives somebody access to it.
    Grant,
}

/// How sensitive a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Anyone may see it.
    Public,
    /// Those inside may see it.
    Internal,
    /// Those who need it may see it.
    Confidential,
    /// Each access is accounted for.
    Restricted,
}

/// How the act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done; also where the producer did not say.
    #[default]
    Success,
    /// It was refused.
    Denied,
    /// It failed.
    Error,
}

impl Outcome {
    /// The contract's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Error => "error",
        }
    }
}

/// On whose behalf an agent acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A service.
    Service,
    /// Another agent.
    Agent,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Agent")]
pub struct Agent<S = String> {
    /// The agent's id, unique in its tenant.
    pub id: S,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<S>,
    /// Its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<S>,
    /// What it runs on (`langchain`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<S>,
    /// The language model it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<S>,
    /// Who makes the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<S>,
    /// The process or pod it ran in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<S>,
    /// Its SPIFFE ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<S>,
}

/// A run of the agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Session")]
pub struct Session<S = String> {
    /// The session's id, unique for the agent.
    pub id: S,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it may run no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Digest of the context it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_sha256: Option<S>,
}

/// On whose behalf the agent acted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Principal")]
pub struct Principal<S = String> {
    /// The person, service or agent.
    pub id: S,
    /// Which of these it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<PrincipalKind>,
}

/// What the agent was asked to do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Task")]
pub struct Task<S = String> {
    /// The task's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<S>,
    /// What kind of task it is (`refund`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<S>,
    /// The request in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<S>,
}

/// What the agent did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Action")]
pub struct Action<S = String> {
    /// The kind of act.
    #[serde(default)]
    pub kind: ActionKind,
    /// The tool, operation or method.
    pub name: S,
    /// The server that offers it (`mcp://files`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<S>,
    /// What it does to what it touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Digest of the tool's definition as the agent saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition_sha256: Option<S>,
}

/// What was touched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Resource")]
pub struct Resource<S = String> {
    /// The resource: a path, an address, a URL, an identifier.
    pub id: S,
    /// What kind of thing it is (`file`, `email`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<S>,
    /// As what it was touched (`recipient`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<S>,
    /// How sensitive it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<Sensitivity>,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<S>,
    /// `internal`, or `external`: content that outsiders can write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<S>,
}

/// What the act needed and what the agent held.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Permission")]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct Permission<S = String> {
    /// Permissions that the act needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<S>,
    /// Permissions that the agent held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<S>,
}

/// What a permission change gives, and to whom.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Grant")]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct Grant<S = String> {
    /// Who receives it.
    pub to: S,
    /// What is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<S>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What the agent proved itself with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Credential")]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct Credential<S = String> {
    /// The credential's id; never the secret itself.
    pub id: S,
    /// `oauth_token`, `api_key`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<S>,
    /// What it allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<S>,
    /// When it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One link of a chain of custody.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Delegation")]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct Delegation<S = String> {
    /// The agent that handed the work on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<S>,
    /// On whose behalf it held the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<S>,
    /// What it passed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<S>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What a gateway has checked of the agent's identity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Verified")]
pub struct Verified<S = String> {
    /// The gateway.
    pub by: S,
    /// By what: `svid`, `mtls`, `token` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<S>,
    /// Whether the attestation was checked too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation: Option<bool>,
}

/// Where the agent acted from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Network")]
pub struct Network<S = String> {
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<S>,
    /// Autonomous system number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// ISO 3166-1 alpha-2 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<S>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<S>,
}

/// A person's agreement, or refusal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Approval")]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct Approval<S = String> {
    /// The approval's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<S>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approver: Option<S>,
    /// In which roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<S>,
    /// `approved` or `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<S>,
    /// For which kind of act.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<S>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

impl<S: AsRef<str>> Approval<S> {
    /// Whether it is an agreement.
    pub fn is_approved(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.as_ref() == "approved")
    }
}

/// What the act used up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Bytes received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// Bytes sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// Records read or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Tokens read by the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written by the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Duration in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Cost in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// An action event as the engine reads it: it borrows from the record, and fields that no detector reads are skipped.
///
/// [`Event::decode`] makes one from a native record; other formats have decoders of their own in `driftline-ingest`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event<'a> {
    /// The producer's id, or the record's hash where there was none ([`crate::record_id`]).
    pub id: Text<'a>,
    /// When it happened.
    pub time: Timestamp,
    /// The organisation; empty where there is only one.
    pub tenant: Text<'a>,
    /// Who acted.
    pub agent: Agent<Text<'a>>,
    /// The run it was part of.
    pub session: Option<Session<Text<'a>>>,
    /// On whose behalf.
    pub principal: Option<Principal<Text<'a>>>,
    /// What was asked for.
    pub task: Option<Task<Text<'a>>>,
    /// What was done.
    pub action: Action<Text<'a>>,
    /// What was touched first of all.
    pub resource: Option<Resource<Text<'a>>>,
    /// What else the same act touched: recipients, attendees, files.
    pub resources: Vec<Resource<Text<'a>>>,
    /// What it returned.
    pub result: Option<Returned>,
    /// What it needed, and held.
    pub permission: Option<Permission<Text<'a>>>,
    /// What a permission change gives.
    pub grant: Option<Grant<Text<'a>>>,
    /// What it proved itself with.
    pub credential: Option<Credential<Text<'a>>>,
    /// The chain of custody, the original delegator first.
    pub delegation: Vec<Delegation<Text<'a>>>,
    /// Who agreed to it.
    pub approval: Option<Approval<Text<'a>>>,
    /// What a gateway checked.
    pub verified: Option<Verified<Text<'a>>>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used up.
    pub usage: Option<Usage>,
    /// Where it came from.
    pub network: Option<Network<Text<'a>>>,
    /// When it was read, where an archive says so.
    pub observed_at: Option<Timestamp>,
    /// Where it was read, where an archive says so.
    pub position: Option<Text<'a>>,
    /// XXH3 of the record it came in; a repeat of an id is judged by it.
    pub content: u128,
    /// Top-level fields that the contract does not know.
    pub unknown_fields: u32,
}

#[derive(Clone, Copy)]
enum Field {
    Id,
    Time,
    Tenant,
    Agent,
    Session,
    Principal,
    Task,
    Action,
    Resource,
    Resources,
    Permission,
    Grant,
    Credential,
    Delegation,
    Approval,
    Verified,
    Outcome,
    Usage,
    Network,
    Result,
    ObservedAt,
    Position,
    // In the contract, but read by no detector yet.
    Schema,
    Trace,
    Message,
    Peer,
    Attestation,
    Error,
    Reason,
    Attributes,
    Unknown,
}

impl Field {
    /// As bytes the names are told apart by a decision tree; as text, serde would compare one after the other.
    fn of(name: &[u8]) -> Self {
        match name {
            b"id" => Self::Id,
            b"time" => Self::Time,
            b"tenant" => Self::Tenant,
            b"agent" => Self::Agent,
            b"session" => Self::Session,
            b"principal" => Self::Principal,
            b"task" => Self::Task,
            b"action" => Self::Action,
            b"resource" => Self::Resource,
            b"resources" => Self::Resources,
            b"permission" => Self::Permission,
            b"grant" => Self::Grant,
            b"credential" => Self::Credential,
            b"delegation" => Self::Delegation,
            b"approval" => Self::Approval,
            b"verified" => Self::Verified,
            b"outcome" => Self::Outcome,
            b"usage" => Self::Usage,
            b"network" => Self::Network,
            b"observed_at" => Self::ObservedAt,
            b"position" => Self::Position,
            b"schema" => Self::Schema,
            b"trace" => Self::Trace,
            b"result" => Self::Result,
            b"message" => Self::Message,
            b"peer" => Self::Peer,
            b"attestation" => Self::Attestation,
            b"error" => Self::Error,
            b"reason" => Self::Reason,
            b"attributes" => Self::Attributes,
            _ => Self::Unknown,
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;

        impl Visitor<'_> for FieldVisitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Field, E> {
                Ok(Field::of(name.as_bytes()))
            }
        }

        deserializer.deserialize_identifier(FieldVisitor)
    }
}

impl Event<'_> {
    /// Longest id, in bytes, that is kept as it is. A state that grew with what producers call their events could grow past
    /// what its topic takes.
    pub const LONGEST_ID: usize = 256;

    /// An id that no other event has, and that is short enough to be kept: that of an event whose own was used with other
    /// bytes, or is too long.
    pub fn told_apart(&self) -> String {
        format!("{}~{:032x}", crate::truncate(&self.id, Self::LONGEST_ID), self.content)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Event<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut event = Event::default();
        Fill(&mut event).deserialize(deserializer)?;
        Ok(event)
    }
}

/// Reads into an event that is there already: it is large, and each return of one would copy it.
pub(crate) struct Fill<'e, 'a>(pub &'e mut Event<'a>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Fill<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Fill<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an action event (a JSON object)")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let event = self.0;
        // The bits of the fields seen: JSON leaves it open which of two equal keys counts, and producers and
        // their consumers must not disagree about it.
        let mut seen = 0u32;
        while let Some(field) = map.next_key::<Field>()? {
            if !matches!(field, Field::Unknown) {
                let bit = 1 << field as u32;
                if seen & bit != 0 {
                    return Err(M::Error::custom("a field stands twice"));
                }
                seen |= bit;
            }
            match field {
                Field::Id => event.id = map.next_value::<Option<Text<'a>>>()?.unwrap_or_default(),
                Field::Time => event.time = map.next_value()?,
                Field::Tenant => event.tenant = map.next_value::<Option<Text<'a>>>()?.unwrap_or_default(),
                Field::Agent => event.agent = map.next_value()?,
                Field::Session => event.session = map.next_value()?,
                Field::Principal => event.principal = map.next_value()?,
                Field::Task => event.task = map.next_value()?,
                Field::Action => event.action = map.next_value()?,
                Field::Resource => event.resource = map.next_value()?,
                Field::Resources => event.resources = map.next_value::<Option<_>>()?.unwrap_or_default(),
                Field::Result => event.result = map.next_value()?,
                Field::Permission => event.permission = map.next_value()?,
                Field::Grant => event.grant = map.next_value()?,
                Field::Credential => event.credential = map.next_value()?,
                Field::Delegation => event.delegation = map.next_value::<Option<_>>()?.unwrap_or_default(),
                Field::Approval => event.approval = map.next_value()?,
                Field::Verified => event.verified = map.next_value()?,
                Field::Outcome => event.outcome = map.next_value::<Option<_>>()?.unwrap_or_default(),
                Field::Usage => event.usage = map.next_value()?,
                Field::Network => event.network = map.next_value()?,
                Field::ObservedAt => event.observed_at = map.next_value()?,
                Field::Position => event.position = map.next_value()?,
                Field::Unknown => {
                    event.unknown_fields += 1;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        for (field, name) in [(Field::Time, "time"), (Field::Agent, "agent"), (Field::Action, "action")] {
            if seen & (1 << field as u32) == 0 {
                return Err(M::Error::missing_field(name));
            }
        }
        if event.agent.id.is_empty() {
            return Err(M::Error::custom("agent.id is empty"));
        }
        if event.action.name.is_empty() {
            return Err(M::Error::custom("action.name is empty"));
        }
        Ok(())
    }
}
