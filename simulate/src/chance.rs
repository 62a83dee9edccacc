//! Randomness: hashes for what must be the same whenever it is asked, and heavy-tailed draws.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, LogNormal, Zipf};

/// The generator that everything drawn in sequence comes from.
pub(crate) type Dice = ChaCha8Rng;

/// Dice that are the same for the same numbers.
pub(crate) fn dice(seed: u64, a: u64, b: u64) -> Dice {
    Dice::seed_from_u64(mix(mix(seed, a), b))
}

/// A hash of two numbers (the finaliser of SplitMix64; Steele, Lea and Flood, 2014).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_add(b.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash as a number from 0 to 1.
pub(crate) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// A log-normal draw with this median; `sigma` is the deviation of its logarithm.
pub(crate) fn lognormal(dice: &mut Dice, median: f64, sigma: f64) -> f64 {
    match LogNormal::new(median.ln(), sigma) {
        Ok(distribution) => distribution.sample(dice),
        Err(_) => median,
    }
}

/// A rank from 0 to `pool` - 1, small ones the likeliest (Zipf's law with exponent `s`).
pub(crate) fn zipf(dice: &mut Dice, pool: u64, s: f64) -> u64 {
    match Zipf::new(pool as f64, s) {
        Ok(distribution) => distribution.sample(dice) as u64 - 1,
        Err(_) => 0,
    }
}

/// An exponential draw with this mean.
pub(crate) fn exponential(dice: &mut Dice, mean: f64) -> f64 {
    let draw: f64 = Exp1.sample(dice);
    draw * mean
}

/// How often something is done that is done `mean` times on average, at least once and at most 40 times.
pub(crate) fn times(dice: &mut Dice, mean: f64) -> u32 {
    let again = 1.0 - 1.0 / mean.max(1.0);
    let mut count = 1;
    while count < 40 && dice.random::<f64>() < again {
        count += 1;
    }
    count
}

/// One of the items.
pub(crate) fn one_of<'a, T>(dice: &mut Dice, items: &'a [T]) -> &'a T {
    &items[dice.random_range(0..items.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_has_the_mean_it_is_given() {
        let mut dice = dice(1, 2, 3);
        let mean = (0..20_000).map(|_| f64::from(times(&mut dice, 3.0))).sum::<f64>() / 20_000.0;
        assert!((mean - 3.0).abs() < 0.1, "{mean}");
    }

    #[test]
    fn zipf_starts_at_rank_zero() {
        let mut dice = dice(1, 2, 3);
        let ranks: Vec<u64> = (0..1000).map(|_| zipf(&mut dice, 50, 1.2)).collect();
        assert!(ranks.iter().all(|&rank| rank < 50));
        assert!(ranks.iter().filter(|&&rank| rank == 0).count() > 150);
    }
}
