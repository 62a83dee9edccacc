//! A warm start: an engine begins with what a published baseline says of agents.
//!
//! Each agent is as the stream would have left it after the history that the baseline was built from, with all sessions
//! ended and the last hour still open. What is not in a baseline is as with a new agent: the last refusals, the last ids,
//! risk, and which findings were raised. What agents of a group have in common comes with the control log
//! ([`driftline_core::Change::Baseline`]), for all engines alike.

use std::borrow::Cow;
use std::sync::Arc;

use driftline_core::baseline::{Baseline, Counts, Entry};
use driftline_core::{Habits, Timestamp};

use crate::agent::{AgentState, group};
use crate::contribution::{Contribution, SHARED};
use crate::engine::{Engine, PEER, VERSIONS, intern};
use crate::observation::Dimension;
use crate::rate;
use crate::session::version_key;
use crate::world::World;

/// A published baseline.
#[derive(Debug, Clone)]
pub struct History {
    /// The version's name in its store.
    pub version: String,
    /// The hash of its content, in hexadecimal.
    pub content: String,
    /// Its last event.
    pub until: Timestamp,
    /// What it says, ordered by tenant, agent and version.
    pub entries: Vec<Entry>,
}

/// What the agents say of their peer groups and tenants, as though the stream had learned them.
pub(crate) fn contribution(entries: &[Entry], world: &World) -> Contribution {
    let mut contribution = Contribution::default();
    for versions in by_agent(entries) {
        let (Entry { tenant, agent, .. }, baseline) = (&versions[0], merged(versions));
        let document = world.registry.get(tenant, agent);
        let tenant: Arc<str> = tenant.as_str().into();
        contribution.agent_seen(&tenant, agent, document.is_some());
        if baseline.sessions < u64::from(PEER) {
            continue;
        }
        let group: Arc<str> = group(document.map(Arc::as_ref), platform(&baseline)).into();
        contribution.agent_learned(&tenant, &group);
        for dimension in SHARED {
            for count in baseline.counts(dimension).iter() {
                contribution.category_learned(&tenant, &group, dimension, count.key);
            }
        }
    }
    contribution
}

impl Engine {
    /// Takes in the agents of a published baseline whose ids `is_mine` says to be this engine's; its control record is to be
    /// applied before ([`crate::Conductor::baseline`]). Agents that it knows, and those past the limits, are passed over.
    pub fn begin_with(&mut self, history: &History, is_mine: impl Fn(&str) -> bool) {
        let clock = history.until.plus_millis(-self.world().settings.allowed_lateness_ms);
        for versions in by_agent(&history.entries).filter(|versions| is_mine(&versions[0].agent)) {
            let Entry { tenant, agent: id, .. } = &versions[0];
            if self.find(tenant, id).is_some() || self.turns_away(tenant) {
                continue;
            }
            let agent = self.agent_of(versions, clock);
            let place = self.admit(agent);
            self.set_timer(place);
            self.note_change(place);
        }
    }

    /// An agent as its versions' baselines tell of it, at an end of history that the clock has come to.
    fn agent_of(&mut self, versions: &[Entry], clock: Timestamp) -> Box<AgentState> {
        let baseline = merged(versions);
        let (tenant, id) = (intern(&mut self.tenants, &versions[0].tenant), &versions[0].agent);
        let mut agent = Box::new(AgentState::blank(tenant, id));
        let mut learned = |dimension| {
            let counts: &Counts = baseline.counts(dimension);
            counts.iter().for_each(|count| match dimension {
                Dimension::Resource => {}
                _ => self.lexicon.note(count.key, &count.name),
            });
            counts.by_session()
        };
        agent.tools = learned(Dimension::Tool);
        agent.families = learned(Dimension::Family);
        agent.resources = learned(Dimension::Resource);
        agent.networks = learned(Dimension::Network);
        agent.clients = learned(Dimension::Client);
        agent.habits = (baseline.habits != Habits::default()).then(|| Box::new(baseline.habits.clone()));
        agent.sessions_learned = saturated(baseline.sessions);
        for entry in versions.iter().take(VERSIONS) {
            agent.versions.learn(version_key(&entry.version), saturated(entry.baseline.sessions));
        }
        agent.grants = saturated(baseline.grants);
        agent.events = baseline.events;
        (agent.first_seen, agent.last_seen) = baseline.span().unwrap_or_default();
        let world = self.world().clone();
        agent.regroup(&world, platform(&baseline), &mut |name| intern(&mut self.groups, name));
        let hours: Vec<_> = baseline.hours().collect();
        if let Some((&(last, events), before)) = hours.split_last() {
            before.iter().for_each(|&(hour, events)| agent.hours.learn(hour, events));
            rate::resume(&mut agent, last, events, baseline.longest_silence());
            // A silence that was over before, or has gone on since long before, is history.
            rate::silences(&mut agent, &world, clock);
        }
        agent
    }
}

fn by_agent(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    entries.chunk_by(|a, b| (&a.tenant, &a.agent) == (&b.tenant, &b.agent))
}

/// All versions of an agent together.
fn merged(versions: &[Entry]) -> Cow<'_, Baseline> {
    let mut all = Cow::Borrowed(&versions[0].baseline);
    versions.iter().skip(1).for_each(|entry| all.to_mut().merge(&entry.baseline));
    all
}

fn platform(baseline: &Baseline) -> Option<&str> {
    Some(baseline.platform()).filter(|platform| !platform.is_empty())
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
