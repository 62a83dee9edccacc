//! `driftline run` over the whole topic: from the first record scored until the group's position is at the end.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driftline_ingest::TopicPartition;
use driftline_ingest::kafka::Admin;
use driftline_ingest::testing::Broker;

use crate::instance::{Instance, Metrics};
use crate::{PARTITIONS, pause};

/// A process that makes no progress for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a run.
pub struct Run {
    /// Until the last batch was scored.
    pub scored: Duration,
    /// Until all positions, and the alerts with them, were committed.
    pub committed: Duration,
    /// From the start of the process until the first record.
    pub starting: Duration,
    pub alerts: u64,
    pub commits: u64,
}

/// Runs the program as a new group, with topics and a state of its own.
pub fn time(broker: &Broker, topic: &str, events: u64, folder: &Path) -> Result<Run, Box<dyn Error>> {
    let group = broker.unique("bench-run");
    let spawned = Instant::now();
    let config = write_config(broker, topic, &group, folder)?;
    let mut instance = Instance::start(&config, folder.join(format!("{group}.log")))?;
    let started = first_record(&mut instance)?;
    let (scored, committed) = last_commit(&mut instance, broker, topic, &group, events)?;
    let metrics = settled(&mut instance, events)?;
    instance.stop()?;
    Ok(Run {
        scored: scored - started,
        committed: committed - started,
        starting: started - spawned,
        alerts: metrics.sum("driftline_alerts_total"),
        commits: metrics.sum("driftline_commit_duration_seconds_count"),
    })
}

/// All settings are those by default.
fn write_config(broker: &Broker, topic: &str, group: &str, folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let path = folder.join(format!("{group}.toml"));
    let text = format!(
        "[source.kafka]\nbootstrap = '{}'\ntopic = '{topic}'\ngroup = '{group}'\ninternal_topic = '{group}-internal'\n\
         control_topic = '{group}-control'\nstate_topic = '{group}-state'\nshared_topic = '{group}-shared'\n[alerts.kafka]\ntopic = '{group}-alerts'\n\
         [dead_letters.kafka]\ntopic = '{group}-dead'\n[identities]\npath = '{}'\n[instance]\nstate = '{}'\n\
         [http]\nlisten = '127.0.0.1:0'\n[log]\nformat = 'json'\n",
        broker.bootstrap(),
        folder.join("identities").display(),
        folder.join(group).display(),
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The last time that nothing had been scored yet: what is measured from it is a little too long, never too short.
fn first_record(instance: &mut Instance) -> Result<Instant, Box<dyn Error>> {
    let mut before = Instant::now();
    let deadline = before + PATIENCE;
    loop {
        let looked = Instant::now();
        if instance.metrics()?.sum("driftline_batches_total") > 0 {
            return Ok(before);
        }
        before = looked;
        if looked >= deadline {
            return Err("driftline run reads no records".into());
        }
        pause();
    }
}

/// When the last batch was scored, and when the group's position was at the end of the topic. The broker is asked only
/// after a commit, since to ask costs it something.
fn last_commit(
    instance: &mut Instance,
    broker: &Broker,
    topic: &str,
    group: &str,
    events: u64,
) -> Result<(Instant, Instant), Box<dyn Error>> {
    let admin = Admin::new(&broker.settings())?;
    let partitions: Vec<_> = (0..PARTITIONS).map(|partition| TopicPartition::new(topic, partition)).collect();
    let (mut polls, mut commits, mut scored) = (0, 0, Instant::now());
    let mut progress = Instant::now();
    loop {
        let metrics = instance.metrics()?;
        let looked = Instant::now();
        let now = metrics.sum("driftline_scoring_duration_seconds_count");
        if now > polls {
            (polls, scored, progress) = (now, looked, looked);
        }
        let now = metrics.sum("driftline_commit_duration_seconds_count");
        if now > commits {
            (commits, progress) = (now, looked);
            // The topic is new and no transaction was written to it: its offsets count its records from 0.
            let positions = admin.committed(group, &partitions)?;
            if positions.iter().map(|(_, next)| next.unsigned_abs()).sum::<u64>() >= events {
                return Ok((scored, Instant::now()));
            }
        }
        if progress.elapsed() >= PATIENCE {
            return Err(format!("driftline run has stopped before {topic} was read").into());
        }
        pause();
    }
}

/// The metrics once they count everything: most are brought up to date once a second. Records that were not scored would
/// have been cheap, so there must not be any.
fn settled(instance: &mut Instance, events: u64) -> Result<Metrics, Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = instance.metrics()?;
        let scored = metrics.sum("driftline_events_total");
        if scored == events {
            return Ok(metrics);
        }
        if Instant::now() >= deadline {
            return Err(format!("driftline run has scored {scored} of {events} events").into());
        }
        pause();
    }
}
