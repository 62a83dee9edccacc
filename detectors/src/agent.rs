//! What is kept of an agent.

use std::borrow::Cow;
use std::sync::Arc;

use driftline_core::{Categories, Event, Habits, HourCounts, Severity, Timestamp};

use crate::drift::Drift;
use crate::engine::LONGEST_NAME;
use crate::escalation::Denial;
use crate::neighbours::group_key;
use crate::observation::Dimension;
use crate::rate::Hour;
use crate::registry::Registered;
use crate::repeats::Repeats;
use crate::session::Session;
use crate::world::World;

/// Risk halves in this time without an alert.
const RISK_HALF_LIFE_MILLIS: f64 = 24.0 * 3_600_000.0;

/// What of an agent's state has changed since it was last taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed(u8);

impl Changed {
    pub(crate) const NOTHING: Self = Self(0);
    /// What was learned.
    pub(crate) const BASELINE: Self = Self(1);
    /// The engine has it on its list: an event, or a deadline, has changed something.
    pub(crate) const LISTED: Self = Self(2);
    pub(crate) const ALL: Self = Self(3);

    pub(crate) const fn has(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }

    pub(crate) const fn set(&mut self, part: Self) {
        self.0 |= part.0;
    }
}

/// An agent's baseline, and the sequential statistics of its detectors.
#[derive(Debug, Clone)]
pub struct AgentState {
    /// Its tenant.
    pub tenant: Arc<str>,
    /// Its id.
    pub id: Box<str>,
    /// Its peer group's name.
    pub group: Arc<str>,
    /// Its peer group's key ([`group_key`]).
    pub group_key: u64,
    /// Its fleet's key.
    pub fleet_key: u64,
    /// Hash of the version it acts under.
    pub version: u64,
    /// Sessions learned in all.
    pub sessions_learned: u32,
    /// Events scored.
    pub events: u64,
    /// Time of its first event.
    pub first_seen: Timestamp,
    /// Latest event time heard of.
    pub last_seen: Timestamp,
    /// Tools it uses, by sessions in which it did.
    pub tools: Categories,
    /// Families of resources, by distinct resources.
    pub families: Categories,
    /// Resources, by sessions.
    pub resources: Categories,
    /// Versions, by sessions.
    pub versions: Categories,
    /// Networks it acts from, by sessions.
    pub networks: Categories,
    /// Clients it acts with, by sessions.
    pub clients: Categories,
    /// What its sessions have sent out, in sizes that double.
    pub sent: Categories,
    /// What its requests lead to; `None` before it has learned from a session with one.
    pub habits: Option<Box<Habits>>,
    /// What its sessions are compared with when they end; `None` before it has learned from one.
    pub drift: Option<Box<Drift>>,
    /// When it works.
    pub hours: HourCounts,
    /// The hour it is in.
    pub hour: Hour,
    /// Sessions that run; boxed, since one is taken out and put back at every event.
    pub sessions: Vec<Box<Session>>,
    /// The last refusals.
    pub denials: Vec<Denial>,
    /// Permissions it has given, learned.
    pub grants: u32,
    /// The last ids.
    pub repeats: Repeats,
    /// Standing, 0 to 1, at `risk_at`.
    risk: f32,
    risk_at: Timestamp,
    /// Whether it was raised as a shadow agent.
    pub shadow_raised: bool,
    /// The registry's edition that `document` is of; 0 before it was looked up.
    edition: u32,
    /// Its identity document, remembered because each event asks for it.
    document: Option<Arc<Registered>>,
    /// When its earliest timer is set for, which is its deadline or before; `None` without one. Not state: looking at an
    /// agent before its deadline changes nothing.
    pub timer: Option<Timestamp>,
    /// What has changed since its state was last taken.
    pub(crate) changed: Changed,
}

impl AgentState {
    /// An agent of which nothing is known yet.
    pub fn new(tenant: Arc<str>, event: &Event<'_>) -> Self {
        let (first_seen, last_seen, risk_at) = (event.time, event.time, event.time);
        Self { first_seen, last_seen, risk_at, ..Self::blank(tenant, &event.agent.id) }
    }

    /// An agent without any state.
    pub(crate) fn blank(tenant: Arc<str>, id: &str) -> Self {
        Self {
            fleet_key: group_key(&tenant, crate::neighbours::FLEET),
            group_key: 0,
            group: "".into(),
            tenant,
            id: id.into(),
            version: 0,
            sessions_learned: 0,
            events: 0,
            first_seen: Timestamp::MIN,
            last_seen: Timestamp::MIN,
            tools: Categories::default(),
            families: Categories::default(),
            resources: Categories::default(),
            versions: Categories::default(),
            networks: Categories::default(),
            clients: Categories::default(),
            sent: Categories::default(),
            habits: None,
            drift: None,
            hours: HourCounts::default(),
            hour: Hour::default(),
            sessions: Vec::new(),
            denials: Vec::new(),
            grants: 0,
            repeats: Repeats::default(),
            risk: 0.0,
            risk_at: Timestamp::MIN,
            shadow_raised: false,
            edition: 0,
            document: None,
            timer: None,
            changed: Changed::BASELINE,
        }
    }

    /// Sees to it that the agent is compared with the peers that its document, else its platform, names.
    pub fn regroup(&mut self, world: &World, platform: Option<&str>, names: &mut impl FnMut(&str) -> Arc<str>) {
        let group = group(self.document(world), platform);
        if *self.group != *group || self.group_key == 0 {
            self.group = names(&group);
            self.group_key = group_key(&self.tenant, &group);
            self.changed.set(Changed::BASELINE);
        }
    }

    /// Closes the hour that it is in, and learns from it.
    pub fn close_hour(&mut self, learn: bool) {
        if self.hour.close(&mut self.hours, learn) {
            self.changed.set(Changed::BASELINE);
        }
    }

    /// Its identity document.
    pub fn document(&mut self, world: &World) -> Option<&Registered> {
        // The first edition has no document.
        if self.edition != world.registry.edition() {
            self.edition = world.registry.edition();
            self.document = world.registry.get(&self.tenant, &self.id).cloned();
        }
        self.document.as_deref()
    }

    /// Takes its identity document out while it is judged by it, to be put back by [`AgentState::put_document`]: a copy
    /// would count itself in and out at each event.
    pub(crate) fn take_document(&mut self, world: &World) -> Option<Arc<Registered>> {
        self.document(world);
        self.document.take()
    }

    /// Puts back what [`AgentState::take_document`] gave.
    pub(crate) fn put_document(&mut self, document: Option<Arc<Registered>>) {
        self.document = document;
    }

    /// Adds to its risk: each alert takes away a share of what is left to 100, by its severity.
    pub fn raise_risk(&mut self, severity: Severity, at: Timestamp) -> f64 {
        let weight = match severity {
            Severity::Info => 0.02,
            Severity::Low => 0.1,
            Severity::Medium => 0.25,
            Severity::High => 0.5,
            Severity::Critical => 0.75,
        };
        let now = self.risk(at) / 100.0;
        self.risk = (1.0 - (1.0 - now) * (1.0 - weight)) as f32;
        self.risk_at = self.risk_at.max(at);
        self.risk(at)
    }

    /// Its risk, 0 to 100. For display and order; it decides nothing.
    pub fn risk(&self, at: Timestamp) -> f64 {
        // Most agents have none, and each event asks.
        if self.risk == 0.0 {
            return 0.0;
        }
        let age = at.since(self.risk_at).max(0) as f64;
        100.0 * f64::from(self.risk) * (-age / RISK_HALF_LIFE_MILLIS).exp2()
    }

    /// Its risk, 0 to 1, and when it was that.
    pub(crate) fn standing(&self) -> (f32, Timestamp) {
        (self.risk, self.risk_at)
    }

    /// Puts back what [`AgentState::standing`] gave.
    pub(crate) fn set_standing(&mut self, risk: f32, at: Timestamp) {
        (self.risk, self.risk_at) = (risk, at);
    }

    /// The earliest moment at which something about it falls due.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.sessions.iter().map(|session| session.deadline()).chain(self.hour.silence_due()).min()
    }

    /// A release changes behaviour honestly: under a version of few sessions, little is known yet. What is left of a p-value
    /// then.
    pub(crate) fn with_release(&self, p: f64) -> f64 {
        let learned = self.versions.count(self.version);
        if learned == self.sessions_learned {
            return p;
        }
        let doubt = 1.0 / (1.0 + f64::from(learned));
        doubt + (1.0 - doubt) * p
    }

    /// What was counted of it in a dimension; `None` for those that sessions do not note.
    pub(crate) fn counts(&self, dimension: Dimension) -> Option<&Categories> {
        match dimension {
            Dimension::Tool => Some(&self.tools),
            Dimension::Resource => Some(&self.resources),
            Dimension::Family => Some(&self.families),
            Dimension::Network => Some(&self.networks),
            Dimension::Client => Some(&self.clients),
            _ => None,
        }
    }

    /// The same, to be added to.
    pub(crate) fn counts_mut(&mut self, dimension: Dimension) -> Option<&mut Categories> {
        match dimension {
            Dimension::Tool => Some(&mut self.tools),
            Dimension::Resource => Some(&mut self.resources),
            Dimension::Family => Some(&mut self.families),
            Dimension::Network => Some(&mut self.networks),
            Dimension::Client => Some(&mut self.clients),
            _ => None,
        }
    }

    /// What its requests lead to, as far as is known.
    pub fn habits(&self) -> &Habits {
        static NONE: std::sync::LazyLock<Habits> = std::sync::LazyLock::new(Habits::default);
        self.habits.as_deref().unwrap_or(&NONE)
    }

    /// Bytes it takes, on the heap and inline, without what is kept of requests and tasks.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.id.len()
            + self.tools.heap_bytes()
            + self.families.heap_bytes()
            + self.resources.heap_bytes()
            + self.versions.heap_bytes()
            + self.networks.heap_bytes()
            + self.clients.heap_bytes()
            + self.sent.heap_bytes()
            + self.hours.heap_bytes()
            + self.repeats.heap_bytes()
            + self.drift.as_ref().map_or(0, |drift| drift.heap_bytes())
            + self.denials.capacity() * size_of::<Denial>()
            + self.sessions.capacity() * size_of::<Box<Session>>()
            + self.sessions.len() * size_of::<Session>()
    }
}

/// The peer group of an agent with this document and platform.
pub(crate) fn group<'a>(document: Option<&Registered>, platform: Option<&'a str>) -> Cow<'a, str> {
    let platform = platform.filter(|platform| platform.len() <= LONGEST_NAME);
    match document.and_then(Registered::peer_group) {
        Some(declared) => Cow::Owned(declared),
        None => Cow::Borrowed(platform.unwrap_or(crate::neighbours::FLEET)),
    }
}
