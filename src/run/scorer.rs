//! Takes records, scores them, and keeps the control log: the loop that everything else hangs on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use driftline_alerting::log::AlertLog;
use driftline_core::{Change, ControlRecord, Outcome, Settings, Timestamp, key};
use driftline_detectors::{Conductor, Contribution, Engine};
use driftline_ingest::kafka::{
    Admin, ClientSettings, GroupMetadata, GroupSettings, KafkaSource, Keyed, TopicSpec, TransactionalWriter,
};
use driftline_ingest::{FileOptions, FileSource, PartitionBatch, Polled, Source, TopicPartition, decoder};
use rayon::prelude::*;

use super::Work;
use super::committer::{Committer, Message, Outlet};
use super::control_log::{ControlLog, positions};
use super::identity_folder::IdentityFolder;
use super::instance::{self, Instance};
use super::owner::{Owner, Placement, Reading, Taken};
use super::sinks::Sinks;
use crate::commands::CommandError;
use crate::config::{Alerts, Config, Key, Source as SourceConfig};
use crate::http::{Readiness, Server};
use crate::intake::{Counts, Rules};
use crate::metrics::Metrics;

/// How long a poll waits where there is nothing to read.
const POLL: Duration = Duration::from_millis(100);
/// What is not part of the stream is looked after this often: metrics, identity documents, sinks.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Batches that wait to be committed; then the scorer waits.
const UNCOMMITTED: usize = 64;

/// What events are counted by.
const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Denied, Outcome::Error];

/// What the process reads from: a consumer group or files.
enum Input {
    Kafka(Box<KafkaSource>),
    Files(FileSource),
}

impl Input {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Kafka(source) => &mut **source,
            Self::Files(source) => source,
        }
    }

    fn group_metadata(&self) -> Option<GroupMetadata> {
        match self {
            Self::Kafka(source) => source.group_metadata(),
            Self::Files(_) => None,
        }
    }
}

/// The scoring thread's state.
pub struct Scorer {
    config: Config,
    rules: Rules,
    input: Input,
    placement: Option<Placement>,
    /// By partition number: the source's and the internal topic's records of a partition meet in one engine.
    owners: BTreeMap<i32, Owner>,
    /// Next offset of each partition that is owned.
    next: BTreeMap<TopicPartition, i64>,
    conductor: Conductor,
    control_log: Option<ControlLog>,
    identities: Option<IdentityFolder>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    work: Work,
    committer: Sender<Message>,
    counts: Counts,
    /// Events scored, in the order of [`OUTCOMES`].
    outcomes: [u64; 3],
}

/// Runs the stream processor until it is told to stop, or the files are read.
///
/// # Errors
///
/// [`CommandError`] for a configuration that nothing can be run from, and for what makes going on impossible; what was
/// committed before holds.
pub fn run(config: Config, stop: &Arc<AtomicBool>) -> Result<(), CommandError> {
    let instance = instance::take(config.instance.id.as_deref(), &config.instance.state)?;
    let metrics = Arc::new(Metrics::new(config.metrics.top_agents));
    let readiness = Readiness::default();
    readiness.degrade("start", "not all parts are up yet");
    let server = Server::start(config.http.listen, metrics.clone(), readiness.clone())
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    tracing::info!(instance = instance.id, address = %server.address(), "started");

    let kafka = match &config.source {
        SourceConfig::Kafka(kafka) => Some(ClientSettings::new(&kafka.bootstrap, kafka.librdkafka.0.clone())?),
        SourceConfig::Files(_) => None,
    };
    let settings = kafka.as_ref();
    let outlet = outlet(&config, settings, &instance)?;
    let (sender, receiver) = crossbeam_channel::bounded(UNCOMMITTED);
    let committer = Committer {
        outlet,
        log: alert_log(&config)?,
        dead_letters: dead_letter_file(&config)?,
        metrics: metrics.clone(),
        readiness: readiness.clone(),
    };
    let failed = Arc::new(AtomicBool::new(false));
    let committing = {
        let (failed, stop) = (failed.clone(), stop.clone());
        std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || {
                let outcome = committer.run(&receiver);
                if outcome.is_err() {
                    failed.store(true, Ordering::Relaxed);
                    stop.store(true, Ordering::Relaxed);
                }
                outcome
            })
            .map_err(|error| CommandError::Failed(format!("cannot start a thread: {error}")))?
    };
    let sinks = Sinks::start(&config, settings)?;
    let mut scorer = Scorer::new(config, settings, metrics, readiness, sender)?;
    let outcome = scorer.run(stop, &sinks);
    // The last commit is made while the member still is in the group; then it leaves.
    let Scorer { committer, input, .. } = scorer;
    drop(committer);
    let committed =
        committing.join().unwrap_or_else(|_| Err(CommandError::Failed("the committing thread has failed".to_owned())));
    drop(input);
    sinks.stop();
    drop(server);
    drop(instance);
    committed?;
    outcome?;
    tracing::info!("stopped");
    Ok(())
}

fn outlet(config: &Config, settings: Option<&ClientSettings>, instance: &Instance) -> Result<Outlet, CommandError> {
    let (Some(settings), SourceConfig::Kafka(kafka)) = (settings, &config.source) else {
        if matches!(config.alerts, Alerts::Kafka(_)) || config.dead_letters.kafka.is_some() {
            return Err(CommandError::Usage(
                "alerts.kafka and dead_letters.kafka go with source.kafka, whose brokers they use".to_owned(),
            ));
        }
        return Ok(Outlet::Local);
    };
    let admin = Admin::new(settings)?;
    let alerts: Option<Arc<str>> = match &config.alerts {
        Alerts::Kafka(topic) => Some(topic.topic.as_str().into()),
        Alerts::File(_) | Alerts::Stdout(_) => None,
    };
    let dead_letters = config.dead_letters.kafka.as_ref().map(|topic| topic.topic.as_str());
    for topic in alerts.as_deref().into_iter().chain(dead_letters) {
        let spec = TopicSpec { name: topic.to_owned(), partitions: 1, replication: None, config: Vec::new() };
        admin.create(&spec)?;
    }
    let id = format!("driftline-{}-{}", kafka.group, instance.id);
    Ok(Outlet::Kafka { writer: Box::new(TransactionalWriter::new(settings, &id)?), alerts })
}

fn alert_log(config: &Config) -> Result<Option<AlertLog>, CommandError> {
    let failed = |error: driftline_alerting::log::LogError| CommandError::Failed(error.to_string());
    match &config.alerts {
        Alerts::Kafka(_) => Ok(None),
        Alerts::File(file) => AlertLog::file(&file.path).map(Some).map_err(failed),
        Alerts::Stdout(_) => Ok(Some(AlertLog::stdout())),
    }
}

fn dead_letter_file(config: &Config) -> Result<Option<std::fs::File>, CommandError> {
    let open = |path: &PathBuf| {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.map_err(|error| CommandError::file("open", path, &error))
    };
    config.dead_letters.file.as_ref().map(|file| open(&file.path)).transpose()
}

impl Scorer {
    fn new(
        config: Config,
        kafka: Option<&ClientSettings>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
        committer: Sender<Message>,
    ) -> Result<Self, CommandError> {
        let settings = config.settings();
        let decoder =
            decoder::by_name(config.source.format()).map_err(|error| CommandError::Usage(error.to_string()))?;
        let (input, placement, control_log) = match (&config.source, kafka) {
            (SourceConfig::Kafka(source), Some(client)) => {
                let placement = place(source, client)?;
                let group = GroupSettings {
                    group: source.group.clone(),
                    instance: None,
                    topics: vec![source.topic.clone(), source.internal_topic.clone()],
                    internal: vec![source.internal_topic.clone()],
                };
                let control_log = ControlLog::open(client, &source.control_topic)?;
                (Input::Kafka(Box::new(KafkaSource::open(client, &group)?)), Some(placement), Some(control_log))
            }
            (SourceConfig::Files(source), _) => {
                let files = FileSource::open(&source.paths, FileOptions::default())
                    .map_err(|error| CommandError::Usage(error.to_string()))?;
                (Input::Files(files), None, None)
            }
            (SourceConfig::Kafka(_), None) => return Err(CommandError::Failed("no broker is configured".to_owned())),
        };
        let mut scorer = Self {
            rules: Rules::new(decoder, &settings),
            identities: config.identities.as_ref().map(IdentityFolder::new),
            config,
            input,
            placement,
            owners: BTreeMap::new(),
            next: BTreeMap::new(),
            conductor: Conductor::default(),
            control_log,
            metrics,
            readiness,
            work: Work::default(),
            committer,
            counts: Counts::default(),
            outcomes: [0; 3],
        };
        scorer.follow(true)?;
        if scorer.placement.is_none() {
            // Files are one partition, and there is nobody to share them with.
            scorer.own(TopicPartition::new("files", 0), 0);
            scorer.lead(&settings)?;
        }
        Ok(scorer)
    }

    fn run(&mut self, stop: &AtomicBool, sinks: &Sinks) -> Result<(), CommandError> {
        let mut housekeeping = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            match self.input.source().poll(POLL)? {
                Polled::Records(batches) => {
                    let started = Instant::now();
                    self.take(batches);
                    self.metrics.scoring.observe(started.elapsed().as_secs_f64());
                    self.advance()?;
                    self.send();
                }
                Polled::Assigned(assignments) => {
                    for assignment in assignments {
                        self.own(assignment.partition, assignment.committed.unwrap_or(0));
                    }
                    self.follow(true)?;
                    if self.is_leader() {
                        self.lead(&self.config.settings())?;
                    }
                    self.readiness.restore("start");
                }
                Polled::Revoked(partitions) => {
                    // Commit before giving up: the next owner goes on where this one stopped.
                    self.flush();
                    self.give_up(&partitions)?;
                }
                Polled::Lost(partitions) => self.give_up(&partitions)?,
                Polled::Idle => {
                    self.advance()?;
                    self.send();
                }
                Polled::Finished => break,
            }
            if housekeeping.elapsed() >= HOUSEKEEPING {
                housekeeping = Instant::now();
                self.follow(false)?;
                if self.is_leader() {
                    self.reload_identities()?;
                }
                self.report(sinks);
            }
        }
        self.send();
        self.flush();
        self.report(sinks);
        Ok(())
    }

    fn is_leader(&self) -> bool {
        self.owners.contains_key(&0)
    }

    fn own(&mut self, partition: TopicPartition, next: i64) {
        let patience = u64::from(self.config.dead_letters.max_in_a_row);
        let engine = || Engine::new(self.conductor.world().clone());
        self.owners.entry(partition.partition).or_insert_with(|| Owner::new(partition.partition, engine(), patience));
        tracing::info!("{partition} is read from offset {next}");
        self.next.insert(partition, next);
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<(), CommandError> {
        for partition in partitions {
            tracing::info!("{partition} goes to another instance");
            self.next.remove(partition);
            self.metrics.forget_lag(&partition.topic, partition.partition);
            if !self.next.keys().any(|kept| kept.partition == partition.partition) {
                self.owners.remove(&partition.partition);
            }
        }
        Ok(self.input.source().release(partitions)?)
    }

    /// Decodes and scores batches, those of different partitions side by side.
    fn take(&mut self, batches: Vec<PartitionBatch>) {
        let mut batches_of: BTreeMap<i32, Vec<PartitionBatch>> = BTreeMap::new();
        for batch in batches {
            let place = if self.placement.is_some() { batch.partition.partition } else { 0 };
            batches_of.entry(place).or_default().push(batch);
        }
        let reading = Reading {
            rules: &self.rules,
            placement: self.placement.as_ref(),
            dead_letters: self.config.dead_letters.kafka.as_ref().map(|topic| topic.topic.as_str()),
            stop_partition: self.config.dead_letters.stop_partition,
            world: self.conductor.world(),
            metrics: &self.metrics,
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
        self.metrics.batches.inc();
        self.counts.add(&taken.counts);
        self.outcomes.iter_mut().zip(taken.outcomes).for_each(|(sum, more)| *sum += more);
        let condition = format!("undecodable records in {partition}");
        if let Some(reason) = taken.broken {
            tracing::error!("{condition}: {reason}");
            self.readiness.degrade(&condition, reason);
        } else if is_whole && !self.readiness.is_ready() {
            self.readiness.restore(&condition);
        }
        self.next.extend(taken.work.positions.iter().cloned());
        self.work.absorb(taken.work);
    }

    /// Tells the clock, and closes the hour, where this instance leads.
    fn advance(&mut self) -> Result<(), CommandError> {
        if !self.is_leader() {
            return Ok(());
        }
        let Some(highest) = self.progress() else { return Ok(()) };
        let Some(clock) = self.conductor.clock(highest) else { return Ok(()) };
        self.decree(clock)?;
        if self.conductor.hour_is_over() {
            let mut contributed = Contribution::default();
            for owner in self.owners.values_mut() {
                contributed.merge(owner.engine.take_contribution());
            }
            let epoch = self.conductor.epoch(contributed);
            self.decree(epoch)?;
        }
        Ok(())
    }

    /// How far event time has come: the least, over partitions that are not idle at the end of their log, of the
    /// highest event time read; where all are idle, the greatest.
    fn progress(&mut self) -> Option<Timestamp> {
        let mut busy: BTreeMap<i32, bool> = BTreeMap::new();
        for partition in self.next.keys() {
            let reached = match &mut self.input {
                Input::Kafka(source) => source.log_end(partition).is_some_and(|end| end.reached),
                Input::Files(_) => false,
            };
            *busy.entry(partition.partition).or_default() |= !reached;
        }
        let read = |(place, owner): (&i32, &Owner)| {
            (owner.highest > Timestamp::MIN).then_some((busy.get(place).copied().unwrap_or(false), owner.highest))
        };
        // A partition that has been asked for and has given nothing yet holds the clock.
        if busy
            .iter()
            .any(|(place, &is_busy)| is_busy && self.owners.get(place).is_some_and(|o| o.highest == Timestamp::MIN))
        {
            return None;
        }
        let least =
            self.owners.iter().filter_map(read).filter(|(is_busy, _)| *is_busy).map(|(_, highest)| highest).min();
        least.or_else(|| self.owners.iter().filter_map(read).map(|(_, highest)| highest).max())
    }

    /// Makes a control record hold from here on, and has it written with the positions that it holds from.
    fn decree(&mut self, mut record: ControlRecord) -> Result<(), CommandError> {
        record.positions = positions(&self.next);
        self.apply(&record, true)?;
        if let Some(log) = &self.control_log {
            self.work.records.push(log.encode(&record));
        }
        Ok(())
    }

    fn apply(&mut self, record: &ControlRecord, raise: bool) -> Result<(), CommandError> {
        let (control, about_many) =
            self.conductor.fold(record).map_err(|error| CommandError::Failed(format!("the control log: {error}")))?;
        for owner in self.owners.values_mut() {
            owner.engine.apply(&control);
            self.work.alerts.extend(owner.engine.take_alerts());
        }
        if raise {
            self.work.alerts.extend(about_many);
        }
        let kind = match &record.change {
            Change::Settings { settings } => {
                self.rules = Rules::new(self.rules.decoder, settings);
                "settings"
            }
            Change::Identity { .. } | Change::IdentityRemoved { .. } => "identity",
            Change::Clock { .. } => "clock",
            Change::Epoch { epoch } => {
                self.metrics.epoch.set(i64::try_from(epoch.number).unwrap_or(i64::MAX));
                "epoch"
            }
        };
        self.metrics.control_records(kind).inc();
        Ok(())
    }

    /// Takes up what others have written to the control log.
    fn follow(&mut self, to_end: bool) -> Result<(), CommandError> {
        let Some(log) = &mut self.control_log else { return Ok(()) };
        for record in log.read(to_end)? {
            // What this instance wrote comes back to it.
            if record.number >= self.conductor.world().next {
                self.apply(&record, false)?;
            }
        }
        Ok(())
    }

    /// What a leader sees to first: that the settings and documents in force are those of its configuration.
    fn lead(&mut self, settings: &Settings) -> Result<(), CommandError> {
        if self.conductor.world().next == 0 || *self.conductor.world().settings != *settings {
            let record = self.conductor.record(Change::Settings { settings: settings.clone() });
            self.decree(record)?;
        }
        self.reload_identities()
    }

    fn reload_identities(&mut self) -> Result<(), CommandError> {
        let Some(folder) = &mut self.identities else { return Ok(()) };
        let changes = folder.changes(&self.conductor.world().registry, Instant::now());
        for change in changes {
            let record = self.conductor.record(change);
            self.decree(record)?;
        }
        Ok(())
    }

    fn send(&mut self) {
        if self.work.is_empty() {
            return;
        }
        let work = std::mem::take(&mut self.work);
        for alert in &work.alerts {
            self.metrics.findings(&alert.detector, alert.severity).inc();
            let agent = alert.agent.as_ref().map_or("", |agent| agent.id.as_str());
            let known = key(30, [&alert.tenant, agent]);
            if let Some((_, _, standing)) = self.owners.values_mut().find_map(|owner| owner.standings.get_mut(&known)) {
                standing.alerts += 1;
            }
        }
        // Where the committer has failed the process is on its way out.
        let _ = self.committer.send(Message::Work(work, self.input.group_metadata()));
    }

    fn flush(&mut self) {
        self.send();
        let (done, committed) = crossbeam_channel::bounded(1);
        if self.committer.send(Message::Flush(done)).is_ok() {
            let _ = committed.recv();
        }
    }

    fn report(&mut self, sinks: &Sinks) {
        let metrics = &self.metrics;
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
            metrics.limit_hits("keys_per_agent").inc_by(now.keys_turned_away - before.keys_turned_away);
            metrics.limit_hits("agents_per_tenant").inc_by(now.agents_turned_away - before.agents_turned_away);
        }
        let held: usize = self.owners.values().map(|owner| owner.engine.len()).sum();
        metrics.agents.set(i64::try_from(held).unwrap_or(i64::MAX));
        metrics.watermark.set(self.conductor.world().clock.millis() as f64 / 1000.0);
        let newest = self.owners.values().map(|owner| owner.highest).max().unwrap_or_default();
        if newest > Timestamp::MIN {
            metrics.event_time_delay.set(driftline_ingest::now().since(newest) as f64 / 1000.0);
        }
        for (partition, next) in &self.next {
            if let Some(end) = self.input.source().log_end(partition) {
                metrics.set_lag(&partition.topic, partition.partition, (end.offset - next).max(0));
            }
        }
        for (name, status) in sinks.statuses() {
            let report = status.report();
            metrics.set_sink_total(name, "delivered", report.delivered);
            metrics.set_sink_total(name, "retried", report.retried);
            metrics.set_sink_total(name, "rejected", report.rejected);
            metrics.set_sink_pending(name, report.pending);
            let condition = format!("sink {name}");
            match report.failing.filter(|failure| failure.misconfigured) {
                Some(_) => {
                    self.readiness.degrade(&condition, report.last_error.map(|(_, why)| why).unwrap_or_default())
                }
                None => self.readiness.restore(&condition),
            }
        }
        let mut top = metrics.top_agents();
        for owner in self.owners.values_mut() {
            for (tenant, agent, standing) in std::mem::take(&mut owner.standings).into_values() {
                top.record(&tenant, &agent, standing);
            }
        }
        top.refresh(Instant::now(), held as u64);
    }
}

/// Where records belong, and the internal topic for those that are elsewhere.
fn place(source: &crate::config::KafkaSource, client: &ClientSettings) -> Result<Placement, CommandError> {
    let admin = Admin::new(client)?;
    let partitions = admin
        .partitions(&source.topic)?
        .ok_or_else(|| CommandError::Usage(format!("there is no topic `{}` (source.kafka.topic)", source.topic)))?;
    let spec = TopicSpec { name: source.internal_topic.clone(), partitions, replication: None, config: Vec::new() };
    admin.create(&spec)?;
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
