//! How surprising a count is: Gamma–Poisson (negative binomial) tails by hour of the week, with a hurdle.
//!
//! Events in an hour are Poisson given a rate, and the rate is Gamma, so that the count is negative binomial (Gelman and
//! others, *Bayesian Data Analysis*, section 2.6). An agent works in sessions: most hours have no event, the others many,
//! which no one negative binomial fits. So an hour is first active or not (a hurdle: Mullahy, "Specification and testing
//! of some modified count data models", 1986), with a probability by hour of the week; an active hour's count is
//! negative binomial, its mean and dispersion by moments over all the agent's active hours.

use driftline_core::HourCounts;
use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;

/// Weeks' worth of weight that the agent's overall activity has against that in one hour of the week.
const PRIOR_WEEKS: f64 = 1.0;
/// Dispersion that is assumed before there is evidence, and the weight of that assumption in active hours.
const PRIOR_DISPERSION: f64 = 2.0;
const PRIOR_HOURS: f64 = 10.0;
/// The agent is never held to be steadier than this: its past is short, and its tasks change.
const LEAST_DISPERSION: f64 = 0.3;

/// What is expected of one hour. Part of the format of [`crate::state`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Probability that the hour has any event.
    pub active: f64,
    /// Mean count of an hour that has.
    pub mean: f64,
    /// How much more that count varies than a Poisson one: its variance is `mean + dispersion · mean²`.
    pub dispersion: f64,
}

/// An agent's rhythm: what is expected of each hour of its week.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm<'b> {
    baseline: &'b HourCounts,
    /// Share of all hours that were active.
    activity: f64,
    mean: f64,
    dispersion: f64,
}

impl<'b> Rhythm<'b> {
    /// Reads a rhythm out of counts; one pass over the week.
    pub fn of(baseline: &'b HourCounts) -> Self {
        let mut rhythm = Self { baseline, activity: 0.0, mean: 0.0, dispersion: PRIOR_DISPERSION };
        let (Some((first, last)), active) = (baseline.span(), baseline.active() as f64) else { return rhythm };
        if active == 0.0 {
            return rhythm;
        }
        let total: f64 = (0..168).map(|i| f64::from(baseline.events(i))).sum();
        rhythm.activity = active / (last - first + 1) as f64;
        rhythm.mean = total / active;
        // E[x²] = μ + μ²(1 + dispersion), over the active hours.
        let squared = rhythm.mean * rhythm.mean;
        let excess = baseline.squares() as f64 - total - active * squared;
        rhythm.dispersion =
            ((excess / squared + PRIOR_DISPERSION * PRIOR_HOURS) / (active + PRIOR_HOURS)).max(LEAST_DISPERSION);
        rhythm
    }

    /// What is expected of an hour of the week.
    pub fn expected(&self, index: usize) -> Expected {
        // Active hours of this hour of the week, as far as its events tell.
        let active = (f64::from(self.baseline.events(index)) / self.mean.max(1.0))
            .min(f64::from(self.baseline.occurrences(index)));
        let active =
            (PRIOR_WEEKS * self.activity + active) / (PRIOR_WEEKS + f64::from(self.baseline.occurrences(index)));
        Expected { active: active.min(1.0), mean: self.mean, dispersion: self.dispersion }
    }
}

impl Expected {
    /// Mean count of the hour, active or not.
    pub fn overall(self) -> f64 {
        self.active * self.mean
    }

    /// The count from which it is worth computing a probability: three standard deviations above the mean.
    pub fn notable(self) -> u32 {
        (self.mean + 3.0 * (self.mean + self.dispersion * self.mean * self.mean).sqrt()).ceil() as u32 + 2
    }

    /// Probability of `count` events or more.
    pub fn at_least(self, count: u32) -> f64 {
        if count == 0 {
            return 1.0;
        }
        if self.mean <= 0.0 {
            return 0.0;
        }
        // P(X ≥ k) = I_{1−q}(k, r) with r = 1/dispersion and q = r/(r + mean).
        let r = 1.0 / self.dispersion;
        (self.active * beta_reg(f64::from(count), r, self.mean / (r + self.mean))).clamp(0.0, 1.0)
    }

    /// Natural logarithm of the probability of no event at all.
    pub fn ln_none(self) -> f64 {
        (-self.active.min(0.99)).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_the_sum_of_the_distribution() {
        let expected = Expected { active: 1.0, mean: 3.0, dispersion: 0.5 };
        // Negative binomial with r = 2, q = 0.4: P(0) = 0.16, P(1) = 0.192, P(2) = 0.1728.
        assert!((expected.at_least(1) - 0.84).abs() < 1e-12);
        assert!((expected.at_least(3) - (1.0 - 0.16 - 0.192 - 0.1728)).abs() < 1e-12);
        assert!((Expected { active: 0.5, ..expected }.at_least(1) - 0.42).abs() < 1e-12);
    }

    #[test]
    fn a_steady_agent_is_expected_to_stay_steady_and_a_bursty_one_is_not() {
        let (mut steady, mut bursty) = (HourCounts::default(), HourCounts::default());
        for hour in 0..24 * 28 {
            steady.learn(hour, 10);
            bursty.learn(hour, if hour % 10 == 0 { 100 } else { 0 });
        }
        let surprise = |baseline: &HourCounts| Rhythm::of(baseline).expected(5).at_least(120);
        assert!(surprise(&steady) < 1e-6, "{}", surprise(&steady));
        assert!(surprise(&bursty) > 1e-3, "{}", surprise(&bursty));
    }

    #[test]
    fn an_hour_of_the_week_in_which_nothing_ever_happens_expects_little() {
        let mut office = HourCounts::default();
        for hour in 0..24 * 28 {
            office.learn(hour, if (8..18).contains(&(hour % 24)) { 20 } else { 0 });
        }
        let day = office.hour_of_week(24 * 30 + 10);
        let night = office.hour_of_week(24 * 30 + 3);
        assert!(Rhythm::of(&office).expected(night).overall() < 0.2 * Rhythm::of(&office).expected(day).overall());
    }
}
