//! An agent's two sections: what was learned of it, and what each event changes.

use std::borrow::Cow;
use std::sync::Arc;

use driftline_core::{Categories, HourCounts, Timestamp};
use serde::{Deserialize, Serialize};

use crate::agent::AgentState;
use crate::escalation::Denial;
use crate::neighbours::group_key;
use crate::rate::Hour;
use crate::repeats::Repeats;
use crate::session::Session;
use crate::state::value::{open, seal};
use crate::state::{At, Key, Section, StateError, StateRecord, wire};

/// What was learned: it changes when a session or an hour ends, and when a session begins under another group.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Baseline<'a> {
    #[serde(with = "wire::millis")]
    first_seen: Timestamp,
    /// `None` before it was put into one.
    #[serde(borrow)]
    group: Option<&'a str>,
    sessions_learned: u32,
    grants: u32,
    #[serde(with = "wire::categories")]
    tools: Cow<'a, Categories>,
    #[serde(with = "wire::categories")]
    families: Cow<'a, Categories>,
    #[serde(with = "wire::categories")]
    resources: Cow<'a, Categories>,
    #[serde(with = "wire::hours")]
    hours: Cow<'a, HourCounts>,
}

/// What an event changes.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Live<'a> {
    events: u64,
    #[serde(with = "wire::millis")]
    last_seen: Timestamp,
    version: u64,
    version_sessions: u32,
    risk: f32,
    #[serde(with = "wire::millis")]
    risk_at: Timestamp,
    shadow_raised: bool,
    hour: Cow<'a, Hour>,
    /// In the engine's order, in which they are learned from.
    sessions: Cow<'a, [Box<Session>]>,
    denials: Cow<'a, [Denial]>,
    repeats: Cow<'a, Repeats>,
}

impl<'a> Baseline<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        Self {
            first_seen: agent.first_seen,
            group: (agent.group_key != 0).then_some(&*agent.group),
            sessions_learned: agent.sessions_learned,
            grants: agent.grants,
            tools: Cow::Borrowed(&agent.tools),
            families: Cow::Borrowed(&agent.families),
            resources: Cow::Borrowed(&agent.resources),
            hours: Cow::Borrowed(&agent.hours),
        }
    }

    /// Puts it back; `names` gives the shared copy of a group's name.
    pub fn put(self, agent: &mut AgentState, names: &mut impl FnMut(&str) -> Arc<str>) {
        agent.first_seen = self.first_seen;
        agent.group = names(self.group.unwrap_or_default());
        agent.group_key = self.group.map_or(0, |group| group_key(&agent.tenant, group));
        agent.sessions_learned = self.sessions_learned;
        agent.grants = self.grants;
        agent.tools = self.tools.into_owned();
        agent.families = self.families.into_owned();
        agent.resources = self.resources.into_owned();
        agent.hours = self.hours.into_owned();
    }
}

impl<'a> Live<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        let (risk, risk_at) = agent.standing();
        Self {
            events: agent.events,
            last_seen: agent.last_seen,
            version: agent.version,
            version_sessions: agent.version_sessions,
            risk,
            risk_at,
            shadow_raised: agent.shadow_raised,
            hour: Cow::Borrowed(&agent.hour),
            sessions: Cow::Borrowed(&agent.sessions),
            denials: Cow::Borrowed(&agent.denials),
            repeats: Cow::Borrowed(&agent.repeats),
        }
    }

    /// Puts it back; says what cannot be so, and then nothing is changed.
    pub fn put(self, agent: &mut AgentState) -> Result<(), &'static str> {
        if !self.repeats.is_sound() {
            return Err("remembered ids that cannot be so");
        }
        if !self.sessions.iter().all(|session| session.is_sound()) {
            return Err("categories of a session that cannot be so");
        }
        agent.events = self.events;
        agent.last_seen = self.last_seen;
        agent.version = self.version;
        agent.version_sessions = self.version_sessions;
        agent.set_standing(self.risk, self.risk_at);
        agent.shadow_raised = self.shadow_raised;
        agent.hour = self.hour.into_owned();
        agent.sessions = self.sessions.into_owned();
        agent.denials = self.denials.into_owned();
        agent.repeats = self.repeats.into_owned();
        Ok(())
    }
}

/// An agent's two records.
pub fn records(agent: &AgentState) -> [StateRecord; 2] {
    [baseline(agent), live(agent)]
}

/// The record of what was learned of an agent.
pub fn baseline(agent: &AgentState) -> StateRecord {
    seal(Key::agent(&agent.tenant, &agent.id, Section::Baseline), &Baseline::of(agent))
}

/// The record of what an event of an agent changes.
pub fn live(agent: &AgentState) -> StateRecord {
    seal(Key::agent(&agent.tenant, &agent.id, Section::Live), &Live::of(agent))
}

/// Puts one of an agent's sections back; `bytes` is the key's own form.
///
/// # Errors
///
/// [`StateError`] where it cannot be read, or is no agent's.
pub fn put_section(
    key: Key<'_>,
    bytes: &[u8],
    value: &[u8],
    agent: &mut AgentState,
    mut names: &mut dyn FnMut(&str) -> Arc<str>,
) -> Result<(), StateError> {
    match key.section {
        Section::Baseline => open::<Baseline<'_>>(key, bytes, value)?.put(agent, &mut names),
        Section::Live => {
            let put = open::<Live<'_>>(key, bytes, value)?.put(agent);
            put.map_err(|reason| StateError::Body { at: At::of(key), reason: reason.to_owned() })?;
        }
        _ => return Err(StateError::key(bytes)),
    }
    Ok(())
}
