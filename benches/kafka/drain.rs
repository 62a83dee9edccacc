//! A consumer that reads a topic and does little or nothing with the records.

use std::error::Error;
use std::time::{Duration, Instant};

use driftline_ingest::kafka::{GroupSettings, KafkaSource};
use driftline_ingest::testing::Broker;
use driftline_ingest::{PartitionBatch, Polled, Record, Source};

const POLL: Duration = Duration::from_secs(1);
/// A topic that brings nothing for so long has ended early.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the whole topic as a new group; the time counts from the first records on. `each` says whether a record was as
/// it should be.
pub fn time(
    broker: &Broker,
    topic: &str,
    events: u64,
    mut each: impl FnMut(Record<'_>) -> bool,
) -> Result<Duration, Box<dyn Error>> {
    time_batches(broker, topic, events, |batches| {
        let good = |batch: &PartitionBatch| batch.iter().map(&mut each).filter(|good| *good).count() as u64;
        Ok(batches.iter().map(good).sum())
    })
}

/// The same with all that a poll brings; `take` says how many records were as they should be.
pub fn time_batches(
    broker: &Broker,
    topic: &str,
    events: u64,
    mut take: impl FnMut(Vec<PartitionBatch>) -> Result<u64, Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let mut source = join(broker, topic)?;
    let (mut started, mut seen, mut good) = (None, 0, 0);
    let mut latest = Instant::now();
    while seen < events {
        match source.poll(POLL)? {
            Polled::Records(batches) => {
                latest = Instant::now();
                started.get_or_insert(latest);
                seen += batches.iter().map(|batch| batch.records.len() as u64).sum::<u64>();
                good += take(batches)?;
            }
            Polled::Assigned(assignments) => {
                let at: Vec<_> = assignments.into_iter().map(|it| (it.partition, it.committed)).collect();
                source.begin(&at)?;
            }
            _ if latest.elapsed() >= PATIENCE => {
                return Err(format!("{topic} brings no more records after {seen} of {events}").into());
            }
            _ => {}
        }
    }
    let took = started.map_or(Duration::ZERO, |started| started.elapsed());
    if good == seen { Ok(took) } else { Err(format!("of {seen} records only {good} could be decoded").into()) }
}

/// The only member of a new group.
pub fn join(broker: &Broker, topic: &str) -> Result<KafkaSource, Box<dyn Error>> {
    let group = GroupSettings {
        group: broker.unique("bench-drain"),
        instance: None,
        writer: String::new(),
        topics: vec![topic.to_owned()],
        internal: Vec::new(),
    };
    Ok(KafkaSource::open(&broker.settings(), &group)?)
}
