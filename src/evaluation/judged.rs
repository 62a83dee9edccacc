//! What the engine made of each labelled session.

use std::collections::{BTreeMap, BTreeSet};

use driftline_core::{Alert, Event, Timestamp, truncate};
use driftline_detectors::{DETECTORS, OutOfOrder, Scored, Solo};
use driftline_evaluate::{Labelled, Labels, Side};

/// Most characters of what is quoted of an event.
const QUOTED: usize = 200;
/// P-values below this one count as it: a deterministic finding's is 0.
const LEAST_P: f64 = 1e-12;
/// At which p-values it is looked how often they come.
pub const LEVELS: [f64; 2] = [0.05, 0.01];

/// Scores events, and keeps what came of the sessions that are asked about.
pub struct Judge<'l> {
    solo: Solo,
    labels: &'l Labels,
    sessions: BTreeMap<&'l str, Judged<'l>>,
    span: Option<(Timestamp, Timestamp)>,
    /// Events scored.
    pub events: u64,
}

/// A session, and what the engine made of it. Scores are −log₁₀ of p-values, 0 or more; the session's is the largest of its
/// events'.
pub struct Judged<'l> {
    /// Its id.
    pub session: &'l str,
    /// What is true of it.
    pub label: &'l Labelled,
    /// All detectors together.
    pub score: f64,
    /// Each detector alone, in the order of [`DETECTORS`].
    pub alone: [f64; DETECTORS.len()],
    /// All without one of them.
    pub without: [f64; DETECTORS.len()],
    /// Events scored.
    pub events: u64,
    /// Of these, those that each detector gave a p-value at or below each of [`LEVELS`].
    pub at_or_below: [[u64; LEVELS.len()]; DETECTORS.len()],
    /// The event that scored highest.
    pub strangest: Strangest,
    /// Its alerts.
    pub alerts: Vec<Raised>,
    /// Events from the first malicious one to the first alert at or after it, which may be the same: 1.
    pub caught_after: Option<u64>,
    malicious: BTreeSet<&'l str>,
    /// Events since the first malicious one, with it.
    since: u64,
}

/// What is told of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// What it says.
    pub title: String,
    /// The detector that it names.
    pub detector: String,
    /// Whether it is one of learned behaviour: its finding has a p-value.
    pub is_learned: bool,
}

/// What is told of an event to explain a session's score.
#[derive(Debug, Clone, Default)]
pub struct Strangest {
    /// What was asked for.
    pub intent: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub resource: String,
}

impl<'l> Judge<'l> {
    /// A judge of the sessions that have labels; `solo` may have learned before.
    pub fn new(solo: Solo, labels: &'l Labels) -> Self {
        Self { solo, labels, sessions: BTreeMap::new(), span: None, events: 0 }
    }

    /// Scores an event.
    ///
    /// # Errors
    ///
    /// As [`Solo::observe`].
    pub fn take(&mut self, event: &Event<'_>) -> Result<Scored, OutOfOrder> {
        let (scored, alerts) = self.solo.observe(event)?;
        self.events += 1;
        let (first, last) = self.span.unwrap_or((event.time, event.time));
        self.span = Some((first.min(event.time), last.max(event.time)));
        if let Some(session) = event.session.as_ref().and_then(|session| self.judged(&session.id)) {
            session.note(event, &scored);
        }
        for alert in alerts {
            if let Some(session) = alert.session.as_ref().and_then(|session| self.judged(&session.id)) {
                session.alert(&alert);
            }
        }
        Ok(scored)
    }

    /// What is known of a session, if it is asked about.
    fn judged(&mut self, session: &str) -> Option<&mut Judged<'l>> {
        let session = self.labels.get(session)?;
        Some(self.sessions.entry(session.0).or_insert_with(|| Judged::new(session)))
    }

    /// The sessions that had events, by id, and the event time that they took, in days.
    pub fn finish(self) -> (Vec<Judged<'l>>, f64) {
        let days = self.span.map_or(0.0, |(first, last)| last.since(first) as f64 / 86_400_000.0);
        (self.sessions.into_values().collect(), days)
    }
}

impl<'l> Judged<'l> {
    fn new((session, label): (&'l str, &'l Labelled)) -> Self {
        Self {
            session,
            label,
            score: f64::NEG_INFINITY,
            alone: [0.0; DETECTORS.len()],
            without: [0.0; DETECTORS.len()],
            events: 0,
            at_or_below: [[0; LEVELS.len()]; DETECTORS.len()],
            strangest: Strangest::default(),
            alerts: Vec::new(),
            caught_after: None,
            malicious: label.malicious.iter().map(String::as_str).collect(),
            since: 0,
        }
    }

    fn note(&mut self, event: &Event<'_>, scored: &Scored) {
        let scores = scored.p.map(|p| if p < 1.0 { -p.max(LEAST_P).log10() } else { 0.0 });
        let all: f64 = scores.iter().sum();
        self.events += 1;
        for (counts, p) in self.at_or_below.iter_mut().zip(scored.p) {
            counts.iter_mut().zip(LEVELS).for_each(|(count, level)| *count += u64::from(p <= level));
        }
        for (detector, score) in scores.iter().enumerate() {
            self.alone[detector] = self.alone[detector].max(*score);
            self.without[detector] = self.without[detector].max(all - score);
        }
        if scored.score > self.score {
            self.score = scored.score;
            self.strangest = Strangest::of(event);
        }
        if self.since > 0 || self.malicious.contains(&*event.id) {
            self.since += 1;
        }
    }

    fn alert(&mut self, alert: &Alert) {
        self.alerts.push(Raised {
            title: alert.title.clone(),
            detector: alert.detector.clone(),
            is_learned: alert.p_value.is_some(),
        });
        if self.label.side == Side::Attack && self.since > 0 {
            self.caught_after.get_or_insert(self.since);
        }
    }
}

impl Strangest {
    fn of(event: &Event<'_>) -> Self {
        let quote = |text: &str| truncate(text, QUOTED).into_owned();
        Self {
            intent: event.task.as_ref().and_then(|task| task.intent.as_deref()).map(quote).unwrap_or_default(),
            action: quote(&event.action.name),
            resource: event.resource.as_ref().map(|resource| quote(&resource.id)).unwrap_or_default(),
        }
    }
}
