//! How long a transaction takes that holds one position and one record.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use driftline_ingest::kafka::{GroupMetadata, KafkaSource, OutRecord, Producer, TransactionalWriter};
use driftline_ingest::testing::Broker;
use driftline_ingest::{Polled, Source, TopicPartition};

use crate::drain;

const COMMITS: usize = 101;
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and writes a line.
pub fn report(out: &mut impl Write, broker: &Broker) -> Result<(), Box<dyn Error>> {
    let (topic, alerts) = (broker.topic("bench-commit", 1, &[]), broker.topic("bench-commit-out", 1, &[]));
    let mut producer = Producer::new(&broker.settings())?;
    producer.send(&OutRecord::new(&*topic, "key", "value"))?;
    producer.flush()?;
    let mut source = drain::join(broker, &topic)?;
    let group = membership(&mut source)?;
    let mut writer = TransactionalWriter::new(&broker.settings(), &broker.unique("bench-commit"))?;
    let mut took = Vec::with_capacity(COMMITS);
    for i in 0..COMMITS {
        let position = (TopicPartition::new(&*topic, 0), i64::from(i % 2 == 1));
        let records = [OutRecord::new(&*alerts, "key", "value")];
        let started = Instant::now();
        writer.commit(&[position], "", &group, &records)?;
        took.push(started.elapsed());
    }
    took.sort();
    let milliseconds = |took: Option<&Duration>| took.map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
    let (median, worst) = (milliseconds(took.get(COMMITS / 2)), milliseconds(took.last()));
    Ok(writeln!(out, "{COMMITS} commits of one position and one record: median {median:.1} ms, worst {worst:.1} ms")?)
}

/// The member's standing once it has a partition, and so is a member.
fn membership(source: &mut KafkaSource) -> Result<GroupMetadata, Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    while !matches!(source.poll(Duration::from_secs(1))?, Polled::Assigned(_)) {
        if Instant::now() >= deadline {
            return Err("the group assigns no partition".into());
        }
    }
    Ok(source.group_metadata().ok_or("a member that has a partition is in no group")?)
}
