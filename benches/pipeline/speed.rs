//! Events a second, stage by stage, each beside the ceiling.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use driftline_core::{Change, Event, Limits, Settings, Timestamp};
use driftline_detectors::observation::Observation;
use driftline_detectors::{Conductor, Engine};
use driftline_simulate::{Config, Simulation};

use crate::ceiling::Fields;

const EVENTS: u64 = 300_000;
const AGENTS: u64 = 1_000;
const ROUNDS: usize = 7;

/// An engine with its control log, ready for the first event.
struct Stream {
    engine: Engine,
    conductor: Conductor,
    findings: usize,
}

impl Stream {
    fn new(simulation: &Simulation) -> Result<Self, Box<dyn Error>> {
        let mut stream = Self { engine: Engine::default(), conductor: Conductor::default(), findings: 0 };
        stream.change(Change::Settings { settings: Settings::default() })?;
        for document in simulation.identities() {
            stream.change(Change::Identity { document: Box::new(document) })?;
        }
        Ok(stream)
    }

    fn change(&mut self, change: Change) -> Result<(), Box<dyn Error>> {
        let record = self.conductor.record(change);
        let (control, about_many) = self.conductor.fold(&record)?;
        self.findings += about_many.len();
        self.engine.apply(&control);
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), Box<dyn Error>> {
        self.engine.observe(event);
        if self.engine.has_alerts() {
            self.findings += self.engine.take_alerts().len();
        }
        self.clock(event.time)
    }

    fn clock(&mut self, time: Timestamp) -> Result<(), Box<dyn Error>> {
        let Some(clock) = self.conductor.clock(time) else { return Ok(()) };
        self.change(clock.change)?;
        if self.conductor.hour_is_over() {
            let epoch = self.conductor.epoch(self.engine.take_contribution());
            self.change(epoch.change)?;
        }
        Ok(())
    }
}

/// Measures all stages and writes the table.
pub fn report(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let config = Config { agents: AGENTS, events: EVENTS, attacks: 20, ..Config::default() };
    let mut simulation = Simulation::new(config.clone())?;
    let (mut records, mut record) = (Vec::new(), Vec::new());
    while simulation.write_next(&mut record).is_some() {
        records.push(record.clone());
    }
    let bytes: usize = records.iter().map(Vec::len).sum();
    writeln!(
        out,
        "{EVENTS} events of {AGENTS} agents, {} bytes each, one core, best of {ROUNDS} rounds:",
        bytes / records.len()
    )?;

    let limits = Limits::default();
    let events = records.iter().map(|record| Event::decode(record, &limits)).collect::<Result<Vec<_>, _>>()?;
    let mut best = [Duration::MAX; 5];
    let mut findings = 0;
    for _ in 0..ROUNDS {
        let (mut decoded, mut whole) = (Stream::new(&simulation)?, Stream::new(&simulation)?);
        let round = [
            timed(|| {
                each(&records, |record| {
                    black_box(sonic_rs::from_slice::<Fields<'_>>(record)?);
                    Ok(())
                })
            })?,
            timed(|| {
                each(&records, |record| {
                    black_box(Event::decode(record, &limits)?);
                    Ok(())
                })
            })?,
            timed(|| {
                each(&events, |event| {
                    black_box(Observation::of(event));
                    Ok(())
                })
            })?,
            timed(|| each(&events, |event| decoded.event(event)))?,
            timed(|| each(&records, |record| whole.event(&Event::decode(record, &limits)?)))?,
        ];
        best.iter_mut().zip(round).for_each(|(best, took)| *best = took.min(*best));
        findings = whole.findings;
    }
    let names = ["parsing alone", "decoding", "features alone", "engine alone", "bytes to findings"];
    for (name, took) in names.into_iter().zip(best) {
        let seconds = took.as_secs_f64();
        writeln!(
            out,
            "  {name:<18} {:>6.2} M events/s {:>6.0} ns an event {:>6.0} % of the ceiling",
            EVENTS as f64 / seconds / 1e6,
            seconds * 1e9 / EVENTS as f64,
            100.0 * best[0].as_secs_f64() / seconds,
        )?;
    }
    Ok(writeln!(out, "  {findings} findings")?)
}

fn each<T>(items: &[T], mut take: impl FnMut(&T) -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    items.iter().try_for_each(&mut take)
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}
