//! Baselines of a Kafka topic.
#![cfg(test)]

mod support;

use std::fs;

use driftline_ingest::kafka::{Admin, OutRecord, Producer, TopicSpec, partition_of};
use driftline_ingest::testing::broker;
use support::{build, built};

const PARTITIONS: i32 = 4;

#[test]
fn a_topic_teaches_what_a_file_of_its_records_does() {
    let Some(broker) = broker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let topic = broker.unique("history");
    let spec = TopicSpec { name: topic.clone(), partitions: PARTITIONS, replication: Some(1), config: Vec::new() };
    Admin::new(&broker.settings()).unwrap().create(&spec).unwrap();
    let start = 1_772_400_000_000u64;
    let event = |i: u64| {
        let (agent, session) = (format!("a{}", i % 7), i % 35);
        let record = format!(
            r#"{{"time":{},"agent":{{"id":"{agent}"}},"session":{{"id":"s{session}"}},"action":{{"name":"t{}"}},"resource":{{"id":"r/{}"}}}}"#,
            start + i * 20_000,
            i % 5,
            i % 40
        );
        (agent, record)
    };
    let all: Vec<_> = (0..6_000).map(event).collect();
    let mut producer = Producer::new(&broker.settings()).unwrap();
    let mut ends = vec![0; PARTITIONS as usize];
    let mut send = |agent: &str, record: &str| {
        producer.send(&OutRecord::new(topic.as_str(), agent, record)).unwrap();
        ends[partition_of(agent.as_bytes(), PARTITIONS) as usize] += 1;
    };
    all.iter().for_each(|(agent, record)| send(agent, record));
    send("bad", "no event");
    producer.flush().unwrap();
    let lines: Vec<_> = all.iter().map(|(_, record)| record.as_str()).collect();
    fs::write(folder.join("events.ndjson"), lines.join("\n")).unwrap();

    let of_topic = ["--kafka", topic.as_str(), "--bootstrap", broker.bootstrap()];
    let (from_topic, from_file) = (built(folder, "a", &of_topic), built(folder, "b", &["events.ndjson"]));
    assert_eq!(from_topic.content, from_file.content);
    assert_eq!((from_topic.events, from_topic.about.rejected), (6_000, 1));
    for (partition, end) in ends.into_iter().enumerate() {
        let name = format!("{topic}/{partition}");
        assert_eq!(from_topic.about.positions.get(&name).copied().unwrap_or(0), end, "{name}");
    }

    let range = ["--from", "2026-03-02T00:00:00Z", "--until", "2026-03-02T12:00:00Z"];
    let (part, of_file) = (
        built(folder, "a", &[&of_topic[..], &range].concat()),
        built(folder, "b", &[&["events.ndjson"], &range[..]].concat()),
    );
    assert_eq!(part.content, of_file.content);
    assert!(part.events > 0 && part.events < 6_000);

    for (arguments, says) in [
        (vec!["--kafka", "no-such-topic", "--bootstrap", broker.bootstrap()], "there is no topic `no-such-topic`"),
        (vec!["--kafka", &topic], "--bootstrap"),
        ([&of_topic[..], &["events.ndjson"]].concat(), "cannot be used with"),
        ([&of_topic[..], &["--set", "nothing"]].concat(), "NAME=VALUE"),
    ] {
        let refused = build(folder, &[&arguments[..], &["--store", "c"]].concat());
        let told = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(says), "{told}");
    }
    assert!(!folder.join("c").exists());
}
