//! Takes records, scores them, and keeps the control log: the loop that everything else hangs on.

mod control;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use driftline_core::{Alert, Applied, Outcome, Timestamp};
use driftline_detectors::state::StateRecord;
use driftline_detectors::{Conductor, Engine};
use driftline_ingest::failpoints::{Step, reach};
use driftline_ingest::kafka::{
    Admin, ClientSettings, GroupSettings, KafkaSource, Keyed, Membership, OutRecord, TopicSpec,
};
use driftline_ingest::{Assignment, FileOptions, FileSource, PartitionBatch, Polled, Source, TopicPartition, decoder};
use rayon::prelude::*;

use super::Work;
use super::baselines::{Baselines, Watch};
use super::changelog::Changelog;
use super::commits::Commits;
use super::control_log::{ControlLog, positions};
use super::files::KeptFiles;
use super::identity_folder::IdentityFolder;
use super::ledger::{Held, Ledger};
use super::memory::Memory;
use super::owner::{Owner, Placement, Reading, Taken};
use super::service::Service;
use super::shared::{SharedTopic, Table, Told};
use super::sinks::Sinks;
use super::size::Size;
use super::takeover::{self, Ready, Takeovers};
use crate::commands::CommandError;
use crate::config::{Key, Source as SourceConfig};
use crate::intake::{Counts, Rules};
use crate::store::Resumed;

/// How long a poll waits where there is nothing to read.
const POLL: Duration = Duration::from_millis(100);
/// What is not part of the stream is looked after this often: metrics, identity documents, sinks.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Records that wait to be written, and what they take in bytes, past which the commit before is waited for.
const MOST_PENDING: (usize, usize) = (200_000, 64 << 20);
/// What a rebalance waits for at most: all partitions of this member stand still until it has given up what it is asked for.
const GIVING_UP: Duration = Duration::from_secs(10);
/// A member learns by its next heartbeat that another has taken its name.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What events are counted by.
const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Denied, Outcome::Error];

/// What the process reads from: a consumer group or files.
pub enum Input {
    /// Topics, shared with other instances.
    Kafka(Box<KafkaSource>),
    /// Files, which nobody else reads.
    Files(Box<KeptFiles>),
}

impl Input {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Kafka(source) => &mut **source,
            Self::Files(files) => files.source(),
        }
    }

    fn poll(&mut self, timeout: Duration) -> Result<Polled, CommandError> {
        match self {
            Self::Kafka(source) => Ok(source.poll(timeout)?),
            Self::Files(files) => files.poll(timeout),
        }
    }

    fn membership(&self) -> Option<Membership> {
        match self {
            Self::Kafka(source) => Some(source.membership()),
            Self::Files(_) => None,
        }
    }

    /// Listens whether the group still knows this member by its name. What it is given is not read.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where another process has taken the name.
    pub fn listen(&mut self) -> Result<(), CommandError> {
        let deadline = Instant::now() + HEARTBEAT;
        while Instant::now() < deadline {
            if let Polled::Revoked(partitions) | Polled::Lost(partitions) = self.source().poll(POLL)? {
                self.source().release(&partitions)?;
            }
        }
        Ok(())
    }
}

/// The scoring thread's state.
pub struct Scorer<'s> {
    service: &'s Service,
    rules: Rules,
    input: Input,
    /// `None` for files.
    topics: Option<Topics>,
    /// By partition number: the source's and the internal topic's records of a partition meet in one engine.
    owners: BTreeMap<i32, Owner>,
    /// Next offset of each partition that is owned.
    next: BTreeMap<TopicPartition, i64>,
    conductor: Conductor,
    identities: Option<IdentityFolder>,
    baselines: Baselines,
    watch: Watch,
    work: Work,
    commits: Commits,
    /// Control records there were when the last commit began.
    committing: u64,
    memory: Memory,
    counts: Counts,
    /// Events scored, in the order of [`OUTCOMES`].
    outcomes: [u64; 3],
}

impl<'s> Scorer<'s> {
    /// Joins the group; or opens the files, of which `resumed` is what they have come to.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the source, or a topic that goes with it, is not to be had.
    pub fn new(service: &'s Service, commits: Commits, resumed: Option<Resumed>) -> Result<Self, CommandError> {
        let config = &service.config;
        let settings = config.settings();
        let decoder =
            decoder::by_name(config.source.format()).map_err(|error| CommandError::Usage(error.to_string()))?;
        let usage = |error: driftline_ingest::FileError| CommandError::Usage(error.to_string());
        let mut resumed = resumed.unwrap_or_default();
        let places = std::mem::take(&mut resumed.input);
        let mut next = BTreeMap::new();
        let baselines = Baselines::new(config.baseline.as_ref());
        let (input, topics) = match (&config.source, &service.kafka) {
            (SourceConfig::Kafka(source), Some(client)) => {
                let topics = Topics::open(source, client, service.writer_of(source), &baselines)?;
                let group = GroupSettings {
                    group: source.group.clone(),
                    instance: Some(service.instance.id.clone()),
                    writer: service.writer_of(source),
                    topics: vec![source.topic.clone()],
                    internal: vec![source.internal_topic.clone()],
                };
                (Input::Kafka(Box::new(KafkaSource::open(client, &group)?)), Some(topics))
            }
            (SourceConfig::Files(source), _) => {
                next.extend(places.iter().map(|(file, place)| {
                    (TopicPartition { topic: file.clone(), partition: 0 }, place.next.cast_signed())
                }));
                let files = FileSource::open(&source.paths, FileOptions::default()).map_err(usage)?;
                (Input::Files(Box::new(KeptFiles::new(files, places))), None)
            }
            (SourceConfig::Kafka(_), None) => return Err(CommandError::Failed("no broker is configured".to_owned())),
        };
        let mut scorer = Self {
            service,
            rules: Rules::new(decoder, &settings),
            input,
            topics,
            owners: BTreeMap::new(),
            next,
            conductor: resumed.conductor,
            identities: config.identities.as_ref().map(IdentityFolder::new),
            baselines: baselines.clone(),
            watch: Watch::default(),
            work: Work::default(),
            commits,
            committing: 0,
            memory: Memory::new(&config.instance),
            counts: Counts::default(),
            outcomes: [0; 3],
        };
        if scorer.topics.is_none() {
            // Files are one partition, and there is nobody to share them with.
            let engine = resumed.engines.pop().unwrap_or_default();
            service.metrics.restored.inc_by(engine.len() as u64);
            scorer.own(0, engine, resumed.progress.highest());
            scorer.next.insert(TopicPartition::new("files", 0), 0);
            scorer.lead(&settings)?;
            service.readiness.restore("start");
        }
        Ok(scorer)
    }

    /// Scores until it is to halt, or the files are read; what came of it is committed then.
    ///
    /// # Errors
    ///
    /// [`CommandError::Interrupted`] where the group has moved on without this member, another where going on is
    /// impossible. What was not committed is to be dropped.
    pub fn run(&mut self, halted: &dyn Fn() -> bool, sinks: &Sinks) -> Result<(), CommandError> {
        let mut housekeeping = Instant::now();
        while !halted() {
            self.service.pulse.beat();
            let is_full = self.is_full();
            // Where no more can be held, nothing more is read. The group gives the partitions to others where that lasts for
            // longer than `max.poll.interval.ms`.
            let waits = is_full && !self.commits.wait_until(Instant::now() + POLL);
            match if waits { Polled::Idle } else { self.input.poll(POLL)? } {
                Polled::Records(batches) => {
                    reach(Step::BatchRead);
                    let started = Instant::now();
                    self.take(batches);
                    self.service.metrics.scoring.observe(started.elapsed().as_secs_f64());
                    self.advance()?;
                }
                Polled::Assigned(assignments) => self.begin_take_over(assignments)?,
                Polled::Revoked(partitions) => {
                    reach(Step::Revoked);
                    self.commit_within(GIVING_UP)?;
                    self.give_up(&partitions)?;
                }
                Polled::Lost(partitions) => {
                    let lost = partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    return Err(CommandError::Interrupted(format!(
                        "the group took this member for gone and has given {lost} to others"
                    )));
                }
                Polled::Idle => self.advance()?,
                Polled::Finished => break,
            }
            self.finish_take_overs()?;
            self.must_be_whole()?;
            let is_crowded = !waits && (is_full || self.memory.is_crowded(self.resident()));
            if self.commits.is_due(!self.work.alerts.is_empty()) || is_crowded {
                self.commit();
            }
            if housekeeping.elapsed() >= HOUSEKEEPING {
                housekeeping = Instant::now();
                self.follow()?;
                if self.is_leader() {
                    self.reload_identities()?;
                    self.reload_baseline()?;
                }
                self.report(sinks);
            }
        }
        self.service.pulse.rest();
        self.commit();
        self.commits.wait();
        self.report(sinks);
        self.must_be_whole()
    }

    /// Whether all agents that were heard of have come back from where they were.
    fn must_be_whole(&self) -> Result<(), CommandError> {
        match self.owners.values().find_map(|owner| owner.engine.failure()) {
            Some(failure) => Err(CommandError::Interrupted(failure.to_string())),
            None => Ok(()),
        }
    }

    /// Agents in memory.
    fn resident(&self) -> usize {
        self.owners.values().map(|owner| owner.engine.resident()).sum()
    }

    /// Whether there is as much to commit as can be held.
    fn is_full(&self) -> bool {
        let (records, bytes) = MOST_PENDING;
        self.work.records.len() + self.work.alerts.len() > records || self.work.bytes > bytes
    }

    /// Ends scoring; the member leaves its group when what this returns is dropped.
    pub fn end(self) -> Input {
        self.input
    }

    fn is_leader(&self) -> bool {
        self.owners.contains_key(&0)
    }

    fn own(&mut self, place: i32, engine: Engine, highest: Timestamp) {
        let patience = u64::from(self.service.config.dead_letters.max_in_a_row);
        self.owners.insert(place, Owner::new(place, engine, highest, patience));
    }

    /// Begins to take partitions over: what is known of their agents is read back while the others go on.
    fn begin_take_over(&mut self, assignments: Vec<Assignment>) -> Result<(), CommandError> {
        if let Some(behind) = assignments.iter().find(|assignment| assignment.expired() > 0) {
            return Err(CommandError::Usage(format!(
                "{}: offsets {} to {} were removed by the topic's retention before they were read; to go on without them, \
                 move the group `{}` past them and give source.kafka.state_topic a new name",
                behind.partition,
                behind.next(),
                behind.first - 1,
                self.group(),
            )));
        }
        reach(Step::Assigned);
        if self.next.is_empty() {
            // Now that this is the member of its name, the writer may end what an earlier one has left open.
            self.commits.begin((Work::default(), self.input.membership()));
        }
        if let Some(topics) = &mut self.topics {
            topics.takeovers.begin(assignments, &self.memory, self.owners.len())?;
            topics.takeovers.report(&self.service.metrics, &self.service.readiness);
        }
        Ok(())
    }

    /// Goes on with partitions whose state has been read back.
    fn finish_take_overs(&mut self) -> Result<(), CommandError> {
        if self.topics.as_ref().is_none_or(|topics| topics.takeovers.is_empty()) {
            return Ok(());
        }
        // An engine may have taken up what was written to the control log a moment ago.
        self.follow()?;
        while let Some(topics) = &mut self.topics
            && let Some(ready) = topics.takeovers.next(self.conductor.world().next, self.owners.is_empty())?
        {
            self.take_over(ready)?;
        }
        Ok(())
    }

    fn take_over(&mut self, mut ready: Ready) -> Result<(), CommandError> {
        let Some(topics) = &mut self.topics else { return Ok(()) };
        let place = ready.place;
        let now = self.conductor.world();
        if let Some(control) = ready.ledger.as_ref().map(|ledger| ledger.control).filter(|control| *control > now.next)
        {
            return Err(CommandError::Usage(format!(
                "the state of partition {place} holds {control} control records and the control topic has {}: it was \
                 emptied or is another one; {BEGIN_ANEW}",
                now.next
            )));
        }
        topics.takeovers.bring_up(&mut ready, now)?;
        let Ready { assignments, mut engine, ledger, told, .. } = ready;
        let known = ledger.clone().unwrap_or_else(|| Ledger::nothing(topics.changelog.group()));
        let mut next = BTreeMap::new();
        for assignment in assignments {
            // Positions of a group that was idle for long have expired; the state knows them still.
            let at = known.agrees(&assignment.partition, assignment.committed);
            let at = at.map_err(|what| CommandError::Usage(format!("{what}: {BEGIN_ANEW}")))?;
            let at = at.unwrap_or(assignment.next());
            tracing::info!("{} is read from offset {at}", assignment.partition);
            next.insert(assignment.partition, at);
        }
        self.work.records.extend(topics.note(known.control, now.next, positions(&next)));
        topics.changelog.resume(place, ledger.as_ref());
        reach(Step::TakenOver);
        self.service.metrics.restored.inc_by(engine.len() as u64);
        self.work.alerts.extend(engine.take_alerts());
        self.own(place, engine, known.highest);
        let begin: Vec<_> = next.iter().map(|(partition, at)| (partition.clone(), Some(*at))).collect();
        self.input.source().begin(&begin)?;
        self.next.append(&mut next);
        if let (Some(table), Some(topics)) = (told, &mut self.topics) {
            topics.told_by_others = Some(table);
            self.lead(&self.service.config.settings())?;
        }
        if let Some(topics) = self.topics.as_mut() {
            topics.takeovers.report(&self.service.metrics, &self.service.readiness);
        }
        self.service.readiness.restore("start");
        Ok(())
    }

    /// Commits before partitions are given up: the next owner goes on where this one has stopped.
    fn commit_within(&mut self, patience: Duration) -> Result<(), CommandError> {
        let deadline = Instant::now() + patience;
        let in_time = self.commits.wait_until(deadline) && {
            self.commit();
            self.commits.wait_until(deadline)
        };
        match in_time {
            true => Ok(()),
            false => Err(CommandError::Interrupted(format!(
                "partitions are to be given up, and what came of them could not be committed within {} s",
                patience.as_secs()
            ))),
        }
    }

    fn group(&self) -> &str {
        match &self.service.config.source {
            SourceConfig::Kafka(source) => &source.group,
            SourceConfig::Files(_) => "",
        }
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<(), CommandError> {
        if let Some(topics) = &mut self.topics {
            topics.takeovers.give_up(partitions);
        }
        for partition in partitions {
            tracing::info!("{partition} goes to another instance");
            self.next.remove(partition);
            self.service.metrics.forget_lag(&partition.topic, partition.partition);
            if !self.next.keys().any(|kept| kept.partition == partition.partition) {
                self.owners.remove(&partition.partition);
            }
        }
        if let Some(topics) = self.topics.as_mut().filter(|_| !self.owners.contains_key(&0)) {
            topics.told_by_others = None;
        }
        Ok(self.input.source().release(partitions)?)
    }

    /// Decodes and scores batches, those of different partitions side by side.
    fn take(&mut self, batches: Vec<PartitionBatch>) {
        let mut batches_of: BTreeMap<i32, Vec<PartitionBatch>> = BTreeMap::new();
        for batch in batches {
            let place = if self.topics.is_some() { batch.partition.partition } else { 0 };
            batches_of.entry(place).or_default().push(batch);
        }
        let reading = Reading {
            rules: &self.rules,
            placement: self.topics.as_ref().map(|topics| &topics.placement),
            dead_letters: self.service.config.dead_letters.kafka.as_ref().map(|topic| topic.topic.as_str()),
            stop_partition: self.service.config.dead_letters.stop_partition,
            world: self.conductor.world(),
            metrics: &self.service.metrics,
        };
        let side_by_side: Vec<(&mut Owner, Vec<PartitionBatch>)> = self
            .owners
            .iter_mut()
            .filter_map(|(place, owner)| batches_of.remove(place).map(|batches| (owner, batches)))
            .collect();
        let taken: Vec<(TopicPartition, Taken, bool)> = side_by_side
            .into_par_iter()
            .flat_map_iter(|(owner, batches)| {
                let mut taken = Vec::with_capacity(batches.len());
                for batch in batches {
                    if !owner.is_stopped(&batch.partition) {
                        let what = owner.take(&batch, &reading);
                        taken.push((batch.partition.clone(), what, owner.is_whole()));
                    }
                }
                taken
            })
            .collect();
        // In the order of the partitions, whoever was done first.
        taken.into_iter().for_each(|(partition, taken, is_whole)| self.account(&partition, taken, is_whole));
    }

    /// Takes up what came of a batch.
    fn account(&mut self, partition: &TopicPartition, taken: Taken, is_whole: bool) {
        self.service.metrics.batches.inc();
        self.counts.add(&taken.counts);
        self.outcomes.iter_mut().zip(taken.outcomes).for_each(|(sum, more)| *sum += more);
        let condition = format!("undecodable records in {partition}");
        if let Some(reason) = taken.broken {
            tracing::error!("{condition}: {reason}");
            self.service.readiness.degrade(&condition, reason);
        } else if is_whole && !self.service.readiness.is_ready() {
            self.service.readiness.restore(&condition);
        }
        self.next.extend(taken.work.positions.iter().cloned());
        self.work.absorb(taken.work);
    }

    /// Begins to commit what came of everything so far: positions, alerts, and the state that they leave.
    fn commit(&mut self) {
        if self.work.is_empty() || self.must_be_whole().is_err() {
            return;
        }
        let mut work = std::mem::take(&mut self.work);
        self.note_alerts(&work.alerts);
        let control = self.conductor.world().next;
        work.records.extend(self.tell_the_leader());
        let group = self.group().to_owned();
        if let Some(topics) = &mut self.topics {
            let changes: Vec<(i32, Vec<StateRecord>, Ledger)> = self
                .owners
                .par_iter_mut()
                .map(|(place, owner)| {
                    let changes = owner.engine.take_changes();
                    let positions = positions(self.next.iter().filter(|(partition, _)| partition.partition == *place));
                    let ledger = Ledger::new(&group, control, Held::of(&owner.engine), positions);
                    (*place, changes, Ledger { highest: owner.highest, ..ledger })
                })
                .collect();
            for (place, changes, ledger) in changes {
                work.records.extend(topics.changelog.records(place, changes, ledger));
            }
            self.memory.make_room(self.owners.values_mut(), &self.service.metrics, &self.service.readiness);
            // All of them, read from or not: nothing is ever committed without the broker asking whether we still are a
            // member.
            work.positions = self.next.iter().map(|(partition, next)| (partition.clone(), *next)).collect();
        }
        if let (Input::Files(files), Some(owner)) = (&mut self.input, self.owners.get_mut(&0)) {
            work.kept.state = owner.engine.take_changes();
            work.kept.input = files.places(&self.next);
            work.kept.highest = owner.highest;
        }
        reach(Step::CommitGathered);
        self.commits.begin((work, self.input.membership()));
        // What was begun before has been committed.
        if let Some(topics) = &mut self.topics {
            topics.takeovers.committed(std::mem::replace(&mut self.committing, control));
        }
    }

    fn note_alerts(&self, alerts: &[Alert]) {
        let metrics = &self.service.metrics;
        let mut top = metrics.top_agents();
        for alert in alerts {
            metrics.findings(&alert.detector, alert.severity).inc();
            top.record_alert(alert);
        }
    }

    fn report(&mut self, sinks: &Sinks) {
        let metrics = &self.service.metrics;
        let counts = std::mem::take(&mut self.counts);
        metrics.records.inc_by(counts.records);
        metrics.clamped.inc_by(counts.clamped);
        metrics.unknown_fields.inc_by(counts.unknown_fields);
        for (outcome, events) in OUTCOMES.into_iter().zip(std::mem::take(&mut self.outcomes)) {
            metrics.events(outcome).inc_by(events);
        }
        for owner in self.owners.values_mut() {
            let (now, before) = (owner.engine.counters(), owner.counted);
            owner.counted = now;
            metrics.repeats.inc_by(now.repeated - before.repeated);
            metrics.reused_ids.inc_by(now.reused_ids - before.reused_ids);
            metrics.late.inc_by(now.late - before.late);
            metrics.sessions_judged.inc_by(now.sessions - before.sessions);
            metrics.sessions_quarantined.inc_by(now.quarantined - before.quarantined);
            metrics.limit_hits("keys_per_agent").inc_by(now.keys_turned_away - before.keys_turned_away);
            metrics.limit_hits("agents_per_tenant").inc_by(now.agents_turned_away - before.agents_turned_away);
            metrics
                .limit_hits("new_agents_per_hour")
                .inc_by(now.new_agents_turned_away - before.new_agents_turned_away);
            metrics.limit_hits("tenants").inc_by(now.tenants_turned_away - before.tenants_turned_away);
            metrics.limit_hits("name_bytes").inc_by(now.names_turned_away - before.names_turned_away);
            let (now, before) = (owner.engine.traffic(), owner.moved);
            owner.moved = now;
            metrics.evicted.inc_by(now.evicted - before.evicted);
            metrics.fetched.inc_by(now.fetched - before.fetched);
        }
        // One at a time, so that nothing waits for long.
        let now = Instant::now();
        if let Some(owner) = self.owners.values_mut().find(|owner| owner.size.is_due(now)) {
            owner.size = Size::of(&owner.engine, now);
        }
        let (mut bytes, mut warming_up) = (0, 0);
        for Owner { size, .. } in self.owners.values() {
            bytes += size.bytes;
            warming_up += size.warming_up;
        }
        metrics.state_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        metrics.agents_warming_up.set(i64::try_from(warming_up).unwrap_or(i64::MAX));
        let world = self.conductor.world();
        metrics.alert_level.set(world.budget.least_level(&world.settings));
        metrics.set_baseline(world.baseline.as_ref().map(|known| known.version.as_str()));
        metrics.alert_budget.set(world.settings.alert_budget.unwrap_or(0.0));
        metrics.agents_in_memory.set(i64::try_from(self.resident()).unwrap_or(i64::MAX));
        let held: usize = self.owners.values().map(|owner| owner.engine.len()).sum();
        metrics.agents.set(i64::try_from(held).unwrap_or(i64::MAX));
        metrics.watermark.set(self.conductor.world().clock.millis() as f64 / 1000.0);
        let newest = self.owners.values().map(|owner| owner.highest).max().unwrap_or_default();
        if newest > Timestamp::MIN {
            metrics.event_time_delay.set(driftline_ingest::now().since(newest) as f64 / 1000.0);
        }
        let mut behind = Vec::new();
        for (partition, next) in &self.next {
            if let Some(end) = self.input.source().log_end(partition) {
                metrics.set_lag(&partition.topic, partition.partition, (end.offset - next).max(0));
                let stopped = self.owners.get(&partition.partition).is_some_and(|owner| owner.is_stopped(partition));
                if !end.reached && !stopped {
                    behind.push((partition.clone(), *next));
                }
            }
        }
        self.service.pulse.behind(behind.into_iter());
        if let Some(topics) = &mut self.topics {
            topics.takeovers.report(metrics, &self.service.readiness);
        }
        let is_reachable = match &mut self.input {
            Input::Kafka(source) => source.is_reachable(),
            Input::Files(_) => true,
        };
        match is_reachable {
            true => self.service.readiness.restore("brokers"),
            false => self.service.readiness.degrade("brokers", "no broker can be reached"),
        }
        for (name, status) in sinks.statuses() {
            let report = status.report();
            metrics.set_sink_total(name, "delivered", report.delivered);
            metrics.set_sink_total(name, "retried", report.retried);
            metrics.set_sink_total(name, "rejected", report.rejected);
            metrics.set_sink_pending(name, report.pending);
            let condition = format!("sink {name}");
            match report.failing.filter(|failure| failure.misconfigured) {
                Some(_) => self
                    .service
                    .readiness
                    .degrade(&condition, report.last_error.map(|(_, why)| why).unwrap_or_default()),
                None => self.service.readiness.restore(&condition),
            }
        }
        let mut top = metrics.top_agents();
        for owner in self.owners.values_mut() {
            owner.tell_standings(&mut top);
        }
        top.refresh(now, held as u64);
    }
}

/// How to go on where state, positions and control log do not agree.
const BEGIN_ANEW: &str = "to begin anew, give source.kafka.group, state_topic and control_topic new names";

/// The topics beside the source.
struct Topics {
    placement: Placement,
    control_log: ControlLog,
    changelog: Changelog,
    takeovers: Takeovers,
    shared: SharedTopic,
    /// What this instance has told of its partitions.
    told: Told,
    /// What the others have; only whoever leads reads it.
    told_by_others: Option<Table>,
}

impl Topics {
    fn open(
        source: &crate::config::KafkaSource,
        client: &ClientSettings,
        writer: String,
        baselines: &Baselines,
    ) -> Result<Self, CommandError> {
        let admin = Admin::new(client)?;
        let placement = place(source, &admin)?;
        let control_log = ControlLog::open(&admin, client, &source.control_topic)?;
        let changelog = Changelog::open(&admin, client, &source.state_topic, placement.partitions, &source.group)?;
        let shared = SharedTopic::open(&admin, client, &source.shared_topic)?;
        let read_back = takeover::Topics {
            state: changelog.topic().clone(),
            control: control_log.topic().clone(),
            shared: shared.clone(),
            baselines: baselines.clone(),
        };
        let takeovers = Takeovers::new(read_back, writer);
        Ok(Self { placement, control_log, changelog, takeovers, shared, told: Told::default(), told_by_others: None })
    }

    /// The note that the control records `from..until` hold from these positions on; `None` where there are none.
    fn note(&self, from: u64, until: u64, positions: BTreeMap<String, i64>) -> Option<OutRecord> {
        (from < until).then(|| self.control_log.encode_note(&Applied::new(from, until, positions)))
    }
}

/// Where records belong, and the internal topic for those that are elsewhere.
fn place(source: &crate::config::KafkaSource, admin: &Admin) -> Result<Placement, CommandError> {
    let partitions = admin
        .partitions(&source.topic)?
        .ok_or_else(|| CommandError::Usage(format!("there is no topic `{}` (source.kafka.topic)", source.topic)))?;
    // A record of the source with headers on it is larger than what the source takes.
    let config = [("max.message.bytes", "16777216")];
    admin.create(&TopicSpec::new(&source.internal_topic, partitions, &config))?;
    let internal = admin.partitions(&source.internal_topic)?.unwrap_or(partitions);
    if internal != partitions {
        return Err(CommandError::Usage(format!(
            "the internal topic `{}` has {internal} partitions and `{}` has {partitions}: they must have the same \
             number, so that an agent's records meet; give source.kafka.internal_topic another name",
            source.internal_topic, source.topic
        )));
    }
    if admin.topic_setting(&source.topic, "message.timestamp.type")?.as_deref() == Some("CreateTime") {
        tracing::warn!(
            "`{}` has message.timestamp.type=CreateTime: events are held to have been read when this machine says so; \
             with LogAppendTime a replay sees the same",
            source.topic
        );
    }
    let keyed = match source.key {
        Key::Agent => Keyed::Agent,
        Key::TenantAgent => Keyed::TenantAgent,
        Key::None => Keyed::None,
    };
    Ok(Placement {
        keyed,
        partitions,
        topic: source.topic.as_str().into(),
        internal: source.internal_topic.as_str().into(),
    })
}
