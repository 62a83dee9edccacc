//! The vocabulary of Driftline: what an agent did ([`Event`]), what it may do ([`IdentityDocument`]), what the engine
//! must be told besides ([`ControlRecord`]), and what people receive ([`Alert`]).
//!
//! Nothing here does I/O, awaits, or reads a clock; every other crate depends on this one and this one on none of them.
//!
//! ```
//! use driftline_core::{Event, Limits};
//!
//! let record = br#"{"time": "2026-03-02T08:11:24.715Z", "agent": {"id": "support-assistant"}, "action": {"name": "read_file"}}"#;
//! let event = Event::decode(record, &Limits::default())?;
//! assert_eq!(event.agent.id.as_str(), "support-assistant");
//! assert!(event.id.as_str().starts_with("h-"), "an event without an id gets the hash of its record");
//! # Ok::<(), driftline_core::DecodeError>(())
//! ```

mod action_event;
mod alert;
pub mod baseline;
mod categories;
mod control;
mod decode;
mod escape;
mod event;
mod habits;
mod hash;
mod hours;
mod identity;
mod limits;
mod mentions;
pub mod observation;
pub mod packed;
mod position;
pub mod pursuit;
mod requests;
mod targets;
mod text;
mod time;
mod wire_name;
pub mod words;

pub use action_event::{ActionEvent, Attestation, Mentions, Message, Peer, ResultInfo, Trace};
pub use alert::{
    Alert, AlertAgent, AlertStatus, BaselineRef, Basis, Drift, EntityRef, Evidence, Impact, RuleRef, Severity, Step,
    alert_id, fingerprint,
};
pub use categories::Categories;
pub use control::{
    Applied, BudgetScope, Change, Contained, ControlEntry, ControlError, ControlRecord, Epoch, GroupCounts, KeyCount,
    Settings, Spread, TenantCounts,
};
pub use decode::DecodeError;
pub use escape::{terminal, truncate};
pub use event::{
    Access, Action, ActionKind, Agent, Approval, Credential, Delegation, Event, Grant, Network, Outcome, Permission,
    Principal, PrincipalKind, Resource, Sensitivity, Session, Task, Usage, Verified,
};
pub use habits::Habits;
pub use hash::{key, mention, mention_number, pair_key, record_hash, record_id};
pub use hours::HourCounts;
pub use identity::{
    Capability, CredentialGrant, DataAccess, DocumentError, ExpectedAttestation, HumanOversight, IdentityDocument,
    RiskLevel, Signature, Status, ToolGrant,
};
pub use limits::Limits;
pub use mentions::{Mentioned, Returned};
pub use position::Position;
pub use requests::{Request, Requests};
pub use targets::{Origin, Origins, Targets};
pub use text::Text;
pub use time::{ParseTimeError, Timestamp};
pub use wire_name::wire_name;
pub use words::Words;
