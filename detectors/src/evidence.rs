//! From p-values to evidence that adds up: betting against the hypothesis that a session is honest.
//!
//! A *calibrator* turns a p-value into an e-value, the return on a bet of 1 whose expectation under honesty is at most 1
//! (Vovk and Wang, "E-values: calibration, combination and applications", 2021). Each category that a session uses for
//! the first time is one bet; the product of the returns is what the bettor holds. By Ville's inequality an honest
//! session reaches 1/α with probability at most α at *any* of its events, so judging it again after each one is free.

use serde::{Deserialize, Serialize};

/// Share of the holding that is staked on each bet. Attacks are a few acts among many ordinary ones, and an ordinary one
/// loses about half of its stake.
const STAKE: f64 = 0.25;

/// The return on a bet of 1 against a p-value: `∫₀¹ κ p^(κ−1) dκ = (1 − p + p ln p) / (p ln² p)`, the mixture over all
/// power calibrators, which needs no choice of one. Half for p = 1, and grows nearly as 1/p.
///
/// ```
/// use driftline_detectors::evidence::calibrate;
/// assert!((calibrate(1.0) - 0.5).abs() < 1e-9);
/// assert!(calibrate(1e-6) > 5_000.0);
/// ```
pub fn calibrate(p: f64) -> f64 {
    let p = p.clamp(1e-300, 1.0);
    let ln = p.ln();
    // Near 1 the formula is 0/0; its expansion is 1/2 − (p − 1)/6.
    if ln > -1e-3 { 0.5 - ln / 6.0 } else { (1.0 - p + p * ln) / (p * ln * ln) }
}

/// What a session's bettor holds, as a natural logarithm; starts at 0 (a holding of 1). Part of the format of
/// [`crate::state`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Wealth {
    now: f64,
    largest: f64,
}

impl Wealth {
    /// Bets against one more p-value.
    pub fn bet(&mut self, p: f64) {
        self.now += (1.0 - STAKE + STAKE * calibrate(p)).ln();
        self.largest = self.largest.max(self.now);
    }

    /// The natural logarithm of the largest holding so far.
    pub fn largest(self) -> f64 {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn the_calibrator_is_an_e_value() {
        // ∫ calibrate over (0, 1) on a grid in ln p.
        let steps = 400_000;
        let total: f64 = (0..steps)
            .map(|i| {
                let ln = -60.0 * (f64::from(i) + 0.5) / f64::from(steps);
                calibrate(ln.exp()) * ln.exp() * 60.0 / f64::from(steps)
            })
            .sum();
        assert!(total <= 1.0 && total > 0.95, "{total}");
    }

    #[test]
    fn it_falls_as_p_grows() {
        let values: Vec<f64> = (0..2000).map(|i| calibrate((-f64::from(i) * 0.01).exp())).collect();
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
    }

    #[test]
    fn honest_sessions_seldom_grow_rich() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let sessions = 20_000;
        let rich = (0..sessions)
            .filter(|_| {
                let mut wealth = Wealth::default();
                (0..30).for_each(|_| wealth.bet(rng.random_range(0.0..1.0)));
                wealth.largest() >= 20f64.ln()
            })
            .count();
        assert!((rich as f64) < 0.05 * f64::from(sessions), "{rich}");
        assert!(rich > 0);
    }
}
