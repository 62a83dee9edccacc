//! When an agent works, and how much: the part of a baseline that counts events by hour of the week.

use serde::{Deserialize, Serialize};

const HOURS: usize = 168;
/// Hours since the epoch of the last moment that events can have.
const LAST: i64 = crate::Timestamp::MAX.hour();

/// How many events fell into each hour of the week (UTC, Monday 00:00 first), over the hours from the first to the last
/// that were learned.
///
/// A mergeable value like [`crate::Categories`]: sums, and a span that merging widens.
///
/// ```
/// use driftline_core::HourCounts;
///
/// let mut hours = HourCounts::default();
/// hours.learn(100, 4);
/// hours.learn(100 + 168, 2);
/// assert_eq!(hours.events(hours.hour_of_week(100)), 6);
/// assert_eq!(hours.occurrences(hours.hour_of_week(100)), 2);
/// assert_eq!(hours.occurrences(hours.hour_of_week(101)), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourCounts {
    counts: Counts,
    /// Sum over hours of the squared count: with the counts, it tells how bursty the agent is.
    squares: u64,
    /// Hours with any event at all.
    active: u64,
    /// First and last hour learned, in hours since the epoch; `None` before the first.
    span: Option<(i64, i64)>,
}

/// Most agents never reach 65,536 events in one hour of the week; those that do get wider counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Counts {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Default for HourCounts {
    fn default() -> Self {
        Self { counts: Counts::Narrow(Vec::new()), squares: 0, active: 0, span: None }
    }
}

impl HourCounts {
    /// Counts as [`HourCounts::events`] of each hour of the week and the other accessors gave them; `None` where the
    /// span is no span, or events were counted in none.
    pub fn from_parts(events: &[u32; HOURS], squares: u64, active: u64, span: Option<(i64, i64)>) -> Option<Self> {
        let most = events.iter().copied().max().unwrap_or_default();
        let is_span = span.map_or(most == 0, |(first, last)| 0 <= first && first <= last && last <= LAST);
        let counts = match u16::try_from(most) {
            Ok(0) => Counts::Narrow(Vec::new()),
            Ok(_) => Counts::Narrow(events.iter().map(|&count| count as u16).collect()),
            Err(_) => Counts::Wide(events.to_vec()),
        };
        is_span.then_some(Self { counts, squares, active, span })
    }

    /// The hour of the week of an hour since the epoch.
    pub fn hour_of_week(&self, hour: i64) -> usize {
        // 1970-01-01 was a Thursday, 72 hours into its week.
        (hour + 72).rem_euclid(HOURS as i64) as usize
    }

    /// Learns that `events` happened in an hour (since the epoch). An hour with none widens the span.
    pub fn learn(&mut self, hour: i64, events: u32) {
        let index = self.hour_of_week(hour);
        self.add(index, events);
        self.squares = self.squares.saturating_add(u64::from(events) * u64::from(events));
        self.active += u64::from(events > 0);
        self.widen(hour, hour);
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for index in 0..HOURS {
            self.add(index, other.events(index));
        }
        self.squares = self.squares.saturating_add(other.squares);
        self.active += other.active;
        if let Some((first, last)) = other.span {
            self.widen(first, last);
        }
    }

    /// Events learned in an hour of the week, 0 to 167.
    pub fn events(&self, index: usize) -> u32 {
        match &self.counts {
            Counts::Narrow(counts) => counts.get(index).map_or(0, |&c| u32::from(c)),
            Counts::Wide(counts) => counts.get(index).copied().unwrap_or(0),
        }
    }

    /// How often an hour of the week has come by since the first learned hour.
    pub fn occurrences(&self, index: usize) -> u32 {
        let Some((first, last)) = self.span else { return 0 };
        let hours = last - first + 1;
        let offset = (index as i64 - self.hour_of_week(first) as i64).rem_euclid(HOURS as i64);
        ((hours - offset + HOURS as i64 - 1).div_euclid(HOURS as i64)).max(0) as u32
    }

    /// Sum over hours of the squared count.
    pub fn squares(&self) -> u64 {
        self.squares
    }

    /// Hours with any event at all.
    pub fn active(&self) -> u64 {
        self.active
    }

    /// First and last learned hour, in hours since the epoch.
    pub fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match &self.counts {
            Counts::Narrow(counts) => counts.capacity() * size_of::<u16>(),
            Counts::Wide(counts) => counts.capacity() * size_of::<u32>(),
        }
    }

    fn widen(&mut self, first: i64, last: i64) {
        let (from, to) = self.span.unwrap_or((first, last));
        self.span = Some((from.min(first), to.max(last)));
    }

    fn add(&mut self, index: usize, events: u32) {
        if events == 0 {
            return;
        }
        if let Counts::Narrow(counts) = &mut self.counts {
            if counts.is_empty() {
                *counts = vec![0; HOURS];
            }
            match u16::try_from(u32::from(counts[index]).saturating_add(events)) {
                Ok(sum) => return counts[index] = sum,
                Err(_) => self.counts = Counts::Wide(counts.iter().map(|&c| u32::from(c)).collect()),
            }
        }
        if let Counts::Wide(counts) = &mut self.counts {
            counts[index] = counts[index].saturating_add(events);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learned(hours: &[(i64, u32)]) -> HourCounts {
        let mut counts = HourCounts::default();
        for &(hour, events) in hours {
            counts.learn(hour, events);
        }
        counts
    }

    proptest! {
        #[test]
        fn merging_is_learning_all_in_any_order(
            a in prop::collection::vec((490_000i64..491_000, 0u32..70_000), 0..20),
            b in prop::collection::vec((490_000i64..491_000, 0u32..70_000), 0..20),
        ) {
            let batch = learned(&[a.clone(), b.clone()].concat());
            let mut ba = learned(&b);
            ba.merge(&learned(&a));
            prop_assert_eq!(ba, batch);
        }

        #[test]
        fn counts_are_made_of_their_parts(a in prop::collection::vec((490_000i64..491_000, 0u32..70_000), 0..20)) {
            let hours = learned(&a);
            let events = std::array::from_fn(|index| hours.events(index));
            let whole = HourCounts::from_parts(&events, hours.squares(), hours.active(), hours.span());
            prop_assert_eq!(whole, Some(hours));
        }

        #[test]
        fn occurrences_are_what_counting_would_find(first in 490_000i64..490_400, length in 0i64..800, index in 0usize..168) {
            let counts = learned(&[(first, 1), (first + length, 1)]);
            let counted = (first..=first + length).filter(|&h| counts.hour_of_week(h) == index).count();
            prop_assert_eq!(counts.occurrences(index) as usize, counted);
        }
    }

    #[test]
    fn parts_that_no_counts_have_are_refused() {
        let (none, one) = ([0; HOURS], std::array::from_fn(|index| u32::from(index == 3)));
        assert!(HourCounts::from_parts(&none, 0, 0, None).is_some());
        assert!(HourCounts::from_parts(&one, 1, 1, Some((5, 5))).is_some());
        assert!(HourCounts::from_parts(&one, 1, 1, None).is_none(), "events in no hour");
        assert!(HourCounts::from_parts(&none, 0, 0, Some((5, 4))).is_none(), "an end before the beginning");
        assert!(HourCounts::from_parts(&none, 0, 0, Some((0, i64::MAX))).is_none(), "beyond all time");
    }
}
