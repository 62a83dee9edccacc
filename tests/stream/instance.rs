//! What the tests start and ask: a stream's topics, and processes that run over it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftline_ingest::TopicPartition;
use driftline_ingest::failpoints::Step;
use driftline_ingest::kafka::Admin;
use driftline_ingest::testing::Broker;
use serde_json::Value;

use crate::table::Row;
use crate::watch::Watch;

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftline");
/// Nothing here takes so long unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// An instance that is alive answers well before.
const ANSWER: Duration = Duration::from_secs(1);
/// Partitions of a stream's source, and as many of its internal topic.
pub const PARTITIONS: usize = 12;

/// Topics of one test, and a folder for what goes with them.
pub struct Stream {
    /// One test at a time: a broker on two cores that many processes leave no time to loses its own leadership.
    _turn: MutexGuard<'static, ()>,
    pub broker: &'static Broker,
    folder: tempfile::TempDir,
    name: String,
    watch: Watch,
    /// `detection.level` of instances that are started: high, so that there are many alerts.
    pub level: f64,
    /// `source.kafka.state_topic` of instances that are started.
    pub state_topic: String,
    /// The store that instances begin with a baseline of.
    pub baselines: Option<PathBuf>,
}

/// A process that runs the stream processor.
pub struct Instance {
    pub child: Child,
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
    pub fn new(broker: &'static Broker, name: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = Watch::new(2 * PARTITIONS);
        let (name, folder) = (broker.unique(name), tempfile::tempdir().unwrap());
        let state_topic = format!("{name}-state");
        Self { _turn: turn, broker, folder, name, watch, level: 0.9, state_topic, baselines: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.name
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Runs a command, which must succeed; returns what it said.
    pub fn driftline(&self, arguments: &[&str]) -> String {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    pub fn simulate(&self, arguments: &[&str]) {
        let (topic, identities, partitions) = (self.topic("events"), self.path("identities"), PARTITIONS.to_string());
        let mut all = vec!["simulate", "--kafka", self.broker.bootstrap(), "--topic", &topic];
        all.extend(["--partitions", &partitions, "--identities", identities.to_str().unwrap()]);
        all.extend(arguments);
        self.driftline(&all);
    }

    /// Starts an instance; `more` is the end of its configuration.
    pub fn run(&self, instance: &str, more: &str) -> Instance {
        self.run_failing(instance, more, "")
    }

    /// Writes the configuration of an instance; `more` is its end.
    pub fn configure(&self, instance: &str, more: &str) -> PathBuf {
        let config = self.path(&format!("{instance}.toml"));
        let text = format!(
            "[source.kafka]\nbootstrap = \"{}\"\ntopic = \"{}\"\ngroup = \"{}\"\ninternal_topic = \"{}\"\n\
             control_topic = \"{}\"\nstate_topic = \"{}\"\nshared_topic = \"{}\"\n[alerts.kafka]\ntopic = \"{}\"\n[dead_letters.kafka]\ntopic = \"{}\"\n\
             [detection]\nlevel = {}\n[identities]\npath = \"{}\"\n[instance]\nstate = \"{}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n{more}",
            self.broker.bootstrap(),
            self.topic("events"),
            self.name,
            self.topic("internal"),
            self.topic("control"),
            self.state_topic,
            self.topic("shared"),
            self.topic("alerts"),
            self.topic("dead"),
            self.level,
            self.path("identities").display(),
            self.path(instance).display(),
        );
        std::fs::create_dir_all(self.path("identities")).unwrap();
        std::fs::write(&config, text).unwrap();
        config
    }

    /// Starts an instance that must refuse to run, with exit status 2; returns what it said.
    pub fn refused(&self, instance: &str) -> String {
        let (config, said) = (self.configure(instance, ""), self.path("refusal"));
        let mut command = Command::new(PROGRAM);
        command.args(["run", "-c", config.to_str().unwrap()]).stderr(File::create(&said).unwrap());
        let (mut child, started) = (command.spawn().unwrap(), Instant::now());
        while child.try_wait().unwrap().is_none() && started.elapsed() < PATIENCE {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        // It has ended, or must.
        let _ = child.kill();
        let (status, said) = (child.wait().unwrap(), std::fs::read_to_string(said).unwrap());
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// Starts an instance for which [`driftline_ingest::failpoints`] hold.
    pub fn run_failing(&self, instance: &str, more: &str, failpoints: &str) -> Instance {
        let config = self.configure(instance, more);
        let (instance, _) = Instance::start(&config, failpoints);
        self.watch.started(&instance.address);
        instance
    }

    /// The values of a topic.
    pub fn dump(&self, topic: &str) -> Vec<Value> {
        let path = self.path(&format!("{topic}.ndjson"));
        let topic = self.topic(topic);
        let out = path.to_str().unwrap();
        self.driftline(&["dump", "--kafka", self.broker.bootstrap(), "--topic", &topic, "--values", "--out", out]);
        lines(&path)
    }

    /// An uninterrupted replay of the topic with the run's control log: the ids of its alerts, and the line that tells
    /// the state's hash.
    pub fn replayed(&self) -> (Vec<String>, String) {
        self.dump("control");
        let (dump, alerts) = (self.path("events.dump"), self.path("replayed.ndjson"));
        let (topic, control) = (self.topic("events"), self.path("control.ndjson"));
        let (dump, control) = (dump.to_str().unwrap(), control.to_str().unwrap());
        self.driftline(&["dump", "--kafka", self.broker.bootstrap(), "--topic", &topic, "--out", dump]);
        let mut replay = vec!["replay", dump, "--control", control, "--alerts", alerts.to_str().unwrap()];
        replay.extend(self.baselines.iter().flat_map(|store| ["--baseline", store.to_str().unwrap()]));
        let said = self.driftline(&replay);
        (ids(&lines(&alerts)), said.lines().last().unwrap().to_owned())
    }

    /// Waits until the group has committed so many records, which must be all that the source has: what instances tell of
    /// how far they have come is a moment old.
    pub fn await_commit(&self, records: u32) {
        let admin = Admin::new(&self.broker.settings()).unwrap();
        let topic: Arc<str> = self.topic("events").into();
        let partitions: Vec<_> = (0..PARTITIONS as i32).map(|n| TopicPartition::new(topic.clone(), n)).collect();
        wait("all records to be committed", || {
            let committed = admin.committed(&self.name, &partitions).unwrap_or_default();
            committed.iter().map(|(_, offset)| *offset).sum::<i64>() == i64::from(records)
        });
    }

    /// Events that the state which the run has left is the state of.
    pub fn events(&self) -> u32 {
        self.number_of(" events")
    }

    /// Agents in that state.
    pub fn agents(&self) -> u32 {
        self.number_of(" agents")
    }

    /// The number that stands before a word where the state is told of.
    fn number_of(&self, word: &str) -> u32 {
        let said = self.driftline(&["state", "--kafka", self.broker.bootstrap(), "--topic", &self.topic("state")]);
        let (before, _) = said.lines().rev().nth(1).unwrap().split_once(word).unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// The line that tells the hash of what the run has left in its state topic.
    pub fn state(&self) -> String {
        let said = self.driftline(&["state", "--kafka", self.broker.bootstrap(), "--topic", &self.state_topic]);
        said.lines().last().unwrap().to_owned()
    }

    /// [`Stream::prove`], and that the state is that of so many events: none was lost and none counted twice.
    pub fn account(&self, test: &'static str, repetitions: u32, events: u32) {
        assert_eq!(self.events(), events, "events in the state");
        self.prove(test, repetitions);
    }

    /// Compares what has become of the stream with an uninterrupted replay of its records and its control log, alert ids
    /// and state, and adds a row to the table: `test` is what was done to the stream, so many times. All instances must have stopped.
    /// Returns how many alerts came from which detector.
    pub fn prove(&self, test: &'static str, repetitions: u32) -> BTreeMap<String, usize> {
        let longest_stall = self.watch.end();
        let found = self.dump("alerts");
        let alerts = ids(&found);
        let (expected, state) = self.replayed();
        let (told, due): (BTreeSet<_>, BTreeSet<_>) = (alerts.iter().collect(), expected.iter().collect());
        let (lost, repeated) = (due.difference(&told).count(), alerts.len() - told.len());
        Row { test, repetitions, expected: due.len(), lost, repeated, longest_stall }.add();
        assert_eq!((lost, repeated, told.difference(&due).count()), (0, 0, 0), "lost, repeated, invented");
        assert_eq!(self.state(), state, "the state that the run has left, and that of the replay");
        found.iter().fold(BTreeMap::new(), |mut detectors, alert| {
            *detectors.entry(alert["detector"].as_str().unwrap().to_owned()).or_default() += 1;
            detectors
        })
    }
}

/// How large something in a test is: `usual`, unless the environment asks for another size.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
pub fn asked_for(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|size| size.parse().ok()).unwrap_or(usual)
}

/// What an instance answers, if it does.
pub fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect()
}

pub fn ids(alerts: &[Value]) -> Vec<String> {
    let mut ids: Vec<String> = alerts.iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

impl Instance {
    /// Starts it, and waits until it listens; with it come the lines that it says from then on, once it has ended.
    /// [`driftline_ingest::failpoints`] hold for it.
    pub fn start(config: &Path, failpoints: &str) -> (Self, JoinHandle<Vec<String>>) {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "-c", config.to_str().unwrap()]).env("FAILPOINTS", failpoints);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it says where it listens before it ends").unwrap();
            let log: Value = serde_json::from_str(&line).unwrap();
            if let Some(address) = log.pointer("/fields/address").or(log.pointer("/address")) {
                break address.as_str().unwrap().to_owned();
            }
        };
        // The rest is kept from filling the pipe.
        let rest = move || lines.map_while(Result::ok).inspect(|line| eprintln!("{line}")).collect();
        (Self { child, address }, std::thread::spawn(rest))
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it answers; nothing where it does not.
    pub fn get(&self, path: &str) -> String {
        get(&self.address, path).unwrap_or_default()
    }

    /// Whether all partitions are assigned to it, and their positions at the end.
    pub fn has_read_all(&self) -> bool {
        have_read_all([self])
    }

    /// The sum of a metric over its series.
    pub fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics");
        let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        answer.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub fn wait(&mut self, what: &str, holds: impl FnMut(&Self) -> bool) {
        self.wait_looking(Duration::from_millis(100), what, holds);
    }

    /// Looks without a pause, for what passes in milliseconds.
    pub fn catch(&mut self, what: &str, holds: impl FnMut(&Self) -> bool) {
        self.wait_looking(Duration::ZERO, what, holds);
    }

    fn wait_looking(&mut self, pause: Duration, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "{what} did not come about");
            assert!(self.child.try_wait().unwrap().is_none(), "the process ended before {what}");
            std::thread::park_timeout(pause);
        }
    }

    /// Asks the system to send it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Partitions, of both topics, that it reads.
    pub fn partitions(&self) -> usize {
        self.get("/metrics").matches("driftline_lag_records{").count()
    }

    /// How it stands, as it says itself: its partitions, what it is not ready for, and what it has committed.
    pub fn standing(&self) -> String {
        let metrics = self.get("/metrics");
        let of = |line: &&str| {
            ["driftline_lag_records{", "driftline_commit_", "driftline_restor"].iter().any(|it| line.starts_with(it))
        };
        let lines: Vec<&str> = metrics.lines().filter(of).filter(|line| !line.contains("_bucket")).collect();
        format!("\n{}\n{}\n{}", self.address, self.get("/readyz"), lines.join("\n"))
    }

    /// Waits until it has died at a step, as its failpoints have it.
    pub fn dies(mut self, step: Step) {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            let never = format!("`{}` was never come to", step.name());
            assert!(started.elapsed() < PATIENCE && !self.has_read_all(), "{never}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "it is ended by a signal at `{}`: {status}", step.name());
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
    }
}

/// Waits for something about several instances.
pub fn wait(what: &str, holds: impl FnMut() -> bool) {
    wait_or_tell(what, holds, String::new);
}

/// The same; where it does not come about, `tell` says how things stand.
pub fn wait_or_tell(what: &str, mut holds: impl FnMut() -> bool, tell: impl FnOnce() -> String) {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() >= PATIENCE {
            panic!("{what} did not come about: {}", tell());
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Whether all partitions are assigned to one or another of them, and their positions at the end.
pub fn have_read_all<'i>(instances: impl IntoIterator<Item = &'i Instance>) -> bool {
    let metrics: String = instances.into_iter().map(|it| it.get("/metrics")).collect();
    let lags: Vec<&str> = metrics.lines().filter(|line| line.starts_with("driftline_lag_records{")).collect();
    lags.len() == 2 * PARTITIONS && lags.iter().all(|line| line.ends_with(" 0"))
}
