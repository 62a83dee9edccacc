//! How the share of attacks caught hangs on the share of honest sessions that are called so: the ROC curve of weighted
//! scores.

use serde::Serialize;

/// False-alarm rates at which the detection rate is told.
pub const FALSE_ALARM_RATES: [f64; 3] = [0.05, 0.01, 0.001];

/// A point of the curve: at a level, the shares of honest sessions and of attacks above it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Share of honest sessions, 0 to 1.
    pub false_alarms: f64,
    /// Share of attacks, 0 to 1.
    pub caught: f64,
}

/// What a curve comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// The probability that an attack scores above an honest session, ties counting half: the area under the curve (Hanley
    /// and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve", 1982).
    pub auroc: f64,
    /// The share of attacks above the level that so many honest sessions exceed: at each of [`FALSE_ALARM_RATES`].
    pub caught: [f64; FALSE_ALARM_RATES.len()],
}

/// Weighted scores of both sides.
#[derive(Debug, Clone, Default)]
pub struct Roc {
    /// Highest first.
    attacks: Vec<(f64, f64)>,
    honest: Vec<(f64, f64)>,
}

impl Roc {
    /// Of scores with their weights; a score that is no number counts as the lowest.
    pub fn new(attacks: impl Iterator<Item = (f64, f64)>, honest: impl Iterator<Item = (f64, f64)>) -> Self {
        fn sorted(scores: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
            let finite = |(score, weight): (f64, f64)| (if score.is_nan() { f64::NEG_INFINITY } else { score }, weight);
            let mut scores: Vec<_> = scores.map(finite).filter(|(_, weight)| *weight > 0.0).collect();
            scores.sort_by(|a, b| b.0.total_cmp(&a.0));
            scores
        }
        Self { attacks: sorted(attacks), honest: sorted(honest) }
    }

    /// What it comes to; `None` where a side is empty.
    pub fn figures(&self) -> Option<Figures> {
        let [attacks, honest] = [&self.attacks, &self.honest].map(|side| weight(side));
        if attacks <= 0.0 || honest <= 0.0 {
            return None;
        }
        let mut auroc = 0.0;
        let points = self.points();
        for pair in points.windows(2) {
            auroc += (pair[1].false_alarms - pair[0].false_alarms) * (pair[0].caught + pair[1].caught) / 2.0;
        }
        let caught = FALSE_ALARM_RATES.map(|rate| {
            let level = self.level(rate * honest);
            weight_above(&self.attacks, level) / attacks
        });
        Some(Figures { auroc, caught })
    }

    /// The score that honest sessions of no more than this weight exceed.
    fn level(&self, most: f64) -> f64 {
        let mut above = 0.0;
        for (score, weight) in &self.honest {
            above += weight;
            if above > most {
                return *score;
            }
        }
        f64::NEG_INFINITY
    }

    /// The level at a false-alarm rate; scores above it are alarms.
    pub fn level_at(&self, rate: f64) -> f64 {
        self.level(rate * weight(&self.honest))
    }

    /// The curve, from no alarm to all: a point after each score that occurs.
    pub fn points(&self) -> Vec<Point> {
        let [attacks, honest] = [&self.attacks, &self.honest].map(|side| weight(side).max(f64::MIN_POSITIVE));
        let mut levels: Vec<f64> = self.attacks.iter().chain(&self.honest).map(|(score, _)| *score).collect();
        levels.sort_by(|a, b| b.total_cmp(a));
        levels.dedup();
        let mut points = vec![Point { false_alarms: 0.0, caught: 0.0 }];
        let (mut i, mut j, mut caught, mut alarms) = (0, 0, 0.0, 0.0);
        for level in levels {
            while let Some((_, weight)) = self.attacks.get(i).filter(|(score, _)| *score >= level) {
                caught += weight;
                i += 1;
            }
            while let Some((_, weight)) = self.honest.get(j).filter(|(score, _)| *score >= level) {
                alarms += weight;
                j += 1;
            }
            points.push(Point { false_alarms: alarms / honest, caught: caught / attacks });
        }
        points
    }
}

fn weight(side: &[(f64, f64)]) -> f64 {
    side.iter().fold(0.0, |sum, (_, weight)| sum + weight)
}

fn weight_above(side: &[(f64, f64)], level: f64) -> f64 {
    side.iter().take_while(|(score, _)| *score > level).fold(0.0, |sum, (_, weight)| sum + weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn roc(attacks: &[f64], honest: &[f64]) -> Roc {
        let even = |side: &[f64]| side.iter().map(|&score| (score, 1.0)).collect::<Vec<_>>();
        Roc::new(even(attacks).into_iter(), even(honest).into_iter())
    }

    #[test]
    fn sides_that_are_apart_are_told_apart() {
        let figures = roc(&[3.0, 4.0], &[1.0, 2.0]).figures().unwrap();
        assert_eq!(figures, Figures { auroc: 1.0, caught: [1.0; 3] });
        let figures = roc(&[1.0], &[2.0]).figures().unwrap();
        assert_eq!(figures, Figures { auroc: 0.0, caught: [0.0; 3] });
        assert_eq!(roc(&[1.0], &[]).figures(), None);
    }

    #[test]
    fn a_level_is_exceeded_by_no_more_than_may() {
        let honest: Vec<f64> = (0..100).map(f64::from).collect();
        let roc = roc(&[98.5, 94.5, 10.0, f64::NAN], &honest);
        // Five of a hundred may be above: 95 to 99.
        assert_eq!(roc.level_at(0.05), 94.0);
        assert_eq!(roc.level_at(0.01), 98.0);
        assert_eq!(roc.level_at(0.001), 99.0);
        assert_eq!(roc.figures().unwrap().caught, [0.5, 0.25, 0.0]);
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_in_the_right_order(
            attacks in prop::collection::vec((0i8..6, 1u8..4), 1..20),
            honest in prop::collection::vec((0i8..6, 1u8..4), 1..20),
        ) {
            let float = |side: &[(i8, u8)]| side.iter().map(|&(s, w)| (f64::from(s), f64::from(w))).collect::<Vec<_>>();
            let (attacks, honest) = (float(&attacks), float(&honest));
            let (mut right, mut all) = (0.0, 0.0);
            for (a, wa) in &attacks {
                for (h, wh) in &honest {
                    right += wa * wh * if a > h { 1.0 } else if a == h { 0.5 } else { 0.0 };
                    all += wa * wh;
                }
            }
            let figures = Roc::new(attacks.into_iter(), honest.into_iter()).figures().unwrap();
            prop_assert!((figures.auroc - right / all).abs() < 1e-9);
        }
    }
}
