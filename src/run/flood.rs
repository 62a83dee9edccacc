//! A flood of made-up agents through a partition's owner, beside a fleet at work: nothing grows, nobody's baseline moves,
//! and it is told once. `DRIFTLINE_FLOOD_AGENTS=10000000` makes it as large as they come.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use driftline_core::{Alert, Change, GroupCounts, IdentityDocument, Limits, Position, Settings, Timestamp};
use driftline_detectors::Conductor;
use driftline_detectors::state::{Key, Kind, StateRecord};
use driftline_ingest::{PartitionBatch, Record, Records, TopicPartition, decoder};
use driftline_simulate::{Config, Simulation};

use super::memory::Memory;
use super::owner::{Owner, Reading};
use crate::config::Instance;
use crate::http::Readiness;
use crate::intake::Rules;
use crate::metrics::Metrics;

const BATCH: usize = 4096;
/// Events of the fleet between which the clock is told.
const STEP: usize = 50;
const HOURS: i64 = 3;
const HOUR_MILLIS: i64 = 3_600_000;

/// Records one after the other, each with its time and its end in `bytes`.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    records: Vec<(Timestamp, usize)>,
}

impl Batch {
    fn push(&mut self, time: Timestamp, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.records.push((time, self.bytes.len()));
    }
}

impl Records for Batch {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&self, i: usize) -> Record<'_> {
        let (observed_at, end) = self.records[i];
        let start = if i == 0 { 0 } else { self.records[i - 1].1 };
        let value = &self.bytes[start..end];
        Record { key: None, value, offset: i as i64, observed_at, origin: None, oversize: None }
    }

    fn position(&self, i: usize) -> Position {
        Position::Kafka { topic: "events".into(), partition: 0, offset: i as i64 }
    }
}

/// A fleet's events, and its documents.
struct Fleet {
    events: Vec<(Timestamp, Vec<u8>)>,
    documents: Vec<IdentityDocument>,
}

impl Fleet {
    fn new() -> Self {
        let config = Config { agents: 100, events: 30_000, attacks: 12, seed: 5, ..Config::default() };
        let mut simulation = Simulation::new(config).unwrap();
        let documents = simulation.identities().collect();
        let (mut events, mut record) = (Vec::new(), Vec::new());
        while let Some(written) = simulation.write_next(&mut record) {
            let time = written.time;
            events.push((time, record.clone()));
        }
        Self { events, documents }
    }
}

/// What a run has left.
#[derive(Default)]
struct Outcome {
    alerts: Vec<Alert>,
    /// The state topic, compacted.
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What peer groups did, hour by hour.
    groups: Vec<Vec<GroupCounts>>,
    series: usize,
    agents: usize,
    most_in_memory: usize,
    turned_away: u64,
    /// Bytes that the process has in memory, when half of the flood had come and when all of it had.
    resident: [usize; 2],
    seconds: f64,
}

/// The service around one owner, without a broker: batches are scored, the clock told, hours closed, and all of it
/// committed.
struct Run {
    owner: Owner,
    conductor: Conductor,
    rules: Rules,
    metrics: Metrics,
    readiness: Readiness,
    memory: Memory,
    outcome: Outcome,
}

impl Run {
    fn new(fleet: &Fleet, limits: Limits, agents_in_memory: usize, folder: &std::path::Path) -> Self {
        let settings = Settings { limits, ..Settings::default() };
        let documents =
            fleet.documents.iter().map(|document| Change::Identity { document: Box::new(document.clone()) });
        let rules = Rules::new(decoder::by_name("native").unwrap(), &settings);
        let mut conductor = Conductor::default();
        for change in std::iter::once(Change::Settings { settings }).chain(documents) {
            let record = conductor.record(change);
            conductor.fold(&record).unwrap();
        }
        let memory = Memory::new(&Instance { agents_in_memory, state: folder.to_owned(), id: None });
        let mut engine = driftline_detectors::Engine::new(conductor.world().clone());
        engine.track_changes(true);
        engine.set_backing_store(memory.store());
        Self {
            owner: Owner::new(0, engine, Timestamp::MIN, 100),
            conductor,
            rules,
            metrics: Metrics::new(20),
            readiness: Readiness::default(),
            memory,
            outcome: Outcome::default(),
        }
    }

    fn take(&mut self, batch: Batch) {
        let reading = Reading {
            rules: &self.rules,
            placement: None,
            dead_letters: None,
            stop_partition: false,
            world: self.conductor.world(),
            metrics: &self.metrics,
        };
        let batch = PartitionBatch { partition: TopicPartition::new("events", 0), records: Box::new(batch) };
        let taken = self.owner.take(&batch, &reading);
        assert_eq!(taken.counts.rejected, 0);
        self.outcome.alerts.extend(taken.work.alerts);
        self.commit();
    }

    /// Tells the clock: with a flood or without at the same places among the fleet's events, or the two could not be
    /// compared.
    fn advance(&mut self) {
        if let Some(clock) = self.conductor.clock(self.owner.highest) {
            self.decree(clock.change);
            if self.conductor.hour_is_over() {
                let epoch = self.conductor.epoch(self.owner.engine.take_contribution());
                if let Change::Epoch { epoch } = &epoch.change {
                    self.outcome.groups.push(epoch.groups.clone());
                }
                self.decree(epoch.change);
            }
        }
        self.commit();
    }

    fn decree(&mut self, change: Change) {
        let record = self.conductor.record(change);
        let (control, about_many) = self.conductor.fold(&record).unwrap();
        self.owner.engine.apply(&control);
        self.outcome.alerts.extend(about_many);
        self.outcome.alerts.extend(self.owner.engine.take_alerts());
    }

    fn commit(&mut self) {
        for StateRecord { key, value } in self.owner.engine.take_changes() {
            // Of the made-up ones nothing is compared, and a million would be the test's own flood.
            let parsed = Key::parse(&key).unwrap().entity;
            if parsed.kind == Kind::Agent && !parsed.id.starts_with("made-up-") {
                self.outcome.state.insert(key, value.unwrap());
            }
        }
        self.memory.make_room(std::iter::once(&mut self.owner), &self.metrics, &self.readiness);
        assert!(self.readiness.is_ready() && self.owner.engine.failure().is_none());
        self.outcome.most_in_memory = self.outcome.most_in_memory.max(self.owner.engine.resident());
        let mut top = self.metrics.top_agents();
        self.owner.tell_standings(&mut top);
        top.refresh(Instant::now(), self.owner.engine.len() as u64);
    }

    /// Plays the fleet's events, and among those of some hours so many made-up agents, most of them once.
    fn play(mut self, fleet: &Fleet, flood: u64) -> Outcome {
        let started = Instant::now();
        let tenant = serde_json::from_slice::<serde_json::Value>(&fleet.events[0].1).unwrap()["tenant"].clone();
        let from = fleet.events[fleet.events.len() * 2 / 3].0;
        let is_in = |time: Timestamp| time >= from && time.since(from) < HOURS * HOUR_MILLIS;
        let within = fleet.events.iter().filter(|(time, _)| is_in(*time)).count() as u64;
        assert!(within > 50, "{within} events go on meanwhile");
        let (mut batch, mut made_up, mut passed, mut record) = (Batch::default(), 0, 0, String::new());
        for (number, (time, event)) in fleet.events.iter().enumerate() {
            batch.push(*time, event);
            passed += u64::from(is_in(*time));
            let due = if is_in(*time) { flood * passed / within } else { made_up };
            while made_up < due {
                record.clear();
                let millis = time.millis();
                // Every tenth comes twice.
                for act in 0..1 + u32::from(made_up % 10 == 0) {
                    write!(
                        record,
                        r#"{{"time":{millis},"tenant":{tenant},"agent":{{"id":"made-up-{made_up}","platform":"p-{made_up}"}},"session":{{"id":"s"}},"action":{{"name":"tool-{act}-{made_up}"}},"resource":{{"id":"r/{made_up}"}}}}"#,
                    )
                    .unwrap();
                    batch.push(*time, record.as_bytes());
                    record.clear();
                }
                made_up += 1;
                if batch.len() >= BATCH {
                    self.take(std::mem::take(&mut batch));
                }
                if made_up == flood / 2 {
                    self.outcome.resident[0] = resident();
                } else if made_up == flood {
                    self.outcome.resident[1] = resident();
                }
            }
            if number % STEP == STEP - 1 {
                self.take(std::mem::take(&mut batch));
                self.advance();
            }
        }
        let text = self.metrics.render();
        self.outcome.series = text.lines().filter(|line| !line.starts_with('#')).count();
        self.outcome.agents = self.owner.engine.len();
        self.outcome.turned_away = self.owner.engine.counters().new_agents_turned_away;
        self.outcome.seconds = started.elapsed().as_secs_f64();
        self.outcome
    }
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs it says how large")]
fn a_flood_of_made_up_agents_is_told_once_and_changes_nothing() {
    let flood: u64 = std::env::var("DRIFTLINE_FLOOD_AGENTS").map_or(100_000, |agents| agents.parse().unwrap());
    let (fleet, folder) = (Fleet::new(), tempfile::tempdir().unwrap());
    let limits = Limits { new_agents_per_hour: (flood / 500) as usize, ..Limits::default() };
    let agents_in_memory = limits.new_agents_per_hour / 2;
    let run = |flood| Run::new(&fleet, limits.clone(), agents_in_memory, folder.path()).play(&fleet, flood);
    let (quiet, flooded) = (run(0), run(flood));

    let Outcome { agents, most_in_memory, turned_away, series, resident, seconds, .. } = &flooded;
    let [early, late] = resident.map(|bytes| bytes >> 20);
    eprintln!(
        "{flood} made-up agents: {agents} kept, {most_in_memory} in memory at most, {turned_away} events turned away, \
         {early} MiB after half of them and {late} MiB at the end, {series} series, {seconds:.1} s"
    );
    let kept = agents - quiet.agents;
    // The hours of the clock begin elsewhere, and it lags behind.
    let most = (HOURS as usize + 2) * limits.new_agents_per_hour;
    assert!(kept >= limits.new_agents_per_hour && kept <= most, "{kept} were kept");
    assert!(*turned_away > flood * 95 / 100, "{turned_away} were turned away");
    assert!(*most_in_memory <= agents_in_memory + agents_in_memory / 8, "{most_in_memory} in memory");
    assert!(late <= early + 48, "{early} MiB have become {late} MiB");
    assert!(*series < 2_000, "{series} series");

    let of = |outcome: &Outcome, kind: &str| outcome.alerts.iter().filter(|alert| alert.kind == kind).count();
    assert_eq!((of(&quiet, "agent_flood"), of(&flooded, "agent_flood")), (0, 1));
    let made_up = |alert: &&Alert| alert.agent.as_ref().is_some_and(|agent| agent.id.starts_with("made-up-"));
    let singly = flooded.alerts.iter().filter(made_up).count();
    assert!(singly <= 20 * (HOURS as usize + 2), "{singly} made-up agents were told of by themselves");
    let others = |outcome: &Outcome| -> Vec<_> {
        let others = outcome.alerts.iter().filter(|alert| !made_up(alert) && alert.kind != "agent_flood");
        others.map(|alert| serde_json::to_string(alert).unwrap()).collect()
    };
    assert!(quiet.alerts.len() > 20, "{} alerts", quiet.alerts.len());
    for (flooded, quiet) in others(&flooded).iter().zip(&others(&quiet)) {
        assert_eq!(flooded, quiet);
    }
    assert_eq!(others(&flooded).len(), others(&quiet).len());
    assert!(flooded.groups == quiet.groups, "the flood has changed what agents are compared with");
    assert!(flooded.state == quiet.state, "the flood has changed the state of agents that were there before");
}
