//! How fast a topic is drained: raw, and with every record decoded; and how fast records are decoded that are in memory
//! already, which is what the second can be at most.
//!
//! ```text
//! scripts/kafka start
//! cargo run --release -p driftline-ingest --example drain -- 127.0.0.1:9092 [EVENTS] [PARTITIONS]
//! ```
//!
//! Writes the events (10^6 of about 560 bytes, unless told otherwise) to a new topic first. It shows the client's side
//! only: no engine, no commits; broker and client share the machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use driftline_core::{Event, Limits};
use driftline_ingest::kafka::{Admin, ClientSettings, GroupSettings, KafkaSource, OutRecord, Producer, TopicSpec};
use driftline_ingest::{Polled, Record, Source, now};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let events: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let partitions: i32 = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let settings = ClientSettings::new(&bootstrap, BTreeMap::new())?;
    let topic = format!("drain-{}", now().millis());
    let spec = TopicSpec { name: topic.clone(), partitions, replication: None, config: Vec::new() };
    Admin::new(&settings)?.create(&spec)?;

    let started = Instant::now();
    produce(&settings, &topic, events)?;
    report("written", events, started.elapsed())?;

    for round in 0..3 {
        let (took, _) = drain(&settings, &topic, events, &format!("raw-{round}"), |record| record.value.len() as u64)?;
        report("raw", events, took)?;
        let limits = Limits::default();
        let (took, decoded) = drain(&settings, &topic, events, &format!("decoded-{round}"), |record| {
            u64::from(Event::decode(record.value, &limits).is_ok())
        })?;
        report("decoded", decoded, took)?;
    }
    let mut records = Vec::new();
    drain(&settings, &topic, events.min(50_000), "sample", |record| {
        records.push(record.value.to_vec());
        0
    })?;
    let started = Instant::now();
    let decoded = records.iter().filter(|record| Event::decode(record, &Limits::default()).is_ok()).count();
    report("memory", decoded as u64, started.elapsed())?;
    Ok(())
}

fn produce(settings: &ClientSettings, topic: &str, events: u64) -> Result<(), Box<dyn Error>> {
    let mut producer = Producer::new(settings)?;
    for n in 0..events {
        let agent = format!("agent-{:04}", n % 1000);
        let value = format!(
            concat!(
                r#"{{"id":"e-{n:012}","time":{time},"tenant":"acme","agent":{{"id":"{agent}","version":"1.4.0","platform":"langchain"}},"#,
                r#""session":{{"id":"s-{session}"}},"principal":{{"id":"alice@acme.example","kind":"user"}},"task":{{"id":"t-{session}","kind":"refund"}},"#,
                r#""action":{{"kind":"tool_call","name":"read_file","server":"mcp://files","access":"read"}},"#,
                r#""resource":{{"id":"/data/customer/{n}/records.csv","kind":"file","sensitivity":"restricted"}},"#,
                r#""permission":{{"required":["files:read"],"scopes":["files:read"]}},"outcome":"success","#,
                r#""usage":{{"bytes_in":10,"bytes_out":20480,"records":12}},"network":{{"ip":"198.51.100.7"}}}}"#
            ),
            n = n,
            time = 1_772_439_084_715 + n,
            agent = agent,
            session = n / 100,
        );
        producer.send(&OutRecord::new(topic, agent, value))?;
    }
    Ok(producer.flush()?)
}

/// Reads the whole topic as a new group; the time counts from the first records on.
fn drain(
    settings: &ClientSettings,
    topic: &str,
    events: u64,
    name: &str,
    mut each: impl FnMut(Record<'_>) -> u64,
) -> Result<(Duration, u64), Box<dyn Error>> {
    let group = GroupSettings {
        group: format!("{topic}-{name}"),
        instance: None,
        topics: vec![topic.to_owned()],
        internal: Vec::new(),
    };
    let mut source = KafkaSource::open(settings, &group)?;
    let (mut started, mut seen, mut sum) = (None, 0, 0);
    while seen < events {
        if let Polled::Records(batches) = source.poll(Duration::from_secs(1))? {
            started.get_or_insert_with(Instant::now);
            for batch in &batches {
                seen += batch.records.len() as u64;
                sum += batch.iter().map(&mut each).sum::<u64>();
            }
        }
    }
    Ok((started.map_or(Duration::ZERO, |started| started.elapsed()), sum))
}

fn report(what: &str, events: u64, took: Duration) -> std::io::Result<()> {
    let rate = events as f64 / took.as_secs_f64() / 1e6;
    writeln!(std::io::stdout(), "{what:>8}: {events} events in {:.2} s, {rate:.2} M/s", took.as_secs_f64())
}
