//! Rate: more events in an hour than the agent's rhythm allows, or none where there always were.
//!
//! An hour of an agent's events is the unit. It is judged when the count passes what is ordinary, not only when the
//! hour closes, and against the same hour of earlier weeks. Silence is judged by a timer: when no event came for so long
//! that the agent's own rhythm makes that as improbable as the level asks. Method: [`crate::gamma_poisson`].

use driftline_core::{Basis, Evidence, HourCounts, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::agent::AgentState;
use crate::decision::{one_in, severity};
use crate::detector::{Detector, Scene};
use crate::evidence::calibrate;
use crate::finding::{DEVIATION, Finding, Techniques};
use crate::gamma_poisson::{Expected, Rhythm};
use crate::state::wire;
use crate::world::World;

/// Active hours, and hours in all, before an hour is judged: a week shows each hour of the week once.
const WARM_UP_ACTIVE: u64 = 24;
const WARM_UP_HOURS: i64 = 168;
/// Hours of history before silence is judged: a fortnight shows each hour of the week twice.
const SILENCE_WARM_UP_HOURS: i64 = 336;
/// An agent is not looked at for silence before it was silent for this long.
const SILENCE_LOOK_MILLIS: i64 = 6 * 3_600_000;
/// Silence is not waited for beyond this many hours.
const SILENCE_HORIZON_HOURS: i64 = 14 * 24;
/// Silence must be this much less probable than the level asks, and so many times as long as the longest one before:
/// holidays and outages are no part of a weekly rhythm.
const SILENCE_MARGIN: f64 = 1e-3;
const SILENCE_STRETCH: i64 = 3;

/// The hour that an agent is in. Part of the format of [`crate::state`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Hour {
    /// Hours since the epoch; `None` before the first event.
    hour: Option<i64>,
    /// Events in it.
    count: u32,
    /// The count from which it is worth computing a p-value.
    look_at: u32,
    /// What is expected of it.
    expected: Option<Expected>,
    /// Id of its first event.
    first_event: Box<str>,
    /// The worst that was alerted on.
    alerted: Option<Severity>,
    /// The longest silence so far, in hours.
    longest_silence: i64,
    /// When silence is looked at, or falls due.
    #[serde(with = "wire::millis::option")]
    silence_at: Option<Timestamp>,
    /// Whether `silence_at` is the moment itself and not only a look.
    silence_known: bool,
}

impl Hour {
    /// The hour, where it is judged.
    pub(crate) fn judged(&self) -> Option<i64> {
        self.hour.filter(|_| self.expected.is_some())
    }

    /// When the agent's silence is to be looked at.
    pub fn silence_due(&self) -> Option<Timestamp> {
        self.silence_at
    }

    /// Closes the hour and learns from it. What was alerted on is learned as what had been expected, so that an attack
    /// does not teach its own pace. Says whether anything was learned.
    pub fn close(&mut self, hours: &mut HourCounts, learn: bool) -> bool {
        let Some(hour) = self.hour.take() else { return false };
        if learn {
            let usual = self.expected.map_or(0, |expected| expected.overall().round() as u32);
            hours.learn(hour, if self.alerted.is_some() { usual } else { self.count });
        }
        *self = Self { silence_at: self.silence_at, longest_silence: self.longest_silence, ..Self::default() };
        learn
    }
}

/// See the module.
pub struct Rate;

const NAME: &str = "rate";

impl Detector for Rate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["burst", "silence"]
    }

    fn score(&self, scene: &mut Scene<'_, '_>, findings: &mut Vec<Finding>) -> f64 {
        let hour = scene.event.time.hour();
        let learn = scene.world.settings.learn;
        let agent = &mut *scene.agent;
        match agent.hour.hour {
            // An hour that is closed stays closed.
            Some(current) if hour < current => return 1.0,
            Some(current) if hour > current => agent.close_hour(learn),
            None if agent.hours.span().is_some_and(|(_, last)| hour <= last) => return 1.0,
            _ => {}
        }
        if agent.hour.hour.is_none() {
            open(agent, hour, scene.id);
        }
        agent.hour.count = agent.hour.count.saturating_add(1);
        if agent.hour.count < agent.hour.look_at {
            return 1.0;
        }
        let Some(expected) = agent.hour.expected else { return 1.0 };
        let count = agent.hour.count;
        agent.hour.look_at = count + (count / 8).max(1);
        let p = expected.at_least(count);
        if let Some(finding) = judge(scene, expected, p) {
            findings.push(finding);
        }
        p
    }
}

fn open(agent: &mut AgentState, hour: i64, first_event: &str) {
    let span = agent.hours.span();
    let warm =
        agent.hours.active() >= WARM_UP_ACTIVE && span.is_some_and(|(first, last)| last - first >= WARM_UP_HOURS);
    let silence = span.map_or(0, |(_, last)| hour - last - 1);
    let expected = warm.then(|| Rhythm::of(&agent.hours).expected(agent.hours.hour_of_week(hour)));
    let look_at = expected.map_or(u32::MAX, Expected::notable);
    agent.hour = Hour {
        hour: Some(hour),
        look_at,
        expected,
        first_event: first_event.into(),
        longest_silence: agent.hour.longest_silence.max(silence),
        silence_at: Some(start_of(hour + 1).plus_millis(SILENCE_LOOK_MILLIS)),
        ..Hour::default()
    };
}

fn start_of(hour: i64) -> Timestamp {
    Timestamp::MIN.plus_millis(hour.saturating_mul(3_600_000))
}

fn judge(scene: &mut Scene<'_, '_>, expected: Expected, p: f64) -> Option<Finding> {
    let evidence = calibrate(p).ln();
    let severity = severity(evidence, scene.world.level(scene.agent))?;
    let hour = &mut scene.agent.hour;
    if hour.alerted.is_some_and(|alerted| alerted >= severity) {
        return None;
    }
    hour.alerted = Some(severity);
    scene.session.quarantined = true;
    let agent = scene.name();
    let weeks = scene.agent.hours.occurrences(scene.event.time.hour_of_week());
    Some(Finding {
        detector: NAME,
        family: DEVIATION,
        kind: "burst",
        basis: vec![Basis::Unusual],
        severity,
        // The session may begin with the same event and be judged by itself.
        anchor: format!("hour/{}/{severity}", scene.agent.hour.first_event),
        title: format!(
            "{agent} made {} calls in an hour that usually has {:.0}",
            scene.agent.hour.count, expected.mean
        ),
        summary: format!(
            "The pace of this hour is one that comes in {} of this agent's hours.",
            one_in((-evidence).exp())
        ),
        recommendation: "Look at what the calls have in common: a loop, a retry storm, or data read in bulk; throttle \
                         the agent if it goes on.",
        evidence: vec![Evidence {
            feature: "events_per_hour".to_owned(),
            observed: scene.agent.hour.count.to_string(),
            expected: vec![
                format!("{:.0} in an hour in which it works", expected.mean),
                format!("it works in {:.0}% of these hours of the week", 100.0 * expected.active),
            ],
            baseline_count: Some(u64::from(weeks)),
            peers: None,
            p_value: Some(p),
        }],
        steps: Vec::new(),
        drift: None,
        events: vec![scene.agent.hour.first_event.to_string(), scene.id.to_owned()],
        p_value: Some((-evidence).exp()),
        e_value: Some(evidence.exp()),
        techniques: Techniques { attack: &["T1119"], atlas: &[], owasp: &["ASI02"] },
    })
}

/// Puts an agent into the last hour that history tells of it, in which it has had so many events; those before are learned.
/// `longest_silence` is in hours.
pub fn resume(agent: &mut AgentState, hour: i64, events: u32, longest_silence: i64) {
    open(agent, hour, "");
    agent.hour.count = events;
    agent.hour.longest_silence = longest_silence;
}

/// Adds the hours of an earlier time, which are all closed, and the silences in it and since.
pub fn precede(agent: &mut AgentState, before: &AgentState) {
    let since = before.hours.span().map_or(0, |(_, last)| agent.first_seen.hour() - last - 1);
    agent.hours.merge(&before.hours);
    let longest = &mut agent.hour.longest_silence;
    *longest = (*longest).max(before.hour.longest_silence).max(since);
}

/// The silences that fall due until `now`, and when each does.
pub fn silences(agent: &mut AgentState, world: &World, now: Timestamp) -> Vec<(Timestamp, Finding)> {
    let mut found = Vec::new();
    while let Some(due) = agent.hour.silence_due().filter(|&due| due <= now) {
        match silence(agent, world, now) {
            Some(finding) => found.push((due, finding)),
            None if agent.hour.silence_due() == Some(due) => break,
            None => {}
        }
    }
    found
}

/// Looks at an agent that was silent until `now`. Where the silence is as improbable as the level asks, it is a finding;
/// else it is looked at again when it would be.
fn silence(agent: &mut AgentState, world: &World, now: Timestamp) -> Option<Finding> {
    let due = agent.hour.silence_at?;
    if now < due {
        return None;
    }
    if !agent.hour.silence_known {
        agent.close_hour(world.settings.learn);
        agent.hour.silence_at = silence_due(agent, world);
        agent.hour.silence_known = true;
        if agent.hour.silence_at.is_none_or(|due| now < due) {
            return None;
        }
    }
    let due = agent.hour.silence_at.take()?;
    let hours = due.since(agent.last_seen) / 3_600_000;
    let per_week = (0..168).map(|i| u64::from(agent.hours.events(i))).sum::<u64>() * 168
        / agent.hours.span().map_or(168, |(first, last)| (last - first + 1).max(1) as u64);
    let p_value = world.level(agent) * SILENCE_MARGIN;
    Some(Finding {
        detector: NAME,
        family: DEVIATION,
        kind: "silence",
        basis: vec![Basis::Unusual],
        severity: Severity::Low,
        anchor: format!("silence/{due}"),
        title: format!("{} has been silent for {hours} hours", agent.id),
        summary: format!(
            "By its own rhythm, about {per_week} events a week, a silence as long comes {} times.",
            one_in(p_value)
        ),
        recommendation: "Check that the agent still runs and that its events still arrive; an agent that acts where \
                         its events are not recorded looks like this too.",
        evidence: vec![Evidence {
            feature: "hours_without_events".to_owned(),
            observed: hours.to_string(),
            expected: vec![format!("about {per_week} events a week")],
            baseline_count: Some(agent.events),
            peers: None,
            p_value: Some(p_value),
        }],
        steps: Vec::new(),
        drift: None,
        events: Vec::new(),
        p_value: Some(p_value),
        e_value: Some(1.0 / p_value),
        techniques: Techniques { attack: &["T1562.008"], atlas: &[], owasp: &["ASI10"] },
    })
}

/// When the agent's silence, counted from its last event, becomes as improbable as the level asks; `None` where it does
/// not within the horizon, or too little is known of its rhythm.
fn silence_due(agent: &AgentState, world: &World) -> Option<Timestamp> {
    let (first, last) = agent.hours.span()?;
    if last - first < SILENCE_WARM_UP_HOURS {
        return None;
    }
    let rhythm = Rhythm::of(&agent.hours);
    let bound = (world.level(agent) * SILENCE_MARGIN).ln();
    let from = agent.last_seen.hour() + 1;
    let mut ln_p = 0.0;
    for hour in from..from + SILENCE_HORIZON_HOURS {
        ln_p += rhythm.expected(agent.hours.hour_of_week(hour)).ln_none();
        if ln_p <= bound && hour - from >= SILENCE_STRETCH * agent.hour.longest_silence {
            return Some(start_of(hour + 1));
        }
    }
    None
}
