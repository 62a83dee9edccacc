//! An engine in small: its value depends on every event and control record and on their order, so that one that was
//! lost, repeated or applied elsewhere shows.

use std::collections::BTreeMap;

use super::super::ledger::Ledger;
use super::broker::Place;

/// A control record: its number, where the leader's partitions stood, and, where it closes an hour, what it sums up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    pub number: u64,
    pub positions: BTreeMap<Place, u64>,
    pub epoch: Option<u64>,
}

/// From where control records hold in the partitions of those who did not write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub from: u64,
    pub until: u64,
    pub positions: BTreeMap<Place, u64>,
}

/// An engine with its ledger, as it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub engine: Engine,
    pub ledger: Ledger,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Engine {
    value: u64,
    /// What it has yet to contribute to an epoch: events.
    pub gathered: u64,
}

impl Engine {
    /// Scores an event; some raise an alert.
    pub fn observe(&mut self, place: Place, offset: u64) -> Option<u64> {
        self.gathered += 1;
        self.take(mix(place as u64, offset))
    }

    /// Takes up a control record; some let a timer fire.
    pub fn apply(&mut self, place: Place, number: u64) -> Option<u64> {
        self.take(mix(place as u64, u64::MAX - number))
    }

    fn take(&mut self, what: u64) -> Option<u64> {
        self.value = mix(self.value, what);
        self.value.is_multiple_of(3).then_some(self.value)
    }

    /// Whether both have seen the same; what was contributed when is another matter.
    pub fn agrees(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// SplitMix64's finalizer over both.
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(23) ^ b.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
