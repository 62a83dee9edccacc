//! Kafka, against a real broker (see `driftline_ingest::testing`).

#![expect(clippy::unwrap_used, reason = "in a test a panic is how a failure is reported")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use driftline_core::{DecodeError, Position, Timestamp};
use driftline_ingest::kafka::{
    Admin, CommitError, GroupMetadata, GroupSettings, KafkaError, KafkaSource, Keyed, OutRecord, Producer, Reader,
    Start, TopicSpec, TransactionalWriter, Until, partition_of,
};
use driftline_ingest::testing::{Broker, broker};
use driftline_ingest::{
    Assignment, DeadLetter, FileOptions, FileSource, LogEnd, OwnedRecord, PartitionBatch, Polled, Source, SourceError,
    TopicPartition, dump, forward, now,
};

const POLL: Duration = Duration::from_millis(100);

/// No condition that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn group(group: &str, topics: &[&str]) -> GroupSettings {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    GroupSettings { group: group.to_owned(), instance: None, writer: String::new(), topics, internal: Vec::new() }
}

fn join(broker: &Broker, group_id: &str, topic: &str) -> KafkaSource {
    KafkaSource::open(&broker.settings(), &group(group_id, &[topic])).unwrap()
}

/// What the polls of a source bring until `enough` says so.
fn poll_until<S: Source>(source: &mut S, mut enough: impl FnMut(&Polled) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let polled = source.poll(POLL).unwrap();
        if let Polled::Assigned(assignments) = &polled {
            begin(source, assignments);
        }
        if enough(&polled) {
            return;
        }
        assert!(Instant::now() < deadline, "still waiting; the last poll brought {polled:?}");
    }
}

/// Reads on where the group stands, past what retention has removed.
fn begin<S: Source>(source: &mut S, assignments: &[Assignment]) {
    let at = |a: &Assignment| (a.partition.clone(), a.committed.map(|_| a.next().max(a.first)));
    source.begin(&assignments.iter().map(at).collect::<Vec<_>>()).unwrap();
}

fn assignments(source: &mut KafkaSource) -> Vec<Assignment> {
    let mut assigned = Vec::new();
    poll_until(source, |polled| match polled {
        Polled::Assigned(assignments) => {
            assigned.clone_from(assignments);
            true
        }
        _ => false,
    });
    assigned
}

type Read = Vec<(Position, OwnedRecord)>;

fn owned(batches: &[PartitionBatch]) -> impl Iterator<Item = (Position, OwnedRecord)> {
    let records = batches.iter().flat_map(|batch| {
        (0..batch.records.len()).map(|i| (batch.records.position(i), OwnedRecord::from(batch.records.get(i))))
    });
    records.collect::<Vec<_>>().into_iter()
}

fn read<S: Source>(source: &mut S, count: usize) -> Read {
    let mut records = Read::new();
    poll_until(source, |polled| {
        if let Polled::Records(batches) = polled {
            records.extend(owned(batches));
        }
        records.len() >= count
    });
    records
}

/// Everything that a topic holds for a `read_committed` reader.
fn read_topic(broker: &Broker, topic: &str, partitions: i32) -> Read {
    let from: Vec<_> = (0..partitions).map(|p| (TopicPartition::new(topic, p), Start::Beginning)).collect();
    let mut reader = Reader::open(&broker.settings(), &from, Until::End, &[]).unwrap();
    let mut records = Read::new();
    poll_until(&mut reader, |polled| match polled {
        Polled::Records(batches) => {
            records.extend(owned(batches));
            false
        }
        polled => matches!(polled, Polled::Finished),
    });
    records
}

fn values(records: &Read) -> Vec<String> {
    records.iter().map(|(_, record)| String::from_utf8_lossy(&record.value).into_owned()).collect()
}

fn write(broker: &Broker, topic: &str, records: impl IntoIterator<Item = (String, String)>) {
    let mut producer = Producer::new(&broker.settings()).unwrap();
    for (key, value) in records {
        producer.send(&OutRecord::new(topic, key, value)).unwrap();
    }
    producer.flush().unwrap();
}

fn write_to(broker: &Broker, topic: &str, partition: i32, values: &[&str]) {
    let mut producer = Producer::new(&broker.settings()).unwrap();
    for value in values {
        let record = OutRecord { partition: Some(partition), ..OutRecord::new(topic, "k", *value) };
        producer.send(&record).unwrap();
    }
    producer.flush().unwrap();
}

fn metadata(source: &KafkaSource) -> GroupMetadata {
    source.group_metadata().unwrap()
}

#[test]
fn every_record_comes_once_in_order_and_in_the_partition_of_its_key() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic("batches", 4, &[]);
    let sent = (0..20_000).map(|i| (format!("agent-{}", i % 97), format!("{{\"n\":{i}}}")));
    write(broker, &topic, sent);

    let mut source = join(broker, &broker.unique("group"), &topic);
    let assigned: BTreeSet<_> =
        assignments(&mut source).into_iter().map(|a| (a.partition.partition, a.committed)).collect();
    assert_eq!(assigned, (0..4).map(|p| (p, None)).collect());
    let records = read(&mut source, 20_000);
    let mut next = BTreeMap::new();
    for (position, record) in &records {
        let Position::Kafka { partition, offset, .. } = position else { panic!("{position}") };
        let expected = next.entry(*partition).or_insert(0);
        assert_eq!((offset, record.offset), (&*expected, *expected));
        *expected += 1;
        assert_eq!(*partition, partition_of(record.key.as_deref().unwrap(), 4));
    }
    assert_eq!(records.len(), 20_000);

    let partition = TopicPartition::new(&*topic, 0);
    poll_until(&mut source, |polled| {
        assert!(!matches!(polled, Polled::Records(_)), "a record came twice");
        matches!(polled, Polled::Idle)
    });
    assert_eq!(source.log_end(&partition), Some(LogEnd { offset: next[&0], reached: true }));
    source.seek(&[(partition.clone(), next[&0] - 1)]).unwrap();
    assert_eq!(source.log_end(&partition), Some(LogEnd { offset: next[&0], reached: false }));
    assert_eq!(read(&mut source, 1).len(), 1);
    write_to(broker, &topic, 0, &["more"]);
    assert_eq!(values(&read(&mut source, 1)), ["more"]);
}

#[test]
fn a_commit_moves_position_and_records_together_and_the_next_member_goes_on_there() {
    let Some(broker) = broker() else { return };
    let (topic, out) = (broker.topic("resume", 1, &[]), broker.topic("out", 2, &[]));
    write_to(broker, &topic, 0, &["a", "b", "c"]);
    let group = broker.unique("group");
    let partition = TopicPartition::new(&*topic, 0);
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();
    {
        let mut source = join(broker, &group, &topic);
        read(&mut source, 3);
        let records = ["x", "y"].map(|value| OutRecord::new(&*out, "key", value));
        writer.commit(&[(partition.clone(), 2)], "instance-1", &metadata(&source), &records).unwrap();
    }
    assert_eq!(values(&read_topic(broker, &out, 2)), ["x", "y"]);
    let mut source = join(broker, &group, &topic);
    let expected =
        Assignment { partition: partition.clone(), committed: Some(2), metadata: "instance-1".into(), first: 0 };
    assert_eq!(assignments(&mut source), [expected]);
    assert_eq!(values(&read(&mut source, 1)), ["c"]);

    // Back to the committed position, as after an abort.
    source.seek(&[(partition.clone(), 2)]).unwrap();
    assert_eq!(values(&read(&mut source, 1)), ["c"]);
    let committed = Admin::new(&broker.settings()).unwrap().committed(&group, std::slice::from_ref(&partition));
    assert_eq!(committed.unwrap(), [(partition, 2)]);
}

#[test]
fn what_the_broker_refuses_aborts_the_transaction_and_the_writer_goes_on() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic("source", 1, &[]);
    let out = broker.topic("small", 1, &[("max.message.bytes", "2000")]);
    write_to(broker, &topic, 0, &["a"]);
    let group = broker.unique("group");
    let mut source = join(broker, &group, &topic);
    read(&mut source, 1);
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();
    let good = OutRecord::new(&*out, "k", "good");
    let large = OutRecord::new(&*out, "k", (0..5000u32).map(|i| (i * i) as u8).collect::<Vec<_>>());
    let position = (TopicPartition::new(&*topic, 0), 1);
    let positions = std::slice::from_ref(&position);
    match writer.commit(positions, "", &metadata(&source), &[good.clone(), large]) {
        Err(CommitError::Refused { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(values(&read_topic(broker, &out, 1)), [""; 0], "nothing of an aborted transaction is seen");
    let admin = Admin::new(&broker.settings()).unwrap();
    assert_eq!(admin.committed(&group, std::slice::from_ref(&position.0)).unwrap(), [], "no position moved");
    writer.commit(positions, "", &metadata(&source), &[good]).unwrap();
    assert_eq!(values(&read_topic(broker, &out, 1)), ["good"]);
}

#[test]
fn a_second_writer_with_the_same_id_fences_the_first() {
    let Some(broker) = broker() else { return };
    let (topic, out) = (broker.topic("source", 1, &[]), broker.topic("out", 1, &[]));
    let mut source = join(broker, &broker.unique("group"), &topic);
    assignments(&mut source);
    let id = broker.unique("writer");
    let mut first = TransactionalWriter::new(&broker.settings(), &id).unwrap();
    let mut second = TransactionalWriter::new(&broker.settings(), &id).unwrap();
    let record = [OutRecord::new(&*out, "k", "v")];
    match first.commit(&[], "", &metadata(&source), &record) {
        Err(CommitError::Fenced(_)) => {}
        other => panic!("{other:?}"),
    }
    second.commit(&[], "", &metadata(&source), &record).unwrap();
    assert_eq!(values(&read_topic(broker, &out, 1)), ["v"]);
}

#[test]
fn a_second_member_gets_its_share_after_the_first_has_committed_and_gives_it_back_on_leaving() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic("rebalance", 4, &[]);
    for partition in 0..4 {
        write_to(broker, &topic, partition, &["one", "two"]);
    }
    let group = broker.unique("group");
    let mut first = join(broker, &group, &topic);
    read(&mut first, 8);
    let stale = metadata(&first);
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();

    let mut second = join(broker, &group, &topic);
    let deadline = Instant::now() + PATIENCE;
    let (mut kept, mut moved): (BTreeSet<_>, Vec<Assignment>) = ((0..4).collect(), Vec::new());
    while moved.is_empty() {
        assert!(Instant::now() < deadline, "no rebalance");
        match first.poll(POLL).unwrap() {
            Polled::Revoked(partitions) => {
                assert!(matches!(first.poll(POLL).unwrap(), Polled::Revoked(again) if again == partitions));
                assert!(moved.is_empty(), "given away before it was released");
                let positions: Vec<_> = partitions.iter().map(|partition| (partition.clone(), 1)).collect();
                writer.commit(&positions, "", &metadata(&first), &[]).unwrap();
                first.release(&partitions).unwrap();
                kept.retain(|p| !partitions.iter().any(|partition| partition.partition == *p));
            }
            Polled::Idle => {}
            other => panic!("{other:?}"),
        }
        if let Polled::Assigned(assignments) = second.poll(POLL).unwrap() {
            begin(&mut second, &assignments);
            moved = assignments;
        }
    }
    assert_eq!((kept.len(), moved.len()), (2, 2));
    assert!(moved.iter().all(|assignment| assignment.committed == Some(1)), "{moved:?}");
    assert!(moved.iter().all(|assignment| !kept.contains(&assignment.partition.partition)));
    assert_eq!(values(&read(&mut second, 2)), ["two", "two"], "it goes on where the first one committed");

    // The group has moved on since `stale` was taken: the broker refuses what comes with it.
    match writer.commit(&[(moved[0].partition.clone(), 0)], "", &stale, &[]) {
        Err(CommitError::Aborted(_)) => {}
        other => panic!("{other:?}"),
    }

    // A member that leaves frees its partitions at once, without waiting for its session to time out.
    let left = Instant::now();
    drop(second);
    let back: BTreeSet<_> = assignments(&mut first).into_iter().map(|a| a.partition).collect();
    assert_eq!(back, moved.into_iter().map(|a| a.partition).collect());
    assert!(left.elapsed() < Duration::from_secs(8), "{:?}", left.elapsed());
}

#[test]
fn a_partition_is_not_read_before_it_is_begun_and_the_others_go_on_meanwhile() {
    let Some(broker) = broker() else { return };
    for protocol in ["classic", "consumer"] {
        let topic = broker.topic("begin", 2, &[]);
        write_to(broker, &topic, 0, &["a", "b"]);
        write_to(broker, &topic, 1, &["x", "y"]);
        let settings = broker.settings_with(&[("group.protocol", protocol)]);
        let group = group(&broker.unique("group"), &[&topic]);
        let mut source = KafkaSource::open(&settings, &group).unwrap();
        let partitions = [0, 1].map(|partition| TopicPartition::new(&*topic, partition));
        let assigned = loop {
            if let Polled::Assigned(assigned) = source.poll(POLL).unwrap() {
                break assigned;
            }
        };
        assert_eq!(assigned.len(), 2);
        assert!(source.seek(&[(partitions[0].clone(), 1)]).is_err(), "it is not read yet");
        source.begin(&[(partitions[0].clone(), Some(1))]).unwrap();
        assert_eq!(values(&read(&mut source, 1)), ["b"]);
        for _ in 0..3 {
            assert!(matches!(source.poll(POLL).unwrap(), Polled::Idle), "read before it was begun");
        }
        source.begin(&[(partitions[1].clone(), None)]).unwrap();
        assert_eq!(values(&read(&mut source, 2)), ["x", "y"]);
        assert!(source.begin(&[(partitions[1].clone(), None)]).is_err(), "it was begun before");
        // One that was never begun is given up like any other.
        let mut other = KafkaSource::open(&settings, &group).unwrap();
        let given = loop {
            match source.poll(POLL).unwrap() {
                Polled::Revoked(partitions) => source.release(&partitions).unwrap(),
                Polled::Lost(partitions) => panic!("{partitions:?}"),
                _ => {}
            }
            if let Polled::Assigned(given) = other.poll(POLL).unwrap() {
                break given;
            }
        };
        drop(other);
        let back = loop {
            match source.poll(POLL).unwrap() {
                Polled::Assigned(back) => break back,
                polled => assert!(matches!(polled, Polled::Idle), "{polled:?}"),
            }
        };
        assert_eq!(back, given);
    }
}

/// Members of one group, polled in turn, that let go of what they are asked for.
struct Members {
    members: [KafkaSource; 2],
    held: [BTreeSet<TopicPartition>; 2],
    values: Vec<String>,
}

impl Members {
    fn poll_until(&mut self, mut enough: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            assert!(Instant::now() < deadline, "still waiting; held {:?}, read {:?}", self.held, self.values);
            for (member, held) in self.members.iter_mut().zip(&mut self.held) {
                match member.poll(POLL).unwrap() {
                    Polled::Revoked(partitions) | Polled::Lost(partitions) => {
                        held.retain(|partition| !partitions.contains(partition));
                        member.release(&partitions).unwrap();
                    }
                    Polled::Assigned(assignments) => {
                        begin(member, &assignments);
                        held.extend(assignments.into_iter().map(|a| a.partition));
                    }
                    Polled::Records(batches) => {
                        let values = owned(&batches).map(|(_, record)| String::from_utf8(record.value).unwrap());
                        self.values.extend(values);
                    }
                    Polled::Idle | Polled::Finished => {}
                }
            }
        }
    }
}

#[test]
fn other_group_protocols_can_be_chosen() {
    let Some(broker) = broker() else { return };
    for setting in [("partition.assignment.strategy", "range"), ("group.protocol", "consumer")] {
        let topic = broker.topic("protocol", 2, &[]);
        let settings = broker.settings_with(&[setting]);
        let group = group(&broker.unique("group"), &[&topic]);
        let members = [(); 2].map(|()| KafkaSource::open(&settings, &group).unwrap());
        let mut members = Members { members, held: Default::default(), values: Vec::new() };
        members.poll_until(|members| members.held.iter().all(|held| held.len() == 1));
        write_to(broker, &topic, 0, &["a"]);
        write_to(broker, &topic, 1, &["b"]);
        members.poll_until(|members| ["a", "b"].iter().all(|value| members.values.iter().any(|v| v == value)));
    }
}

#[test]
fn a_member_that_was_thought_dead_is_told_that_its_partitions_are_lost() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic("lost", 2, &[]);
    let settings = broker.settings_with(&[("max.poll.interval.ms", "6000"), ("session.timeout.ms", "6000")]);
    let group = group(&broker.unique("group"), &[&topic]);
    let mut dead = KafkaSource::open(&settings, &group).unwrap();
    let held: Vec<_> = assignments(&mut dead).into_iter().map(|a| a.partition).collect();
    assert_eq!(held.len(), 2);
    let stale = metadata(&dead);
    // It polls no more, until the other member has everything.
    let mut successor = KafkaSource::open(&settings, &group).unwrap();
    let mut taken = 0;
    poll_until(&mut successor, |polled| {
        if let Polled::Assigned(assignments) = polled {
            taken += assignments.len();
        }
        taken == 2
    });
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();
    assert!(matches!(writer.commit(&[(held[0].clone(), 1)], "", &stale, &[]), Err(CommitError::Aborted(_))));
    // What was asked for while it did not poll comes as revoked, the rest as lost.
    let (mut gone, mut lost) = (Vec::new(), 0);
    let deadline = Instant::now() + PATIENCE;
    while gone.len() < 2 {
        assert!(Instant::now() < deadline, "{gone:?}");
        let partitions = match dead.poll(POLL).unwrap() {
            Polled::Revoked(partitions) => partitions,
            Polled::Lost(partitions) => {
                lost += partitions.len();
                partitions
            }
            _ => continue,
        };
        dead.release(&partitions).unwrap();
        gone.extend(partitions);
    }
    gone.sort();
    assert_eq!(gone, held);
    assert!(lost > 0);
}

#[test]
fn what_retention_has_removed_unread_is_counted_and_passed_over() {
    use rdkafka::admin::{AdminClient, AdminOptions};
    use rdkafka::{Offset, TopicPartitionList};

    let Some(broker) = broker() else { return };
    let topic = broker.topic("expired", 1, &[]);
    write_to(broker, &topic, 0, &["a", "b", "c", "d", "e"]);
    let group = broker.unique("group");
    let position = (TopicPartition::new(&*topic, 0), 1);
    {
        let mut source = join(broker, &group, &topic);
        read(&mut source, 5);
        let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();
        writer.commit(&[position], "", &metadata(&source), &[]).unwrap();
    }
    let admin: AdminClient<_> =
        rdkafka::ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().unwrap();
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(&topic, 0, Offset::Offset(4)).unwrap();
    futures_executor::block_on(admin.delete_records(&until, &AdminOptions::new())).unwrap();

    let mut source = join(broker, &group, &topic);
    let assigned = assignments(&mut source);
    assert_eq!((assigned[0].committed, assigned[0].expired()), (Some(1), 3));
    assert_eq!(values(&read(&mut source, 1)), ["e"]);
}

#[test]
fn the_brokers_time_counts_where_the_topic_says_so_and_the_machines_elsewhere() {
    let Some(broker) = broker() else { return };
    let stamped = broker.topic("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let plain = broker.topic("plain", 1, &[]);
    for topic in [&stamped, &plain] {
        write_to(broker, topic, 0, &["x"]);
    }
    let written = now();
    // The clock must have gone on, so that the two times differ.
    while now() <= written {
        std::hint::spin_loop();
    }
    let observed = |topic| read_topic(broker, topic, 1)[0].1.observed_at;
    assert!(observed(&stamped) <= written);
    assert!(observed(&plain) > written);
    let admin = Admin::new(&broker.settings()).unwrap();
    let setting = |topic| admin.topic_setting(topic, "message.timestamp.type").unwrap();
    assert_eq!(setting(&stamped).as_deref(), Some("LogAppendTime"));
    assert_eq!(setting(&plain).as_deref(), Some("CreateTime"));
}

#[test]
fn a_forwarded_record_comes_back_with_its_bytes_position_and_time() {
    let Some(broker) = broker() else { return };
    let (topic, internal) = (broker.topic("unkeyed", 3, &[]), broker.topic("internal", 3, &[]));
    write_to(broker, &topic, 2, &["{\"a\":1}"]);
    let read_first = read_topic(broker, &topic, 3);
    let (position, original) = &read_first[0];
    let record = driftline_ingest::Record {
        key: original.key.as_deref(),
        value: &original.value,
        offset: original.offset,
        observed_at: original.observed_at,
        origin: None,
        oversize: None,
    };
    let out = forward(&record, position, Keyed::None, ("acme", "a"), &internal, 3);
    let mut producer = Producer::new(&broker.settings()).unwrap();
    producer.send(&out).unwrap();
    // The same headers on a topic that is not ours are not believed.
    producer.send(&OutRecord { topic: topic.as_str().into(), partition: Some(0), ..out }).unwrap();
    producer.flush().unwrap();

    let mut settings = group(&broker.unique("group"), &[&topic]);
    settings.internal = vec![internal.clone()];
    let mut source = KafkaSource::open(&broker.settings(), &settings).unwrap();
    let records = read(&mut source, 3);
    let forwarded = records.iter().filter(|(_, record)| record.origin.is_some()).collect::<Vec<_>>();
    assert_eq!(forwarded.len(), 1);
    let (came_from, record) = forwarded[0];
    assert_eq!((came_from, &record.value), (position, &original.value));
    assert_eq!(record.observed_at, original.observed_at);
    assert_eq!(record.key.as_deref(), Some(&b"acme/a"[..]));
    assert!(
        records
            .iter()
            .any(|(position, record)| position.to_string() == format!("{topic}/0/0") && record.origin.is_none())
    );
}

#[test]
fn a_dump_replays_the_bytes_that_the_topic_had() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic("dumped", 2, &[]);
    let mut producer = Producer::new(&broker.settings()).unwrap();
    let odd = OutRecord { value: Some(vec![0xff, 0, b'\n', b'"']), ..OutRecord::new(&*topic, vec![0xfe], "") };
    let tombstone = OutRecord { value: None, ..OutRecord::new(&*topic, "gone", "") };
    let keyless = OutRecord { key: None, partition: Some(1), ..OutRecord::new(&*topic, "", "{ \"a\" : \"é\\n\" }") };
    for record in [&odd, &tombstone, &keyless] {
        producer.send(record).unwrap();
    }
    producer.flush().unwrap();
    let live = read_topic(broker, &topic, 2);
    assert_eq!(live.len(), 3);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.ndjson").display().to_string();
    let from: Vec<_> = (0..2).map(|p| (TopicPartition::new(&*topic, p), Start::Beginning)).collect();
    let mut reader = Reader::open(&broker.settings(), &from, Until::End, &[]).unwrap();
    let mut file = Vec::new();
    let mut times = BTreeMap::new();
    poll_until(&mut reader, |polled| {
        if let Polled::Records(batches) = polled {
            for batch in batches {
                for (i, record) in batch.iter().enumerate() {
                    times.insert(batch.records.position(i), record.observed_at);
                    dump::write_line(&mut file, &record, &batch.records.position(i)).unwrap();
                }
            }
        }
        matches!(polled, Polled::Finished)
    });
    std::fs::write(&path, file).unwrap();
    let replayed = read(&mut FileSource::open(&[path], FileOptions::default()).unwrap(), 3);
    type Seen = BTreeMap<Position, (Option<Vec<u8>>, Vec<u8>)>;
    let seen = |records: &Read| -> Seen {
        records.iter().map(|(position, r)| (position.clone(), (r.key.clone(), r.value.clone()))).collect()
    };
    assert_eq!(seen(&replayed), seen(&live));
    let replayed_times: BTreeMap<Position, Timestamp> =
        replayed.into_iter().map(|(position, record)| (position, record.observed_at)).collect();
    assert_eq!(replayed_times, times);
}

#[test]
fn a_dead_letter_has_the_raw_bytes_and_says_where_they_were() {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::{Headers, Message};

    let Some(broker) = broker() else { return };
    let (topic, dead) = (broker.topic("source", 1, &[]), broker.topic("dead", 1, &[]));
    write_to(broker, &topic, 0, &["fine", "{\"broken"]);
    let mut source = join(broker, &broker.unique("group"), &topic);
    let (position, bad) = read(&mut source, 2).remove(1);
    let record = driftline_ingest::Record {
        key: bad.key.as_deref(),
        value: &bad.value,
        offset: bad.offset,
        observed_at: bad.observed_at,
        origin: None,
        oversize: None,
    };
    let letter = DeadLetter::new(&record, position, &DecodeError::NotJson("EOF".into()));
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();
    let positions = [(TopicPartition::new(&*topic, 0), 2)];
    writer.commit(&positions, "", &metadata(&source), &[letter.to_record(dead.as_str())]).unwrap();

    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", broker.unique("peek"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&dead]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let message = loop {
        if let Some(message) = consumer.poll(POLL) {
            break message.unwrap();
        }
        assert!(Instant::now() < deadline, "no dead letter");
    };
    assert_eq!((message.key(), message.payload()), (Some(&b"k"[..]), Some(&b"{\"broken"[..])));
    let headers: BTreeMap<_, _> = message
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap()))
        .collect();
    assert_eq!(headers["reason"], "not_json");
    assert_eq!(headers["error"], "the record is not JSON: EOF");
    assert_eq!((&*headers["topic"], &*headers["partition"], &*headers["offset"]), (&*topic, "0", "1"));
    assert_eq!(headers["time"], bad.observed_at.to_string());
}

#[test]
fn a_reader_starts_where_it_is_told_and_follows_or_ends() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic("control", 1, &[]);
    let mut producer = Producer::new(&broker.settings()).unwrap();
    let mut append = |value: &str| producer.append(&OutRecord::new(&*topic, "k", value)).unwrap();
    assert_eq!(["a", "b", "c"].map(&mut append), [0, 1, 2]);
    let partition = TopicPartition::new(&*topic, 0);
    let open = |start, until| Reader::open(&broker.settings(), &[(partition.clone(), start)], until, &[]);

    let mut from_one = open(Start::Offset(1), Until::End).unwrap();
    assert_eq!(values(&read(&mut from_one, 2)), ["b", "c"]);
    assert!(matches!(from_one.poll(POLL).unwrap(), Polled::Finished));
    assert!(matches!(open(Start::Offset(3), Until::End).unwrap().poll(POLL).unwrap(), Polled::Finished));

    let mut following = open(Start::End, Until::Forever).unwrap();
    assert!(matches!(following.poll(POLL).unwrap(), Polled::Idle));
    assert_eq!(append("d"), 3);
    assert_eq!(values(&read(&mut following, 1)), ["d"]);
    poll_until(&mut following, |polled| matches!(polled, Polled::Idle));
    assert_eq!(following.log_end(&partition).map(|end| end.offset), Some(4));

    let error = open(Start::Offset(9), Until::End).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("from offset 9") && error.contains("offsets 0 to 4"), "{error}");
}

#[test]
fn a_reader_that_ends_is_not_held_up_by_what_marks_the_end_of_a_transaction() {
    let Some(broker) = broker() else { return };
    let (topic, out) = (broker.topic("source", 1, &[]), broker.topic("out", 2, &[]));
    let mut source = join(broker, &broker.unique("group"), &topic);
    assignments(&mut source);
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();
    for value in ["x", "y"] {
        let record = OutRecord { partition: Some(1), ..OutRecord::new(&*out, "k", value) };
        writer.commit(&[], "", &metadata(&source), &[record]).unwrap();
    }
    let records = read_topic(broker, &out, 2);
    assert_eq!(values(&records), ["x", "y"]);
    assert_eq!(records[1].1.offset, 2, "a marker stands between them");
}

#[test]
fn the_broker_says_where_logs_end_as_a_member_that_has_read_them_does() {
    let Some(broker) = broker() else { return };
    let topic = broker.topic("ends", 3, &[]);
    write_to(broker, &topic, 0, &["a", "b"]);
    let mut source = join(broker, &broker.unique("group"), &topic);
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("writer")).unwrap();
    let partitions = [0, 1, 2].map(|n| TopicPartition::new(&*topic, n));
    poll_until(&mut source, |polled| matches!(polled, Polled::Records(_)));
    let record = OutRecord { partition: Some(1), ..OutRecord::new(&*topic, "k", "c") };
    writer.commit(&[], "", &metadata(&source), &[record]).unwrap();

    let reader = Reader::open(&broker.settings(), &[(partitions[2].clone(), Start::End)], Until::Forever, &[]).unwrap();
    let ends = reader.written_ends(&partitions, PATIENCE).unwrap();
    assert_eq!(ends.values().collect::<Vec<_>>(), [&2, &2, &0], "a marker ends the transaction");
    for (partition, &offset) in &ends {
        let deadline = Instant::now() + PATIENCE;
        while source.log_end(partition) != Some(LogEnd { offset, reached: true }) {
            assert!(Instant::now() < deadline, "{partition}: {:?}", source.log_end(partition));
            source.poll(POLL).unwrap();
        }
    }
    let missing = TopicPartition::new(broker.unique("missing"), 0);
    reader.written_ends(&[missing], Duration::from_secs(2)).unwrap_err();
}

#[test]
fn topics_are_made_once_and_what_is_missing_is_said() {
    let Some(broker) = broker() else { return };
    let admin = Admin::new(&broker.settings()).unwrap();
    let name = broker.unique("made");
    assert_eq!(admin.partitions(&name).unwrap(), None);
    let config = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let spec = TopicSpec { name: name.clone(), partitions: 3, replication: None, config };
    assert!(admin.create(&spec).unwrap());
    assert!(!admin.create(&spec).unwrap());
    assert_eq!(admin.partitions(&name).unwrap(), Some(3));
    assert_eq!(admin.topic_setting(&name, "cleanup.policy").unwrap().as_deref(), Some("compact"));

    let missing = broker.unique("missing");
    let mut source = join(broker, &broker.unique("group"), &missing);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        match source.poll(POLL) {
            Err(error) => break error,
            Ok(polled) => assert!(Instant::now() < deadline, "{polled:?}"),
        }
    };
    assert!(matches!(&error, SourceError::Kafka(KafkaError::Broker { .. })) && error.to_string().contains(&missing));
}

#[test]
fn a_setting_that_librdkafka_does_not_know_is_named() {
    let settings = driftline_ingest::kafka::ClientSettings::new(
        "127.0.0.1:9",
        [("sesion.timeout.ms".to_owned(), "5".into())].into_iter().collect(),
    )
    .unwrap();
    let error = KafkaSource::open(&settings, &group("g", &["t"])).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "librdkafka setting `sesion.timeout.ms`: No such configuration property: \"sesion.timeout.ms\""
    );
}
