//! What Kafka promises, in small: logs whose records are seen once their transaction's marker is there, producers that
//! are fenced by their epoch, and a group whose positions are part of transactions.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::{Control, Note, State};
use super::group::{Group, Member};

/// A transactional id, which is an instance's name too.
pub type Id = usize;
/// A partition of the source.
pub type Place = usize;

/// What is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Control,
    Alerts,
    /// What owners tell the leader.
    Shared,
    /// The partition of the state topic that goes with one of the source.
    State(Place),
}

#[derive(Debug, Clone)]
pub enum Record {
    Control(Control),
    Note(Note),
    Alert(u64),
    /// A contribution to the next epoch under its key, or its tombstone.
    Shared((Place, u64, u64), Option<u64>),
    State(State),
}

/// Why the broker does not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not now: a transaction before has not ended everywhere. To be asked again.
    Busy,
    /// Another producer has come under the same id.
    Fenced,
    /// The group has moved on without this member.
    Generation,
}

/// The records of a partition, each with its transaction.
#[derive(Debug, Default)]
pub struct Log {
    records: Vec<(u64, Record)>,
    /// Whether transactions were committed, of those whose marker is there.
    outcomes: BTreeMap<u64, bool>,
}

impl Log {
    /// Up to where a reader of committed records comes: the first of a transaction without a marker.
    pub fn stable_end(&self) -> usize {
        let open = self.records.iter().position(|(transaction, _)| !self.outcomes.contains_key(transaction));
        open.unwrap_or(self.records.len())
    }

    pub fn written_end(&self) -> usize {
        self.records.len()
    }

    /// Committed records of a range that lies before the stable end.
    pub fn committed(&self, from: usize, to: usize) -> impl Iterator<Item = &Record> {
        let of = self.records.get(from..to).unwrap_or_default().iter();
        of.filter(|(transaction, _)| self.outcomes.get(transaction) == Some(&true)).map(|(_, record)| record)
    }

    pub fn all_committed(&self) -> impl Iterator<Item = &Record> {
        self.committed(0, self.records.len())
    }
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u32,
    open: Option<Open>,
    ending: Option<Ending>,
}

/// A transaction that is being written.
#[derive(Debug)]
struct Open {
    number: u64,
    topics: BTreeSet<Topic>,
    positions: Vec<(Place, u64)>,
}

/// A transaction whose outcome is decided, and of which some logs do not know yet.
#[derive(Debug)]
struct Ending {
    number: u64,
    committed: bool,
    topics: Vec<Topic>,
    positions: Option<Vec<(Place, u64)>>,
}

/// A position of the group, and whose transaction moved it last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    pub next: u64,
    pub writer: Option<Id>,
}

#[derive(Debug)]
pub struct Broker {
    logs: BTreeMap<Topic, Log>,
    producers: BTreeMap<Id, Producer>,
    pub group: Group,
    positions: Vec<Position>,
    transactions: u64,
    /// Events that each partition of the source has.
    pub events: u64,
    /// Whether a member's generation is looked at (KIP-447); without it, zombies write.
    pub checks_generations: bool,
    /// Whether an older producer of the same id is refused.
    pub checks_epochs: bool,
}

impl Broker {
    pub fn new(places: usize) -> Self {
        Self {
            logs: BTreeMap::new(),
            producers: BTreeMap::new(),
            group: Group::new(places),
            positions: vec![Position::default(); places],
            transactions: 0,
            events: 0,
            checks_generations: true,
            checks_epochs: true,
        }
    }

    pub fn log(&mut self, topic: Topic) -> &Log {
        self.logs.entry(topic).or_default()
    }

    /// A new epoch for an id; what the last producer under it has left open is aborted first.
    pub fn init_producer(&mut self, id: Id) -> Result<u32, Refusal> {
        self.abort(id);
        let producer = self.producers.entry(id).or_default();
        if producer.ending.is_some() {
            return Err(Refusal::Busy);
        }
        producer.epoch += 1;
        Ok(producer.epoch)
    }

    /// Aborts what is open under an id and fences its producer: by a successor, or because its time is over.
    pub fn abort(&mut self, id: Id) {
        let Some(producer) = self.producers.get_mut(&id) else { return };
        if let Some(open) = producer.open.take() {
            producer.epoch += 1;
            producer.ending = Some(open.end(false));
        }
    }

    pub fn produce(&mut self, id: Id, epoch: u32, topic: Topic, record: Record) -> Result<(), Refusal> {
        let open = self.transaction(id, epoch)?;
        open.topics.insert(topic);
        let number = open.number;
        self.logs.entry(topic).or_default().records.push((number, record));
        Ok(())
    }

    pub fn send_positions(
        &mut self,
        id: Id,
        epoch: u32,
        member: Member,
        positions: &[(Place, u64)],
    ) -> Result<(), Refusal> {
        if positions.is_empty() {
            return Ok(());
        }
        let is_member = self.group.is(member) || !self.checks_generations;
        let open = self.transaction(id, epoch)?;
        if !is_member {
            return Err(Refusal::Generation);
        }
        open.positions.extend(positions);
        Ok(())
    }

    /// Decides a transaction. Its markers are written later, one at a time.
    pub fn end(&mut self, id: Id, epoch: u32, commit: bool) -> Result<(), Refusal> {
        self.transaction(id, epoch)?;
        let producer = self.producers.entry(id).or_default();
        producer.ending = producer.open.take().map(|open| open.end(commit));
        Ok(())
    }

    fn transaction(&mut self, id: Id, epoch: u32) -> Result<&mut Open, Refusal> {
        let producer = self.producers.entry(id).or_default();
        if producer.epoch != epoch && self.checks_epochs {
            return Err(Refusal::Fenced);
        }
        if producer.ending.is_some() {
            return Err(Refusal::Busy);
        }
        let transactions = &mut self.transactions;
        Ok(producer.open.get_or_insert_with(|| {
            *transactions += 1;
            Open { number: *transactions, topics: BTreeSet::new(), positions: Vec::new() }
        }))
    }

    /// Whether no transaction is open, and no marker due.
    pub fn is_settled(&self) -> bool {
        self.producers.values().all(|producer| producer.open.is_none() && producer.ending.is_none())
    }

    /// Writes one of the markers that are due, the `chosen`th.
    pub fn write_marker(&mut self, chosen: usize) {
        let ending: Vec<Id> =
            self.producers.iter().filter(|(_, producer)| producer.ending.is_some()).map(|(id, _)| *id).collect();
        let Some(id) = ending.get(chosen % ending.len().max(1)) else { return };
        let producer = self.producers.entry(*id).or_default();
        let Some(end) = &mut producer.ending else { return };
        let due = end.topics.len() + usize::from(end.positions.is_some());
        match (chosen / ending.len()) % due.max(1) {
            topic if topic < end.topics.len() => {
                let topic = end.topics.swap_remove(topic);
                self.logs.entry(topic).or_default().outcomes.insert(end.number, end.committed);
            }
            _ => {
                for (place, next) in end.positions.take().into_iter().flatten() {
                    if end.committed {
                        self.positions[place] = Position { next, writer: Some(*id) };
                    }
                }
            }
        }
        if end.topics.is_empty() && end.positions.is_none() {
            producer.ending = None;
        }
    }

    /// Where the group stands in a partition, once no transaction is about to move it. Who wrote last is told beside.
    pub fn stable_position(&self, place: Place) -> Result<Position, Position> {
        let is_in = |positions: &[(Place, u64)]| positions.iter().any(|(pending, _)| *pending == place);
        let pending = self.producers.values().any(|producer| {
            producer.open.as_ref().is_some_and(|open| is_in(&open.positions))
                || producer.ending.as_ref().and_then(|end| end.positions.as_deref()).is_some_and(is_in)
        });
        let position = self.positions[place];
        if pending { Err(position) } else { Ok(position) }
    }
}

impl Open {
    fn end(self, committed: bool) -> Ending {
        let positions = (!self.positions.is_empty()).then_some(self.positions);
        Ending { number: self.number, committed, topics: self.topics.into_iter().collect(), positions }
    }
}
