//! A partition that is read no further because nothing of it could be decoded any more.

use driftline_ingest::kafka::{OutRecord, Producer};
use driftline_ingest::testing::broker;

use crate::instance::{Instance, Stream};

const STOP: &str = "[dead_letters]\nmax_in_a_row = 3\nstop_partition = true\n";

#[test]
fn what_was_read_of_a_partition_that_stops_is_accounted_for_once() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "stopped");
    let topic = stream.topic("events");
    stream.make_source();
    let event =
        |n: i64| format!(r#"{{"time":{},"agent":{{"id":"a"}},"action":{{"name":"t{n}"}}}}"#, 1_772_409_600_000 + n);
    // All under one key, so that they are in one partition, in this order.
    let send = |values: &[String]| {
        let mut producer = Producer::new(&broker.settings()).unwrap();
        values.iter().for_each(|value| producer.send(&OutRecord::new(&*topic, "a", &**value)).unwrap());
        producer.flush().unwrap();
    };
    let bad = || "no event".to_owned();

    let mut instance = stream.run("one", STOP);
    send(&[event(1), bad(), bad(), bad()]);
    instance.wait("the stop", |it| it.get("/readyz").contains("undecodable records"));
    send(&[event(2)]);
    instance.wait("a record that nobody reads", |it| it.metric("driftline_lag_records") >= 1.0);
    assert_eq!(instance.metric("driftline_events_total"), 1.0);
    instance.stop();

    let mut instance = stream.run("one", STOP);
    instance.wait("the rest", Instance::has_read_all);
    assert_eq!(instance.metric("driftline_dead_letters_total"), 0.0, "they were written before");
    instance.stop();
    assert_eq!(stream.events(), 2);
    assert_eq!(stream.dump("dead").len(), 3);
    let alerts = stream.dump("alerts");
    assert_eq!(alerts.iter().filter(|alert| alert["kind"] == "undecodable_records").count(), 1, "{alerts:?}");
}
