//! What one session teaches.

use smallvec::SmallVec;

use super::act::{Act, Exclusion};
use super::sizes::Size;
use crate::observation::{Dimension, family, network, resource_keys, tool};
use crate::pursuit::Pursuit;
use crate::words::tokens;
use crate::{Requests, Timestamp, key, pair_key};

/// Words of a request that are counted against the tools it led to.
const MOST_WORDS: usize = 24;
/// Tools of a session that its request's words are counted against.
const MOST_TOOLS: usize = 32;

/// What a category is called, put into words only where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// A name by itself.
    Of(&'a str),
    /// A resource or family that was changed.
    Changed(&'a str),
    /// A tool and its server.
    At(&'a str, &'a str),
    /// One that led to another.
    Pair(&'a str, &'a str),
    /// A word, in whatever case, with a tool.
    Word(&'a str, &'a str),
    /// Autonomous system and country.
    Network(u32, &'a str),
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Of(name) | Self::At(name, "") => f.write_str(name),
            Self::Changed(name) => write!(f, "{name} (changed)"),
            Self::At(name, server) => write!(f, "{name} ({server})"),
            Self::Pair(from, to) => write!(f, "{from} → {to}"),
            Self::Word(word, tool) => write!(f, "{} → {tool}", word.to_lowercase()),
            Self::Network(0, country) => f.write_str(country),
            Self::Network(asn, country) => write!(f, "AS{asn} {country}"),
        }
    }
}

/// A category that a session used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taught<'a> {
    /// In which dimension.
    pub dimension: Dimension,
    /// Its key.
    pub key: u64,
    /// Events in which it came.
    pub events: u32,
    /// What it is called.
    pub name: Name<'a>,
}

/// What one session of an agent did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lesson<'a> {
    /// Its first event.
    pub first: Timestamp,
    /// Its last one.
    pub last: Timestamp,
    /// Events.
    pub events: u64,
    /// Of these, denied.
    pub denied: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Events that gave permissions.
    pub grants: u64,
    /// The platform that its last events named.
    pub platform: &'a str,
    /// Events by hour since the epoch.
    pub hours: SmallVec<[(i64, u32); 4]>,
    /// What it used, each once.
    pub categories: Vec<Taught<'a>>,
    /// Sizes that came.
    pub sizes: Vec<(Size, u64)>,
    /// What it was asked for, and did about it; `None` where no request is told.
    pub pursuit: Option<Pursuit>,
    /// What of all this is not to be learned.
    pub exclusion: Exclusion,
}

impl<'a> Lesson<'a> {
    /// What acts teach that stand in order and are those of one session.
    pub(super) fn of(acts: &[Act<'a>]) -> Self {
        let mut lesson = Self::default();
        let (Some(first), Some(last)) = (acts.first(), acts.last()) else { return lesson };
        lesson.first = Timestamp::MIN.plus_millis(first.time);
        lesson.last = Timestamp::MIN.plus_millis(last.time);
        let mut before = None;
        let mut tools = SmallVec::<[(u64, &str); 8]>::new();
        for act in acts {
            let tool_key = lesson.act(act);
            if let Some((before, name)) = before {
                let chain = pair_key(Dimension::Chain as u8, [before, tool_key]);
                lesson.add(Dimension::Chain, chain, Name::Pair(name, act.tool));
            }
            before = Some((tool_key, act.tool));
            // What requests alike led to weighs what is done now, and teaches nothing.
            let pursuit = &mut lesson.pursuit;
            *pursuit = pursuit.take().or_else(|| Pursuit::begin(act, &Requests::default()));
            if let Some(pursuit) = pursuit {
                pursuit.note(act);
            }
            lesson.exclusion = lesson.exclusion.max(act.exclusion);
            if tools.len() < MOST_TOOLS && tools.iter().all(|&(key, _)| key != tool_key) {
                tools.push((tool_key, act.tool));
            }
        }
        let request = acts.iter().map(|act| act.request).find(|request| !request.is_empty());
        lesson.words(request.unwrap_or_default(), &tools);
        lesson.sizes.push((Size::SessionEvents, lesson.events));
        lesson.sizes.push((Size::SessionLength, lesson.last.since(lesson.first).unsigned_abs()));
        lesson
    }

    /// Adds one act; returns its tool's key.
    fn act(&mut self, act: &Act<'a>) -> u64 {
        self.events += 1;
        self.denied += u64::from(act.outcome == 1);
        self.failed += u64::from(act.outcome == 2);
        self.grants += u64::from(act.grants);
        if !act.platform.is_empty() {
            self.platform = act.platform;
        }
        let hour = act.time.div_euclid(3_600_000);
        match self.hours.iter_mut().find(|(known, _)| *known == hour) {
            Some((_, events)) => *events = events.saturating_add(1),
            None => self.hours.push((hour, 1)),
        }
        let tool_key = tool(act.tool, act.server);
        let tool_name = Name::At(act.tool, act.server);
        self.add(Dimension::Tool, tool_key, tool_name);
        match act.outcome {
            1 => self.add(Dimension::Denied, pair_key(Dimension::Denied as u8, [tool_key, 0]), tool_name),
            2 => self.add(Dimension::Failed, pair_key(Dimension::Failed as u8, [tool_key, 0]), tool_name),
            _ => {}
        }
        for touched in act.observed() {
            let (resource, of_family) = resource_keys(touched.id, touched.kind, touched.role, act.changes);
            let name = if act.changes { Name::Changed } else { Name::Of };
            self.add(Dimension::Resource, resource, name(touched.id));
            self.add(Dimension::Family, of_family, name(family(touched.id)));
        }
        for (dimension, name) in [
            (Dimension::Server, act.server),
            (Dimension::Credential, act.credential),
            (Dimension::Client, act.client),
            (Dimension::Principal, act.principal),
        ] {
            self.add_named(dimension, name);
        }
        act.peers.iter().for_each(|peer| self.add_named(Dimension::Peer, peer));
        act.permissions.iter().for_each(|permission| self.add_named(Dimension::Permission, permission));
        let network = network(act.asn, act.country);
        if network != 0 {
            self.add(Dimension::Network, network, Name::Network(act.asn, act.country));
        }
        let of_acts = Size::ALL.iter().skip(Size::Duration as usize);
        let given = of_acts.zip(act.sizes).filter(|&(_, size)| size > 0);
        self.sizes.extend(given.map(|(&size, value)| (size, value - 1)));
        tool_key
    }

    /// Counts the words of a request with the tools that it led to.
    fn words(&mut self, request: &'a str, tools: &[(u64, &'a str)]) {
        let words = tokens(request).filter(|word| word.chars().nth(2).is_some());
        for word in words.take(MOST_WORDS) {
            let lower = word.to_lowercase();
            let word_key = key(Dimension::Word as u8, [&lower, ""]);
            for &(tool_key, tool) in tools {
                self.add_once(
                    Dimension::Word,
                    pair_key(Dimension::Word as u8, [word_key, tool_key]),
                    Name::Word(word, tool),
                );
            }
        }
    }

    fn add_named(&mut self, dimension: Dimension, name: &'a str) {
        if !name.is_empty() {
            self.add(dimension, key(dimension as u8, [name, ""]), Name::Of(name));
        }
    }

    fn add(&mut self, dimension: Dimension, key: u64, name: Name<'a>) {
        match self.categories.iter_mut().find(|known| known.key == key) {
            Some(known) => known.events = known.events.saturating_add(1),
            None => self.categories.push(Taught { dimension, key, events: 1, name }),
        }
    }

    /// As [`Lesson::add`], where it is not there yet; `events` stays 1.
    fn add_once(&mut self, dimension: Dimension, key: u64, name: Name<'a>) {
        if self.categories.iter().all(|known| known.key != key) {
            self.categories.push(Taught { dimension, key, events: 1, name });
        }
    }
}
