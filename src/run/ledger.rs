//! What a partition's state is the state of: the record in the changelog that every commit renews beside what changed.

use std::collections::BTreeMap;
use std::fmt;

use driftline_core::Timestamp;
use driftline_detectors::Engine;
use driftline_ingest::TopicPartition;
use serde::{Deserialize, Serialize};

/// What there is in a partition's state, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Agents.
    pub agents: u64,
    /// Records that are no agent's.
    pub shared: u64,
}

impl Held {
    /// What an engine holds.
    pub fn of(engine: &Engine) -> Self {
        Self { agents: engine.len() as u64, shared: engine.shared_records() as u64 }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} agents and {} other records", self.agents, self.shared)
    }
}

/// Up to where the records and the control log are in a partition's state.
///
/// It is in the same transaction as the group's positions and must agree with them: where it does not, one of the two
/// was changed by other hands, and going on would score records twice or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// `driftline.ledger/1`.
    pub schema: String,
    /// The consumer group whose state it is.
    pub group: String,
    /// Control records in the state: the number of the next one.
    pub control: u64,
    /// Agents in the state, so that one whose records are missing is missed.
    pub agents: u64,
    /// Records in the state that are no agent's, for the same reason.
    pub shared: u64,
    /// The highest event time in the state: who takes the partition over must not move the clock past it, nor hold it.
    #[serde(default)]
    pub highest: Timestamp,
    /// Of each `topic/partition` the offset of the next record.
    pub positions: BTreeMap<String, i64>,
}

impl Ledger {
    /// The key of its record. The engine's keys begin with other bytes ([`driftline_detectors::state`]).
    pub const KEY: &[u8] = b"ledger";
    const SCHEMA: &str = "driftline.ledger/1";

    /// A ledger of a group.
    pub fn new(group: &str, control: u64, held: Held, positions: BTreeMap<String, i64>) -> Self {
        let Held { agents, shared } = held;
        let (schema, group) = (Self::SCHEMA.to_owned(), group.to_owned());
        Self { schema, group, control, agents, shared, highest: Timestamp::MIN, positions }
    }

    /// What stands for the ledger of a partition that nothing was ever committed of.
    pub fn nothing(group: &str) -> Self {
        Self::new(group, 0, Held::default(), BTreeMap::new())
    }

    /// As it is written.
    pub fn encode(&self) -> Vec<u8> {
        // Plain data always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let ledger: Self = serde_json::from_slice(bytes).map_err(|error| format!("is no ledger: {error}"))?;
        match ledger.schema.as_str() {
            Self::SCHEMA => Ok(ledger),
            other => Err(format!("is a `{other}`; this program reads `{}`", Self::SCHEMA)),
        }
    }

    /// Whether what was read is all that there was when this was written.
    ///
    /// # Errors
    ///
    /// A sentence that says what is missing.
    pub fn covers(&self, held: Held) -> Result<(), String> {
        let due = Held { agents: self.agents, shared: self.shared };
        match held == due {
            true => Ok(()),
            false => Err(format!("it has {held} and its ledger has {due}: records are missing")),
        }
    }

    /// Where a partition is to be read on: where the group stands, or where the state does if the group's position has
    /// expired; `None` from its beginning.
    ///
    /// # Errors
    ///
    /// A sentence that names both positions where they differ.
    pub fn agrees(&self, partition: &TopicPartition, committed: Option<i64>) -> Result<Option<i64>, String> {
        // A partition that nothing was read from has the position 0, which is never committed.
        let own = self.positions.get(&partition.to_string()).copied().filter(|own| *own > 0);
        match (own, committed.filter(|committed| *committed > 0)) {
            (Some(own), Some(committed)) if own != committed => Err(format!(
                "the group has {partition} read up to offset {committed}, and its state is that of offset {own}"
            )),
            (None, Some(committed)) => Err(format!(
                "the group has {partition} read up to offset {committed}, and its state knows nothing of it"
            )),
            (own, _) => Ok(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELD: Held = Held { agents: 2, shared: 1 };

    /// Offsets of partitions, as they are after each of some commits.
    fn commits() -> impl Strategy<Value = Vec<BTreeMap<String, i64>>> {
        let partition = (0..4i32).prop_map(|number| TopicPartition::new("events", number).to_string());
        prop::collection::vec(prop::collection::btree_map(partition, 0..1_000_000i64, 0..4), 1..8)
    }

    proptest! {
        #[test]
        fn any_ledger_is_read_as_it_was_written(
            group in ".*", control: u64, agents: u64, shared: u64, positions in prop::collection::btree_map(".*", any::<i64>(), 0..4),
        ) {
            let ledger = Ledger::new(&group, control, Held { agents, shared }, positions);
            prop_assert_eq!(Ledger::parse(&ledger.encode()), Ok(ledger));
        }

        #[test]
        fn one_that_is_cut_off_is_none(positions in prop::collection::btree_map(".*", any::<i64>(), 0..4), at: prop::sample::Index) {
            let whole = Ledger::new("g", 1, HELD, positions).encode();
            prop_assert!(Ledger::parse(&whole[..at.index(whole.len())]).is_err());
        }

        /// Whatever was committed, the ledger of one commit agrees with the positions of that commit and no other.
        #[test]
        fn a_ledger_agrees_with_the_positions_of_its_own_commit_alone(commits in commits(), a: prop::sample::Index, b: prop::sample::Index) {
            let (of_state, of_group) = (a.get(&commits), b.get(&commits));
            let ledger = Ledger::new("g", 0, HELD, of_state.clone());
            for number in 0..4 {
                let partition = TopicPartition::new("events", number);
                let offset = |commit: &BTreeMap<String, i64>| commit.get(&partition.to_string()).copied();
                let (own, committed) = (offset(of_state).filter(|own| *own > 0), offset(of_group));
                let same = own == committed.filter(|committed| *committed > 0);
                match ledger.agrees(&partition, committed) {
                    Ok(at) => prop_assert!(at == own && (same || committed.is_none_or(|committed| committed == 0))),
                    Err(_) => prop_assert!(!same),
                }
            }
        }
    }

    #[test]
    fn a_ledger_is_read_as_it_was_written_and_no_other_is() {
        let ledger = Ledger::new("g", 7, HELD, BTreeMap::from([("events/3".to_owned(), 9)]));
        assert_eq!(Ledger::parse(&ledger.encode()), Ok(ledger.clone()));
        let later = Ledger { schema: "driftline.ledger/2".to_owned(), ..ledger };
        assert!(Ledger::parse(&later.encode()).unwrap_err().contains("driftline.ledger/2"));
        assert!(Ledger::parse(b"{}").is_err());
    }

    #[test]
    fn positions_that_were_moved_by_other_hands_are_told() {
        let ledger = Ledger::new("g", 7, HELD, BTreeMap::from([("events/3".to_owned(), 9)]));
        let partition = TopicPartition::new("events", 3);
        assert_eq!(ledger.agrees(&partition, Some(9)), Ok(Some(9)));
        // Positions expire where a group is idle for long; the state knows them still.
        assert_eq!(ledger.agrees(&partition, None), Ok(Some(9)));
        assert!(ledger.agrees(&partition, Some(8)).unwrap_err().contains("offset 9"));
        assert!(ledger.agrees(&TopicPartition::new("other", 3), Some(8)).is_err());
        assert_eq!(ledger.agrees(&TopicPartition::new("other", 3), Some(0)), Ok(None));
    }

    #[test]
    fn what_is_missing_is_missed() {
        let ledger = Ledger::new("g", 7, HELD, BTreeMap::new());
        let nothing = Held::default();
        assert_eq!(ledger.covers(HELD), Ok(()));
        assert_eq!(Ledger::nothing("g").covers(nothing), Ok(()));
        assert!(ledger.covers(Held { shared: 0, ..HELD }).is_err());
        assert!(ledger.covers(nothing).is_err());
        assert!(Ledger::nothing("g").covers(HELD).is_err());
        // The whole topic.
        assert!(Ledger::nothing("g").agrees(&TopicPartition::new("events", 3), Some(9)).is_err());
    }
}
