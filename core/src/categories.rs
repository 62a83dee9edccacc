//! What an agent uses, and how often: the part of a baseline that counts categories.

use serde::{Deserialize, Serialize};

/// How often each category of one dimension (tools, resources) was seen, by key ([`crate::key`]).
///
/// A mergeable value: everything in it is a sum, so that merging the counts of two logs gives the counts of both logs
/// together, in whatever order and grouping.
///
/// ```
/// use driftline_core::Categories;
///
/// let (mut a, mut b) = (Categories::default(), Categories::default());
/// a.learn(7, 2);
/// b.learn(7, 1);
/// b.learn(9, 1);
/// a.merge(&b);
/// assert_eq!((a.count(7), a.count(9), a.total(), a.distinct()), (3, 1, 4, 2));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Categories {
    /// Ordered; `counts` runs beside it. Two arrays pack into 12 bytes a category, where pairs would take 16.
    keys: Vec<u64>,
    counts: Vec<u32>,
    total: u64,
    /// Categories seen once and twice, kept so that the discount needs no pass.
    once: u32,
    twice: u32,
}

impl Categories {
    /// Counts as [`Categories::keys`], [`Categories::counts`] and [`Categories::total`] gave them; `None` where no
    /// counts can be so: keys that do not ascend, a count of 0 or one missing, a total below their sum.
    pub fn from_parts(keys: Vec<u64>, counts: Vec<u32>, total: u64) -> Option<Self> {
        let ascend = keys.windows(2).all(|pair| pair[0] < pair[1]);
        let sum: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        if !ascend || keys.len() != counts.len() || counts.contains(&0) || total < sum {
            return None;
        }
        let with = |n| counts.iter().filter(|&&count| count == n).count() as u32;
        let (once, twice) = (with(1), with(2));
        Some(Self { keys, counts, total, once, twice })
    }

    /// Adds `times` to a category; says whether it was new.
    pub fn learn(&mut self, key: u64, times: u32) -> bool {
        if times == 0 {
            return false;
        }
        self.total += u64::from(times);
        let (before, after, new) = match self.keys.binary_search(&key) {
            Ok(i) => {
                let before = self.counts[i];
                self.counts[i] = before.saturating_add(times);
                (before, self.counts[i], false)
            }
            Err(i) => {
                // Baselines are many and small: grow by a little, not by doubling.
                if self.keys.len() == self.keys.capacity() {
                    let more = (self.keys.len() / 4).max(4);
                    self.keys.reserve_exact(more);
                    self.counts.reserve_exact(more);
                }
                self.keys.insert(i, key);
                self.counts.insert(i, times);
                (0, times, true)
            }
        };
        self.once = self.once + u32::from(after == 1) - u32::from(before == 1);
        self.twice = self.twice + u32::from(after == 2) - u32::from(before == 2);
        new
    }

    /// The same, where it is known or there is room for it; `None` where there is not: no more than `room` are kept apart.
    pub fn learn_within(&mut self, room: usize, key: u64, times: u32) -> Option<bool> {
        (self.distinct() < room || self.count(key) > 0).then(|| self.learn(key, times))
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (key, count) in other.iter() {
            self.learn(key, count);
        }
    }

    /// How often a category was seen.
    pub fn count(&self, key: u64) -> u32 {
        self.keys.binary_search(&key).map_or(0, |i| self.counts[i])
    }

    /// The categories, ascending.
    pub fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// Their counts, in the same order.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Observations in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Distinct categories.
    pub fn distinct(&self) -> usize {
        self.keys.len()
    }

    /// Categories seen once, and twice.
    pub fn rare(&self) -> (u32, u32) {
        (self.once, self.twice)
    }

    /// Observations of categories that were seen at most `count` times.
    pub fn total_up_to(&self, count: u32) -> u64 {
        self.counts.iter().map(|&c| if c <= count { u64::from(c) } else { 0 }).sum()
    }

    /// Categories and their counts, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.keys.iter().copied().zip(self.counts.iter().copied())
    }

    /// The `n` most frequent categories, the most frequent first; ties by key.
    pub fn top(&self, n: usize) -> Vec<(u64, u32)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable_by_key(|&(key, count)| (std::cmp::Reverse(count), key));
        all.truncate(n);
        all
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<u64>() + self.counts.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learned(observations: &[(u64, u32)]) -> Categories {
        let mut categories = Categories::default();
        for &(key, times) in observations {
            categories.learn(key, times);
        }
        categories
    }

    proptest! {
        #[test]
        fn merging_is_learning_all_in_any_order(
            a in prop::collection::vec((0u64..20, 0u32..4), 0..40),
            b in prop::collection::vec((0u64..20, 0u32..4), 0..40),
        ) {
            let batch = learned(&[a.clone(), b.clone()].concat());
            let mut ab = learned(&a);
            ab.merge(&learned(&b));
            let mut ba = learned(&b);
            ba.merge(&learned(&a));
            prop_assert_eq!(&ab, &batch);
            prop_assert_eq!(&ba, &batch);
        }

        #[test]
        fn rare_counts_are_what_a_pass_would_find(a in prop::collection::vec((0u64..20, 0u32..4), 0..40)) {
            let categories = learned(&a);
            let with = |n| categories.iter().filter(|&(_, count)| count == n).count() as u32;
            prop_assert_eq!(categories.rare(), (with(1), with(2)));
            prop_assert_eq!(categories.total(), categories.iter().map(|(_, c)| u64::from(c)).sum::<u64>());
        }

        #[test]
        fn counts_are_made_of_their_parts(a in prop::collection::vec((0u64..20, 0u32..4), 0..40)) {
            let categories = learned(&a);
            let (keys, counts) = (categories.keys().to_vec(), categories.counts().to_vec());
            prop_assert_eq!(Categories::from_parts(keys, counts, categories.total()), Some(categories));
        }
    }

    #[test]
    fn parts_that_no_counts_have_are_refused() {
        let parts = |keys: &[u64], counts: &[u32], total| Categories::from_parts(keys.into(), counts.into(), total);
        assert!(parts(&[1, 2], &[3, 4], 7).is_some());
        assert!(parts(&[1, 2], &[3, 4], 6).is_none(), "a total below the sum");
        assert!(parts(&[2, 1], &[3, 4], 7).is_none(), "keys out of order");
        assert!(parts(&[1, 1], &[3, 4], 7).is_none(), "a key twice");
        assert!(parts(&[1, 2], &[3], 3).is_none(), "a count missing");
        assert!(parts(&[1, 2], &[3, 0], 3).is_none(), "a category never seen");
    }
}
