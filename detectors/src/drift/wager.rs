//! Bets against the hypothesis that nothing has changed, and what was seen since they began to pay.
//!
//! Each p-value is bet against with the power calibrators κp^(κ−1) (Vovk and Wang, "E-values: calibration, combination and
//! applications", 2021), κ = 0.3 and 0.6, averaged. The Shiryaev–Roberts statistic is what one holds who began a new bet of 1
//! at every session and let them all run. While nothing changes its expectation grows by 1 a session, so the mean number of
//! sessions until it first reaches A is at least A (an e-detector: Shin, Ramdas and Rinaldo, "E-detectors", 2023). The bet
//! that holds most tells since when.

use driftline_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::wire;

/// The calibrators' powers: a small one gains most where p-values are tiny, a large one where they are only small.
const POWERS: [f64; 2] = [0.3, 0.6];
/// Categories that are told apart.
const CATEGORIES: usize = 64;

/// What is known of one dimension and one reference. Part of the format of [`crate::state`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Wager {
    /// All bets together, by power: the Shiryaev–Roberts statistics.
    holdings: [f64; 2],
    /// The bet that holds most.
    best: f64,
    /// Where that began: when its first session did, and that one's first event.
    #[serde(with = "wire::millis")]
    pub since: Timestamp,
    pub first_event: Box<str>,
    /// Sessions since.
    pub sessions: u32,
    /// What these did.
    pub tally: Vec<Tally>,
}

/// A category in the sessions since a bet began; of numbers, their sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The category; 0 for a number.
    pub key: u64,
    /// Sessions that had it.
    pub seen: f32,
    /// Sessions that would have, by their tasks.
    pub usual: f32,
}

impl Wager {
    /// Bets against the p-value of a session that began at `at`. Says whether the best bet is worth more than was staked: a
    /// new one begins after it otherwise.
    pub fn bet(&mut self, p: f64, at: Timestamp, first_event: &str) -> bool {
        let ln = p.clamp(1e-9, 1.0).ln();
        let gains = POWERS.map(|power| power * ((power - 1.0) * ln).exp());
        for (holding, gain) in self.holdings.iter_mut().zip(gains) {
            *holding = (*holding + 1.0) * gain;
        }
        if self.best <= 1.0 {
            *self = Self { holdings: self.holdings, best: 1.0, ..Self::default() };
        }
        self.best *= mean(gains);
        if self.best > 1.0 {
            if self.sessions == 0 {
                (self.since, self.first_event) = (at, first_event.into());
            }
            self.sessions = self.sessions.saturating_add(1);
        }
        self.best > 1.0
    }

    /// What all bets hold, in the mean of the powers.
    pub fn holding(&self) -> f64 {
        mean(self.holdings)
    }

    /// What the bet is worth that began at [`Wager::since`].
    pub fn best(&self) -> f64 {
        self.best
    }

    /// Notes what the session did beside what is usual for its task.
    pub fn note(&mut self, seen: impl IntoIterator<Item = (u64, f64)>, usual: impl IntoIterator<Item = (u64, f64)>) {
        let seen = seen.into_iter().map(|(key, seen)| Tally { key, seen: seen as f32, usual: 0.0 });
        let usual = usual.into_iter().map(|(key, usual)| Tally { key, seen: 0.0, usual: usual as f32 });
        for more in seen.chain(usual) {
            if let Some(tally) = self.tally.iter_mut().find(|tally| tally.key == more.key) {
                (tally.seen, tally.usual) = (tally.seen + more.seen, tally.usual + more.usual);
            } else if self.tally.len() < CATEGORIES {
                self.tally.push(more);
            }
        }
    }

    /// Whether it can be so: read back, it need not have been written by this program.
    pub fn is_sound(&self) -> bool {
        let are_numbers = |tally: &Tally| tally.seen.is_finite() && tally.usual.is_finite();
        self.holdings.iter().all(|&holding| holding >= 0.0)
            && self.best >= 0.0
            && self.tally.len() <= CATEGORIES
            && self.tally.iter().all(are_numbers)
    }
}

fn mean(two: [f64; 2]) -> f64 {
    (two[0] + two[1]) / 2.0
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn without_a_change_a_bound_is_reached_after_as_many_sessions_in_the_mean() {
        const BOUND: f64 = 100.0;
        let chance = &mut ChaCha8Rng::seed_from_u64(1);
        let runs = 2_000;
        let sessions = (0..runs).map(|_| {
            let mut wager = Wager::default();
            let mut sessions = 0;
            while wager.holding() < BOUND {
                wager.bet(chance.random(), Timestamp::MIN, "e");
                sessions += 1;
            }
            f64::from(sessions)
        });
        let mean = sessions.sum::<f64>() / f64::from(runs);
        // Above the bound by what the last bet overshoots it.
        assert!(mean >= BOUND, "{mean}");
    }

    #[test]
    fn the_best_bet_tells_since_when() {
        let mut wager = Wager::default();
        let at = |hours: i64| Timestamp::MIN.plus_millis(hours * 3_600_000);
        for hour in 0..40 {
            let p = if hour < 30 { 0.5 } else { 0.02 };
            if wager.bet(p, at(hour), &format!("e{hour}")) {
                wager.note([(1, 1.0)], [(2, 0.5)]);
            }
        }
        assert_eq!((wager.since, &*wager.first_event, wager.sessions), (at(30), "e30", 10));
        let tally = |key: u64| *wager.tally.iter().find(|tally| tally.key == key).unwrap();
        assert_eq!((tally(1).seen, tally(1).usual, tally(2).seen, tally(2).usual), (10.0, 0.0, 0.0, 5.0));
    }

    #[test]
    fn what_is_tallied_has_a_bound() {
        let mut wager = Wager::default();
        for key in 0..1_000 {
            wager.bet(0.01, Timestamp::MIN, "e");
            wager.note([(key, 1.0)], []);
        }
        assert_eq!(wager.tally.len(), CATEGORIES);
        assert!(wager.is_sound(), "however much it holds");
    }
}
