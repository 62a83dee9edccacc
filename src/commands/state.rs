//! `driftline state`: whether the state of a run is whole, what it is the state of, and its hash.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftline_core::terminal;
use driftline_detectors::{Engine, World};
use driftline_ingest::kafka::{Reader, Start, Until};
use driftline_ingest::{Polled, Source, TopicPartition};

use super::CommandError;
use super::dump::Topic;
use crate::run::local;
use crate::run::reading::{Reading, Unreadable};

/// `driftline state`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    topic: Option<Topic>,
    /// The state folder of a run over files, instead of a topic.
    #[arg(long, value_name = "DIR", conflicts_with = "Topic")]
    state: Option<PathBuf>,
}

/// Verifies a state, and writes what it comes to.
///
/// # Errors
///
/// [`CommandError::Usage`] names the record that is damaged, or what is missing.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    match (&args.topic, &args.state) {
        (Some(topic), _) => of_topic(topic, out),
        (None, Some(folder)) => of_database(folder, out),
        (None, None) => Err(CommandError::Usage("give --kafka and --topic, or --state".to_owned())),
    }
}

fn of_database(folder: &Path, out: &mut impl Write) -> Result<(), CommandError> {
    let resumed = local::read(folder)?.resume(&[], 1)?;
    let engine = resumed.engines.first();
    let agents = engine.map_or(0, Engine::len);
    let control = resumed.conductor.world().next;
    let files = resumed.input.len();
    writeln!(out, "{}: {agents} agents of {files} files, after {control} control records", folder.display())?;
    Ok(writeln!(out, "state {:032x}", engine.map_or(0, Engine::state_hash))?)
}

/// Reads the committed records that the topic has now, as an instance does that takes the partitions over, and writes
/// what they come to. The hash is the one that `replay --control` ends with over the same records and control log.
fn of_topic(topic: &Topic, out: &mut impl Write) -> Result<(), CommandError> {
    let (settings, partitions) = topic.open()?;
    let mut readings: BTreeMap<i32, Reading> =
        partitions.iter().map(|partition| (partition.partition, unread())).collect();
    let from: Vec<_> = partitions.into_iter().map(|partition| (partition, Start::Beginning)).collect();
    let mut reader = Reader::open(&settings, &from, Until::End, &[])?;
    loop {
        match reader.poll(Duration::from_millis(200))? {
            Polled::Records(batches) => {
                for batch in &batches {
                    let reading = readings.entry(batch.partition.partition).or_insert_with(unread);
                    reading.take(batch).map_err(|error| unusable(&batch.partition, &error))?;
                }
            }
            Polled::Finished => break,
            _ => {}
        }
    }
    let (mut hash, mut agents, mut events, mut control, mut groups) = (0u128, 0, 0, 0, BTreeSet::new());
    let partitions = readings.len();
    for (partition, reading) in readings {
        let finished = reading.finish();
        let (engine, ledger) =
            finished.map_err(|error| unusable(&TopicPartition::new(topic.name(), partition), &error))?;
        hash = hash.wrapping_add(engine.state_hash());
        agents += engine.len();
        events += engine.agents().map(|agent| agent.events).sum::<u64>();
        if let Some(ledger) = ledger {
            control = control.max(ledger.control);
            groups.insert(ledger.group);
        }
    }
    let groups = terminal(&groups.into_iter().collect::<Vec<_>>().join(", ")).into_owned();
    writeln!(
        out,
        "{}: {events} events of {agents} agents in {partitions} partitions, after {control} control records, of group `{groups}`",
        topic.name()
    )?;
    Ok(writeln!(out, "state {hash:032x}")?)
}

fn unread() -> Reading {
    Reading::of(Engine::restore(World::default()))
}

fn unusable(partition: &TopicPartition, what: &Unreadable) -> CommandError {
    CommandError::Usage(format!("the state in {partition} cannot be used: {what}"))
}
