//! Drift: an agent that has changed what it does about the same tasks, suddenly or little by little.
//!
//! A session is looked at when it ends, in six dimensions ([`Aspect`]): where its value in each stands among those of
//! earlier sessions with the same task (`reference`). A session of a task never seen before says nothing, so that another
//! mix of tasks is no drift. P-values of one session need not be improbable for an alert: they are bet against one after the
//! other, by dimension (`wager`), and what is alerted on is that the bets have paid more than they would in an agent that
//! has not changed. After an alert all begins anew: what the agent does now is its normal, and has been told.
//!
//! Sessions that were alerted on are bet on like all others, since a changed agent alerts often and must be seen; but they
//! may be a small part only of what is learned, since what an attacker has it do must not become what is usual.

mod course;
mod reference;
mod wager;

use driftline_core::{Basis, Evidence, Severity, key, pair_key};
use serde::{Deserialize, Serialize};

pub use course::{Aspect, Course};
use course::{Value, link};
use reference::{Layer, Tasks};
use wager::{Tally, Wager};

use crate::agent::{AgentState, Changed};
use crate::decision::{DEFAULT_LEVEL, one_in};
use crate::detector::{Detector, Scene};
use crate::finding::{DEVIATION, Finding, Techniques};
use crate::lexicon::Lexicon;
use crate::observation::Dimension;
use crate::session::Session;
use crate::world::World;

const NAME: &str = "drift";
/// Statistics that may raise an alert, of an agent: of each dimension and reference one.
const WAGERS: f64 = 2.0 * Aspect::ALL.len() as f64;
/// A drift alert has a person review an agent and not a session: it must be ten times less probable than what sessions are
/// alerted on for. So all of it takes a tenth of the alert budget at most, and its judgements are not counted there.
const MARGIN: f64 = 0.1;
/// Categories that are named of what was usual, and of what came instead.
const NAMED: usize = 3;
/// What the best bet is worth where it is told what has moved.
const PAYING: f64 = 10.0;

/// What drift knows of an agent. Part of the format of [`crate::state`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Drift {
    pub(crate) tasks: Tasks,
    rolling: [Wager; 6],
    first: [Wager; 6],
}

impl Drift {
    /// How far the bets in each dimension have come, in the order of [`Aspect::ALL`], 0 to 1: at 1 they alone are alerted on.
    /// On a scale of orders of magnitude.
    pub fn progress(&self, level: f64) -> [f64; 6] {
        let whole = bound(level).ln();
        let of = |wager: &Wager| (wager.holding().max(1.0).ln() / whole).min(1.0);
        std::array::from_fn(|i| of(&self.rolling[i]).max(of(&self.first[i])))
    }

    /// The tools whose use has moved most since the bets on tools began to pay, the most first: the share of sessions since then
    /// that called each, less the share that is usual in the same tasks. Empty while they pay little, as they do now and then
    /// where nothing has changed.
    pub fn moved_tools(&self) -> Vec<(u64, f64)> {
        let wager = self.wager(Aspect::Tools);
        if wager.best() < PAYING {
            return Vec::new();
        }
        let sessions = f64::from(wager.sessions.max(1));
        let most = most_apart(wager).into_iter().take(NAMED);
        most.map(|tally| (tally.key, f64::from(tally.seen - tally.usual) / sessions)).collect()
    }

    /// The bets of a dimension that hold more, of both references.
    fn wager(&self, aspect: Aspect) -> &Wager {
        let (rolling, first) = (&self.rolling[aspect as usize], &self.first[aspect as usize]);
        if first.holding() > rolling.holding() { first } else { rolling }
    }

    /// What all bets of all dimensions hold.
    fn holding(&self) -> f64 {
        self.rolling.iter().chain(&self.first).map(Wager::holding).sum()
    }

    /// Bytes on the heap, about, without what is kept of tasks.
    pub fn heap_bytes(&self) -> usize {
        let tallies = self.rolling.iter().chain(&self.first).map(|wager| wager.tally.capacity());
        size_of::<Self>() + tallies.sum::<usize>() * size_of::<Tally>()
    }

    /// Bytes that are kept of tasks, about.
    pub fn task_bytes(&self) -> usize {
        self.tasks.heap_bytes()
    }

    /// Whether it can be so: read back, it need not have been written by this program.
    pub(crate) fn is_sound(&self) -> bool {
        self.tasks.is_sound() && self.rolling.iter().chain(&self.first).all(Wager::is_sound)
    }

    /// Bets against a session.
    fn bet(&mut self, session: &Session, values: &[Value; 6], agent: u64) {
        let Some(task) = self.tasks.known(session.course.task) else { return };
        for (aspect, value) in Aspect::ALL.into_iter().zip(values) {
            let histogram = task.of(aspect);
            // Independent by agent, session and dimension: one lot for all would make them err together.
            let lot = pair_key(aspect as u8, [agent, key(53, [&session.first_event, ""])]);
            let chance = (lot >> 11) as f64 / (1u64 << 53) as f64;
            let p_values = histogram.p_values(aspect, value, chance);
            for ((layer, wagers), p) in Layer::ALL.into_iter().zip([&mut self.rolling, &mut self.first]).zip(p_values) {
                let Some(p) = p else { continue };
                let wager = &mut wagers[aspect as usize];
                if wager.bet(p, session.started, &session.first_event) {
                    wager.note(seen(aspect, value), histogram.usual(aspect, layer));
                }
            }
        }
    }

    /// The dimension that has moved and the bets that say so, where all bets together hold the bound. Of dimensions that are
    /// half as far, in orders of magnitude, the first explains the others.
    fn moved(&self, bound: f64) -> Option<(Aspect, &Wager)> {
        let wagers = Aspect::ALL.map(|aspect| (aspect, self.wager(aspect)));
        (self.holding() >= bound).then_some(())?;
        wagers.into_iter().find(|(_, wager)| wager.holding() >= bound.sqrt())
    }
}

/// See the module.
pub struct DriftDetector;

impl Detector for DriftDetector {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[NAME]
    }

    /// An event says nothing by itself: it is noted, and [`session_ended`] judges them together.
    fn score(&self, scene: &mut Scene<'_, '_>, _: &mut Vec<Finding>) -> f64 {
        let mut course = std::mem::take(&mut scene.session.course);
        if scene.session.events == 0 {
            course = Course::begin(scene.event, scene.session.pursuit.as_deref());
        }
        course.note(scene.event, scene.observation, scene.session, scene.agent, scene.lexicon);
        scene.session.course = course;
        1.0
    }
}

/// Judges a session that has ended, and learns it; little of it where it was alerted on.
pub fn session_ended(
    session: &Session,
    agent: &mut AgentState,
    world: &World,
    lexicon: &Lexicon,
    alerted: bool,
) -> Option<Finding> {
    let learn = world.settings.learn;
    if agent.drift.is_none() && !learn {
        return None;
    }
    agent.changed.set(Changed::BASELINE);
    let lot = agent.fleet_key ^ key(52, [&agent.id, ""]);
    let values = session.course.values(session);
    let bound = bound(world.level(agent));
    let mut drift = agent.drift.take().unwrap_or_default();
    drift.bet(session, &values, lot);
    if let Some((aspect, wager)) = drift.moved(bound) {
        return Some(finding(&drift, aspect, wager, session, agent, lexicon));
    }
    if learn {
        drift.tasks.learn(session.course.task, values, alerted);
    }
    agent.drift = Some(drift);
    None
}

/// What bets must hold for an alert.
fn bound(level: f64) -> f64 {
    WAGERS / (MARGIN * level.min(DEFAULT_LEVEL))
}

/// What a session did, as it is tallied.
fn seen(aspect: Aspect, value: &Value) -> impl Iterator<Item = (u64, f64)> {
    value.iter().map(move |&it| if aspect.is_set() { (it, 1.0) } else { (0, it as f64) })
}

fn finding(
    drift: &Drift,
    aspect: Aspect,
    wager: &Wager,
    session: &Session,
    agent: &AgentState,
    lexicon: &Lexicon,
) -> Finding {
    let names = Names::of(session, agent, lexicon);
    let p_value = (WAGERS / drift.holding()).min(1.0);
    let evidence = |aspect: Aspect, wager: &Wager| Evidence {
        feature: aspect.name().to_owned(),
        observed: names.tell(aspect, wager, |tally| tally.seen),
        expected: vec![names.tell(aspect, wager, |tally| tally.usual)],
        baseline_count: Some(u64::from(drift.tasks.sessions)),
        peers: None,
        p_value: Some((WAGERS / wager.holding()).min(1.0)),
    };
    let own = evidence(aspect, wager);
    let (from, to) = (own.expected.concat(), own.observed.clone());
    let others = Aspect::ALL.into_iter().zip(&drift.rolling).filter(|&(other, wager)| {
        other != aspect && !wager.tally.is_empty() && WAGERS / wager.holding() < DEFAULT_LEVEL.sqrt()
    });
    let others = others.map(|(other, wager)| evidence(other, wager));
    let evidence = [own].into_iter().chain(others).collect();
    let mut events = vec![wager.first_event.to_string(), session.first_event.to_string()];
    events.dedup();
    Finding {
        detector: NAME,
        family: DEVIATION,
        kind: NAME,
        basis: vec![Basis::Unusual],
        severity: Severity::Medium,
        anchor: format!("{NAME}/{}", session.first_event),
        title: format!("{} has changed: {}", agent.id, names.headline(aspect, wager)),
        summary: format!(
            "It has drifted in {} since {}; another mix of tasks is allowed for. An agent that has not changed shows as much \
             in {} sessions.",
            aspect.what(),
            wager.since,
            one_in(p_value)
        ),
        recommendation: "Find out what was changed at that time: the model, its instructions, its tools or what they \
                         return. If it was meant to change, nothing is to be done: from here on it is compared with \
                         what it does now.",
        evidence,
        steps: Vec::new(),
        drift: Some(driftline_core::Drift { dimension: aspect.name().to_owned(), since: wager.since, from, to }),
        events,
        p_value: Some(p_value),
        e_value: Some(1.0 / p_value),
        techniques: Techniques { attack: &[], atlas: &[], owasp: &["ASI10"] },
    }
}

/// What categories are called.
struct Names<'a> {
    /// Tools that the agent is known to use, and those of the session.
    tools: Vec<u64>,
    lexicon: &'a Lexicon,
}

impl<'a> Names<'a> {
    fn of(session: &Session, agent: &AgentState, lexicon: &'a Lexicon) -> Self {
        let used = session.used().filter(|&(dimension, _)| dimension == Dimension::Tool).map(|(_, key)| key);
        Self { tools: agent.tools.keys().iter().copied().chain(used).collect(), lexicon }
    }

    fn name(&self, aspect: Aspect, key: u64) -> String {
        if aspect != Aspect::Chain {
            return self.lexicon.name(key);
        }
        let pairs = self.tools.iter().flat_map(|&first| self.tools.iter().map(move |&then| (first, then)));
        match pairs.into_iter().find(|&(first, then)| link(first, then) == key) {
            Some((first, then)) => format!("{} after {}", self.lexicon.name(then), self.lexicon.name(first)),
            None => "a tool that it did not use before after another".to_owned(),
        }
    }

    /// What has changed most, as the end of a sentence.
    fn headline(&self, aspect: Aspect, wager: &Wager) -> String {
        let Some(most) = most_apart(wager).first().copied() else { return aspect.name().to_owned() };
        let Tally { key, seen, usual } = *most;
        let sessions = wager.sessions;
        let (mean_seen, mean_usual) = (seen / sessions.max(1) as f32, usual / sessions.max(1) as f32);
        let name = || self.name(aspect, key);
        match aspect {
            Aspect::Tools | Aspect::Chain => {
                format!("it calls {} in {seen} of {sessions} sessions, where the same tasks had {usual:.1}", name())
            }
            Aspect::Resources => {
                format!("it touches {} in {seen} of {sessions} sessions, where the same tasks had {usual:.1}", name())
            }
            Aspect::Errors => {
                format!("{mean_seen:.0}% of its acts fail, where in the same tasks it was {mean_usual:.0}%")
            }
            Aspect::Writes => {
                format!("{mean_seen:.0}% of its acts change something, where in the same tasks it was {mean_usual:.0}%")
            }
            Aspect::Length => {
                format!("it takes {mean_seen:.1} acts a session, where the same tasks took {mean_usual:.1}")
            }
        }
    }

    /// What sessions did, with counts: the categories first that differ most between what was seen and what is usual.
    fn tell(&self, aspect: Aspect, wager: &Wager, count: impl Fn(&Tally) -> f32) -> String {
        let sessions = wager.sessions;
        let most = most_apart(wager);
        if !aspect.is_set() {
            let mean = most.first().map_or(0.0, |tally| count(tally)) / sessions.max(1) as f32;
            return match aspect {
                Aspect::Errors => format!("{mean:.0}% of the acts of {sessions} sessions failed"),
                Aspect::Writes => format!("{mean:.0}% of the acts of {sessions} sessions changed something"),
                _ => format!("{mean:.1} acts a session in {sessions} sessions"),
            };
        }
        let name = |tally: &&Tally| format!("{} in {:.1}", self.name(aspect, tally.key), count(tally));
        let named: Vec<String> = most.iter().take(NAMED).map(name).collect();
        format!("{} of {sessions} sessions", named.join(", "))
    }
}

/// What was tallied, what differs most first.
fn most_apart(wager: &Wager) -> Vec<&Tally> {
    let apart = |tally: &Tally| (tally.seen - tally.usual).abs();
    let mut tallies: Vec<&Tally> = wager.tally.iter().collect();
    tallies.sort_by(|a, b| apart(b).total_cmp(&apart(a)).then(a.key.cmp(&b.key)));
    tallies
}
