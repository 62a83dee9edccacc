//! An instance of the stream processor in small: one step is one thing asked of the broker, so that it can die between
//! any two. It follows `service.rs`, `scorer.rs`, `committer.rs` and `changelog.rs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use driftline_ingest::TopicPartition;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::ledger::{Held, Ledger};
use super::broker::{Broker, Id, Place, Position, Record, Refusal, Topic};
use super::engine::{Control, Engine, Note, State};
use super::group::Member;
use super::{Verdict, Weakness};

/// The partition whose owner leads.
const FIRST: Place = 0;

pub struct Instance {
    pub id: Id,
    /// Tells its sessions from those of others under the same id.
    process: u64,
    weakness: Option<Weakness>,
    phase: Phase,
}

enum Phase {
    Starting,
    Running(Box<Session>),
    Ended,
}

/// From one start from what was committed to the next.
struct Session {
    epoch: u32,
    owned: BTreeMap<Place, Owner>,
    taking: Option<Taking>,
    /// Control records taken up: the number of the next one.
    world: u64,
    control_read: usize,
    /// Contributions of others to the next epoch, as far as this one has read of them.
    shared: BTreeMap<(Place, u64, u64), u64>,
    shared_read: usize,
    work: Work,
    committing: VecDeque<Part>,
    /// Its standing in the group, as it last heard of it.
    member: Option<Member>,
}

struct Owner {
    engine: Engine,
    next: u64,
}

/// What is read before a partition is owned, in this order.
struct Taking {
    place: Place,
    position: Option<Position>,
    /// Up to where control log, shared topic and state are to be read; `None` before that was asked.
    ends: Option<[usize; 3]>,
}

#[derive(Default)]
struct Work {
    records: Vec<(Topic, Record)>,
    notes: Vec<Note>,
    moved: bool,
}

/// What goes into one transaction. A sound instance has one part in a commit.
struct Part {
    records: VecDeque<(Topic, Record)>,
    positions: Vec<(Place, u64)>,
    are_positions_sent: bool,
}

/// How a session goes on after a step.
enum Next {
    On,
    /// From what was committed.
    Anew,
    /// The process ends.
    End,
}

impl From<Refusal> for Next {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy => Self::On,
            Refusal::Fenced => Self::End,
            Refusal::Generation => Self::Anew,
        }
    }
}

impl Instance {
    pub fn new(id: Id, process: u64, weakness: Option<Weakness>) -> Self {
        Self { id, process, weakness, phase: Phase::Starting }
    }

    pub fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Ended)
    }

    /// Whether a commit is under way.
    pub fn is_committing(&self) -> bool {
        matches!(&self.phase, Phase::Running(session) if !session.committing.is_empty())
    }

    /// Whether it owns all partitions, has read and committed all of them, and taken up the whole control log.
    pub fn is_done(&self, places: usize, broker: &mut Broker) -> bool {
        let Phase::Running(session) = &self.phase else { return false };
        session.owned.len() == places
            && session.owned.values().all(|owner| owner.next == broker.events)
            && session.committing.is_empty()
            && session.work.is_empty()
            && session.control_read == broker.log(Topic::Control).written_end()
    }

    /// One step; `fresh` numbers a session that has to begin anew.
    pub fn step(&mut self, broker: &mut Broker, chance: &mut ChaCha8Rng, fresh: &mut u64) -> Result<(), Verdict> {
        let next = match &mut self.phase {
            Phase::Ended => return Ok(()),
            Phase::Starting => {
                // Whatever an earlier process has left open under this id ends here, and only then does it join.
                if let Ok(epoch) = broker.init_producer(self.id) {
                    broker.group.join(self.id, self.process);
                    self.phase = Phase::Running(Box::new(Session::new(epoch)));
                }
                return Ok(());
            }
            Phase::Running(session) => {
                let mut turn = Turn { id: self.id, process: self.process, weakness: self.weakness, broker };
                turn.step(session, chance)?
            }
        };
        match next {
            Next::On => {}
            Next::Anew => {
                *fresh += 1;
                self.process = *fresh;
                self.phase = Phase::Starting;
            }
            Next::End => self.phase = Phase::Ended,
        }
        Ok(())
    }
}

impl Session {
    fn new(epoch: u32) -> Self {
        Self {
            epoch,
            owned: BTreeMap::new(),
            taking: None,
            world: 0,
            control_read: 0,
            shared: BTreeMap::new(),
            shared_read: 0,
            work: Work::default(),
            committing: VecDeque::new(),
            member: None,
        }
    }

    fn is_leader(&self) -> bool {
        self.owned.contains_key(&FIRST)
    }

    /// Where its partitions stand.
    fn positions(&self) -> BTreeMap<Place, u64> {
        self.owned.iter().map(|(place, owner)| (*place, owner.next)).collect()
    }

    /// Takes up the next control record in all engines.
    fn apply(&mut self, number: u64) {
        self.world = number + 1;
        for (place, owner) in &mut self.owned {
            let alert = owner.engine.apply(*place, number);
            self.work.alert(alert);
        }
        self.work.moved |= !self.owned.is_empty();
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        !self.moved && self.records.is_empty() && self.notes.is_empty()
    }

    fn alert(&mut self, alert: Option<u64>) {
        self.records.extend(alert.map(|alert| (Topic::Alerts, Record::Alert(alert))));
    }
}

/// A step of one session.
struct Turn<'t> {
    id: Id,
    process: u64,
    weakness: Option<Weakness>,
    broker: &'t mut Broker,
}

impl Turn<'_> {
    fn has(&self, weakness: Weakness) -> bool {
        self.weakness == Some(weakness)
    }

    fn step(&mut self, session: &mut Session, chance: &mut ChaCha8Rng) -> Result<Next, Verdict> {
        // Scoring goes on while a commit is under way.
        if !session.committing.is_empty() && chance.random_bool(0.8) {
            return Ok(self.commit_on(session, chance).unwrap_or_else(Next::from));
        }
        let Some((share, member)) = self.broker.group.share(self.id, self.process) else { return Ok(Next::Anew) };
        session.member = Some(member);
        let (assigned, revoked) = (share.assigned.clone(), share.revoked.clone());
        if session.owned.keys().any(|owned| !assigned.contains(owned)) {
            return Ok(Next::Anew);
        }
        if !revoked.is_empty() {
            self.give_up(session, &revoked);
            return Ok(Next::On);
        }
        let missing = assigned.iter().find(|place| !session.owned.contains_key(place));
        if let Some(&place) = missing {
            let taking = session.taking.take().filter(|taking| taking.place == place);
            let taking = taking.unwrap_or(Taking { place, position: None, ends: None });
            if chance.random_bool(0.7) {
                self.take_over(session, taking, chance)?;
                return Ok(Next::On);
            }
            session.taking = Some(taking);
        }
        match chance.random_range(0..10) {
            0..5 => self.read(session, chance),
            5..7 => self.follow(session, false)?,
            7 if session.is_leader() => self.decree(session, chance),
            _ => self.begin_commit(session),
        }
        Ok(Next::On)
    }

    /// Reads some events of a partition. Some come again, as a consumer may be given them.
    fn read(&mut self, session: &mut Session, chance: &mut ChaCha8Rng) {
        let places: Vec<Place> = session.owned.keys().copied().collect();
        if places.is_empty() {
            return;
        }
        let place = places[chance.random_range(0..places.len())];
        let Some(owner) = session.owned.get_mut(&place) else { return };
        let again = u64::from(chance.random_bool(0.1));
        let until = (owner.next + chance.random_range(0..3)).min(self.broker.events);
        for offset in owner.next.saturating_sub(again)..until {
            if offset < owner.next && self.weakness != Some(Weakness::RepeatsScored) {
                continue;
            }
            let alert = owner.engine.observe(place, offset);
            owner.next = owner.next.max(offset + 1);
            session.work.alert(alert);
            session.work.moved = true;
        }
    }

    /// Takes up control records that others wrote, and notes from where they hold here.
    fn follow(&mut self, session: &mut Session, to_end: bool) -> Result<(), Verdict> {
        let log = self.broker.log(Topic::Control);
        let end = if to_end { log.written_end() } else { log.stable_end() };
        let from = session.control_read.min(end);
        let numbers: Vec<u64> = log
            .committed(from, end)
            .filter_map(|record| match record {
                Record::Control(control) => Some(control.number),
                _ => None,
            })
            .collect();
        session.control_read = end;
        let before = session.world;
        for number in numbers.into_iter().filter(|number| *number >= before) {
            if number != session.world {
                return Err(Verdict::Control(format!("record {number} where {} should be", session.world)));
            }
            session.apply(number);
        }
        if session.world > before && !session.owned.is_empty() {
            self.note(session, before, session.positions());
        }
        Ok(())
    }

    fn note(&self, session: &mut Session, from: u64, positions: BTreeMap<Place, u64>) {
        if !self.has(Weakness::Unnoted) {
            session.work.notes.push(Note { from, until: session.world, positions });
        }
    }

    /// Writes a control record, as the leader. Some close an hour with what all have contributed.
    fn decree(&mut self, session: &mut Session, chance: &mut ChaCha8Rng) {
        let number = session.world;
        let epoch = chance.random_bool(0.5).then(|| {
            self.read_shared(session, false);
            let others: u64 = session.shared.values().sum();
            let tombstones = std::mem::take(&mut session.shared);
            let tombstones = tombstones.into_keys().map(|key| (Topic::Shared, Record::Shared(key, None)));
            session.work.records.extend(tombstones);
            others + session.owned.values_mut().map(|owner| std::mem::take(&mut owner.engine.gathered)).sum::<u64>()
        });
        let control = Control { number, positions: session.positions(), epoch };
        session.work.records.push((Topic::Control, Record::Control(control)));
        session.apply(number);
    }

    fn read_shared(&mut self, session: &mut Session, to_end: bool) {
        let log = self.broker.log(Topic::Shared);
        let end = if to_end { log.written_end() } else { log.stable_end() };
        for record in log.committed(session.shared_read.min(end), end) {
            let Record::Shared(key, value) = record else { continue };
            match value {
                Some(gathered) => drop(session.shared.insert(*key, *gathered)),
                None => drop(session.shared.remove(key)),
            }
        }
        session.shared_read = end;
    }

    /// Commits, and only then gives partitions back.
    fn give_up(&mut self, session: &mut Session, revoked: &BTreeSet<Place>) {
        session.taking = None;
        let owned = revoked.iter().any(|place| session.owned.contains_key(place));
        if owned && !self.has(Weakness::ReleasedUncommitted) {
            if !session.committing.is_empty() {
                return;
            }
            if !session.work.is_empty() {
                return self.begin_commit(session);
            }
        }
        for &place in revoked {
            session.owned.remove(&place);
            self.broker.group.release(self.id, self.process, place);
        }
    }

    /// Takes a partition over, a step further.
    fn take_over(&mut self, session: &mut Session, mut taking: Taking, chance: &mut ChaCha8Rng) -> Result<(), Verdict> {
        let place = taking.place;
        let Some(position) = taking.position else {
            taking.position = match self.broker.stable_position(place) {
                Ok(position) => Some(position),
                Err(position) if self.has(Weakness::UnstablePosition) => Some(position),
                Err(Position { writer, .. }) => {
                    self.end_what_is_open(writer, chance);
                    None
                }
            };
            session.taking = Some(taking);
            return Ok(());
        };
        let topics = [Topic::Control, Topic::Shared, Topic::State(place)];
        let to_stable = self.has(Weakness::StableEnd);
        let ends = *taking.ends.get_or_insert_with(|| {
            topics.map(|topic| {
                let log = self.broker.log(topic);
                if to_stable { log.stable_end() } else { log.written_end() }
            })
        });
        if topics.into_iter().zip(ends).any(|(topic, end)| self.broker.log(topic).stable_end() < end) {
            self.end_what_is_open(position.writer, chance);
            session.taking = Some(taking);
            return Ok(());
        }
        self.follow(session, false)?;
        if place == FIRST {
            self.read_shared(session, false);
        }
        self.own(session, place, position)
    }

    /// A dead one's transaction would hold this one up until the broker's time-out.
    fn end_what_is_open(&mut self, writer: Option<Id>, chance: &mut ChaCha8Rng) {
        if let Some(writer) = writer.filter(|writer| *writer != self.id && chance.random_bool(0.1)) {
            self.broker.abort(writer);
        }
    }

    /// Restores a partition's engine, and brings it to where this instance stands in the control log.
    fn own(&mut self, session: &mut Session, place: Place, position: Position) -> Result<(), Verdict> {
        let log = self.broker.log(Topic::State(place));
        let states = log.committed(0, log.stable_end()).filter_map(|record| match record {
            Record::State(state) => Some(state.clone()),
            _ => None,
        });
        let state = states.last();
        let partition = TopicPartition::new("events", i32::try_from(place).unwrap());
        let committed = position.writer.map(|_| i64::try_from(position.next).unwrap());
        let (engine, next, control) = match state {
            Some(State { engine, ledger }) => {
                let at = ledger.agrees(&partition, committed).map_err(Verdict::Refused)?;
                (engine, at.unwrap_or(0).unsigned_abs(), ledger.control)
            }
            None if position.next > 0 => return Err(Verdict::Refused(format!("{partition} has no state"))),
            None => (Engine::default(), 0, 0),
        };
        if control > session.world {
            return Err(Verdict::Refused(format!("{partition} is ahead of the control log")));
        }
        let mut owner = Owner { engine, next };
        for number in control..session.world {
            let alert = owner.engine.apply(place, number);
            session.work.alert(alert);
        }
        if control < session.world {
            self.note(session, control, BTreeMap::from([(place, next)]));
            session.work.moved = true;
        }
        session.owned.insert(place, owner);
        Ok(())
    }

    fn begin_commit(&mut self, session: &mut Session) {
        if session.work.is_empty() || !session.committing.is_empty() {
            return;
        }
        let work = std::mem::take(&mut session.work);
        let mut records: VecDeque<_> = work.records.into();
        records.extend(work.notes.into_iter().map(|note| (Topic::Control, Record::Note(note))));
        let (leads, world) = (session.is_leader(), session.world);
        let mut states = VecDeque::new();
        for (&place, owner) in &mut session.owned {
            // A leader has its own contributions at hand when it closes the hour.
            if !leads && owner.engine.gathered > 0 {
                let gathered = std::mem::take(&mut owner.engine.gathered);
                records.push_back((Topic::Shared, Record::Shared((place, owner.next, world), Some(gathered))));
            }
            let positions = BTreeMap::from([(format!("events/{place}"), i64::try_from(owner.next).unwrap())]);
            let ledger = Ledger::new("group", world, Held::default(), positions);
            states.push_back((Topic::State(place), Record::State(State { engine: owner.engine.clone(), ledger })));
        }
        let mut positions: Vec<(Place, u64)> = session.positions().into_iter().collect();
        if self.has(Weakness::UnreadWithoutPosition) {
            positions.retain(|(_, next)| *next > 0);
        }
        let part = |records, positions| Part { records, positions, are_positions_sent: false };
        session.committing = match self.weakness {
            Some(Weakness::PositionsApart) => {
                records.extend(states);
                VecDeque::from([part(VecDeque::new(), positions), part(records, Vec::new())])
            }
            Some(Weakness::StateApart) => VecDeque::from([part(records, positions), part(states, Vec::new())]),
            _ => {
                records.extend(states);
                VecDeque::from([part(records, positions)])
            }
        };
    }

    /// One thing more for the commit that is under way.
    fn commit_on(&mut self, session: &mut Session, chance: &mut ChaCha8Rng) -> Result<Next, Refusal> {
        let Some(part) = session.committing.front_mut() else { return Ok(Next::On) };
        if let Some((topic, record)) = part.records.front() {
            self.broker.produce(self.id, session.epoch, *topic, record.clone())?;
            part.records.pop_front();
        } else if !part.are_positions_sent {
            // A rebalance in between has left to this member what it has not given up.
            let Some(member) = session.member else { return Ok(Next::Anew) };
            self.broker.send_positions(self.id, session.epoch, member, &part.positions)?;
            part.are_positions_sent = true;
        } else {
            self.broker.end(self.id, session.epoch, true)?;
            session.committing.pop_front();
            // The answer may be lost on its way; then the outcome is not known.
            if chance.random_bool(0.05) {
                return Ok(Next::Anew);
            }
        }
        Ok(Next::On)
    }
}
