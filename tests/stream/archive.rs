//! What a run has archived: each event once, whoever was killed.

use std::collections::BTreeMap;

use driftline_archive::Archive;
use driftline_ingest::kafka::{Reader, Start, Until};
use driftline_ingest::testing::broker;
use driftline_ingest::{Polled, Source, TopicPartition};

use crate::events;
use crate::instance::{PARTITIONS, Stream, have_read_all, wait};

type Records = BTreeMap<(i32, i64), Vec<u8>>;

/// All records of the source.
fn of_topic(stream: &Stream) -> Records {
    let topic = stream.topic("events");
    let from: Vec<_> =
        (0..PARTITIONS as i32).map(|place| (TopicPartition::new(topic.as_str(), place), Start::Beginning)).collect();
    let mut reader = Reader::open(&stream.broker.settings(), &from, Until::End, &[]).unwrap();
    let mut records = Records::new();
    loop {
        match reader.poll(std::time::Duration::from_millis(100)).unwrap() {
            Polled::Records(batches) => {
                for batch in &batches {
                    let place = batch.partition.partition;
                    records.extend(batch.iter().map(|record| ((place, record.offset), record.value.to_vec())));
                }
            }
            Polled::Finished => return records,
            _ => {}
        }
    }
}

/// All that is listed, each once.
fn of_archive(archive: &Archive) -> Records {
    let mut records = Records::new();
    for listed in archive.list().unwrap() {
        for file in archive.files(&listed, None, None) {
            for block in archive.open(file).unwrap() {
                for archived in block.unwrap().records() {
                    let before = records.insert((listed.partition, archived.offset), archived.record.to_vec());
                    assert_eq!(before, None, "{}/{} twice", listed.partition, archived.offset);
                }
            }
        }
    }
    records
}

/// Records that are listed, events or not.
fn listed(archive: &Archive) -> i64 {
    archive.list().unwrap().iter().map(|listed| listed.until - listed.from).sum()
}

#[test]
fn each_event_is_archived_once_whoever_is_killed() {
    let Some(broker) = broker() else { return };
    let mut stream = Stream::new(broker, "archive");
    stream.level = 1e-9;
    stream.make_source();
    let archive = Archive::at(stream.path("archive").to_str().unwrap()).unwrap();
    let more = format!("[archive]\npath = \"{}\"\nevery = \"300ms\"\n", stream.path("archive").display());
    let rounds = 4;
    let mut all = BTreeMap::from(["one", "two"].map(|name| (name, stream.run(name, &more))));
    for round in 0..rounds {
        let (events, seed) = ((events(40_000) / rounds).to_string(), round.to_string());
        stream.simulate(&["--agents", "50", "--events", &events, "--attacks", "0", "--seed", &seed]);
        let before = listed(&archive);
        wait("something to be archived", || listed(&archive) > before);
        let name = if round % 2 == 0 { "one" } else { "two" };
        all.remove(name).unwrap().kill();
        all.insert(name, stream.run(name, &more));
    }
    wait("all records read", || have_read_all(all.values()));
    all.into_values().for_each(|it| it.stop());
    let (expected, found) = (of_topic(&stream), of_archive(&archive));
    assert_eq!(expected.len(), events(40_000) as usize);
    // What was not archived when they stopped is archived by the next one.
    let last = stream.run("one", &more);
    wait("all to be archived", || listed(&archive) == expected.len() as i64);
    last.stop();
    assert!(found.iter().all(|(place, record)| expected.get(place) == Some(record)));
    assert!(of_archive(&archive) == expected, "what is archived is not what the topic has");
}
