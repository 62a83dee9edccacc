//! Topics that take nothing for a while: it waits, says why, goes on by itself, and nothing is lost or comes twice.

use driftline_ingest::kafka::{Admin, OutRecord, Producer, TopicSpec};
use driftline_ingest::testing::{Broker, broker};

use crate::instance::{Instance, Stream};

/// What `/readyz` is to say soon.
const SOON: &str = "[watchdog]\ncommit = \"3s\"\n";

fn make(broker: &Broker, name: &str, partitions: i32, config: &[(&str, &str)]) {
    let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = TopicSpec { name: name.to_owned(), partitions, replication: Some(1), config };
    assert!(Admin::new(&broker.settings()).unwrap().create(&spec).unwrap(), "{name} is there already");
}

/// Waits until the outage has been told, with these words, and some tries were made; the process is alive all the time.
fn told(instance: &mut Instance, words: [&str; 2]) {
    instance.wait("the outage to be told", |it| {
        let ready = it.get("/readyz");
        words.iter().all(|word| ready.contains(word)) && ready.contains("stalled commit")
    });
    let before = instance.metric("driftline_outage_waits_total");
    instance.wait("another try", |it| it.metric("driftline_outage_waits_total") > before);
    assert!(instance.get("/healthz").contains("alive"));
}

fn is_ready(it: &Instance) -> bool {
    it.get("/readyz").contains("\"ready\":true")
}

#[test]
fn an_alerts_topic_whose_records_may_not_be_so_large() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "small");
    // No alert is so small.
    make(broker, &stream.topic("alerts"), 1, &[("max.message.bytes", "200")]);
    stream.simulate(&["--agents", "100", "--events", "50000", "--attacks", "40"]);
    let mut instance = stream.run("one", SOON);
    told(&mut instance, [&stream.topic("alerts"), "raise `max.message.bytes`"]);
    broker.configure(&stream.topic("alerts"), "max.message.bytes", "1048588");
    instance.wait("all records read", |it| it.has_read_all() && is_ready(it));
    assert_eq!(instance.metric("driftline_restarts_total"), 0.0, "it is the same session all the time");
    instance.stop();
    stream.prove("alerts topic takes nothing", 1);
}

#[test]
fn topics_that_are_gone_for_a_while() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "gone");
    make(broker, &stream.topic("events"), 12, &[]);
    let mut instance = stream.run("one", SOON);
    instance.wait("the start", is_ready);
    let topics = ["alerts", "dead"].map(|name| stream.topic(name));
    topics.iter().for_each(|topic| broker.delete(topic));
    let mut producer = Producer::new(&broker.settings()).unwrap();
    for i in 0..100 {
        producer.send(&OutRecord::new(stream.topic("events"), format!("bad-{i}"), "no event")).unwrap();
    }
    producer.flush().unwrap();
    stream.simulate(&["--agents", "100", "--events", "50000", "--attacks", "40"]);
    told(&mut instance, ["writing to", "make it again"]);
    topics.iter().for_each(|topic| make(broker, topic, 1, &[]));
    instance.wait("all records read", |it| it.has_read_all() && is_ready(it));
    instance.stop();
    assert_eq!(stream.dump("dead").len(), 100);
    stream.prove("topics gone for a while", 1);
}

/// Nothing listens where the broker should be.
#[test]
fn a_broker_that_is_away_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("driftline.toml");
    let text = format!(
        "[source.kafka]\nbootstrap = \"127.0.0.1:1\"\ntopic = \"events\"\ngroup = \"driftline\"\n[alerts.kafka]\n\
         topic = \"alerts\"\n[dead_letters.kafka]\ntopic = \"dead\"\n[instance]\nstate = \"{}\"\n[http]\n\
         listen = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n\
         [source.kafka.librdkafka]\nsocket.timeout.ms = 2000\n",
        folder.path().join("state").display()
    );
    std::fs::write(&config, text).unwrap();
    let (mut instance, lines) = Instance::start(&config, "");
    instance.wait("a second try", |it| it.metric("driftline_outage_waits_total") >= 2.0);
    let ready = instance.get("/readyz");
    assert!(ready.contains("making topic alerts") && ready.contains("503"), "{ready}");
    assert!(instance.get("/healthz").contains("alive"));
    instance.stop();
    let lines = lines.join().unwrap();
    assert!(lines.len() < 30, "{} lines: {lines:?}", lines.len());
}
