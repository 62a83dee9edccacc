//! An agent's two sections: what was learned of it, and what each event changes.

use std::borrow::Cow;
use std::sync::Arc;

use driftline_core::{Categories, Habits, HourCounts, Timestamp};
use serde::{Deserialize, Serialize};

use crate::agent::{AgentState, Changed};
use crate::drift::{Course, Drift};
use crate::escalation::Denial;
use crate::neighbours::group_key;
use crate::pursuit::Pursuit;
use crate::rate::Hour;
use crate::repeats::Repeats;
use crate::session::Session;
use crate::state::value::{open, seal, version_of};
use crate::state::{At, Key, Section, StateError, StateRecord, VERSION, wire};

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

/// What was learned, as version 2 has it: after all that version 1 had.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Baseline2<'a> {
    #[serde(borrow)]
    baseline: Baseline<'a>,
    #[serde(with = "wire::categories")]
    versions: Cow<'a, Categories>,
    habits: Option<Cow<'a, Habits>>,
}

/// What was learned, as version 3 has it: after all that version 2 had.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Baseline3<'a> {
    #[serde(borrow)]
    baseline: Baseline2<'a>,
    #[serde(with = "wire::categories")]
    networks: Cow<'a, Categories>,
    #[serde(with = "wire::categories")]
    clients: Cow<'a, Categories>,
}

/// What was learned, as version 4 has it: after all that version 3 had.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Baseline4<'a> {
    #[serde(borrow)]
    baseline: Baseline3<'a>,
    drift: Option<Cow<'a, Drift>>,
}

/// What was learned, as version 5 has it: after all that version 4 had.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Baseline5<'a> {
    #[serde(borrow)]
    baseline: Baseline4<'a>,
    #[serde(with = "wire::categories")]
    sent: Cow<'a, Categories>,
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

/// What an event changes, as version 2 has it: after all that version 1 had.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Live2<'a> {
    #[serde(borrow)]
    live: Live<'a>,
    /// In the order of the sessions: the version that each began under, and its pursuit.
    pursuits: Vec<(u64, Option<Cow<'a, Pursuit>>)>,
}

/// What an event changes, as version 4 has it: after all that version 2 had.
///
/// Part of the format ([`crate::state`]): fields are written in this order.
#[derive(Serialize, Deserialize)]
pub struct Live4<'a> {
    #[serde(borrow)]
    live: Live2<'a>,
    /// In the order of the sessions.
    courses: Vec<Cow<'a, Course>>,
}

impl<'a> Baseline2<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        Self {
            baseline: Baseline::of(agent),
            versions: Cow::Borrowed(&agent.versions),
            habits: agent.habits.as_deref().map(Cow::Borrowed),
        }
    }

    /// Puts it back.
    pub fn put(self, agent: &mut AgentState, names: &mut impl FnMut(&str) -> Arc<str>) {
        self.baseline.put(agent, names);
        agent.versions = self.versions.into_owned();
        agent.habits = self.habits.map(|habits| Box::new(habits.into_owned()));
    }
}

impl<'a> Baseline3<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        let (networks, clients) = (Cow::Borrowed(&agent.networks), Cow::Borrowed(&agent.clients));
        Self { baseline: Baseline2::of(agent), networks, clients }
    }

    /// Puts it back.
    pub fn put(self, agent: &mut AgentState, names: &mut impl FnMut(&str) -> Arc<str>) {
        self.baseline.put(agent, names);
        agent.networks = self.networks.into_owned();
        agent.clients = self.clients.into_owned();
    }
}

impl<'a> Baseline4<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        Self { baseline: Baseline3::of(agent), drift: agent.drift.as_deref().map(Cow::Borrowed) }
    }

    /// Puts it back; says what cannot be so.
    pub fn put(self, agent: &mut AgentState, names: &mut impl FnMut(&str) -> Arc<str>) -> Result<(), &'static str> {
        if self.drift.as_ref().is_some_and(|drift| !drift.is_sound()) {
            return Err("what drift is told by that cannot be so");
        }
        self.baseline.put(agent, names);
        agent.drift = self.drift.map(|drift| Box::new(drift.into_owned()));
        Ok(())
    }
}

impl<'a> Baseline5<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        Self { baseline: Baseline4::of(agent), sent: Cow::Borrowed(&agent.sent) }
    }

    /// Puts it back; says what cannot be so.
    pub fn put(self, agent: &mut AgentState, names: &mut impl FnMut(&str) -> Arc<str>) -> Result<(), &'static str> {
        self.baseline.put(agent, names)?;
        agent.sent = self.sent.into_owned();
        Ok(())
    }
}

impl<'a> Live4<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        let courses = agent.sessions.iter().map(|session| Cow::Borrowed(&session.course));
        Self { live: Live2::of(agent), courses: courses.collect() }
    }

    /// Puts it back; says what cannot be so, and then nothing is changed.
    pub fn put(self, agent: &mut AgentState) -> Result<(), &'static str> {
        if self.courses.len() != self.live.pursuits.len() {
            return Err("courses of sessions that cannot be so");
        }
        self.live.put(agent)?;
        for (session, course) in agent.sessions.iter_mut().zip(self.courses) {
            session.course = course.into_owned();
        }
        Ok(())
    }
}

impl<'a> Live2<'a> {
    pub fn of(agent: &'a AgentState) -> Self {
        let pursuit = |session: &'a Session| (session.version, session.pursuit.as_deref().map(Cow::Borrowed));
        let sessions = agent.sessions.iter().map(Box::as_ref);
        Self { live: Live::of(agent), pursuits: sessions.map(pursuit).collect() }
    }

    /// Puts it back; says what cannot be so, and then nothing is changed.
    pub fn put(self, agent: &mut AgentState) -> Result<(), &'static str> {
        let are_sound = self.pursuits.iter().all(|(_, pursuit)| pursuit.as_ref().is_none_or(|it| it.is_sound()));
        if self.pursuits.len() != self.live.sessions.len() || !are_sound {
            return Err("what a session pursues that cannot be so");
        }
        self.live.put(agent)?;
        for (session, (version, pursuit)) in agent.sessions.iter_mut().zip(self.pursuits) {
            session.version = version;
            session.pursuit = pursuit.map(|pursuit| Box::new(pursuit.into_owned()));
        }
        Ok(())
    }
}

impl<'a> Baseline<'a> {
    fn of(agent: &'a AgentState) -> Self {
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
    fn put(self, agent: &mut AgentState, names: &mut impl FnMut(&str) -> Arc<str>) {
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
            version_sessions: agent.versions.count(agent.version),
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
        // Version 1 of a baseline has no versions: those of the last one are known from here.
        let known = agent.versions.count(self.version);
        agent.versions.learn(self.version, self.version_sessions.saturating_sub(known));
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
    seal(Key::agent(&agent.tenant, &agent.id, Section::Baseline), &Baseline5::of(agent))
}

/// The record of what an event of an agent changes.
pub fn live(agent: &AgentState) -> StateRecord {
    seal(Key::agent(&agent.tenant, &agent.id, Section::Live), &Live4::of(agent))
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
    let version = version_of(value);
    if key.section == Section::Baseline && version < VERSION {
        // To be written as it is written now with what comes next.
        agent.changed.set(Changed::BASELINE);
    }
    let put = match (key.section, version) {
        (Section::Baseline, 1) => {
            open::<Baseline<'_>>(key, bytes, value)?.put(agent, &mut names);
            Ok(())
        }
        (Section::Baseline, 2) => {
            open::<Baseline2<'_>>(key, bytes, value)?.put(agent, &mut names);
            Ok(())
        }
        (Section::Baseline, 3) => {
            open::<Baseline3<'_>>(key, bytes, value)?.put(agent, &mut names);
            Ok(())
        }
        (Section::Baseline, 4) => open::<Baseline4<'_>>(key, bytes, value)?.put(agent, &mut names),
        (Section::Baseline, _) => open::<Baseline5<'_>>(key, bytes, value)?.put(agent, &mut names),
        (Section::Live, 1) => open::<Live<'_>>(key, bytes, value)?.put(agent),
        (Section::Live, 2 | 3) => open::<Live2<'_>>(key, bytes, value)?.put(agent),
        (Section::Live, _) => open::<Live4<'_>>(key, bytes, value)?.put(agent),
        _ => return Err(StateError::key(bytes)),
    };
    put.map_err(|reason| StateError::Body { at: At::of(key), reason: reason.to_owned() })
}
