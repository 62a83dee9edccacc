//! Takes partitions over: their state is read back on threads of its own, while the partitions that the instance has go on.
//!
//! A partition is not read before its engine is here and stands where the instance does in the control log. Where the
//! group takes it away again meanwhile, what is on its way is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use driftline_core::ControlRecord;
use driftline_detectors::state::Restoring;
use driftline_detectors::{Conductor, Control, Engine, OutOfOrder, World};
use driftline_ingest::failpoints::{Step, reach};
use driftline_ingest::{Assignment, TopicPartition};

use super::baselines::Baselines;
use super::changelog::{Progress, StateTopic};
use super::control_log::ControlTopic;
use super::ledger::Ledger;
use super::memory::Memory;
use super::shared::{SharedTopic, Table};
use crate::commands::CommandError;
use crate::http::Readiness;
use crate::metrics::Metrics;

/// How often it is told how far a restore has come.
const INTERVAL: Duration = Duration::from_secs(2);
/// The condition under which `/readyz` has it.
const CONDITION: &str = "restore";

/// A partition whose state is here.
pub struct Ready {
    /// Its number.
    pub place: i32,
    /// The source's partition of this number, and the internal topic's.
    pub assignments: Vec<Assignment>,
    /// Its engine, as of `conductor`.
    pub engine: Engine,
    /// What it is the state of; `None` where nothing was ever committed.
    pub ledger: Option<Ledger>,
    /// What others have told, for whoever leads: with partition 0.
    pub told: Option<Table>,
    /// The control log as far as the engine has taken it up.
    conductor: Conductor,
}

/// A partition whose state is on its way.
struct Takeover {
    /// Tells it from an earlier one of the same partition.
    number: u64,
    progress: Arc<Progress>,
    ready: Option<Ready>,
}

type Arrival = (i32, u64, Result<Option<Ready>, CommandError>);

/// What is read back.
#[derive(Clone)]
pub struct Topics {
    /// What is known of the agents.
    pub state: StateTopic,
    /// What engines must be told besides.
    pub control: ControlTopic,
    /// What owners have told; with partition 0.
    pub shared: SharedTopic,
    /// What agents are known from that the control log names.
    pub baselines: Baselines,
}

/// See the module.
pub struct Takeovers {
    topics: Topics,
    /// The transactional id of this instance.
    own: String,
    under_way: BTreeMap<i32, Takeover>,
    arrivals: (Sender<Arrival>, Receiver<Arrival>),
    /// How many there were so far.
    numbers: u64,
    /// Control records that engines on their way may have to take up still.
    missed: VecDeque<ControlRecord>,
    told: Told,
}

/// What was told of how far restoring has come.
struct Told {
    began: Instant,
    last: Instant,
    /// Records read by restores that are done.
    records: u64,
    /// Records counted in the metrics.
    counted: u64,
}

impl Drop for Takeovers {
    fn drop(&mut self) {
        self.under_way.values().for_each(|takeover| takeover.progress.is_over.store(true, Ordering::Relaxed));
    }
}

impl Takeovers {
    /// Nothing is taken over yet.
    pub fn new(topics: Topics, own: String) -> Self {
        let now = Instant::now();
        Self {
            topics,
            own,
            under_way: BTreeMap::new(),
            arrivals: unbounded(),
            numbers: 0,
            missed: VecDeque::new(),
            told: Told { began: now, last: now, records: 0, counted: 0 },
        }
    }

    /// Begins to take partitions over, as many at a time as there are cores: each holds a buffer of what it reads, and of
    /// its agents as many as there is memory for beside those of the `owned` partitions that are here.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where there are no threads to be had.
    pub fn begin(&mut self, assignments: Vec<Assignment>, memory: &Memory, owned: usize) -> Result<(), CommandError> {
        if self.under_way.is_empty() {
            let now = Instant::now();
            self.told = Told { began: now, last: now, records: 0, counted: 0 };
        }
        // A partition that nothing was read from has no position, and no writer's name beside it, but its state is written
        // with that of the others, by one of their writers. This instance's own has ended what was open when it was made.
        let names = assignments.iter().map(|assignment| &assignment.metadata);
        let writers: BTreeSet<String> = names.filter(|name| !name.is_empty() && **name != self.own).cloned().collect();
        let mut places: BTreeMap<i32, Vec<Assignment>> = BTreeMap::new();
        for assignment in assignments {
            places.entry(assignment.partition.partition).or_default().push(assignment);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(cores.min(places.len()))
            .thread_name(|i| format!("restore-{i}"))
            .build()
            .map_err(|error| CommandError::Failed(format!("cannot start threads: {error}")))?;
        let room = memory.share(owned + self.under_way.len() + places.len());
        for (place, assignments) in places {
            self.numbers += 1;
            let number = self.numbers;
            let progress = Arc::new(Progress::default());
            let (topics, writers, arrived) = (self.topics.clone(), writers.clone(), self.arrivals.0.clone());
            self.under_way.insert(place, Takeover { number, progress: progress.clone(), ready: None });
            let restoring = Engine::restore(World::default()).with_backing_store(memory.store(), room);
            threads.spawn_fifo(move || {
                let ready = restore(place, assignments, &writers, restoring, &topics, &progress);
                // The session may have ended.
                let _ = arrived.send((place, number, ready));
            });
        }
        // The threads end when they have done what they were given.
        Ok(())
    }

    /// Forgets partitions that the group has taken away again.
    pub fn give_up(&mut self, partitions: &[TopicPartition]) {
        for TopicPartition { partition: place, .. } in partitions {
            if let Some(takeover) = self.under_way.remove(place) {
                takeover.progress.is_over.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether no partition is being taken over.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// A partition that can be read from now on, where the instance has taken up the first `known` control records. `first`:
    /// the instance reads none yet.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where a partition's state cannot be read back.
    pub fn next(&mut self, known: u64, first: bool) -> Result<Option<Ready>, CommandError> {
        while let Ok((place, number, ready)) = self.arrivals.1.try_recv() {
            // One that was given up, and what is under way is another try.
            let Some(takeover) = self.under_way.get_mut(&place).filter(|takeover| takeover.number == number) else {
                continue;
            };
            takeover.ready = ready?;
        }
        // Who leads sees to settings and documents before anything is scored.
        let leads_first = known == 0 || (first && self.under_way.contains_key(&0));
        let is_ready = |takeover: &Takeover| takeover.ready.as_ref().is_some_and(|r| r.conductor.world().next <= known);
        let may_go = |place: i32| place == 0 || !leads_first;
        let mut ready = self.under_way.iter().filter(|(place, takeover)| may_go(**place) && is_ready(takeover));
        let Some(place) = ready.next().map(|(place, _)| *place) else { return Ok(None) };
        let done = self.under_way.remove(&place);
        Ok(done.and_then(|takeover| {
            self.told.records += takeover.progress.records.load(Ordering::Relaxed);
            takeover.ready
        }))
    }

    /// Keeps a control record that was just applied, for engines that are on their way. `is_own`: made here, and so not
    /// in the log before the next commit, whenever an engine is brought up from there.
    pub fn applied(&mut self, record: &ControlRecord, is_own: bool) {
        if is_own || !self.under_way.is_empty() {
            self.missed.push_back(record.clone());
        }
    }

    /// The log holds all control records before this number.
    pub fn committed(&mut self, number: u64) {
        while self.under_way.is_empty() && self.missed.front().is_some_and(|record| record.number < number) {
            self.missed.pop_front();
        }
    }

    /// Brings an engine to where the instance stands, in `world`.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where control records are missing, or a baseline that they name.
    pub fn bring_up(&self, ready: &mut Ready, world: &World) -> Result<(), CommandError> {
        let gap = |error: OutOfOrder| CommandError::Failed(format!("the control log: {error}"));
        let from = ready.conductor.world().next;
        for record in self.missed.iter().filter(|record| record.number >= from) {
            let (control, _) = ready.conductor.fold(record).map_err(gap)?;
            ready.engine.apply(&control);
            self.topics.baselines.give(&mut ready.engine, record, ready.place)?;
        }
        let reached = ready.conductor.world().next;
        if reached != world.next {
            return Err(gap(OutOfOrder { expected: reached, found: world.next }));
        }
        // All engines share one.
        ready.engine.apply(&Control { world: world.clone(), is_clock: false });
        Ok(())
    }

    /// Tells how far restoring has come: the log, the metrics, and `/readyz`.
    pub fn report(&mut self, metrics: &Metrics, readiness: &Readiness) {
        let left = self.under_way.len();
        metrics.restoring.set(i64::try_from(left).unwrap_or(i64::MAX));
        let progress = self.under_way.values().map(|takeover| &takeover.progress);
        let on_the_way: u64 = progress.clone().map(|progress| progress.records.load(Ordering::Relaxed)).sum();
        let records = self.told.records + on_the_way;
        metrics.restored_records.inc_by(records.saturating_sub(self.told.counted));
        self.told.counted = self.told.counted.max(records);
        if left == 0 {
            return readiness.restore(CONDITION);
        }
        let thousandths: u64 = progress.map(|progress| progress.thousandths.load(Ordering::Relaxed)).sum();
        let share = thousandths as f64 / 10.0 / left as f64;
        readiness.degrade(CONDITION, format!("the state of {left} partitions is being read back: {share:.0} %"));
        if self.told.last.elapsed() >= INTERVAL {
            self.told.last = Instant::now();
            let rate = (records as f64 / self.told.began.elapsed().as_secs_f64()) as u64;
            tracing::info!(partitions = left, records, rate, "restoring state: {share:.0} % of what is left");
        }
    }
}

/// Everything that a partition needs before it is read, on a thread of its own.
fn restore(
    place: i32,
    assignments: Vec<Assignment>,
    writers: &BTreeSet<String>,
    restoring: Restoring,
    topics: &Topics,
    progress: &Progress,
) -> Result<Option<Ready>, CommandError> {
    let started = Instant::now();
    let own = assignments.iter().map(|assignment| &assignment.metadata).find(|writer| writers.contains(*writer));
    let own = own.map(|writer| BTreeSet::from([writer.clone()]));
    let writers = own.as_ref().unwrap_or(writers);
    let Some(restored) = topics.state.restore(place, writers, restoring, progress)? else { return Ok(None) };
    let mut engine = restored.engine;
    let known = restored.ledger.as_ref().map_or(0, |ledger| ledger.control);
    let Some(conductor) = topics.control.bring_up(&mut engine, known, (&topics.baselines, place), &progress.is_over)?
    else {
        return Ok(None);
    };
    reach(Step::CaughtUp);
    let told = match place {
        0 => match topics.shared.read(&progress.is_over)? {
            Some(table) => Some(table),
            None => return Ok(None),
        },
        _ => None,
    };
    let (agents, in_memory, seconds) = (engine.len(), engine.resident(), started.elapsed().as_secs_f64());
    tracing::info!(partition = place, agents, in_memory, seconds, "state was restored");
    Ok(Some(Ready { place, assignments, engine, ledger: restored.ledger, told, conductor }))
}
