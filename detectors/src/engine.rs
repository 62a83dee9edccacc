//! The engine: a state for each agent, every event scored against it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use driftline_core::{Alert, Event, Severity, TenantCounts, Timestamp, key, truncate};
use hashbrown::{HashMap, HashTable};

use crate::agent::{AgentState, Changed};
use crate::arrivals::Arrivals;
use crate::conductor::Control;
use crate::contribution::{Contribution, SHARED};
use crate::detector::{DETECTORS, Scene};
use crate::drift;
use crate::evicted::{Evicted, number_of};
use crate::exfiltration;
use crate::explain::{Actor, alert_of};
use crate::finding::Finding;
use crate::lexicon::Lexicon;
use crate::observation::Observation;
use crate::pursuit::Pursuit;
use crate::rate;
use crate::repeats::Seen;
use crate::session::{Session, version_of};
use crate::state::Changes;
use crate::tool_names::ToolNames;
use crate::world::World;

/// Sessions of an agent that may run at once; the longest idle one is ended for a further one.
const SESSIONS: usize = 64;
const HOUR_MILLIS: i64 = 3_600_000;
/// With so many sessions learned, an agent is a peer to others: what they are compared with must not be made by ids that
/// come once.
pub(crate) const PEER: u32 = 2;
/// Versions of an agent that sessions are counted of.
pub(crate) const VERSIONS: usize = 64;
/// Longest name, in bytes, of tenant and agent together that is kept, and of a peer group that an event names.
pub(crate) const LONGEST_NAME: usize = 1024;

/// What the engine has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Events scored.
    pub scored: u64,
    /// Events not scored because the same id with the same bytes came before.
    pub repeated: u64,
    /// Events scored under a longer id because theirs was used with other bytes.
    pub reused_ids: u64,
    /// Events that the clock had passed.
    pub late: u64,
    /// Categories not learned for want of room ([`driftline_core::Limits::keys_per_agent`]).
    pub keys_turned_away: u64,
    /// Events of agents that found no room ([`driftline_core::Limits::agents_per_tenant`]).
    pub agents_turned_away: u64,
    /// Events of agents that came when there were too many new ones ([`driftline_core::Limits::new_agents_per_hour`]).
    pub new_agents_turned_away: u64,
    /// Events of tenants that found no room ([`driftline_core::Limits::tenants`]).
    pub tenants_turned_away: u64,
    /// Events of agents whose names are too long to be kept (1,024 bytes).
    pub names_turned_away: u64,
    /// Sessions that have ended.
    pub sessions: u64,
    /// Of these, kept out of the baselines.
    pub quarantined: u64,
}

/// What came of one event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// How strange the event is: −log₁₀ of the product of its p-values, 0 or more, comparable between agents.
    pub score: f64,
    /// Each detector's p-value, in the order of [`DETECTORS`].
    pub p: [f64; DETECTORS.len()],
    /// The event was a repeat and was not scored.
    pub repeated: bool,
    /// The agent's risk after it, 0 to 100.
    pub risk: f64,
}

/// See the crate.
#[derive(Debug, Default)]
pub struct Engine {
    world: World,
    #[expect(clippy::vec_box, reason = "a vector of a million large states would be copied, and doubled, as it grows")]
    pub(crate) agents: Vec<Box<AgentState>>,
    /// Places in `agents`, by hash of tenant and id.
    pub(crate) places: HashTable<u32>,
    /// By tenant: agents held.
    pub(crate) tenants: HashMap<Arc<str>, usize>,
    pub(crate) groups: HashMap<Arc<str>, ()>,
    /// Agents that are not in memory.
    pub(crate) evicted: Evicted,
    /// Deadlines that may have moved later since; an agent has at most one that counts.
    timers: BinaryHeap<Reverse<(Timestamp, u32)>>,
    pub(crate) lexicon: Lexicon,
    tool_names: ToolNames,
    pub(crate) contribution: Contribution,
    pub(crate) arrivals: Arrivals,
    alerts: Vec<Alert>,
    counters: Counters,
    /// What has changed since it was last taken; `None` while nobody asks.
    pub(crate) changes: Option<Changes>,
}

impl Engine {
    /// An engine that knows no agent yet.
    pub fn new(world: World) -> Self {
        Self { world, ..Self::default() }
    }

    /// All that agents' own events do not say, as of the last control record.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Whether there is no room for a further agent of a tenant; it is counted then.
    pub(crate) fn turns_away(&mut self, tenant: &str) -> bool {
        let limits = &self.world.settings.limits;
        let held = self.tenants.get(tenant).copied().unwrap_or(0);
        let full = if held == 0 && self.tenants.len() >= limits.tenants {
            &mut self.counters.tenants_turned_away
        } else if held >= limits.agents_per_tenant || self.len() >= u32::MAX as usize - 1 {
            &mut self.counters.agents_turned_away
        } else {
            return false;
        };
        *full += 1;
        true
    }

    /// Scores an event against all that was learned before it, then learns from it.
    pub fn observe(&mut self, event: &Event<'_>) -> Scored {
        let place = match self.place(event) {
            Ok(place) => place,
            Err(stranger) => return self.score_stranger(stranger, event),
        };
        if self.agents[place as usize].timer.is_some_and(|due| due <= event.time) {
            self.settle(place, event.time);
        }
        let agent = &mut self.agents[place as usize];
        let id = match agent.repeats.check(key(21, [&event.id, ""]), event.content) {
            Seen::Repeated => {
                self.counters.repeated += 1;
                let risk = agent.risk(event.time);
                return Scored { score: 0.0, p: [1.0; DETECTORS.len()], repeated: true, risk };
            }
            Seen::Reused => {
                self.counters.reused_ids += 1;
                Some(event.told_apart())
            }
            Seen::Never if event.id.len() > Event::LONGEST_ID => Some(event.told_apart()),
            Seen::Never => None,
        };
        let (world, agents, mut parts) = self.split();
        let id = id.as_deref().unwrap_or(&event.id);
        let scored = Self::score(world, &mut agents[place as usize], event, id, &mut parts);
        self.set_timer(place);
        self.note_change(place);
        scored
    }

    /// Scores an event of an agent that there is no room for, against the fleet. Nothing is kept of it, and nothing said:
    /// made-up ids are told of together ([`crate::inventory`]).
    fn score_stranger(&mut self, mut agent: Box<AgentState>, event: &Event<'_>) -> Scored {
        let id = truncate(&event.id, Event::LONGEST_ID);
        let mut nothing = Parts {
            lexicon: &mut Lexicon::default(),
            tool_names: &mut self.tool_names,
            groups: &mut HashMap::new(),
            contribution: &mut Contribution::default(),
            alerts: &mut Vec::new(),
            counters: &mut self.counters,
        };
        Self::score(&self.world, &mut agent, event, &id, &mut nothing)
    }

    /// Takes up a control record. Where it moves the clock, timers that fall due fire.
    pub fn apply(&mut self, control: &Control) {
        self.world = control.world.clone();
        if !control.is_clock {
            return;
        }
        let now = self.world.clock;
        let before = self.alerts.len();
        self.fetch_due(now);
        while let Some(&Reverse((due, place))) = self.timers.peek()
            && due <= now
        {
            self.timers.pop();
            if self.agents[place as usize].timer == Some(due) {
                self.agents[place as usize].timer = None;
                self.settle(place, now);
                self.set_timer(place);
            }
        }
        // Timers fire in an order that depends on when they were set, which a restart forgets.
        let agent = |alert: &Alert| alert.agent.as_ref().map(|agent| agent.id.clone());
        self.alerts[before..].sort_by_cached_key(|alert| (alert.time, alert.tenant.clone(), agent(alert), alert.id));
    }

    /// Ends all sessions where they are, and learns from those that raised nothing: what comes now has nothing to do with
    /// them, even where its event times are theirs.
    pub fn end_all_sessions(&mut self) {
        for place in 0..self.agents.len() as u32 {
            let (world, agents, mut parts) = self.split();
            let agent = &mut agents[place as usize];
            let last = agent.last_seen;
            Self::end_sessions(world, agent, last, &mut parts, |_, _| true);
            self.note_change(place);
        }
    }

    /// Alerts raised since this was last asked.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.alerts)
    }

    /// Whether alerts wait to be taken.
    pub fn has_alerts(&self) -> bool {
        !self.alerts.is_empty()
    }

    /// What this engine has to say about many agents since this was last asked.
    pub fn take_contribution(&mut self) -> Contribution {
        let contribution = std::mem::take(&mut self.contribution);
        self.contribution.set_changed();
        // Names that no agent bears any more; what was contributed bore them too.
        self.groups.retain(|name, ()| Arc::strong_count(name) > 1);
        contribution
    }

    /// What it has counted since it began.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Agents that it knows, in memory or not.
    pub fn len(&self) -> usize {
        self.agents.len() + self.evicted.agents()
    }

    /// Whether it knows no agent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The agents in memory. As long as none was evicted they are in the order of the first event of each, or as they
    /// were restored.
    pub fn agents(&self) -> impl Iterator<Item = &AgentState> {
        self.agents.iter().map(Box::as_ref)
    }

    /// How far an agent has drifted, as far as is known of it and it is in memory ([`Drift::progress`](drift::Drift::progress)).
    pub fn drift_of(&self, tenant: &str, id: &str) -> Option<[f64; 6]> {
        let agent = &self.agents[self.find(tenant, id)? as usize];
        Some(agent.drift.as_ref()?.progress(self.world.level(agent)))
    }

    /// The tools whose use by an agent has moved, the most first ([`Drift::moved_tools`](drift::Drift::moved_tools)): what each
    /// is called, and by which share of its sessions.
    pub fn moved_tools(&self, tenant: &str, id: &str) -> Vec<(String, f64)> {
        let Some(place) = self.find(tenant, id) else { return Vec::new() };
        let moved = self.agents[place as usize].drift.as_ref().map(|drift| drift.moved_tools()).unwrap_or_default();
        moved.into_iter().map(|(key, by)| (self.lexicon.name(key), by)).collect()
    }

    /// Bytes that it holds in memory, about: agents, the index to them, timers and names.
    pub fn bytes(&self) -> usize {
        self.agents.iter().map(|agent| agent.bytes() + size_of::<Box<AgentState>>()).sum::<usize>()
            + self.places.capacity() * (size_of::<u32>() + 1)
            + self.timers.capacity() * size_of::<Reverse<(Timestamp, u32)>>()
            + self.lexicon.heap_bytes()
            + self.evicted.bytes()
    }

    fn place(&mut self, event: &Event<'_>) -> Result<u32, Box<AgentState>> {
        match self.find(&event.tenant, &event.agent.id) {
            Some(place) => Ok(place),
            None => self.take_in(event),
        }
    }

    /// The place of an agent that is not in memory: it comes back, or it is new. Where there is no room for it, it itself.
    #[cold]
    fn take_in(&mut self, event: &Event<'_>) -> Result<u32, Box<AgentState>> {
        let (name, id) = (event.tenant.as_str(), event.agent.id.as_str());
        if self.fetch(number_of(name, id))
            && let Some(place) = self.find(name, id)
        {
            return Ok(place);
        }
        let known = self.tenants.get_key_value(name).map(|(name, &held)| (name.clone(), held));
        let (tenant, held) = known.unwrap_or_else(|| (name.into(), 0));
        let mut agent = Box::new(AgentState::new(tenant.clone(), event));
        let registered = agent.document(&self.world).is_some();
        let hour = self.world.clock.floor(HOUR_MILLIS);
        let is_turned_away = if name.len() + id.len() > LONGEST_NAME {
            self.counters.names_turned_away += 1;
            true
        } else if self.turns_away(name) {
            true
        } else if !registered && !self.arrivals.admit(hour, &tenant, self.world.settings.limits.new_agents_per_hour) {
            self.counters.new_agents_turned_away += 1;
            true
        } else {
            false
        };
        if is_turned_away {
            // Of tenants that are not kept nothing is kept under their own name.
            let tenant = if held == 0 { "".into() } else { tenant };
            self.contribution.agent_turned_away(&tenant);
            agent.shadow_raised = true;
            return Err(agent);
        }
        self.contribution.agent_seen(&tenant, id, registered);
        // Past a sample, those without a document are told of together, in the epoch.
        let are_many = self.arrivals.of_tenant(&tenant) > TenantCounts::SAMPLE as u64;
        agent.shadow_raised = !registered && are_many && self.world.is_registered(&tenant);
        Ok(self.admit(agent))
    }

    /// The place of an agent that is held.
    pub(crate) fn find(&self, tenant: &str, id: &str) -> Option<u32> {
        let is_it = |&place: &u32| {
            let agent = &self.agents[place as usize];
            *agent.id == *id && *agent.tenant == *tenant
        };
        self.places.find(number_of(tenant, id), is_it).copied()
    }

    /// Takes in an agent that is not held yet, among its tenant's.
    pub(crate) fn admit(&mut self, agent: Box<AgentState>) -> u32 {
        *self.tenants.entry(agent.tenant.clone()).or_default() += 1;
        self.index(agent)
    }

    /// Gives an agent a place.
    pub(crate) fn index(&mut self, agent: Box<AgentState>) -> u32 {
        let hash = |agent: &AgentState| number_of(&agent.tenant, &agent.id);
        let (place, hash_of_it) = (self.agents.len() as u32, hash(&agent));
        self.agents.push(agent);
        let agents = &self.agents;
        self.places.insert_unique(hash_of_it, place, |&place| hash(&agents[place as usize]));
        place
    }

    /// Takes an agent out of its place, into which the last one moves; [`Engine::forget_places`] is to follow.
    pub(crate) fn remove(&mut self, place: u32) -> Box<AgentState> {
        let agent = self.agents.swap_remove(place as usize);
        if let Ok(entry) = self.places.find_entry(number_of(&agent.tenant, &agent.id), |&known| known == place) {
            entry.remove();
        }
        if let Some(moved) = self.agents.get(place as usize) {
            let last = self.agents.len() as u32;
            let known = self.places.find_mut(number_of(&moved.tenant, &moved.id), |&known| known == last);
            known.into_iter().for_each(|known| *known = place);
        }
        agent
    }

    /// Forgets what was said about places that agents have left.
    pub(crate) fn forget_places(&mut self) {
        let due = self.agents.iter().map(|agent| agent.timer);
        self.timers = (0..).zip(due).filter_map(|(place, due)| due.map(|due| Reverse((due, place)))).collect();
        if let Some(changes) = &mut self.changes {
            let listed = (0..).zip(&self.agents).filter(|(_, agent)| agent.changed.has(Changed::LISTED));
            changes.places = listed.map(|(place, _)| place).collect();
        }
    }

    fn score(world: &World, agent: &mut AgentState, event: &Event<'_>, id: &str, parts: &mut Parts<'_>) -> Scored {
        parts.counters.scored += 1;
        let late = event.time < world.clock;
        parts.counters.late += u64::from(late);
        agent.events += 1;
        agent.last_seen = agent.last_seen.max(event.time);
        agent.version = version_of(event);

        let observation = Observation::of(event);
        let (mut session, goes_on) = Self::session(world, agent, event, id, late, parts);
        if session.pursuit.is_none() {
            session.pursuit = Pursuit::begin(event, &agent.habits().requests).map(Box::new);
            if session.pursuit.is_some() && goes_on {
                parts.begin_tests(agent, 1);
            }
        }
        let judged = agent.hour.judged();
        let mut findings = Vec::new();
        let mut p = [1.0; DETECTORS.len()];
        {
            let document = agent.take_document(world);
            let mut scene = Scene {
                event,
                id,
                observation: &observation,
                world,
                document: document.as_deref(),
                agent,
                session: &mut session,
                lexicon: parts.lexicon,
                tool_names: parts.tool_names,
                unasked: 0.0,
                late,
            };
            for (detector, p) in DETECTORS.iter().zip(&mut p) {
                *p = detector.score(&mut scene, &mut findings);
            }
            agent.put_document(document);
        }
        if agent.hour.judged().is_some_and(|hour| judged != Some(hour)) {
            parts.begin_tests(agent, 1);
        }
        session.note(event, &observation);
        session.quarantined |= findings.iter().any(|finding| finding.severity > Severity::Low);
        for finding in findings {
            raise(finding, event.time, agent, Some(event), Some(&session), world, parts.alerts);
        }
        if event.grant.is_some() {
            agent.grants = agent.grants.saturating_add(1);
            agent.changed.set(Changed::BASELINE);
        }
        let full = session.is_full();
        if goes_on {
            agent.sessions.push(session);
        }
        if full {
            Self::end_sessions(world, agent, event.time, parts, |session, _| session.is_full());
        }
        // A deterministic finding's p-value of 0 must not swallow the order among the others.
        let score = p.iter().filter(|&&p| p < 1.0).map(|&p: &f64| -p.max(1e-12).log10()).sum();
        Scored { score, p, repeated: false, risk: agent.risk(event.time) }
    }

    /// Takes the event's session out of the agent, or begins one; says whether it is to be put back. What begins late
    /// is not: it was over before it was heard of.
    fn session(
        world: &World,
        agent: &mut AgentState,
        event: &Event<'_>,
        id: &str,
        late: bool,
        parts: &mut Parts<'_>,
    ) -> (Box<Session>, bool) {
        // Where the platform has no sessions, an hour of the agent's events is one.
        let session_key = match &event.session {
            Some(session) => key(24, [&session.id, ""]),
            None => event.time.floor(HOUR_MILLIS).millis() as u64,
        };
        // The one of the last event stands last, and is most often this event's too.
        if let Some(known) = agent.sessions.iter().rposition(|known| known.key == session_key) {
            return (agent.sessions.swap_remove(known), true);
        }
        if !late {
            let mut names = |name: &str| intern(parts.groups, name);
            agent.regroup(world, event.agent.platform.as_deref(), &mut names);
            if agent.sessions.len() >= SESSIONS {
                let oldest = agent.sessions.iter().map(|session| session.last).min().unwrap_or_default();
                Self::end_sessions(world, agent, event.time, parts, |session, _| session.last == oldest);
            }
            let sends = event.usage.as_ref().is_some_and(|usage| usage.bytes_out.is_some());
            parts.begin_tests(agent, 1 + u64::from(event.network.is_some()) + u64::from(sends));
        }
        (Box::new(Session::begin(session_key, event, id)), !late)
    }

    /// The agents, beside what they are scored by and what scoring one changes besides.
    fn split(&mut self) -> (&World, &mut [Box<AgentState>], Parts<'_>) {
        let parts = Parts {
            lexicon: &mut self.lexicon,
            tool_names: &mut self.tool_names,
            groups: &mut self.groups,
            contribution: &mut self.contribution,
            alerts: &mut self.alerts,
            counters: &mut self.counters,
        };
        (&self.world, &mut self.agents, parts)
    }

    /// Fires what has fallen due about an agent.
    fn settle(&mut self, place: u32, now: Timestamp) {
        let (world, agents, mut parts) = self.split();
        let agent = &mut agents[place as usize];
        // A timer may be set for earlier than anything is due.
        if agent.deadline().is_none_or(|due| due > now) {
            return;
        }
        Self::end_sessions(world, agent, now, &mut parts, |session, now| session.deadline() <= now);
        for (due, finding) in rate::silences(agent, world, now) {
            raise(finding, due, agent, None, None, world, parts.alerts);
        }
        self.note_change(place);
    }

    /// Ends the sessions that `ends` picks, and learns from those that raised nothing.
    fn end_sessions(
        world: &World,
        agent: &mut AgentState,
        now: Timestamp,
        parts: &mut Parts<'_>,
        ends: impl Fn(&Session, Timestamp) -> bool,
    ) {
        let mut i = 0;
        while i < agent.sessions.len() {
            if !ends(&agent.sessions[i], now) {
                i += 1;
                continue;
            }
            let session = agent.sessions.remove(i);
            parts.counters.sessions += 1;
            let is_quarantined = session.alerted.is_some() || session.quarantined;
            let learns = world.settings.learn && !is_quarantined;
            parts.counters.quarantined += u64::from(is_quarantined);
            if let Some(finding) = drift::session_ended(&session, agent, world, parts.lexicon, is_quarantined) {
                let ended = session.deadline().min(now);
                raise(finding, ended, agent, None, Some(&session), world, parts.alerts);
            }
            if learns {
                learn(&session, agent, world, parts);
            }
        }
        if agent.sessions.is_empty() {
            agent.sessions.shrink_to_fit();
        }
    }

    pub(crate) fn set_timer(&mut self, place: u32) {
        let agent = &mut self.agents[place as usize];
        let due = match agent.timer {
            None => agent.deadline(),
            // What the timer was set for has moved later if at all, but for the session of the last event, which stands
            // last, and the silence after it: these may be new.
            Some(_) => agent
                .sessions
                .last()
                .map(|session| session.deadline())
                .into_iter()
                .chain(agent.hour.silence_due())
                .min(),
        };
        let Some(due) = due else { return };
        // A timer that fires early looks again; one that fires late would be wrong.
        if agent.timer.is_none_or(|set| due < set) {
            agent.timer = Some(due);
            self.timers.push(Reverse((due, place)));
        }
    }
}

/// What scoring an event changes besides the agent.
struct Parts<'e> {
    lexicon: &'e mut Lexicon,
    tool_names: &'e mut ToolNames,
    groups: &'e mut HashMap<Arc<str>, ()>,
    contribution: &'e mut Contribution,
    alerts: &'e mut Vec<Alert>,
    counters: &'e mut Counters,
}

impl Parts<'_> {
    /// So many judgements of an agent have begun. As with what peers are compared with, ids that come once do not count: with
    /// enough of them made up, nobody else would be alerted on any more.
    fn begin_tests(&mut self, agent: &AgentState, tests: u64) {
        if agent.sessions_learned >= PEER {
            self.contribution.tests_begun(&agent.tenant, &agent.group, tests);
        }
    }
}

fn raise(
    finding: Finding,
    time: Timestamp,
    agent: &mut AgentState,
    event: Option<&Event<'_>>,
    session: Option<&Session>,
    world: &World,
    alerts: &mut Vec<Alert>,
) {
    let risk = agent.raise_risk(finding.severity, time);
    let actor = Actor { agent, event, impact: session.map(|session| &session.impact) };
    alerts.push(alert_of(finding, time, risk, &actor, world));
}

/// Adds what a session used to its agent's baseline, and what is new of it to the next epoch.
fn learn(session: &Session, agent: &mut AgentState, world: &World, parts: &mut Parts<'_>) {
    agent.sessions_learned = agent.sessions_learned.saturating_add(1);
    agent.versions.learn_within(VERSIONS, session.version, 1);
    if let Some(pursuit) = &session.pursuit {
        pursuit.teach(agent.habits.get_or_insert_default());
    }
    exfiltration::learn(session, &mut agent.sent);
    agent.changed.set(Changed::BASELINE);
    let room = world.settings.limits.keys_per_agent;
    for (dimension, key) in session.used() {
        let Some(counts) = agent.counts_mut(dimension) else { continue };
        let Some(new) = counts.learn_within(room, key, 1) else {
            parts.counters.keys_turned_away += 1;
            continue;
        };
        if new && SHARED.contains(&dimension) && agent.sessions_learned > PEER {
            parts.contribution.category_learned(&agent.tenant, &agent.group, dimension, key);
        }
    }
    if agent.sessions_learned == PEER {
        parts.contribution.peer_learned(agent);
    }
}

/// One shared copy of a name.
pub(crate) fn intern<V: Default>(names: &mut HashMap<Arc<str>, V>, name: &str) -> Arc<str> {
    if let Some((known, _)) = names.get_key_value(name) {
        return known.clone();
    }
    let name: Arc<str> = name.into();
    names.insert(name.clone(), V::default());
    name
}
