//! A warm start: an engine begins with what a published baseline says of agents, or takes it up while it runs.
//!
//! Each agent is as the stream would have left it after the history that the baseline was built from, with all sessions
//! ended and the last hour still open. What is not in a baseline is as with a new agent: the last refusals, the last ids,
//! risk, and which findings were raised. What agents of a group have in common comes with the control log
//! ([`driftline_core::Change::Baseline`]), for all engines alike.
//!
//! An agent that an engine knows already keeps what was learned of it. Where all of that came after what the baseline says
//! of the agent, both are added up: it is as though the stream had learned the history too. Where some of it came before, the
//! baseline contains it as well, and nothing may be learned twice: the agent stays as it is.

use std::borrow::Cow;
use std::sync::Arc;

use driftline_core::baseline::{Baseline, Counts, Entry};
use driftline_core::{Contained, Habits, Timestamp};

use crate::agent::{AgentState, Changed, group};
use crate::contribution::{Contribution, SHARED};
use crate::engine::{Engine, PEER, VERSIONS, intern};
use crate::evicted::number_of;
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
    /// What of a stream it contains.
    pub contained: Contained,
}

/// What has become of a baseline's agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakenUp {
    /// Agents that the engine has heard of by it.
    pub new: u64,
    /// Agents of which what it says came before all that the engine had learned, and was added.
    pub completed: u64,
    /// Agents that stay as they were.
    pub kept: u64,
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
    /// Takes in the agents of a published baseline whose tenant and id `is_mine` says to be this engine's; its control record
    /// is to be applied before ([`crate::Conductor::baseline`]). Those past the limits are passed over.
    pub fn take_up(&mut self, history: &History, is_mine: impl Fn(&str, &str) -> bool) -> TakenUp {
        let world = self.world().clone();
        // What the log begins with stands in its epoch.
        let is_told = world.baseline.as_ref().is_some_and(|known| known.is_first);
        let clock = history.until.plus_millis(-world.settings.allowed_lateness_ms).max(world.clock);
        let mut taken = TakenUp::default();
        for versions in by_agent(&history.entries) {
            let Entry { tenant, agent: id, .. } = &versions[0];
            if !is_mine(tenant, id) {
                continue;
            }
            if self.find(tenant, id).is_none() {
                self.fetch(number_of(tenant, id));
            }
            match self.find(tenant, id) {
                None if self.turns_away(tenant) => taken.kept += 1,
                None => {
                    let mut agent = self.agent_of(versions, clock);
                    if !is_told {
                        let is_registered = agent.document(&world).is_some();
                        self.contribution.agent_seen(&agent.tenant, id, is_registered);
                        if agent.sessions_learned >= PEER {
                            self.contribution.peer_learned(&agent);
                        }
                    }
                    let place = self.admit(agent);
                    self.set_timer(place);
                    self.note_change(place);
                    taken.new += 1;
                }
                Some(place) if self.is_before(versions, place) => {
                    self.complete(place, versions, clock);
                    taken.completed += 1;
                }
                Some(_) => taken.kept += 1,
            }
        }
        taken
    }

    /// Whether all that history tells of an agent came before what the engine has learned of it.
    fn is_before(&self, versions: &[Entry], place: u32) -> bool {
        let ends = versions.iter().filter_map(|entry| entry.baseline.span()).map(|(_, last)| last).max();
        ends.is_some_and(|last| last < self.agents[place as usize].first_seen)
    }

    /// Adds to what the engine has learned of an agent what it did before.
    fn complete(&mut self, place: u32, versions: &[Entry], clock: Timestamp) {
        let mut before = self.agent_of(versions, clock);
        before.close_hour(true);
        let room = self.world().settings.limits.keys_per_agent;
        let agent = &mut self.agents[place as usize];
        let was_peer = agent.sessions_learned >= PEER;
        agent.sessions_learned = agent.sessions_learned.saturating_add(before.sessions_learned);
        for dimension in Dimension::ALL {
            let (Some(known), Some(earlier)) = (agent.counts_mut(dimension), before.counts(dimension)) else {
                continue;
            };
            let mut new = Vec::new();
            for (key, count) in earlier.iter() {
                if known.learn_within(room, key, count) == Some(true) {
                    new.push(key);
                }
            }
            if was_peer && SHARED.contains(&dimension) {
                for key in new {
                    self.contribution.category_learned(&agent.tenant, &agent.group, dimension, key);
                }
            }
        }
        if !was_peer && agent.sessions_learned >= PEER {
            self.contribution.peer_learned(agent);
        }
        for (version, sessions) in before.versions.iter() {
            agent.versions.learn_within(VERSIONS, version, sessions);
        }
        if let Some(habits) = &before.habits {
            agent.habits.get_or_insert_default().merge(habits);
        }
        rate::precede(agent, &before);
        agent.grants = agent.grants.saturating_add(before.grants);
        agent.events += before.events;
        agent.first_seen = before.first_seen;
        agent.changed.set(Changed::BASELINE);
        self.note_change(place);
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
