//! An event of the future: it is held to when it was read, and counted, and nobody else's clock is moved by it.

use std::collections::BTreeSet;

use driftline_ingest::kafka::{OutRecord, Producer, partition_of};
use driftline_ingest::testing::{Broker, broker};
use serde_json::{Value, json};

use crate::kafka::{PARTITIONS, Stream};

const HOUR: i64 = 3_600_000;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;

/// What a run said: its alerts' ids, its clocks in milliseconds, and how many events it held, and found late.
struct Said {
    alerts: BTreeSet<String>,
    clocks: Vec<i64>,
    clamped: u64,
    late: u64,
}

/// Three hours of four agents, one a partition, up to now; with some of the future before the last hour.
fn run(broker: &'static Broker, now: i64, future: &[i64]) -> Said {
    let mut stream = Stream::new(broker, "future");
    let mut producer = Producer::new(&broker.settings()).unwrap();
    let agents: Vec<String> = (0..PARTITIONS)
        .map(|partition| {
            let names = (0..).map(|i| format!("agent-{i}"));
            names.into_iter().find(|name| partition_of(name.as_bytes(), PARTITIONS) == partition).unwrap()
        })
        .collect();
    let mut all = 0;
    let mut send = |partition: usize, event: Value| {
        let out = OutRecord::new(stream.name.as_str(), agents[partition].as_bytes(), event.to_string());
        stream.send(&mut producer, i32::try_from(partition).unwrap(), out);
        all += 1;
    };
    for minute in 0..180 {
        let time = now - 3 * HOUR + minute * 60_000;
        for (partition, agent) in agents.iter().enumerate() {
            let id = format!("{agent}-{minute}");
            // A tool that nobody has used before, at the end of each session.
            let tool = if minute % 20 == 19 { format!("odd-{minute}") } else { "read".to_owned() };
            send(
                partition,
                json!({"id": id, "time": time, "agent": {"id": agent}, "action": {"name": tool},
                "session": {"id": format!("s-{}", minute / 20)}}),
            );
        }
        if minute == 120 {
            for (i, ahead) in future.iter().enumerate() {
                // Alone in its session: a session's length is the agent's business.
                send(
                    0,
                    json!({"id": format!("future-{i}"), "time": now + ahead, "agent": {"id": agents[0]},
                    "action": {"name": "read"}, "session": {"id": "future"}}),
                );
            }
        }
    }
    producer.flush().unwrap();
    let mut instance = stream.run();
    instance.wait("all records read", |it| it.metric("driftline_records_total") >= all);
    assert_eq!(instance.metric("driftline_events_total"), all);
    let (clamped, late) =
        (instance.metric("driftline_clamped_events_total"), instance.metric("driftline_late_events_total"));
    instance.stop();
    let clocks = stream.dump("control", true).into_iter().filter(|record| record["kind"] == "clock");
    let clocks = clocks.map(|record| record["clock"].as_str().unwrap().parse::<driftline_core::Timestamp>().unwrap());
    let clocks = clocks.map(driftline_core::Timestamp::millis).collect();
    let alerts = stream.dump("alerts", true).into_iter().map(|alert| alert["id"].as_str().unwrap().to_owned());
    Said { alerts: alerts.collect(), clocks, clamped, late }
}

#[test]
fn an_event_ten_years_ahead_moves_nobodys_clock() {
    let Some(broker) = broker() else { return };
    let now = driftline_ingest::now().millis();
    let without = run(broker, now, &[]);
    let with = run(broker, now, &[TEN_YEARS, 253_402_207_200_000 - now]);
    assert_eq!((without.clamped, with.clamped), (0, 2));
    assert_eq!((without.late, with.late), (0, 0));
    // Held to when they were read, less the ten minutes of `allowed_lateness`.
    let soon = driftline_ingest::now().millis();
    assert!(!with.clocks.is_empty() && with.clocks.iter().all(|clock| *clock <= soon), "{:?}", with.clocks);
    assert!(!without.alerts.is_empty(), "there is something to compare");
    assert_eq!(with.alerts, without.alerts);
}
