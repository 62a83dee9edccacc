//! Scored sessions, each task weighing the same, and how far their figures can be trusted.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::label::Side;
use crate::roc::{FALSE_ALARM_RATES, Figures, Roc};

/// The middle share of draws that an interval holds.
const COVERED: f64 = 0.9;

/// Scores of sessions, by task and side.
#[derive(Debug, Clone, Default)]
pub struct Sample(BTreeMap<String, [Vec<f64>; 2]>);

/// Where a figure lies in 90 of 100 draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Five of 100 draws are below.
    pub low: f64,
    /// Five are above.
    pub high: f64,
}

impl Sample {
    /// Adds a session.
    pub fn add(&mut self, task: &str, side: Side, score: f64) {
        self.0.entry(task.to_owned()).or_default()[side as usize].push(score);
    }

    /// Distinct tasks.
    pub fn tasks(&self) -> usize {
        self.0.len()
    }

    /// The curve in which each task weighs the same, on either side.
    pub fn roc(&self) -> Roc {
        roc(self.0.values())
    }
}

fn roc<'t>(tasks: impl Iterator<Item = &'t [Vec<f64>; 2]> + Clone) -> Roc {
    let of = |side: Side| {
        tasks.clone().flat_map(move |task| {
            let scores = &task[side as usize];
            scores.iter().map(move |&score| (score, 1.0 / scores.len() as f64))
        })
    };
    Roc::new(of(Side::Attack), of(Side::Honest))
}

/// Intervals of the area and of the detection rates: the figures of as many tasks as there are, drawn with replacement, again
/// and again (Efron's bootstrap over clusters). `None` where no draw has both sides.
pub fn bootstrap(sample: &Sample, draws: usize, seed: u64) -> Option<[Interval; 1 + FALSE_ALARM_RATES.len()]> {
    let tasks: Vec<_> = sample.0.values().collect();
    if tasks.is_empty() {
        return None;
    }
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut found: Vec<Figures> = Vec::with_capacity(draws);
    for _ in 0..draws {
        let drawn: Vec<_> = tasks.iter().map(|_| tasks[chance.random_range(0..tasks.len())]).collect();
        found.extend(roc(drawn.iter().copied()).figures());
    }
    if found.is_empty() {
        return None;
    }
    let interval = |figure: &dyn Fn(&Figures) -> f64| {
        let mut values: Vec<f64> = found.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Interval { low: at((1.0 - COVERED) / 2.0), high: at((1.0 + COVERED) / 2.0) }
    };
    Some([
        interval(&|figures| figures.auroc),
        interval(&|figures| figures.caught[0]),
        interval(&|figures| figures.caught[1]),
        interval(&|figures| figures.caught[2]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_with_many_runs_weighs_as_much_as_one_with_few() {
        let mut sample = Sample::default();
        (0..99).for_each(|_| sample.add("many", Side::Attack, 0.0));
        sample.add("few", Side::Attack, 2.0);
        sample.add("few", Side::Honest, 1.0);
        assert!((sample.roc().figures().unwrap().auroc - 0.5).abs() < 1e-9);
    }

    #[test]
    fn an_interval_holds_the_figure_and_narrows_with_more_tasks() {
        let width = |tasks: u32| {
            let mut sample = Sample::default();
            for task in 0..tasks {
                sample.add(&task.to_string(), Side::Attack, f64::from(task % 10));
                sample.add(&task.to_string(), Side::Honest, f64::from(task % 7));
            }
            let auroc = sample.roc().figures().unwrap().auroc;
            let [interval, ..] = bootstrap(&sample, 200, 7).unwrap();
            assert!(interval.low <= auroc && auroc <= interval.high, "{auroc} {interval:?}");
            assert_eq!(bootstrap(&sample, 200, 7).unwrap()[0], interval, "the seed decides");
            interval.high - interval.low
        };
        assert!(width(400) < width(20) / 2.0);
    }
}
