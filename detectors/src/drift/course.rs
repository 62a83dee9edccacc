//! What a session does, in the dimensions in which an agent may drift.

use driftline_core::{Event, Outcome, key, pair_key};
use serde::{Deserialize, Serialize};

use crate::agent::AgentState;
use crate::lexicon::Lexicon;
use crate::observation::{Dimension, Observation, family, is_change, resources};
use crate::pursuit::Pursuit;
use crate::session::Session;
use crate::state::wire;

/// A dimension in which an agent may drift. Part of the format of [`crate::state`]: values are never given anew.
///
/// In the order in which they explain one another: another tool may make a session longer and its chains different, and
/// then it is the tool that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Aspect {
    /// Which tools are called.
    Tools = 0,
    /// Which families of resources are touched.
    Resources = 1,
    /// Which share of its acts fail or are denied.
    Errors = 2,
    /// Which share of its acts change something.
    Writes = 3,
    /// How many acts there are.
    Length = 4,
    /// Which tool follows which other one.
    Chain = 5,
}

impl Aspect {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Tools, Self::Resources, Self::Errors, Self::Writes, Self::Length, Self::Chain];

    /// Its name in alerts and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Errors => "errors",
            Self::Writes => "writes",
            Self::Length => "length",
            Self::Chain => "chain",
        }
    }

    /// Its name in a sentence.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Tools => "the tools that it calls",
            Self::Resources => "the resources that it touches",
            Self::Errors => "how often its acts fail",
            Self::Writes => "how often it changes something",
            Self::Length => "how many acts it takes",
            Self::Chain => "the order of its tools",
        }
    }

    /// Whether a session has a set of categories in it, and not a number.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Tools | Self::Resources | Self::Chain)
    }
}

/// A session's value in one dimension: the keys of categories, ascending, or one number.
pub type Value = Box<[u64]>;

/// Categories of a session that are looked at in one dimension: those with the least keys, which is the same sample in
/// every session.
pub const CATEGORIES: usize = 12;
/// Categories that are remembered while the session runs.
const REMEMBERED: usize = 64;
/// The dimensions of the keys made here.
const TASK: u8 = 50;
const FAMILY: u8 = 51;

/// What a session has done so far, beside what `Session` keeps of it. Part of the format of [`crate::state`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Course {
    /// Key of its task; 0 where none is told.
    pub task: u64,
    last_tool: u64,
    #[serde(with = "wire::keys")]
    chain: Vec<u64>,
    #[serde(with = "wire::keys")]
    resources: Vec<u64>,
    errors: u32,
    writes: u32,
}

impl Course {
    /// The course of a session that begins with an event.
    pub fn begin(event: &Event<'_>, pursuit: Option<&Pursuit>) -> Self {
        Self { task: task_of(event, pursuit), ..Self::default() }
    }

    /// Notes an event, before the session does.
    pub fn note(
        &mut self,
        event: &Event<'_>,
        observation: &Observation,
        session: &Session,
        agent: &AgentState,
        names: &mut Lexicon,
    ) {
        self.errors += u32::from(event.outcome != Outcome::Success);
        self.writes += u32::from(is_change(event));
        // The same tool again makes a session longer, and no other chain.
        if self.last_tool != 0 && self.last_tool != observation.tool {
            add(&mut self.chain, link(self.last_tool, observation.tool));
        }
        self.last_tool = observation.tool;
        for touched in &observation.touched {
            if session.has_used(touched.family) {
                continue;
            }
            // Apart from what was done with it, which is for `writes` to tell.
            let Some(resource) = resources(event).nth(touched.index) else { continue };
            let family = key(FAMILY, [family(&resource.id), resource.kind.as_deref().unwrap_or_default()]);
            add(&mut self.resources, family);
            if agent.families.count(touched.family) == 0 {
                names.note(family, crate::observation::family(&resource.id));
            }
        }
    }

    /// The session's values, in the order of [`Aspect::ALL`].
    pub fn values(&self, session: &Session) -> [Value; 6] {
        let tools = session.used().filter(|&(dimension, _)| dimension == Dimension::Tool).map(|(_, key)| key);
        [
            set(tools.collect()),
            set(self.resources.clone()),
            number(percent(self.errors, session.events)),
            number(percent(self.writes, session.events)),
            number(session.events),
            set(self.chain.clone()),
        ]
    }
}

/// The key of one tool after another.
pub fn link(first: u64, then: u64) -> u64 {
    pair_key(Dimension::Chain as u8, [first, then])
}

/// What the session is compared by: the kind of its task where the platform tells it, else its request.
fn task_of(event: &Event<'_>, pursuit: Option<&Pursuit>) -> u64 {
    match event.task.as_ref().and_then(|task| task.kind.as_deref()) {
        Some(kind) => key(TASK, [kind, ""]),
        None => pursuit.map_or(0, |pursuit| pursuit.request),
    }
}

fn add(keys: &mut Vec<u64>, key: u64) {
    if keys.len() < REMEMBERED && !keys.contains(&key) {
        keys.push(key);
    }
}

fn set(mut keys: Vec<u64>) -> Value {
    keys.sort_unstable();
    keys.dedup();
    keys.truncate(CATEGORIES);
    keys.into()
}

/// A share of a session's acts, of which longer ones do not have more.
fn percent(part: u32, events: u32) -> u32 {
    (u64::from(part) * 100 / u64::from(events.max(1))) as u32
}

fn number(number: u32) -> Value {
    [u64::from(number)].into()
}
