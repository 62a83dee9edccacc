//! The owner of a partition: its engine, and what its records come to.
//!
//! Partitions know nothing of each other, so their owners work side by side; what concerns many waits until all are done
//! with their batches ([`super::scorer`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use driftline_core::{Alert, Contained, Event, Position, Spread, Timestamp, key};
use driftline_detectors::{Counters, Engine, Traffic, World, undecodable};
use driftline_ingest::kafka::{Keyed, OutRecord};
use driftline_ingest::{PartitionBatch, Record, Streak, TopicPartition, forward};

use super::Work;
use super::size::Size;
use crate::intake::{self, Counts, Rules};
use crate::metrics::{Metrics, OTHER, Standing, TopAgents};

/// Agents whose standing is kept apart until it is reported, a second later.
const STANDINGS: usize = 1 << 14;

/// Where records belong that came from a topic.
pub struct Placement {
    /// What the source's records are keyed by.
    pub keyed: Keyed,
    /// Partitions of the source, and of the internal topic.
    pub partitions: i32,
    /// The source.
    pub topic: Arc<str>,
    /// Where records go that are not where they belong.
    pub internal: Arc<str>,
}

/// What all owners read by.
pub struct Reading<'r> {
    /// How records become events.
    pub rules: &'r Rules,
    /// `None` for files.
    pub placement: Option<&'r Placement>,
    /// The topic for dead letters; `None` where they go to a file.
    pub dead_letters: Option<&'r str>,
    /// Whether a partition is read no further where it breaks.
    pub stop_partition: bool,
    /// What the control log says.
    pub world: &'r World,
    /// What is counted.
    pub metrics: &'r Metrics,
}

/// What came of one batch.
#[derive(Default)]
pub struct Taken {
    /// To be committed.
    pub work: Work,
    /// In numbers.
    pub counts: Counts,
    /// Events scored, in the order of the variants of [`driftline_core::Outcome`].
    pub outcomes: [u64; 3],
    /// Why the partition is broken, if it is.
    pub broken: Option<String>,
}

/// A partition's engine and how far it has come.
pub struct Owner {
    /// The engine.
    pub engine: Engine,
    /// Highest event time read.
    pub highest: Timestamp,
    /// What was reported of the engine's counters.
    pub counted: Counters,
    /// What was reported of the agents that went out of memory and came back.
    pub moved: Traffic,
    /// How the agents stand that were heard of since this was last taken.
    pub standings: HashMap<u64, (String, String, Standing)>,
    /// How much the engine held when it was last counted.
    pub size: Size,
    partition: i32,
    /// Undecodable records in a row.
    streak: Streak,
    /// What is read no further, because of what was in it.
    stopped: BTreeSet<TopicPartition>,
}

impl Owner {
    /// An owner whose engine has seen events up to `highest`; `patience` is the number of undecodable records in a row that
    /// breaks the partition.
    pub fn new(partition: i32, engine: Engine, highest: Timestamp, patience: u64) -> Self {
        Self {
            engine,
            highest,
            counted: Counters::default(),
            moved: Traffic::default(),
            standings: HashMap::new(),
            size: Size::default(),
            partition,
            streak: Streak::new(patience),
            stopped: BTreeSet::new(),
        }
    }

    /// Whether no record of the source, or of the internal topic, is read any more.
    pub fn is_stopped(&self, partition: &TopicPartition) -> bool {
        self.stopped.contains(partition)
    }

    /// Tells how the agents stand that were heard of since this was last told.
    pub fn tell_standings(&mut self, top: &mut TopAgents) {
        for (tenant, agent, standing) in std::mem::take(&mut self.standings).into_values() {
            let drift = self.engine.drift_of(&tenant, &agent).unwrap_or_default();
            top.record(&tenant, &agent, standing, drift, || self.engine.moved_tools(&tenant, &agent));
        }
    }

    /// Decodes and scores a batch.
    pub fn take(&mut self, batch: &PartitionBatch, reading: &Reading<'_>) -> Taken {
        let mut taken = Taken::default();
        let Taken { work, counts, outcomes, .. } = &mut taken;
        let (mut dead, mut forwarded, mut broken) = (Vec::new(), Vec::new(), None);
        let p_values = reading.metrics.p_values();
        let contained = Containing::of(reading.world, &batch.partition);
        let source = reading.placement.filter(|placement| *batch.partition.topic == *placement.topic);
        for i in 0..batch.records.len() {
            let record = batch.records.get(i);
            let position = || batch.records.position(i);
            let rejected = counts.rejected;
            intake::read(
                &record,
                position,
                reading.rules,
                counts,
                &mut |event| {
                    let elsewhere =
                        source.and_then(|source| source.elsewhere(self.partition, &record, position, event));
                    if let Some(out) = elsewhere {
                        // A record of several events goes as one.
                        if forwarded.last() != Some(&out) {
                            forwarded.push(out);
                        }
                        return;
                    }
                    if contained.has(&record, event) {
                        return;
                    }
                    self.highest = self.highest.max(event.time);
                    let scored = self.engine.observe(event);
                    outcomes[event.outcome as usize] += 1;
                    if !scored.repeated {
                        p_values.observe(&scored.p);
                    }
                    note(&mut self.standings, event, scored.risk);
                },
                &mut |letter| {
                    reading.metrics.dead_letters(letter.reason).inc();
                    match reading.dead_letters {
                        Some(topic) => dead.push(letter.to_record(topic)),
                        // Memory takes whatever is written to it.
                        None => drop(letter.write_line(&mut work.dead_letter_lines)),
                    }
                },
            );
            if counts.rejected == rejected {
                self.streak.accepted();
            } else if self.streak.rejected() {
                broken = Some(position());
            }
        }
        reading.metrics.forwarded.inc_by(forwarded.len() as u64);
        work.records.extend(dead);
        work.records.extend(forwarded);
        work.alerts.extend(self.engine.take_alerts());
        if let Some(position) = broken {
            work.alerts.push(self.undecodable(batch, &position, reading));
            taken.broken = Some(format!("{} in a row could not be decoded, up to {position}", self.streak.len()));
            if reading.stop_partition {
                // The batch is accounted for as a whole, so that what was scored of it is committed, once.
                self.stopped.insert(batch.partition.clone());
            }
        }
        taken.work.positions.push((batch.partition.clone(), batch.next_offset()));
        taken
    }

    fn undecodable(&self, batch: &PartitionBatch, position: &Position, reading: &Reading<'_>) -> Alert {
        let time = self.highest.max(reading.world.clock);
        undecodable(&batch.partition.to_string(), &position.to_string(), self.streak.len(), time, reading.world)
    }

    /// Whether the last record could be decoded, or few before it could not.
    pub fn is_whole(&self) -> bool {
        !self.streak.is_broken()
    }
}

impl Placement {
    /// Which engine has which agents.
    pub fn spread(&self) -> Spread {
        // As [`Keyed::key`] has it for records that are sent on.
        Spread { partitions: self.partitions, by_tenant: self.keyed != Keyed::Agent }
    }

    /// The record as it is sent on, where it is not where it belongs.
    fn elsewhere(
        &self,
        partition: i32,
        record: &Record<'_>,
        position: impl Fn() -> Position,
        event: &Event<'_>,
    ) -> Option<OutRecord> {
        let (tenant, agent) = (event.tenant.as_str(), event.agent.id.as_str());
        let belongs = self.keyed.belongs(record.key, tenant, agent, partition, self.partitions);
        let out = || forward(record, &position(), self.keyed, (tenant, agent), &self.internal, self.partitions);
        (!belongs).then(out)
    }
}

/// What the baseline that agents are known from contains of a partition.
struct Containing<'w> {
    contained: Option<&'w Contained>,
    /// Of the partition itself; records that were sent on come from others.
    next: Option<i64>,
}

impl<'w> Containing<'w> {
    fn of(world: &'w World, partition: &TopicPartition) -> Self {
        let contained = world.baseline.as_ref().map(|known| &known.contained);
        Self { contained, next: contained.and_then(|it| it.positions.get(&partition.to_string()).copied()) }
    }

    /// Whether an event was learned already.
    fn has(&self, record: &Record<'_>, event: &Event<'_>) -> bool {
        let Some(contained) = self.contained else { return false };
        match &record.origin {
            Some(position @ Position::Kafka { .. }) => contained.has(position, event.time),
            _ => self.next.is_some_and(|next| record.offset < next) && contained.spans(event.time),
        }
    }
}

/// Notes how an agent stands, for the series of the riskiest; of more than are kept apart, what they do together.
fn note(standings: &mut HashMap<u64, (String, String, Standing)>, event: &Event<'_>, risk: f64) {
    let (mut tenant, mut agent) = (event.tenant.as_str(), event.agent.id.as_str());
    let mut known = key(30, [tenant, agent]);
    if standings.len() >= STANDINGS && !standings.contains_key(&known) {
        [tenant, agent] = OTHER;
        known = key(30, OTHER);
    }
    let new = || (tenant.to_owned(), agent.to_owned(), Standing::default());
    let (_, _, standing) = standings.entry(known).or_insert_with(new);
    standing.risk = risk;
    standing.events += 1;
}
