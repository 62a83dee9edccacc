//! Prints some sessions of a simulated fleet, for looking at them: `cargo run --example peek -- [SEED] [KIND|benign] [COUNT]`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use driftline_core::{Event, Limits, Outcome, terminal};
use driftline_simulate::{Config, Simulation};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let wanted = arguments.next().unwrap_or_else(|| "benign".to_owned());
    let mut count: usize = arguments.next().map_or(Ok(5), |count| count.parse())?;

    let config = Config { seed, events: 200_000, attacks: 60, ..Config::default() };
    // A benign session now and then, after the fleet is under way.
    let mut skip = 500;
    let mut running: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    for event in Simulation::new(config)? {
        let session = Event::decode(&event.record, &Limits::default())?.session.map(|s| s.id.to_string());
        let session = session.unwrap_or_default();
        running.entry(session.clone()).or_default().push(event.record);
        let Some(label) = event.label else { continue };
        let records = running.remove(&session).unwrap_or_default();
        skip = usize::saturating_sub(skip, 1);
        let kind = label.kind.map_or("benign", |kind| kind.as_str());
        if kind != wanted || skip > 0 {
            continue;
        }
        skip = if kind == "benign" { 97 } else { 0 };
        write!(out, "{}", show(&label.malicious, &records)?)?;
        count -= 1;
        if count == 0 {
            return Ok(());
        }
    }
    Ok(())
}

fn show(malicious: &[String], records: &[Vec<u8>]) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    for (i, record) in records.iter().enumerate() {
        let event = Event::decode(record, &Limits::default())?;
        if i == 0 {
            let principal = event.principal.as_ref().map_or("", |principal| &principal.id);
            let intent = event.task.as_ref().and_then(|task| task.intent.as_deref()).unwrap_or("(no request)");
            writeln!(text, "\n{} {} for {}: {}", event.time, event.agent.id, principal, terminal(intent))?;
        }
        let mark = if malicious.iter().any(|id| *id == *event.id) { '!' } else { ' ' };
        let time = event.time.to_string();
        write!(text, " {mark} {} {:<18}", time.get(11..19).unwrap_or_default(), event.action.name.as_str())?;
        for resource in event.resource.iter().chain(&event.resources) {
            write!(text, " {}", terminal(&resource.id))?;
        }
        if let Some(grant) = &event.grant {
            write!(text, " gives {:?} to {}", grant.permissions, grant.to.as_str())?;
        }
        if let Some(usage) = &event.usage {
            write!(text, "  in {} out {}", usage.bytes_in.unwrap_or(0), usage.bytes_out.unwrap_or(0))?;
        }
        if event.outcome != Outcome::Success {
            write!(text, "  {:?}", event.outcome)?;
        }
        if let Some(network) = &event.network {
            write!(text, "  [{}]", network.ip.as_deref().unwrap_or(""))?;
        }
        text.push('\n');
    }
    Ok(text)
}
