//! Hostile records in a topic, through `driftline run` and a real broker.

use std::collections::BTreeMap;
use std::path::PathBuf;

use driftline_ingest::TopicPartition;
use driftline_ingest::kafka::{Admin, OutRecord, Producer, partition_of};
use driftline_ingest::testing::{Broker, broker};
use serde_json::Value;

use crate::generator::{Expected, Generator, Hostile};
use crate::program::{Instance, driftline, lines};
use crate::records;

pub const PARTITIONS: i32 = 4;

/// A topic of its own, what becomes of it, and the folder for it all.
pub struct Stream {
    pub broker: &'static Broker,
    pub folder: tempfile::TempDir,
    pub name: String,
    /// Records written to each partition so far.
    written: [i64; PARTITIONS as usize],
}

impl Stream {
    pub fn new(broker: &'static Broker, name: &str) -> Self {
        // Room for records that are larger than `limits.record_bytes` allows.
        let name = broker.topic(name, PARTITIONS, &[("max.message.bytes", "4194304")]);
        Self { broker, folder: tempfile::tempdir().unwrap(), name, written: [0; PARTITIONS as usize] }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts an instance whose dead letters and alerts go to topics.
    pub fn run(&self) -> Instance {
        let name = &self.name;
        let text = format!(
            "[source.kafka]\nbootstrap = \"{}\"\ntopic = \"{name}\"\ngroup = \"{name}\"\n\
             internal_topic = \"{name}.internal\"\ncontrol_topic = \"{name}.control\"\nstate_topic = \"{name}.state\"\nshared_topic = \"{name}.shared\"\n\
             [alerts.kafka]\ntopic = \"{name}.alerts\"\n[dead_letters.kafka]\ntopic = \"{name}.dead\"\n\
             [detection]\nlevel = 0.9\n[instance]\nstate = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nformat = \"json\"\n",
            self.broker.bootstrap(),
            self.path("state").display(),
        );
        let config = self.path("driftline.toml");
        std::fs::write(&config, text).unwrap();
        Instance::start(&config)
    }

    /// Writes a record to a partition, and notes that it is there.
    pub fn send(&mut self, producer: &mut Producer, partition: i32, record: OutRecord) {
        producer.send(&OutRecord { partition: Some(partition), ..record }).unwrap();
        self.written[usize::try_from(partition).unwrap()] += 1;
    }

    pub fn dump(&self, topic: &str, values: bool) -> Vec<Value> {
        let out = self.path("dumped");
        let (topic, out_path) = (format!("{}.{topic}", self.name), out.to_str().unwrap());
        let mut arguments = vec!["dump", "--kafka", self.broker.bootstrap(), "--topic", &topic, "--out", out_path];
        arguments.extend(values.then_some("--values"));
        assert!(driftline(self.folder.path(), &arguments).status.success());
        lines(&out)
    }

    fn committed(&self) -> BTreeMap<i32, i64> {
        let all: Vec<_> = (0..PARTITIONS).map(|partition| TopicPartition::new(self.name.as_str(), partition)).collect();
        let admin = Admin::new(&self.broker.settings()).unwrap();
        let positions = admin.committed(&self.name, &all).unwrap();
        positions.into_iter().map(|(partition, offset)| (partition.partition, offset)).collect()
    }
}

/// Headers as a stranger might set them: those of records that Driftline sends on itself, others of the same name.
fn headers(i: usize) -> Vec<(&'static str, Vec<u8>)> {
    match i % 4 {
        0 => vec![("driftline.position", b"elsewhere/0/0".to_vec()), ("driftline.observed_at", b"0".to_vec())],
        1 => vec![("", Vec::new()), ("\u{202e}", vec![0xff; 300]), ("reason", b"none".to_vec())],
        2 => (0..50).map(|_| ("again", b"x".to_vec())).collect(),
        _ => Vec::new(),
    }
}

/// Keys of records that nobody will look for: none, an empty one, bytes, a long one.
fn key(i: usize) -> Option<Vec<u8>> {
    [None, Some(Vec::new()), Some(b"\xff\0\xfe".to_vec()), Some(vec![b'k'; 10_000]), Some(b"agent".to_vec())][i % 5]
        .clone()
}

#[test]
fn each_record_of_a_topic_is_scored_or_a_dead_letter() {
    let Some(broker) = broker() else { return };
    let mut stream = Stream::new(broker, "hostile");
    let hostile = Generator::records(5, records(20_000) / 5);
    let mut producer = Producer::new(&broker.settings()).unwrap();
    let (mut scored, mut reasons, mut dead) = (0, BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
    for (i, record) in hostile.iter().enumerate() {
        let Hostile { bytes, expected, agent, .. } = record;
        let mut out = OutRecord::new(stream.name.as_str(), agent.as_bytes(), bytes.as_slice());
        out.headers = headers(i);
        let mut partition = partition_of(agent.as_bytes(), PARTITIONS);
        match expected {
            Expected::Scored => scored += 1,
            Expected::DeadLetter(reason) => {
                (out.key, partition) = (key(i), i32::try_from(i).unwrap() % PARTITIONS);
                *reasons.entry(reason).or_default() += 1;
                *dead.entry(fingerprint(out.key.as_deref(), bytes)).or_default() += 1;
            }
        }
        stream.send(&mut producer, partition, out);
    }
    // Tombstones, and records of no bytes, which are not the same.
    for i in 0..20 {
        let mut out = OutRecord::new(stream.name.as_str(), "", "");
        out.key = key(i);
        out.value = (i % 2 == 0).then(Vec::new);
        out.headers = headers(i);
        *reasons.entry("empty").or_default() += 1;
        *dead.entry(fingerprint(out.key.as_deref(), b"")).or_default() += 1;
        stream.send(&mut producer, 1, out);
    }
    producer.flush().unwrap();
    // One batch of 24 MiB that travels as a few kilobytes.
    let settings = [
        ("compression.type", "zstd"),
        ("batch.size", "50000000"),
        ("message.max.bytes", "50000000"),
        ("linger.ms", "500"),
    ];
    let mut bomb = Producer::new(&broker.settings_with(&settings)).unwrap();
    for _ in 0..24 {
        let bytes = vec![b'['; 1 << 20];
        *reasons.entry("too_deep").or_default() += 1;
        *dead.entry(fingerprint(Some(b"bomb"), &bytes)).or_default() += 1;
        stream.send(&mut bomb, 2, OutRecord::new(stream.name.as_str(), "bomb", bytes));
    }
    bomb.flush().unwrap();

    let all: i64 = stream.written.iter().sum();
    let mut instance = stream.run();
    instance.wait("all records read", |it| it.metric("driftline_records_total") >= all.unsigned_abs());
    assert_eq!(instance.metric("driftline_records_total"), all.unsigned_abs(), "nothing was sent on");
    assert_eq!(instance.metric("driftline_events_total"), scored);
    assert!(instance.get("/healthz").starts_with("HTTP/1.1 200"));
    let metrics = instance.get("/metrics");
    for (reason, count) in &reasons {
        let line = format!("driftline_dead_letters_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert_eq!(instance.metric("driftline_dead_letters_total"), reasons.values().sum::<u64>());
    assert!(instance.memory() < 1 << 30, "{} MiB", instance.memory() >> 20);
    instance.stop();

    let ends = (0..PARTITIONS).zip(stream.written).filter(|(_, end)| *end > 0).collect::<BTreeMap<_, _>>();
    assert_eq!(stream.committed(), ends);
    let mut found = BTreeMap::<String, u64>::new();
    for line in stream.dump("dead", false) {
        *found.entry(of_dump(&line)).or_default() += 1;
    }
    assert!(found == dead, "{:?}", difference(&found, &dead));
}

/// What a dead letter is known by: its key, and as many of its bytes as are kept (960 KiB), as a hash.
fn fingerprint(key: Option<&[u8]>, bytes: &[u8]) -> String {
    let kept = bytes.get(..960 << 10).unwrap_or(bytes);
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let value = match text(kept) {
        _ if kept.is_empty() => "nothing".to_owned(),
        Some(text) => format!("{:032x}", driftline_core::record_hash(text.as_bytes())),
        None => format!("{} bytes", kept.len()),
    };
    format!("{:?} {value}", key.map(|key| text(key).unwrap_or_else(|| "bytes".to_owned())))
}

fn of_dump(line: &Value) -> String {
    let key = match (&line["key"], &line["key_base64"]) {
        (Value::String(key), _) => Some(key.clone()),
        (_, Value::String(_)) => Some("bytes".to_owned()),
        _ => None,
    };
    let value = match (line["value"].as_str(), line["value_base64"].as_str()) {
        (Some(value), _) => format!("{:032x}", driftline_core::record_hash(value.as_bytes())),
        (None, Some(base64)) => {
            let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
            format!("{} bytes", base64.len() / 4 * 3 - padding)
        }
        (None, None) => "nothing".to_owned(),
    };
    format!("{key:?} {value}")
}

fn difference<'a>(a: &'a BTreeMap<String, u64>, b: &'a BTreeMap<String, u64>) -> Vec<(&'a str, u64, u64)> {
    let count = |map: &BTreeMap<String, u64>, key: &str| map.get(key).copied().unwrap_or(0);
    let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let rows = keys.into_iter().map(|key| (key.as_str(), count(a, key), count(b, key)));
    rows.filter(|(_, a, b)| a != b).take(10).collect()
}
