//! The stream processor against a real broker: the program itself, its topics, and what a replay makes of them.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use driftline_ingest::kafka::{OutRecord, Producer};
use driftline_ingest::testing::{Broker, broker};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftline");
/// Nothing here takes so long unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

struct Stream {
    broker: &'static Broker,
    folder: tempfile::TempDir,
    name: String,
}

struct Instance {
    child: Child,
    address: String,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stream {
    fn new(broker: &'static Broker, name: &str) -> Self {
        Self { broker, folder: tempfile::tempdir().unwrap(), name: broker.unique(name) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    fn driftline(&self, arguments: &[&str]) {
        let status = Command::new(PROGRAM).args(arguments).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    fn simulate(&self, arguments: &[&str]) {
        let (topic, identities) = (self.topic("events"), self.path("identities"));
        let mut all = vec!["simulate", "--kafka", self.broker.bootstrap(), "--topic", &topic];
        all.extend(["--partitions", "12", "--identities", identities.to_str().unwrap()]);
        all.extend(arguments);
        self.driftline(&all);
    }

    fn run(&self, instance: &str, more: &str) -> Instance {
        let config = self.path(&format!("{instance}.toml"));
        let text = format!(
            "[source.kafka]\nbootstrap = \"{}\"\ntopic = \"{}\"\ngroup = \"{}\"\ninternal_topic = \"{}\"\n\
             control_topic = \"{}\"\nstate_topic = \"{}\"\n[alerts.kafka]\ntopic = \"{}\"\n[dead_letters.kafka]\ntopic = \"{}\"\n\
             [detection]\nlevel = 0.9\n[identities]\npath = \"{}\"\n[instance]\nstate = \"{}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n{more}",
            self.broker.bootstrap(),
            self.topic("events"),
            self.name,
            self.topic("internal"),
            self.topic("control"),
            self.topic("state"),
            self.topic("alerts"),
            self.topic("dead"),
            self.path("identities").display(),
            self.path(instance).display(),
        );
        std::fs::create_dir_all(self.path("identities")).unwrap();
        std::fs::write(&config, text).unwrap();
        let mut child =
            Command::new(PROGRAM).args(["run", "-c", config.to_str().unwrap()]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it says where it listens before it ends").unwrap();
            let log: Value = serde_json::from_str(&line).unwrap();
            if let Some(address) = log.pointer("/fields/address").or(log.pointer("/address")) {
                break address.as_str().unwrap().to_owned();
            }
        };
        // The rest is kept from filling the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Instance { child, address }
    }

    /// The values of a topic.
    fn dump(&self, topic: &str) -> Vec<Value> {
        let path = self.path(&format!("{topic}.ndjson"));
        let topic = self.topic(topic);
        let out = path.to_str().unwrap();
        self.driftline(&["dump", "--kafka", self.broker.bootstrap(), "--topic", &topic, "--values", "--out", out]);
        lines(&path)
    }
}

/// How many events a test has: `usual`, unless the environment asks for another size.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
fn events(usual: u32) -> u32 {
    std::env::var("DRIFTLINE_STREAM_EVENTS").ok().and_then(|events| events.parse().ok()).unwrap_or(usual)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect()
}

fn ids(alerts: &[Value]) -> Vec<String> {
    let mut ids: Vec<String> = alerts.iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

impl Instance {
    fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return String::new() };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The sum of a metric over its series.
    fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics");
        let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        answer.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "{what} did not come about");
            assert!(self.child.try_wait().unwrap().is_none(), "the process ended before {what}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn a_run_and_its_replay_raise_the_same_alerts() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "same");
    // DRIFTLINE_STREAM_EVENTS=1000000 makes it a larger one, of 2,000 agents.
    let events = events(120_000);
    let (agents, attacks, events) = ((events / 500).to_string(), (events / 2_000).to_string(), events.to_string());
    stream.simulate(&["--agents", &agents, "--events", &events, "--attacks", &attacks, "--without-ids", "0.1"]);
    let mut instance = stream.run("one", "");
    let all: f64 = events.parse().unwrap();
    instance.wait("all records read", |it| it.metric("driftline_records_total") >= all);
    assert!(instance.get("/readyz").contains("\"ready\":true"));
    instance.stop();

    let alerts = stream.dump("alerts");
    let live = ids(&alerts);
    assert_eq!(live.iter().collect::<BTreeSet<_>>().len(), live.len(), "each alert once");
    let detectors: BTreeSet<&str> = alerts.iter().map(|alert| alert["detector"].as_str().unwrap()).collect();
    assert!(detectors.is_superset(&BTreeSet::from(["novelty", "rate", "identity", "escalation"])), "{detectors:?}");

    stream.dump("control");
    let (dump, replayed) = (stream.path("events.dump"), stream.path("replayed.ndjson"));
    let (topic, control) = (stream.topic("events"), stream.path("control.ndjson"));
    let (dump, control) = (dump.to_str().unwrap(), control.to_str().unwrap());
    stream.driftline(&["dump", "--kafka", broker.bootstrap(), "--topic", &topic, "--out", dump]);
    stream.driftline(&["replay", dump, "--control", control, "--alerts", replayed.to_str().unwrap()]);
    assert_eq!(ids(&lines(&replayed)), live);
    println!("{} alerts, the same live and replayed", live.len());
}

#[test]
fn malformed_records_go_to_the_dead_letters_and_nothing_else_does() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "malformed");
    // DRIFTLINE_STREAM_EVENTS=100000 makes it a larger one, of 10,000 malformed records.
    let good = events(10_000);
    let malformed = good / 10;
    stream.simulate(&["--agents", "50", "--events", &good.to_string(), "--attacks", "0"]);
    let mut producer = Producer::new(&broker.settings()).unwrap();
    let bad: [(&str, &[u8]); 5] = [
        ("not_json", b"{\"time\":"),
        ("not_utf8", b"{\"time\":0,\"agent\":{\"id\":\"\xff\"}}"),
        ("not_event", b"{\"time\":0,\"agent\":{\"id\":\"a\"}}"),
        ("too_deep", &[b'['; 5_000]),
        ("empty", b""),
    ];
    for i in 0..malformed as usize {
        let (_, value) = bad[i % bad.len()];
        producer.send(&OutRecord::new(stream.topic("events"), format!("bad-{i}"), value)).unwrap();
    }
    producer.flush().unwrap();

    let mut instance = stream.run("one", "");
    instance.wait("all records read", |it| it.metric("driftline_records_total") >= f64::from(good + malformed));
    assert_eq!(instance.metric("driftline_events_total"), f64::from(good));
    assert_eq!(instance.metric("driftline_dead_letters_total"), f64::from(malformed));
    let metrics = instance.get("/metrics");
    for (reason, _) in bad {
        let line = format!("driftline_dead_letters_total{{reason=\"{reason}\"}} {}", malformed / 5);
        assert!(metrics.contains(&line), "{line}");
    }
    instance.stop();

    let mut reasons = BTreeMap::<String, usize>::new();
    let dead = stream.path("dead.dump");
    stream.driftline(&[
        "dump",
        "--kafka",
        broker.bootstrap(),
        "--topic",
        &stream.topic("dead"),
        "--out",
        dead.to_str().unwrap(),
    ]);
    for line in lines(&dead) {
        let kept = line.get("value_base64").or(line.get("value")).map_or("", |value| value.as_str().unwrap_or(""));
        *reasons.entry(kept.chars().take(12).collect()).or_default() += 1;
    }
    assert_eq!(reasons.values().sum::<usize>(), malformed as usize);
    assert_eq!(reasons.len(), bad.len(), "the raw bytes are kept: {reasons:?}");
}

#[test]
fn a_second_instance_takes_over_from_one_that_was_killed() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "takeover");
    stream.simulate(&["--agents", "100", "--events", "20000", "--attacks", "0"]);
    let mut first = stream.run("one", "");
    first.wait("the first batch", |it| it.metric("driftline_records_total") >= 20_000.0);
    let mut second = stream.run("two", "");
    let shares = |it: &Instance| it.get("/metrics").matches("driftline_lag_records{").count();
    second.wait("a share of the partitions", |it| shares(it) > 0);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    second.wait("all partitions, of both topics", |it| shares(it) == 24);
    stream.simulate(&["--agents", "100", "--events", "10000", "--attacks", "0", "--seed", "2"]);
    second.wait("the rest", |it| it.metric("driftline_records_total") >= 10_000.0);
    second.stop();
}

#[test]
fn records_under_other_keys_reach_their_agents_through_the_internal_topic() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "unkeyed");
    stream.simulate(&["--agents", "50", "--events", "5000", "--attacks", "0"]);
    let mut instance = stream.run("one", "");
    // A record under a key that is not its agent's.
    let mut producer = Producer::new(&broker.settings()).unwrap();
    for i in 0..500 {
        let event = format!(r#"{{"time":1772409600000,"agent":{{"id":"roamer"}},"action":{{"name":"t{i}"}}}}"#);
        producer.send(&OutRecord::new(stream.topic("events"), format!("other-{i}"), event)).unwrap();
    }
    producer.flush().unwrap();
    // Forwarded records are read twice: where they were, and where they belong.
    instance.wait("forwarded records", |it| it.metric("driftline_events_total") >= 5_500.0);
    assert_eq!(instance.metric("driftline_forwarded_records_total"), 500.0);
    assert_eq!(instance.metric("driftline_records_total"), 6_000.0);
    instance.stop();
}
