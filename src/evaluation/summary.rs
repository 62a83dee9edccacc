//! What judged sessions come to, in figures.

use std::collections::BTreeMap;

use driftline_detectors::DETECTORS;
use driftline_evaluate::{FALSE_ALARM_RATES, Figures, Interval, Roc, Sample, Side, bootstrap};
use serde::Serialize;

use super::judged::{Judged, LEVELS, Raised};

/// Draws of tasks for intervals, and their seed.
const DRAWS: usize = 400;
const SEED: u64 = 7;
/// Attacks of which the scheme does not say what they were.
const NO_KIND: &str = "attack";

/// The whole of it. `driftline.evaluation/1`.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// What this is.
    pub schema: &'static str,
    /// Sessions that were attacks, and sessions that were honest.
    pub attacks: usize,
    /// The same.
    pub honest: usize,
    /// Tasks that they were of.
    pub tasks: usize,
    /// Sessions that have a label and no event.
    pub without_events: usize,
    /// Events scored, those of sessions that nobody asked about too.
    pub events: u64,
    /// Event time from the first to the last of them, in days.
    pub days: f64,
    /// At which shares of false alarms the shares of attacks are told.
    pub false_alarm_rates: [f64; FALSE_ALARM_RATES.len()],
    /// All detectors together.
    pub together: Row,
    /// Where the area and the shares lie in 90 of 100 draws of tasks.
    pub intervals: [Interval; 1 + FALSE_ALARM_RATES.len()],
    /// Each detector by itself.
    pub alone: Vec<Row>,
    /// All of them but this one.
    pub without: Vec<Row>,
    /// What the alerts came to, by what was staged.
    pub by_kind: Vec<Kind>,
    /// How each detector's p-values lie in honest sessions, and what it has raised there.
    pub honesty: Vec<Honesty>,
    /// Alerts on honest sessions.
    pub false_alerts: usize,
    /// Of these, those that the budget is about: findings that need no probability are not counted.
    pub false_alerts_of_learned: usize,
    /// How many of these a day are acceptable; `None` where there is no budget.
    pub alert_budget: Option<f64>,
    /// Honest sessions with any.
    pub false_sessions: usize,
    /// Events from the first malicious one to the alert: in half of the attacks that were alerted on, and in nine of ten.
    pub delay: Option<(u64, u64)>,
    /// The curve of all together.
    #[serde(skip)]
    pub roc: Roc,
}

/// How well some scores tell the sides apart.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Whose scores.
    pub name: &'static str,
    /// How well.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What a detector says where nothing is wrong.
#[derive(Debug, Serialize)]
pub struct Honesty {
    /// Its name.
    pub name: &'static str,
    /// The share of the events of honest sessions that it gave a p-value at or below each of [`LEVELS`]: no more than the level
    /// itself, where p-values are what they are called.
    pub at_or_below: [f64; LEVELS.len()],
    /// Alerts on honest sessions.
    pub false_alerts: usize,
}

/// Attacks of one kind.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// Its name.
    pub kind: String,
    /// Sessions.
    pub sessions: usize,
    /// Of these, alerted on at the first malicious event or later.
    pub caught: usize,
    /// Of these, above the level that 1 % of the honest sessions exceed.
    pub above: usize,
}

/// Makes the figures; `None` where not both sides have sessions with events.
pub fn summarize(
    judged: &[Judged<'_>],
    labels: usize,
    events: u64,
    days: f64,
    alert_budget: Option<f64>,
) -> Option<Summary> {
    let sample = |score: &dyn Fn(&Judged<'_>) -> f64| {
        let mut sample = Sample::default();
        judged.iter().for_each(|session| sample.add(&session.label.task, session.label.side, score(session)));
        sample
    };
    let row =
        |name, score: &dyn Fn(&Judged<'_>) -> f64| sample(score).roc().figures().map(|figures| Row { name, figures });
    let together = sample(&|session| session.score);
    let roc = together.roc();
    let names = DETECTORS.iter().map(|detector| detector.name()).enumerate();
    let of = |side| judged.iter().filter(move |session| session.label.side == side);
    let false_alerts: Vec<&Raised> = of(Side::Honest).flat_map(|session| &session.alerts).collect();
    Some(Summary {
        schema: "driftline.evaluation/1",
        attacks: of(Side::Attack).count(),
        honest: of(Side::Honest).count(),
        tasks: together.tasks(),
        without_events: labels - judged.len(),
        events,
        days,
        false_alarm_rates: FALSE_ALARM_RATES,
        together: row("all together", &|session| session.score)?,
        intervals: bootstrap(&together, DRAWS, SEED)?,
        alone: names.clone().filter_map(|(i, name)| row(name, &|session| session.alone[i])).collect(),
        without: names.filter_map(|(i, name)| row(name, &|session| session.without[i])).collect(),
        by_kind: by_kind(judged, roc.level_at(FALSE_ALARM_RATES[1])),
        honesty: honesty(judged),
        false_alerts: false_alerts.len(),
        false_alerts_of_learned: false_alerts.iter().filter(|alert| alert.is_learned).count(),
        alert_budget,
        false_sessions: of(Side::Honest).filter(|session| !session.alerts.is_empty()).count(),
        delay: delay(judged),
        roc,
    })
}

fn honesty(judged: &[Judged<'_>]) -> Vec<Honesty> {
    let honest: Vec<&Judged<'_>> = judged.iter().filter(|session| session.label.side == Side::Honest).collect();
    let events: u64 = honest.iter().map(|session| session.events).sum();
    let share = |count: u64| count as f64 / events.max(1) as f64;
    let of = |(i, name): (usize, &'static str)| Honesty {
        name,
        at_or_below: std::array::from_fn(|level| {
            share(honest.iter().map(|session| session.at_or_below[i][level]).sum())
        }),
        false_alerts: honest.iter().flat_map(|session| &session.alerts).filter(|alert| alert.detector == name).count(),
    };
    DETECTORS.iter().map(|detector| detector.name()).enumerate().map(of).collect()
}

fn by_kind(judged: &[Judged<'_>], level: f64) -> Vec<Kind> {
    let mut kinds = BTreeMap::<&str, Kind>::new();
    for session in judged.iter().filter(|session| session.label.side == Side::Attack) {
        let name = session.label.kind.as_deref().unwrap_or(NO_KIND);
        let kind = kinds.entry(name).or_insert_with(|| Kind { kind: name.to_owned(), ..Kind::default() });
        kind.sessions += 1;
        kind.caught += usize::from(session.caught_after.is_some());
        kind.above += usize::from(session.score > level);
    }
    kinds.into_values().collect()
}

fn delay(judged: &[Judged<'_>]) -> Option<(u64, u64)> {
    let mut delays: Vec<u64> = judged.iter().filter_map(|session| session.caught_after).collect();
    delays.sort_unstable();
    let at = |tenths: usize| delays.get((delays.len().checked_sub(1)?) * tenths / 10).copied();
    Some((at(5)?, at(9)?))
}
