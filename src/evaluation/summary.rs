//! What judged sessions come to, in figures.

use std::collections::BTreeMap;

use driftline_detectors::DETECTORS;
use driftline_evaluate::{FALSE_ALARM_RATES, Figures, Interval, Roc, Sample, Side, bootstrap};
use serde::Serialize;

use super::Judged;

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
    /// Alerts on honest sessions.
    pub false_alerts: usize,
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
pub fn summarize(judged: &[Judged<'_>], labels: usize, events: u64, days: f64) -> Option<Summary> {
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
    let false_alerts: Vec<usize> = of(Side::Honest).map(|session| session.alerts.len()).collect();
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
        false_alerts: false_alerts.iter().sum(),
        false_sessions: false_alerts.iter().filter(|alerts| **alerts > 0).count(),
        delay: delay(judged),
        roc,
    })
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
