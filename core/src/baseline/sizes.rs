//! Sizes and durations: sparse histograms with buckets of a constant relative width.

use serde::{Deserialize, Serialize};

/// Buckets an octave; a value is told from its bucket to within 1 in 16.
const PER_OCTAVE_BITS: u32 = 3;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Size {
    /// Events of a session.
    SessionEvents = 0,
    /// Length of a session, in milliseconds.
    SessionLength = 1,
    /// Duration of an act, in microseconds.
    Duration = 2,
    /// Bytes received.
    BytesIn = 3,
    /// Bytes sent.
    BytesOut = 4,
    /// Records read or written.
    Records = 5,
    /// Tokens read by the model.
    InputTokens = 6,
    /// Tokens written by the model.
    OutputTokens = 7,
    /// Cost, in millionths of a US dollar.
    Cost = 8,
}

impl Size {
    /// Every one, in the order of their values.
    pub const ALL: [Self; 9] = [
        Self::SessionEvents,
        Self::SessionLength,
        Self::Duration,
        Self::BytesIn,
        Self::BytesOut,
        Self::Records,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Cost,
    ];

    /// Its name in tables and files, with the unit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionEvents => "session_events",
            Self::SessionLength => "session_ms",
            Self::Duration => "duration_us",
            Self::BytesIn => "bytes_in",
            Self::BytesOut => "bytes_out",
            Self::Records => "records",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Cost => "cost_microusd",
        }
    }
}

/// How often each size came, by bucket: eight to a doubling.
///
/// ```
/// use driftline_core::baseline::Sizes;
///
/// let mut sizes = Sizes::default();
/// (1..=1000).for_each(|size| sizes.learn(size, 1));
/// let median = sizes.quantile(0.5).unwrap();
/// assert!((469..=531).contains(&median), "{median}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sizes {
    /// Ordered by bucket.
    counts: Vec<(u16, u64)>,
}

impl Sizes {
    /// Adds a size, `times` times.
    pub fn learn(&mut self, size: u64, times: u64) {
        self.add(bucket(size), times);
    }

    /// Adds to a bucket.
    pub fn add(&mut self, bucket: u16, times: u64) {
        match self.counts.binary_search_by_key(&bucket, |&(bucket, _)| bucket) {
            Ok(i) => self.counts[i].1 = self.counts[i].1.saturating_add(times),
            Err(i) if times > 0 => self.counts.insert(i, (bucket, times)),
            Err(_) => {}
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|&(bucket, times)| self.add(bucket, times));
    }

    /// Buckets and how often they came, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, u64)> + '_ {
        self.counts.iter().copied()
    }

    /// How many sizes there were.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &(_, times)| sum.saturating_add(times))
    }

    /// The size that a share of all, 0 to 1, does not exceed, to within 1 in 16; `None` where there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.total() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0u64;
        let reached = |&&(_, times): &&(u16, u64)| {
            seen = seen.saturating_add(times);
            seen >= rank
        };
        self.counts.iter().find(reached).or(self.counts.last()).map(|&(bucket, _)| middle(bucket))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<(u16, u64)>()
    }
}

/// Sizes below 8 have a bucket each; above, the bits after the leading one name it.
fn bucket(size: u64) -> u16 {
    let octave = size.checked_ilog2().unwrap_or(0);
    if octave < PER_OCTAVE_BITS {
        return size as u16;
    }
    let shift = octave - PER_OCTAVE_BITS;
    ((shift << PER_OCTAVE_BITS) as u64 + (size >> shift)) as u16
}

/// The middle of a bucket.
fn middle(bucket: u16) -> u64 {
    let (bucket, per_octave) = (u64::from(bucket), 1 << PER_OCTAVE_BITS);
    if bucket < 2 * per_octave {
        return bucket;
    }
    let shift = (bucket >> PER_OCTAVE_BITS) - 1;
    let low = (bucket - (shift << PER_OCTAVE_BITS)).checked_shl(shift as u32).unwrap_or(u64::MAX);
    low.saturating_add(1u64.checked_shl(shift as u32).unwrap_or(0) / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_tells_its_sizes_to_within_a_sixteenth(size in any::<u64>(), down in 0u32..64) {
            let size = size >> down;
            let told = middle(bucket(size));
            prop_assert!(told.abs_diff(size) <= size / 16, "{size} as {told}");
        }

        #[test]
        fn larger_sizes_have_no_smaller_bucket(a in any::<u64>(), b in any::<u64>(), down in 0u32..64) {
            let (a, b) = ((a >> down).min(b >> down), (a >> down).max(b >> down));
            prop_assert!(bucket(a) <= bucket(b));
        }
    }

    #[test]
    fn quantiles_of_nothing_are_none() {
        assert_eq!(Sizes::default().quantile(0.5), None);
    }
}
