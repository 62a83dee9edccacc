//! Measures the simulation: events a second, mean record, state, sessions: `cargo run --release --example measure -- [AGENTS] [EVENTS]`.

use std::collections::BTreeMap;
use std::io::Write as _;

use driftline_simulate::{Config, Label, Simulation};

// A measurement reads the clock; the library does not.
#[expect(clippy::disallowed_methods, reason = "elapsed time is what is measured")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let agents = arguments.next().map_or(Ok(50), |agents| agents.parse())?;
    let events = arguments.next().map_or(Ok(1_000_000), |events| events.parse())?;
    let mut out = std::io::stdout().lock();

    let started = std::time::Instant::now();
    let config = Config { agents, events, attacks: events / 20_000, ..Config::default() };
    let begin = config.start;
    let mut simulation = Simulation::new(config)?;
    writeln!(out, "ready after {:.2?}, {} bytes of state", started.elapsed(), simulation.state_bytes())?;

    let started = std::time::Instant::now();
    let (mut bytes, mut sessions, mut record) = (0, 0, Vec::new());
    let mut attacks: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    let (mut most, mut last) = (0, begin);
    for i in 0..events {
        let Some(written) = simulation.write_next(&mut record) else { break };
        bytes += record.len();
        last = written.time;
        if let Some(label) = written.label {
            sessions += 1;
            if label.label == Label::Attack {
                let kind = label.kind.map(|kind| kind.to_string()).unwrap_or_default();
                let count = attacks.entry(kind).or_default();
                count.0 += 1;
                count.1 += label.malicious.len();
            }
        }
        if i % 100_000 == 0 {
            most = most.max(simulation.state_bytes());
        }
    }
    let elapsed = started.elapsed();
    writeln!(
        out,
        "{:.0} events/s, {:.0} bytes a record",
        events as f64 / elapsed.as_secs_f64(),
        bytes as f64 / events as f64
    )?;
    let days = last.since(begin) as f64 / 86_400_000.0;
    writeln!(out, "{sessions} sessions, {:.1} events each, over {days:.1} days", events as f64 / f64::from(sessions))?;
    writeln!(out, "at most {most} bytes of state, {} at the end", simulation.state_bytes())?;
    for (kind, (sessions, malicious)) in attacks {
        writeln!(out, "{kind}: {sessions} sessions, {malicious} malicious events")?;
    }
    Ok(())
}
