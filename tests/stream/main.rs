//! The stream processor against a real broker: the program itself, its topics, and what a replay makes of them.

#![cfg(test)]

#[cfg(feature = "archive")]
mod archive;
mod brokers;
mod crashes;
#[path = "../support/dashboards.rs"]
#[expect(dead_code, reason = "what is told people is compared in tests/dashboards.rs")]
mod dashboards;
mod failpoints;
#[path = "../support/history.rs"]
mod history;
mod instance;
mod load;
mod outages;
mod paused;
#[path = "../support/prometheus.rs"]
mod prometheus;
mod rebalances;
mod several;
mod stopped;
mod table;
mod takeover;
mod tampering;
mod warmed;
mod watch;
mod watched;

use std::collections::{BTreeMap, BTreeSet};

use driftline_ingest::kafka::{OutRecord, Producer};
use driftline_ingest::testing::broker;

use instance::{Instance, Stream, asked_for, ids, lines};

/// How many events a test has: `usual`, unless the environment asks for another size.
fn events(usual: u32) -> u32 {
    asked_for("DRIFTLINE_STREAM_EVENTS", usual)
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

    let (replayed, state) = stream.replayed();
    assert_eq!(replayed, live);
    assert_eq!(stream.state(), state);
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
