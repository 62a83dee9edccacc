//! How fast the program takes a topic in, from a real broker to committed positions, beside what a consumer that does
//! nothing with the records can drain; and how long a commit takes.
//!
//! There are two such consumers. The *raw drain* is the program's own way to read, by the batch, and touches no record: no
//! program could be faster. The *plain consumer* is what anybody would write with `rdkafka`: a loop over
//! `BaseConsumer::poll` with default settings.
//!
//! What the promise costs that nothing is lost or said twice is shown beside: the same scoring by the same engine, with no
//! position, alert or state kept of it.
//!
//! `cargo bench --bench kafka` takes about a minute and needs a broker: that of `KAFKA_BOOTSTRAP`, else one that it starts
//! itself (`scripts/kafka`). `DRIFTLINE_BENCH_EVENTS` says how many events there are, 10^6 otherwise. What it writes to
//! the broker of others stays there. Broker and program share the machine, as is so for the drain that they are compared
//! with; measured in turns, round after round, and shown is the best round of each.

mod commits;
mod drain;
mod instance;
mod stream;
mod unkept;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use driftline_core::{Event, Limits};
use driftline_ingest::testing::{Broker, broker};

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftline");
const PARTITIONS: i32 = 12;
const AGENTS: u64 = 2_000;
const ROUNDS: usize = 3;
/// What the program is to reach at least, of what a consumer drains.
const TARGET: f64 = 0.5;
/// What keeping positions, alerts and state may cost at most, of what is scored where nothing is kept.
const COST: f64 = 0.2;

/// How often what has no way of telling is asked again: often enough for the figures, too seldom to take part in them.
const LOOK: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let events = events()?;
    let Some(broker) = broker() else { return Ok(writeln!(out, "not measured: there is no Kafka broker")?) };
    let folder = tempfile::tempdir()?;
    let topic = broker.unique("bench");
    let started = Instant::now();
    write_events(broker, &topic, events, folder.path())?;
    let cores = std::thread::available_parallelism()?;
    writeln!(
        out,
        "{events} events of {AGENTS} agents in {PARTITIONS} partitions, written in {:.1} s",
        started.elapsed().as_secs_f64()
    )?;
    writeln!(out, "best of {ROUNDS} rounds, {cores} cores for broker and reader:")?;
    measure_rates(&mut out, broker, &topic, events, folder.path())?;
    commits::report(&mut out, broker)
}

#[expect(clippy::disallowed_methods, reason = "a measurement has no configuration file")]
fn events() -> Result<u64, Box<dyn Error>> {
    let Some(text) = std::env::var_os("DRIFTLINE_BENCH_EVENTS") else { return Ok(1_000_000) };
    let events = text.to_string_lossy().parse().ok().filter(|events| *events > 0);
    Ok(events.ok_or_else(|| format!("DRIFTLINE_BENCH_EVENTS is {text:?}; give a number of events"))?)
}

/// Fills a new topic, and a folder with the agents' identity documents.
fn write_events(broker: &Broker, topic: &str, events: u64, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut program = Command::new(PROGRAM);
    program.args(["simulate", "--kafka", broker.bootstrap(), "--topic", topic]);
    program.args(["--partitions", &PARTITIONS.to_string(), "--agents", &AGENTS.to_string()]);
    program.args(["--events", &events.to_string(), "--attacks", &(events / 2_000).to_string()]);
    let status = program.arg("--identities").arg(folder.join("identities")).status()?;
    if status.success() { Ok(()) } else { Err(format!("driftline simulate: {status}").into()) }
}

/// Measures reading, decoding and the program in turns, and writes the table.
fn measure_rates(
    out: &mut impl Write,
    broker: &Broker,
    topic: &str,
    events: u64,
    folder: &Path,
) -> Result<(), Box<dyn Error>> {
    let limits = Limits::default();
    let mut rounds = [const { Vec::new() }; 6];
    let (mut last, mut bytes) = (None, 0);
    for _ in 0..ROUNDS {
        bytes = 0;
        let raw = drain::time(broker, topic, events, |record| {
            bytes += record.value.len() as u64;
            true
        })?;
        let plain = broker.drain_plainly(topic, events)?;
        let decoded = drain::time(broker, topic, events, |record| Event::decode(record.value, &limits).is_ok())?;
        let unkept = unkept::time(broker, topic, events, folder)?;
        let run = stream::time(broker, topic, events, folder)?;
        rounds
            .iter_mut()
            .zip([raw, plain, decoded, unkept, run.scored, run.committed])
            .for_each(|(all, took)| all.push(took));
        last = Some(run);
    }
    let best = rounds.each_ref().map(|all| all.iter().min().copied().unwrap_or(Duration::MAX));
    let names = [
        "raw drain (own batches)",
        "plain rdkafka consumer",
        "raw drain and decode",
        "and score, with nothing kept",
        "driftline run, until scored",
        "driftline run, until committed",
    ];
    for ((name, took), all) in names.into_iter().zip(best).zip(&rounds) {
        let each: Vec<_> = all.iter().map(|took| format!("{:.2}", rate(events, *took))).collect();
        writeln!(
            out,
            "  {name:<31} {:>5.2} M events/s {:>4.0} % of raw {:>4.0} % of plain   (rounds: {})",
            rate(events, took),
            100.0 * share(best[0], took),
            100.0 * share(best[1], took),
            each.join(", "),
        )?;
    }
    if let Some(run) = last {
        writeln!(
            out,
            "  {} bytes an event; in the last round: {} alerts, {} commits, first record {:.1} s after the process began",
            bytes / events,
            run.alerts,
            run.commits,
            run.starting.as_secs_f64(),
        )?;
    }
    let cost = 1.0 - share(best[3], best[5]);
    let met = if cost <= COST { "met" } else { "not met" };
    writeln!(
        out,
        "  keeping positions, alerts and state costs {:.0} % of the throughput; {:.0} % or less: {met}",
        100.0 * cost,
        100.0 * COST
    )?;
    for (name, most) in names.iter().zip(best).take(2) {
        let met = if share(most, best[5]) >= TARGET { "met" } else { "not met" };
        writeln!(out, "  run, until committed, at {:.0} % of {name} or more: {met}", 100.0 * TARGET)?;
    }
    Ok(())
}

/// Millions a second.
fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64() / 1e6
}

/// What share of `most` something reaches that takes so long.
fn share(most: Duration, took: Duration) -> f64 {
    most.as_secs_f64() / took.as_secs_f64()
}

/// Waits a little.
fn pause() {
    // Nothing comes from this channel but the time.
    let _ = crossbeam_channel::after(LOOK).recv();
}
