//! A stream that knows its agents from published baselines ends as one that has learned everything itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use driftline_baseline::{About, Store};
use driftline_core::Alert;
use driftline_detectors::agent::AgentState;
use driftline_detectors::{Engine, World};
use driftline_ingest::kafka::{OutRecord, Producer, Reader, Start, Until, partition_of};
use driftline_ingest::testing::{Broker, broker};
use driftline_ingest::{Polled, Source, TopicPartition};

use crate::history::{baselines, decode};
use crate::instance::{Instance, PARTITIONS, Stream, have_read_all, lines, wait};
use crate::several::{HOUR, tell, time_of, watermark};

/// Room for all that an agent uses: past it, what is kept of two parts depends on which of them came first.
const ROOM: &str = "[limits]\nkeys_per_agent = 100000\n";

/// Simulated records: an early part, and a late one that begins when all sessions of the first have ended.
struct Site {
    early: Vec<String>,
    late: Vec<String>,
    /// What a stream that has read both has raised, and learned of each agent.
    alerts: Vec<Alert>,
    learned: Vec<String>,
}

impl Site {
    fn new(broker: &'static Broker) -> Self {
        let stream = stream(broker, "live");
        let (early, late) = simulate(&stream);
        produce(&stream, &early);
        produce(&stream, &late);
        let one = stream.run("one", ROOM);
        read_on(&stream, [&one], 1);
        one.stop();
        stream.dump("alerts");
        let read = std::fs::read_to_string(stream.path("alerts.ndjson")).unwrap();
        let alerts = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { early, late, alerts, learned: learned(&stream) }
    }

    /// Publishes what the early records of some agents teach; `positions`: the topic has them too.
    fn publish(&self, stream: &Stream, positions: BTreeMap<String, i64>, of: impl Fn(&str) -> bool) -> String {
        let records: Vec<_> = self.early.iter().filter(|record| of(&decode(record).agent.id)).cloned().collect();
        let about = About { positions, ..About::default() };
        store(stream).publish(baselines(&records, &self.alerts), about).unwrap().version
    }
}

/// A stream that raises few alerts, since sessions that do teach nothing.
fn stream(broker: &'static Broker, name: &str) -> Stream {
    let mut stream = Stream::new(broker, name);
    stream.level = 1e-9;
    stream.make_source();
    stream
}

fn store(stream: &Stream) -> Store {
    Store::new(stream.path("store"))
}

fn simulate(stream: &Stream) -> (Vec<String>, Vec<String>) {
    let (out, identities) = (stream.path("whole.ndjson"), stream.path("identities"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments = ["simulate", "--agents", "30", "--events", "30000", "--attacks", "0", "--seed", "11"];
    stream.driftline(&[&arguments[..], &["--identities", &text(&identities), "--out", &text(&out)]].concat());
    let whole: Vec<String> = std::fs::read_to_string(out).unwrap().lines().map(str::to_owned).collect();
    let (early, rest) = whole.split_at(18_000);
    let end = early.iter().map(|record| decode(record).time).max().unwrap();
    let late = rest.iter().filter(|record| decode(record).time.since(end) > 2 * HOUR).cloned();
    (early.to_vec(), late.collect())
}

fn produce(stream: &Stream, records: &[String]) {
    let mut producer = Producer::new(&stream.broker.settings()).unwrap();
    for record in records {
        let agent = decode(record).agent.id.to_string();
        producer.send(&OutRecord::new(stream.topic("events"), agent, record.as_str())).unwrap();
    }
    producer.flush().unwrap();
}

/// Where records that were the first end in each partition.
fn ends(stream: &Stream, records: &[String]) -> BTreeMap<String, i64> {
    let mut ends = BTreeMap::new();
    for record in records {
        let partition = partition_of(decode(record).agent.id.as_bytes(), PARTITIONS as i32);
        *ends.entry(format!("{}/{partition}", stream.topic("events"))).or_default() += 1;
    }
    ends
}

/// Waits until all is read, and all sessions have ended behind it.
fn read_on<const N: usize>(stream: &Stream, all: [&Instance; N], day: i64) {
    wait("all records read", || have_read_all(all));
    tell(stream, "latecomer", time_of(day));
    wait("the clock to follow", || all.iter().all(|it| watermark(it) > time_of(day) - HOUR) && have_read_all(all));
}

/// Baselines that an instance has taken up.
fn taken_up(it: &Instance) -> u64 {
    let metrics = it.get("/metrics");
    let line =
        metrics.lines().find_map(|line| line.strip_prefix("driftline_control_records_total{kind=\"baseline\"} "));
    line.map_or(0, |count| count.parse().unwrap())
}

/// What the state topic has of each agent's baseline.
fn learned(stream: &Stream) -> Vec<String> {
    let topic = stream.topic("state");
    let partitions = (0..PARTITIONS as i32).map(|place| TopicPartition::new(topic.as_str(), place));
    let from: Vec<_> = partitions.map(|partition| (partition, Start::Beginning)).collect();
    let mut reader = Reader::open(&stream.broker.settings(), &from, Until::End, &[]).unwrap();
    let mut engines: Vec<_> = from.iter().map(|_| Engine::restore(World::default())).collect();
    loop {
        match reader.poll(Duration::from_millis(100)).unwrap() {
            Polled::Records(batches) => {
                for batch in &batches {
                    let engine = &mut engines[batch.partition.partition as usize];
                    for record in batch.iter().filter(|record| record.key != Some(b"ledger")) {
                        engine.add(record.key.unwrap(), Some(record.value).filter(|value| !value.is_empty())).unwrap();
                    }
                }
            }
            Polled::Finished => break,
            _ => {}
        }
    }
    let mut learned = Vec::new();
    for engine in engines {
        for agent in engine.finish().unwrap().agents() {
            let AgentState { tools, families, resources, networks, clients, versions, habits, hours, .. } = agent;
            let counts = (tools, families, resources, networks, clients, versions, habits, hours);
            let AgentState { sessions_learned, grants, first_seen, .. } = agent;
            learned.push(format!("{} {sessions_learned} {grants} {first_seen} {counts:?}", agent.id));
        }
    }
    learned.sort();
    learned
}

fn assert_learned(stream: &Stream, expected: &[String]) {
    let found = learned(stream);
    assert_eq!(found.len(), expected.len());
    let other = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert!(other.is_none(), "{other:#?}");
}

#[test]
fn a_stream_warmed_by_a_baseline_that_overlaps_it_ends_as_one_that_learned_everything_live() {
    let Some(broker) = broker() else { return };
    let site = Site::new(broker);
    let mut stream = stream(broker, "warmed");
    assert_eq!(simulate(&stream), (site.early.clone(), site.late.clone()), "the same records");
    produce(&stream, &site.early);
    produce(&stream, &site.late);
    site.publish(&stream, ends(&stream, &site.early), |_| true);
    stream.baselines = Some(stream.path("store"));
    let more = format!("{ROOM}[baseline]\nstore = \"{}\"\n", stream.path("store").display());
    let [one, two] = ["one", "two"].map(|name| stream.run(name, &more));
    wait("all records read", || have_read_all([&one, &two]));
    // What it contains is not scored again.
    let scored = one.metric("driftline_events_total") + two.metric("driftline_events_total");
    assert_eq!(scored, site.late.len() as f64);
    // Whoever takes over has it too.
    one.kill();
    wait("all partitions", || two.partitions() == 2 * PARTITIONS);
    read_on(&stream, [&two], 1);
    two.stop();
    assert_learned(&stream, &site.learned);
    stream.prove("begun with a baseline", 1);
}

#[test]
fn a_newer_version_is_taken_up_without_a_restart_and_what_was_learned_since_stays_on_top() {
    let Some(broker) = broker() else { return };
    let site = Site::new(broker);
    let mut stream = stream(broker, "renewed");
    simulate(&stream);
    produce(&stream, &site.late);
    // Half of the agents are known before; nothing of their history is in the topic.
    let first = site.publish(&stream, BTreeMap::new(), |agent| partition_of(agent.as_bytes(), 2) == 0);
    stream.baselines = Some(stream.path("store"));
    let more = format!("{ROOM}[baseline]\nstore = \"{}\"\nreload = \"100ms\"\n", stream.path("store").display());
    let [one, two] = ["one", "two"].map(|name| stream.run(name, &more));
    wait("all records read", || have_read_all([&one, &two]));
    wait("the clock to follow", || watermark(&one) > 0 && watermark(&two) > 0);

    let second = site.publish(&stream, BTreeMap::new(), |_| true);
    assert_ne!(first, second);
    wait("the newer version", || taken_up(&one) == 2 && taken_up(&two) == 2);
    one.kill();
    let three = stream.run("three", &more);
    wait("all partitions", || two.partitions() + three.partitions() == 2 * PARTITIONS && three.partitions() > 0);
    read_on(&stream, [&two, &three], 1);
    two.stop();
    three.stop();
    let versions: Vec<_> = stream.dump("control").iter().filter(|entry| entry["kind"] == "baseline").cloned().collect();
    assert_eq!(versions.len(), 2, "each is taken up once");
    assert_learned(&stream, &site.learned);
    stream.prove("another baseline taken up", 1);
    assert!(lines(&stream.path("control.ndjson")).len() > 2);
}
