//! State that was damaged, lost or exchanged is refused with a sentence that says where, and what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use driftline_detectors::state::{Key, Section};
use driftline_ingest::kafka::{Admin, OutRecord, Producer, Reader, Start, TopicSpec, Until};
use driftline_ingest::testing::broker;
use driftline_ingest::{Polled, Source, TopicPartition};
use serde_json::Value;

use crate::instance::{Instance, PARTITIONS, Stream};

const LEDGER: &[u8] = b"ledger";

/// A record of a state topic, the last one of its key.
#[derive(Clone)]
struct Kept {
    partition: i32,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// What is done to the records, and what must be said of it: where an index is returned, that record's offset.
type Tamper = fn(&mut Vec<Kept>) -> Option<usize>;

const CASES: &[(&str, Tamper, &str)] = &[
    ("torn", |kept| torn(kept), "is cut off"),
    ("flipped", |kept| flipped(kept), "does not agree with its checksum"),
    ("anothers", |kept| anothers(kept), "does not agree with its checksum"),
    ("tombstone", |kept| tombstone(kept), "is missing while the agent's other one is there"),
    ("agent", without_an_agent, "records are missing"),
    ("name", |kept| without(kept, |section| matches!(section, Section::Name(_))), "records are missing"),
    ("gathered", |kept| ledger(kept, with_another).and(None), "records are missing"),
    ("garbage", |kept| ledger(kept, |_| Value::Null), "is no ledger"),
    ("foreign", |kept| ledger(kept, foreign).and(None), "it is the state of the group `another`"),
    ("moved", |kept| ledger(kept, moved).and(None), "and its state is that of offset"),
    ("unledgered", unledgered, "records are missing"),
    (
        "emptied",
        |kept| {
            kept.clear();
            None
        },
        "its state knows nothing of it",
    ),
];

#[test]
fn state_that_was_tampered_with_is_refused() {
    let Some(broker) = broker() else { return };
    let mut stream = Stream::new(broker, "tampering");
    stream.simulate(&["--agents", "100", "--events", "10000", "--attacks", "0"]);
    let mut life = stream.run("one", "");
    life.wait("all records read", Instance::has_read_all);
    life.stop();
    let whole = kept(&stream);
    for (name, tamper, said) in CASES {
        println!("{name}");
        let mut records = whole.clone();
        let at = tamper(&mut records);
        stream.state_topic = write(&stream, &format!("state-{name}"), &records);
        let (refusal, topic) = (stream.refused("one"), &stream.state_topic);
        assert!(refusal.contains(said) && refusal.contains("o begin anew"), "{name}: {refusal}");
        if let Some(at) = at {
            let partition = records[at].partition;
            let offset = records[..at].iter().filter(|record| record.partition == partition).count();
            let place = format!("the state in {topic}/{partition} cannot be used: the record at offset {offset} ");
            assert!(refusal.contains(&place), "{name}: {place}: {refusal}");
        }
    }
    // The same records, as they were, are good.
    stream.state_topic = write(&stream, "state-whole", &whole);
    stream.simulate(&["--agents", "100", "--events", "1000", "--attacks", "0", "--seed", "2"]);
    let mut life = stream.run("one", "");
    life.wait("all records read", Instance::has_read_all);
    life.stop();
}

#[test]
fn records_that_retention_has_removed_before_they_were_read_are_named() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "retention");
    stream.simulate(&["--agents", "50", "--events", "5000", "--attacks", "0"]);
    let mut life = stream.run("one", "");
    life.wait("all records read", Instance::has_read_all);
    life.stop();
    stream.simulate(&["--agents", "50", "--events", "5000", "--attacks", "0", "--seed", "2"]);
    let admin = Admin::new(&broker.settings()).unwrap();
    let partition = TopicPartition::new(stream.topic("events"), 3);
    let committed = admin.committed(stream.group(), std::slice::from_ref(&partition)).unwrap()[0].1;
    admin.delete_before(&partition, committed + 7).unwrap();
    let refusal = stream.refused("one");
    let said = format!("{partition}: offsets {committed} to {} were removed by the topic's retention", committed + 6);
    assert!(refusal.contains(&said) && refusal.contains("to go on without them"), "{said}: {refusal}");
}

/// The last record of each key of the state topic, where it is no tombstone.
fn kept(stream: &Stream) -> Vec<Kept> {
    let partitions = (0..PARTITIONS as i32).map(|partition| TopicPartition::new(stream.topic("state"), partition));
    let from: Vec<_> = partitions.map(|partition| (partition, Start::Beginning)).collect();
    let mut reader = Reader::open(&stream.broker.settings(), &from, Until::End, &[]).unwrap();
    let mut last = BTreeMap::new();
    loop {
        match reader.poll(Duration::from_millis(100)).unwrap() {
            Polled::Records(batches) => {
                for batch in &batches {
                    last.extend(batch.iter().map(|record| {
                        let value = (!record.value.is_empty()).then(|| record.value.to_vec());
                        ((batch.partition.partition, record.key.unwrap().to_vec()), value)
                    }));
                }
            }
            Polled::Finished => break,
            _ => {}
        }
    }
    let there = last.into_iter().filter(|(_, value)| value.is_some());
    there.map(|((partition, key), value)| Kept { partition, key, value }).collect()
}

/// Makes a state topic of these records; returns its name.
fn write(stream: &Stream, name: &str, records: &[Kept]) -> String {
    let name = stream.topic(name);
    let config = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let spec = TopicSpec { name: name.clone(), partitions: PARTITIONS as i32, replication: None, config };
    Admin::new(&stream.broker.settings()).unwrap().create(&spec).unwrap();
    let mut producer = Producer::new(&stream.broker.settings()).unwrap();
    for Kept { partition, key, value } in records {
        let record = OutRecord::new(name.as_str(), key.clone(), "");
        producer.send(&OutRecord { partition: Some(*partition), value: value.clone(), ..record }).unwrap();
    }
    producer.flush().unwrap();
    name
}

/// The first record of a section.
fn first(kept: &[Kept], is: impl Fn(Section) -> bool) -> usize {
    let section = |kept: &Kept| Key::parse(&kept.key).ok().map(|key| key.section);
    kept.iter().position(|kept| section(kept).is_some_and(&is)).expect("there is one")
}

fn torn(kept: &mut [Kept]) -> Option<usize> {
    let at = first(kept, |section| section == Section::Live);
    let value = kept[at].value.as_mut()?;
    value.truncate(6);
    Some(at)
}

fn flipped(kept: &mut [Kept]) -> Option<usize> {
    let at = first(kept, |section| section == Section::Baseline);
    let value = kept[at].value.as_mut()?;
    let middle = value.len() / 2;
    value[middle] ^= 1;
    Some(at)
}

fn anothers(kept: &mut [Kept]) -> Option<usize> {
    let live = |section| section == Section::Live;
    let at = first(kept, live);
    let other = at + 1 + first(&kept[at + 1..], live);
    kept[at].value = kept[other].value.clone();
    Some(at)
}

fn tombstone(kept: &mut [Kept]) -> Option<usize> {
    let at = first(kept, |section| section == Section::Live);
    kept[at].value = None;
    None
}

fn without(kept: &mut Vec<Kept>, is: impl Fn(Section) -> bool) -> Option<usize> {
    let at = first(kept, is);
    kept.remove(at);
    None
}

fn without_an_agent(kept: &mut Vec<Kept>) -> Option<usize> {
    let at = first(kept, |section| section == Section::Baseline);
    let whose = |key: &[u8]| Key::parse(key).ok().map(|key| (key.entity.tenant.to_owned(), key.entity.id.to_owned()));
    let agent = whose(&kept[at].key);
    kept.retain(|record| whose(&record.key) != agent);
    None
}

fn unledgered(kept: &mut Vec<Kept>) -> Option<usize> {
    kept.retain(|record| record.key != LEDGER);
    None
}

/// Changes the first ledger.
fn ledger(kept: &mut [Kept], change: impl Fn(Value) -> Value) -> Option<usize> {
    let at = kept.iter().position(|record| record.key == LEDGER)?;
    let changed = change(serde_json::from_slice(kept[at].value.as_ref()?).unwrap());
    kept[at].value = Some(changed.to_string().into_bytes());
    Some(at)
}

fn foreign(mut ledger: Value) -> Value {
    ledger["group"] = "another".into();
    ledger
}

/// Of what is gathered for the next epoch there may be no record at the moment: one more is counted.
fn with_another(mut ledger: Value) -> Value {
    ledger["shared"] = (ledger["shared"].as_u64().unwrap() + 1).into();
    ledger
}

fn moved(mut ledger: Value) -> Value {
    let positions = ledger["positions"].as_object_mut().unwrap();
    positions.values_mut().for_each(|offset| *offset = (offset.as_i64().unwrap() + 1).into());
    ledger
}
