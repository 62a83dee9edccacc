//! What an agent weighs once its sessions are over, in memory and as records, and how fast it goes out and comes back.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use driftline_core::{Change, Event, Resource, Session, Settings, Text, Timestamp};
use driftline_detectors::{Conductor, Engine, World};

use crate::allocator;

const AGENTS: usize = 1_000_000;
/// Agents whose sessions run side by side: what a running session takes is not measured.
const AT_A_TIME: usize = 1_000;
const TOOLS: usize = 20;
/// More than an engine remembers the ids of, so that nothing of an agent is still to grow.
const EVENTS: usize = 66;

/// Fills an engine and writes what it takes for each agent.
pub fn report(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut conductor = Conductor::default();
    let settings = conductor.record(Change::Settings { settings: Settings::default() });
    let before = allocator::bytes();
    let mut engine = Engine::default();
    engine.apply(&conductor.fold(&settings)?.0);
    let mut time = Timestamp::MIN.plus_millis(1_772_409_600_000);
    for first in (0..AGENTS).step_by(AT_A_TIME) {
        for number in first..first + AT_A_TIME {
            work(&mut engine, number, time);
        }
        engine.take_alerts();
        // Past the sessions' end.
        time = time.plus_millis(2 * 3_600_000);
        if let Some(clock) = conductor.clock(time) {
            engine.apply(&conductor.fold(&clock)?.0);
            let epoch = conductor.epoch(engine.take_contribution());
            engine.apply(&conductor.fold(&epoch)?.0);
        }
    }
    let (held, own) = (allocator::bytes() - before, engine.bytes());
    writeln!(
        out,
        "{AGENTS} agents with {TOOLS} tools and {TOOLS} resources each, {} sessions over:\n  {} bytes an agent as allocated, \
         {} as the engine counts",
        engine.counters().sessions,
        held / AGENTS,
        own / AGENTS,
    )?;
    records(engine, conductor.world(), out)
}

/// Writes how large an engine's records are, and how long it takes to make them all and to be restored from them.
fn records(engine: Engine, world: &World, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let records: Vec<_> = engine.records().collect();
    let encoded = start.elapsed();
    let bytes: usize = records.iter().map(|record| record.key.len() + record.value.as_ref().map_or(0, Vec::len)).sum();
    let hash = engine.state_hash();
    drop(engine);

    let start = Instant::now();
    let mut restoring = Engine::restore(world.clone());
    for record in &records {
        restoring.add(&record.key, record.value.as_deref())?;
    }
    let restored = restoring.finish()?;
    let taken = start.elapsed();
    if restored.state_hash() != hash {
        return Err("what came back is not what went out".into());
    }
    let speed = |elapsed: std::time::Duration| AGENTS as f64 / elapsed.as_secs_f64();
    writeln!(
        out,
        "  {} bytes an agent as records, keys and names included\n  {:.0} agents a second made into records ({:.1} s for \
         all), {:.0} restored ({:.1} s)",
        bytes / AGENTS,
        speed(encoded),
        encoded.as_secs_f64(),
        speed(taken),
        taken.as_secs_f64(),
    )?;
    Ok(())
}

/// One session: each tool on a resource of its own, again and again.
fn work(engine: &mut Engine, number: usize, time: Timestamp) {
    let agent = format!("agent-{number:07}");
    let session = Session { id: Text::from("s"), ..Session::default() };
    for n in 0..EVENTS {
        let (id, tool) = (format!("e-{n}"), format!("tool-{}", n % TOOLS));
        let resource = format!("family-{}/resource-{number}-{}", n % 4, n % TOOLS);
        let mut event =
            Event { id: id.into(), time, session: Some(session.clone()), content: n as u128, ..Event::default() };
        event.agent.id = agent.as_str().into();
        event.action.name = tool.into();
        event.resource = Some(Resource { id: resource.into(), ..Resource::default() });
        engine.observe(&event);
    }
}
