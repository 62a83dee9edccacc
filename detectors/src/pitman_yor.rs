//! How surprising a category is: predictive probabilities of a Pitman–Yor process with back-off.
//!
//! Counts stand for the process through interpolated Kneser–Ney smoothing (Teh, "A hierarchical Bayesian language model
//! based on Pitman-Yor processes", 2006): a category seen by the agent has its share of the counts; what is left for
//! categories it never used (the *new mass*) is spread by the level above: its peer group, then the fleet, then an
//! explicit mass for what nobody was ever seen to do. Sanna Passino and Heard ("Modelling dynamic network evolution as a
//! Pitman–Yor process", 2019) score network connections with it.
//!
//! What is returned is not the probability of the category itself, which is small for every one of many, but the
//! probability of something *as rare or rarer*: a p-value under the process.

use driftline_core::Categories;

/// Concentration: how many observations' worth of doubt a baseline starts with.
const STRENGTH: f64 = 1.0;
/// The discount stays inside these: at 0 a new category would become impossible with enough history, at 1 all were new.
const DISCOUNT: std::ops::RangeInclusive<f64> = 0.02..=0.95;

/// Counts of one level, as far as the process needs them.
pub trait Level {
    /// Observations in all.
    fn total(&self) -> f64;
    /// Distinct categories.
    fn distinct(&self) -> f64;
    /// Categories seen once and twice.
    fn rare(&self) -> (f64, f64);
    /// How often a category was seen.
    fn count(&self, key: u64) -> u32;
    /// Observations of categories seen at most `count` times.
    fn total_up_to(&self, count: u32) -> f64;

    /// The discount: the share of the once-seen among the rare, as Kneser–Ney estimates it (Ney, Essen and Kneser,
    /// 1994), with one observation of doubt. Near 0 where categories repeat, near 1 where most come once.
    fn discount(&self) -> f64 {
        let (once, twice) = self.rare();
        ((once + 0.5) / (once + 2.0 * twice + 1.5)).clamp(*DISCOUNT.start(), *DISCOUNT.end())
    }

    /// Probability that the next observation is a category never seen at this level.
    fn new_mass(&self) -> f64 {
        (STRENGTH + self.discount() * self.distinct()) / (self.total() + STRENGTH)
    }

    /// Probability of a category as rare as this one or rarer; `above` is the same one level up, asked for only where
    /// the category is new here.
    fn tail(&self, key: u64, above: impl FnOnce() -> f64) -> f64 {
        match self.count(key) {
            0 => (self.new_mass() * above()).min(1.0),
            count => (self.total_up_to(count) / (self.total() + STRENGTH) + self.new_mass()).min(1.0),
        }
    }
}

impl Level for Categories {
    fn total(&self) -> f64 {
        self.total() as f64
    }

    fn distinct(&self) -> f64 {
        self.distinct() as f64
    }

    fn rare(&self) -> (f64, f64) {
        let (once, twice) = self.rare();
        (f64::from(once), f64::from(twice))
    }

    fn count(&self, key: u64) -> u32 {
        self.count(key)
    }

    fn total_up_to(&self, count: u32) -> f64 {
        self.total_up_to(count) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(u64, u32)]) -> Categories {
        let mut categories = Categories::default();
        for &(key, count) in pairs {
            categories.learn(key, count);
        }
        categories
    }

    #[test]
    fn with_nothing_learned_nothing_is_surprising() {
        assert_eq!(Level::tail(&counts(&[]), 1, || 1.0), 1.0);
    }

    #[test]
    fn a_closed_vocabulary_makes_a_new_category_rarer_than_an_open_one() {
        let closed = counts(&[(1, 100), (2, 100), (3, 100)]);
        let open: Vec<_> = (0..300).map(|key| (key, 1)).collect();
        assert!(closed.tail(999, || 1.0) < 0.01);
        assert!(counts(&open).tail(999, || 1.0) > 0.8);
    }

    #[test]
    fn what_peers_do_is_less_surprising() {
        let own = counts(&[(1, 100), (2, 100)]);
        assert!(own.tail(9, || 0.3) > 10.0 * own.tail(9, || 0.01));
    }

    #[test]
    fn rarer_means_smaller() {
        let own = counts(&[(1, 100), (2, 10), (3, 1)]);
        let tail = |key| own.tail(key, || 0.1);
        assert!(tail(1) > tail(2) && tail(2) > tail(3) && tail(3) > tail(4));
    }

    /// Under the process itself the tail is a p-value: draws from it fall below `p` at most about `p` of the time.
    #[test]
    fn tails_of_honest_draws_are_conservative() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut own = Categories::default();
        let (mut below_05, mut below_01, mut draws) = (0, 0, 0);
        for step in 0..20_000 {
            // Zipf-like categories: u^-1 gives a heavy tail.
            let key = (1.0 / rng.random_range(0.0005..1.0f64)) as u64;
            if step > 100 {
                let p = own.tail(key, || 1.0);
                below_05 += u32::from(p <= 0.05);
                below_01 += u32::from(p <= 0.01);
                draws += 1;
            }
            own.learn(key, 1);
        }
        let share = |n: u32| f64::from(n) / f64::from(draws);
        assert!(share(below_05) <= 0.055 && share(below_01) <= 0.012, "{} {}", share(below_05), share(below_01));
        assert!(below_05 > 0, "a test that never fires shows nothing");
    }
}
