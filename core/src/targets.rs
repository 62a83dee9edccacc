//! Where the targets of an agent's acts come from: the part of a baseline that counts them by tool and role.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Pairs of tool and role that are counted apart; past it, those with the smallest keys.
const ROOM: usize = 256;

/// Where a target comes from, as far as its session tells; from what nobody wonders at to what somebody else may have put
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Origin {
    /// The request names it.
    Named = 0,
    /// The request says half of its words or more.
    HalfNamed = 1,
    /// The session has used it before.
    Used = 2,
    /// It was a whole field of something that the session read.
    Field = 3,
    /// The agent has used it in other sessions.
    Elsewhere = 4,
    /// It was a whole line of something read.
    Line = 5,
    /// It comes from nowhere that can be seen.
    New = 6,
    /// It stood inside the text of a result that the request asked for.
    TextAsked = 7,
    /// It stood inside the text of a result, and nowhere else: as it is with what an injected instruction names.
    Text = 8,
}

impl Origin {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Named,
        Self::HalfNamed,
        Self::Used,
        Self::Field,
        Self::Elsewhere,
        Self::Line,
        Self::New,
        Self::TextAsked,
        Self::Text,
    ];

    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::HalfNamed => "half_named",
            Self::Used => "used",
            Self::Field => "field",
            Self::Elsewhere => "elsewhere",
            Self::Line => "line",
            Self::New => "new",
            Self::TextAsked => "text_asked",
            Self::Text => "text",
        }
    }
}

/// Counts by origin, in the order of [`Origin::ALL`].
pub type Origins = [u32; Origin::ALL.len()];

/// How often targets of each origin were seen, by tool and role. A mergeable value like [`crate::Categories`].
///
/// ```
/// use driftline_core::{Origin, Targets};
///
/// let mut targets = Targets::default();
/// targets.learn(7, Origin::Named);
/// targets.learn(9, Origin::Field);
/// assert_eq!(targets.at(7)[Origin::Named as usize], 1);
/// assert_eq!(targets.all().iter().sum::<u32>(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    /// Ascending by key.
    list: Vec<(u32, Origins)>,
    all: Origins,
}

impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.list, &self.all).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (list, all) = Deserialize::deserialize(deserializer)?;
        Self::from_parts(list, all).ok_or_else(|| D::Error::custom("targets that cannot be so"))
    }
}

impl Targets {
    /// Counts as [`Targets::list`] and [`Targets::all`] gave them; `None` where they cannot be so.
    pub fn from_parts(list: Vec<(u32, Origins)>, all: Origins) -> Option<Self> {
        let ascend = list.windows(2).all(|two| two[0].0 < two[1].0);
        let sum = |origin: usize| list.iter().map(|(_, counts)| u64::from(counts[origin])).sum::<u64>();
        let covers =
            all.iter().enumerate().all(|(origin, &count)| count == u32::MAX || sum(origin) <= u64::from(count));
        (ascend && covers && list.len() <= ROOM).then_some(Self { list, all })
    }

    /// Learns that a target of a tool and role (their key) was of an origin.
    pub fn learn(&mut self, key: u32, origin: Origin) {
        let mut once = Origins::default();
        once[origin as usize] = 1;
        self.add(key, &once);
        add(&mut self.all, &once);
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (key, counts) in &other.list {
            self.add(*key, counts);
        }
        add(&mut self.all, &other.all);
    }

    /// The counts by key, ascending.
    pub fn list(&self) -> &[(u32, Origins)] {
        &self.list
    }

    /// Counts of a tool and role.
    pub fn at(&self, key: u32) -> Origins {
        self.list.binary_search_by_key(&key, |&(key, _)| key).map_or_else(|_| Origins::default(), |i| self.list[i].1)
    }

    /// Counts of a role, whichever tool it is of: keys say the role in their upper half ([`crate::pursuit::place`]).
    pub fn of_role(&self, key: u32) -> Origins {
        let role = key >> 16;
        let first = self.list.partition_point(|&(key, _)| key >> 16 < role);
        let mut sum = Origins::default();
        for (_, counts) in self.list[first..].iter().take_while(|&&(key, _)| key >> 16 == role) {
            add(&mut sum, counts);
        }
        sum
    }

    /// Counts of all tools and roles.
    pub fn all(&self) -> &Origins {
        &self.all
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<(u32, Origins)>()
    }

    fn add(&mut self, key: u32, counts: &Origins) {
        match self.list.binary_search_by_key(&key, |&(key, _)| key) {
            Ok(i) => add(&mut self.list[i].1, counts),
            Err(i) => {
                if self.list.len() == self.list.capacity() {
                    self.list.reserve_exact(4);
                }
                self.list.insert(i, (key, *counts));
                self.list.truncate(ROOM);
            }
        }
    }
}

fn add(sum: &mut Origins, counts: &Origins) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learned(observations: &[(u32, usize)]) -> Targets {
        let mut targets = Targets::default();
        observations.iter().for_each(|&(key, origin)| targets.learn(key, Origin::ALL[origin]));
        targets
    }

    proptest! {
        #[test]
        fn merging_is_learning_all_in_any_order(
            a in prop::collection::vec((0u32..600, 0usize..9), 0..800),
            b in prop::collection::vec((0u32..600, 0usize..9), 0..800),
        ) {
            let batch = learned(&[a.clone(), b.clone()].concat());
            let mut ba = learned(&b);
            ba.merge(&learned(&a));
            prop_assert_eq!(&ba, &batch);
            prop_assert_eq!(Targets::from_parts(batch.list().to_vec(), *batch.all()), Some(batch));
        }
    }

    #[test]
    fn a_role_is_counted_over_all_tools() {
        let targets = learned(&[(0x1_0001, 0), (0x1_ffff, 0), (0x2_0001, 0), (0xffff, 0)]);
        assert_eq!([0x1_0000, 0x2_7777, 0, 0x3_0000].map(|key| targets.of_role(key)[0]), [2, 1, 1, 0]);
    }

    #[test]
    fn counts_that_cannot_be_so_are_refused() {
        let one: Origins = std::array::from_fn(|origin| u32::from(origin == 2));
        assert!(Targets::from_parts(vec![(1, one)], one).is_some());
        assert!(Targets::from_parts(vec![(1, one), (1, one)], one.map(|count| count * 2)).is_none(), "a key twice");
        assert!(Targets::from_parts(vec![(1, one)], Origins::default()).is_none(), "a total below the sum");
    }
}
