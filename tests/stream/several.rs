//! Several instances share the work and one control log: their alerts are those of a replay by that log, whoever leads.

use std::collections::BTreeMap;

use driftline_ingest::kafka::{OutRecord, Producer, partition_of};
use driftline_ingest::testing::broker;
use serde_json::Value;

use crate::events;
use crate::instance::{Instance, PARTITIONS, Stream, have_read_all, wait};

#[test]
fn several_instances_raise_the_alerts_that_their_control_log_gives() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "several");
    simulate(&stream, events(200_000), "1");
    let all = ["one", "two", "three"].map(|name| stream.run(name, ""));
    wait("all records read", || have_read_all(&all));
    assert!(all.iter().all(|it| it.partitions() > 0), "each has a share of the partitions");

    // Epochs close behind the last events too, so that what was gathered is in one of them.
    for day in 1..=3 {
        let before = highest_epoch(&all);
        tell_of_a_later_day(&stream, day);
        wait("another epoch", || highest_epoch(&all) > before && have_read_all(&all));
    }
    all.into_iter().for_each(Instance::stop);

    let counted: u64 = stream.dump("control").iter().map(agents_counted).sum();
    assert_eq!(counted, u64::from(stream.agents()), "each agent is in one epoch and in no other");
    stream.prove("three instances at a time", 1);
}

#[test]
fn whoever_leads_the_control_log_goes_on_without_a_gap_or_a_fork() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "leaders");
    stream.make_source();
    let rounds = 4;
    let mut all = BTreeMap::from(["one", "two"].map(|name| (name, stream.run(name, ""))));
    for round in 0..rounds {
        simulate(&stream, events(200_000) / rounds, &round.to_string());
        let read =
            |all: &BTreeMap<_, Instance>| all.values().map(|it| it.metric("driftline_records_total")).sum::<f64>();
        let before = read(&all);
        wait("a leader and some records", || {
            all.values().any(leads) && (read(&all) > before || have_read_all(all.values()))
        });
        let leader = all.iter().find(|(_, it)| leads(it)).map(|(name, _)| *name).unwrap();
        let instance = all.remove(leader).unwrap();
        // The other one takes over in its own time, or is asked to at once.
        if round % 2 == 0 {
            instance.kill()
        } else {
            instance.stop()
        }
        wait("another leader", || all.values().any(leads));
        all.insert(leader, stream.run(leader, ""));
    }
    wait("all records read", || have_read_all(all.values()));
    all.into_values().for_each(Instance::stop);
    stream.prove("the leader killed or stopped, two at a time", rounds);
}

fn simulate(stream: &Stream, events: u32, seed: &str) {
    let (agents, attacks, events) = ((events / 500).to_string(), (events / 2_000).to_string(), events.to_string());
    stream.simulate(&["--agents", &agents, "--events", &events, "--attacks", &attacks, "--seed", seed]);
}

/// What waits in a partition that its owner took to be at its end holds the clock until it is read: nobody need have told
/// the leader of it.
#[test]
fn the_clock_does_not_pass_what_a_paused_instance_has_yet_to_read() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "unread");
    simulate(&stream, events(20_000), "1");
    // A pause that the group does not notice.
    let patient = "[source.kafka.librdkafka]\nsession.timeout.ms = 45000\n";
    let all = ["one", "two"].map(|name| stream.run(name, patient));
    wait("all records read", || have_read_all(&all) && all.iter().all(|it| it.partitions() > 0));
    let [one, two] = all;
    let (mut leader, mut other) = if leads(&one) { (one, two) } else { (two, one) };
    let (early, late) = (agent_of(&other), agent_of(&leader));

    // Both tell that they are at the end of this as well, and the clock follows.
    tell(&stream, &late, time_of(1));
    leader.wait("the clock to follow", |it| watermark(it) > time_of(1) - HOUR);
    other.wait("the clock to be heard of", |it| watermark(it) > time_of(1) - HOUR);

    other.signal("-STOP");
    let scored = leader.metric("driftline_events_total");
    tell(&stream, &early, time_of(2));
    tell(&stream, &late, time_of(3));
    leader.wait("the later event", |it| it.metric("driftline_events_total") > scored);
    // It is told of together with the events scored.
    assert!(watermark(&leader) < time_of(2), "the clock waits for what nobody has read");
    other.signal("-CONT");
    leader.wait("the clock to follow", |it| watermark(it) > time_of(3) - HOUR);
    assert_eq!(other.metric("driftline_late_events_total"), 0.0);
    leader.stop();
    other.stop();
    stream.prove("an owner paused at its end", 1);
}

pub const HOUR: i64 = 3_600_000;

/// The clock, in milliseconds.
pub fn watermark(it: &Instance) -> i64 {
    (1000.0 * it.metric("driftline_watermark_timestamp_seconds")) as i64
}

/// The name of an agent whose events this instance reads.
fn agent_of(it: &Instance) -> String {
    let partitions = i32::try_from(PARTITIONS).unwrap();
    let metrics = it.get("/metrics");
    let is_read = |agent: &String| reads(&metrics, partition_of(agent.as_bytes(), partitions));
    (0..).map(|n| format!("agent-{n}")).find(is_read).unwrap()
}

/// An event of a day on which nothing else happens.
fn tell_of_a_later_day(stream: &Stream, day: i64) {
    tell(stream, "latecomer", time_of(day));
}

pub fn time_of(day: i64) -> i64 {
    1_790_000_000_000 + day * 86_400_000
}

pub fn tell(stream: &Stream, agent: &str, time: i64) {
    let event = format!(r#"{{"time":{time},"agent":{{"id":"{agent}"}},"action":{{"name":"look"}}}}"#);
    let mut producer = Producer::new(&stream.broker.settings()).unwrap();
    producer.send(&OutRecord::new(stream.topic("events"), agent, event)).unwrap();
    producer.flush().unwrap();
}

fn leads(it: &Instance) -> bool {
    reads(&it.get("/metrics"), 0)
}

/// Whether an instance with these metrics reads a partition.
fn reads(metrics: &str, partition: i32) -> bool {
    let partition = format!("partition=\"{partition}\"");
    metrics.lines().any(|line| line.starts_with("driftline_lag_records{") && line.contains(&partition))
}

fn highest_epoch(all: &[Instance]) -> u64 {
    all.iter().map(|it| it.metric("driftline_epoch") as u64).max().unwrap_or(0)
}

/// Agents that an epoch has counted as seen for the first time; none in other entries.
fn agents_counted(entry: &Value) -> u64 {
    let tenants = entry.pointer("/epoch/tenants").and_then(Value::as_array);
    let counts = |tenant: &Value| tenant["registered"].as_u64().unwrap() + tenant["unregistered"].as_u64().unwrap();
    tenants.into_iter().flatten().map(counts).sum()
}
