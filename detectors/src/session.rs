//! What is kept of a session while it runs.

use driftline_core::{Event, Impact, Sensitivity, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::drift::Course;
use crate::evidence::Wealth;
use crate::observation::{Dimension, Observation, resources};
use crate::pursuit::Pursuit;
use crate::state::wire;

/// A session ends when nothing was heard of it for this long.
pub const IDLE_MILLIS: i64 = 60 * 60_000;
/// A session that goes on for longer is judged in parts of this length.
pub const LONGEST_MILLIS: i64 = 24 * 60 * 60_000;
/// Categories of a session that are remembered; past it, it is judged on in a new part.
const CATEGORIES: usize = 512;
/// Surprises and events kept for the explanation.
const EXPLAINED: usize = 8;
const EVENTS: usize = 32;

/// One thing that a session did and that its agent seldom or never did before. Part of the format of
/// [`crate::state`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surprise {
    /// In which dimension.
    pub dimension: Dimension,
    /// The category.
    pub key: u64,
    /// What was seen, in words.
    pub observed: String,
    /// The event's id.
    pub event: String,
    /// Probability of something as rare.
    pub p: f64,
}

/// A session of an agent: its evidence so far, and what it will teach if it ends without an alert. Part of the format
/// of [`crate::state`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Session {
    /// Hash of the session's id.
    pub key: u64,
    /// Id of its first event: the anchor of its alerts.
    pub first_event: Box<str>,
    /// Time of its first event.
    #[serde(with = "wire::millis")]
    pub started: Timestamp,
    /// Latest time heard of.
    #[serde(with = "wire::millis")]
    pub last: Timestamp,
    /// Events.
    pub events: u32,
    /// What the novelty bettor holds.
    pub wealth: Wealth,
    /// The strongest surprises, the smallest p-value first.
    pub surprises: Vec<Surprise>,
    /// The worst that was alerted on.
    pub alerted: Option<Severity>,
    /// Whether it is kept out of the baseline.
    pub quarantined: bool,
    /// Findings raised, by hash of kind and subject: each is raised once a session.
    #[serde(with = "wire::keys")]
    pub raised: Vec<u64>,
    /// What was at stake.
    #[serde(with = "wire::impact")]
    pub impact: Impact,
    /// Distinct categories used, in order of first use. A key stands for its dimension too, which is part of what is
    /// hashed; `dimensions` runs beside the keys, so that looking one up passes over nothing else.
    #[serde(with = "wire::keys")]
    used: Vec<u64>,
    dimensions: Vec<Dimension>,
    /// Hash of the version that the agent acted under when it began. Written beside the session.
    #[serde(skip)]
    pub version: u64,
    /// Its request and what it has done about it; `None` where there is none. Written beside the session.
    #[serde(skip)]
    pub pursuit: Option<Box<Pursuit>>,
    /// What it has done, as drift is told by. Written beside the session.
    #[serde(skip)]
    pub course: Course,
}

impl Session {
    /// A session that begins with `event`.
    pub fn begin(key: u64, event: &Event<'_>, id: &str) -> Self {
        let version = version_of(event);
        Self { key, version, first_event: id.into(), started: event.time, last: event.time, ..Self::default() }
    }

    /// When it ends if nothing more is heard of it.
    pub fn deadline(&self) -> Timestamp {
        self.last.plus_millis(IDLE_MILLIS).min(self.started.plus_millis(LONGEST_MILLIS))
    }

    /// Whether a session can be so: read back, it need not have been written by this program.
    pub(crate) fn is_sound(&self) -> bool {
        self.used.len() == self.dimensions.len()
    }

    /// Whether it remembers as much as it may.
    pub fn is_full(&self) -> bool {
        self.used.len() >= CATEGORIES
    }

    /// Whether a category was used before in this session.
    pub fn has_used(&self, key: u64) -> bool {
        self.used.contains(&key)
    }

    /// Notes what an event used and moved.
    pub fn note(&mut self, event: &Event<'_>, observation: &Observation) {
        self.events += 1;
        self.last = self.last.max(event.time);
        if let Some(pursuit) = &mut self.pursuit {
            pursuit.note(event);
        }
        self.use_once(Dimension::Tool, observation.tool);
        for touched in &observation.touched {
            if self.use_once(Dimension::Resource, touched.resource) {
                *self.impact.resources.get_or_insert(0) += 1;
            }
            self.use_once(Dimension::Family, touched.family);
        }
        if let Some(place) = observation.place {
            if place.network != 0 {
                self.use_once(Dimension::Network, place.network);
            }
            self.use_once(Dimension::Client, place.client);
        }
        let sensitivity: Option<Sensitivity> = resources(event).filter_map(|resource| resource.sensitivity).max();
        self.impact.sensitivity = self.impact.sensitivity.max(sensitivity);
        if let Some(usage) = &event.usage {
            add(&mut self.impact.bytes_out, usage.bytes_out);
            add(&mut self.impact.records, usage.records);
            if let Some(cost) = usage.cost_usd.filter(|cost| cost.is_finite()) {
                *self.impact.cost_usd.get_or_insert(0.0) += cost;
            }
        }
    }

    /// Categories used, in order of first use.
    pub fn used(&self) -> impl ExactSizeIterator<Item = (Dimension, u64)> {
        self.dimensions.iter().copied().zip(self.used.iter().copied())
    }

    /// Bets against a surprise, and keeps it for the explanation if it is among the strongest.
    pub fn bet(&mut self, surprise: Surprise) {
        self.wealth.bet(surprise.p);
        if surprise.p < 0.05 {
            let at = self.surprises.partition_point(|known| known.p <= surprise.p);
            self.surprises.insert(at, surprise);
            self.surprises.truncate(EXPLAINED);
        }
    }

    /// Ids of the events behind the surprises, without repeats.
    pub fn contributing(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for surprise in &self.surprises {
            if !ids.contains(&surprise.event) && ids.len() < EVENTS {
                ids.push(surprise.event.clone());
            }
        }
        ids
    }

    /// Whether a severity is beyond what it was alerted on for. It counts as alerted on for that from here on.
    pub fn rises_to(&mut self, severity: Severity) -> bool {
        let rises = self.alerted.is_none_or(|alerted| alerted < severity);
        if rises {
            self.alerted = Some(severity);
        }
        rises
    }

    /// Whether a finding is raised for the first time in this session.
    pub fn raise_once(&mut self, kind: &str, subject: &str) -> bool {
        let key = driftline_core::key(19, [kind, subject]);
        let first = !self.raised.contains(&key) && self.raised.len() < CATEGORIES;
        if first {
            self.raised.push(key);
        }
        first
    }

    fn use_once(&mut self, dimension: Dimension, key: u64) -> bool {
        let first = !self.has_used(key);
        if first {
            self.used.push(key);
            self.dimensions.push(dimension);
        }
        first
    }
}

/// Key of the version that the agent acts under; 0 where none is told.
pub(crate) fn version_of(event: &Event<'_>) -> u64 {
    version_key(event.agent.version.as_deref().unwrap_or_default())
}

/// The same, of a version's name; empty where there is none.
pub(crate) fn version_key(version: &str) -> u64 {
    if version.is_empty() { 0 } else { driftline_core::key(23, [version, ""]) }
}

fn add(sum: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        let sum = sum.get_or_insert(0);
        *sum = sum.saturating_add(more);
    }
}
