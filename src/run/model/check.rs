//! What a schedule has left on the topics, held against a replay of the records with the control log.

use std::collections::{BTreeMap, BTreeSet};

use super::Verdict;
use super::broker::{Broker, Place, Position, Record, Topic};
use super::engine::{Control, Engine, Note, State};

/// Returns how many alerts there are. Of each partition, the records are those that the group has come past.
pub fn check(broker: &mut Broker, places: usize) -> Result<usize, Verdict> {
    let (controls, notes) = control_log(broker)?;
    let mut due = BTreeSet::new();
    let (mut gathered, mut were) = (0, 0);
    for place in 0..places {
        let Ok(Position { next: events, .. }) = broker.stable_position(place) else { return Err(Verdict::Stuck) };
        let engine = replay(place, events, &controls, &notes, &mut due)?;
        let states = broker.log(Topic::State(place)).all_committed().filter_map(|record| match record {
            Record::State(state) => Some(state),
            _ => None,
        });
        let left = states.last().map_or_else(Engine::default, |State { engine, .. }| engine.clone());
        if !left.agrees(&engine) {
            return Err(Verdict::State(place));
        }
        gathered += left.gathered;
        were += events;
    }
    alerts(broker, &due)?;
    let closed: u64 = controls.iter().filter_map(|control| control.epoch).sum();
    let counted = closed + waiting(broker) + gathered;
    if counted == were { Ok(due.len()) } else { Err(Verdict::Epochs { counted, were }) }
}

fn control_log(broker: &mut Broker) -> Result<(Vec<Control>, Vec<Note>), Verdict> {
    let (mut controls, mut notes) = (Vec::new(), Vec::new());
    for record in broker.log(Topic::Control).all_committed() {
        match record {
            Record::Control(control) => controls.push(control.clone()),
            Record::Note(note) => notes.push(note.clone()),
            _ => {}
        }
    }
    match controls.iter().zip(0..).find(|(control, number)| control.number != *number) {
        Some((control, number)) => Err(Verdict::Control(format!("record {} where {number} should be", control.number))),
        None => Ok((controls, notes)),
    }
}

/// The engine of a partition after all its records, with each control record where the log says that it held.
fn replay(
    place: Place,
    events: u64,
    controls: &[Control],
    notes: &[Note],
    due: &mut BTreeSet<u64>,
) -> Result<Engine, Verdict> {
    let mut engine = Engine::default();
    let mut ahead = controls.iter().peekable();
    for offset in 0..=events {
        while let Some(control) = ahead.peek() {
            let noted = || {
                let covers = |note: &&Note| (note.from..note.until).contains(&control.number);
                notes.iter().filter(covers).find_map(|note| note.positions.get(&place))
            };
            // One that no owner has come to holds nowhere here.
            if control.positions.get(&place).or_else(noted).is_none_or(|from| *from > offset) {
                break;
            }
            due.extend(engine.apply(place, control.number));
            ahead.next();
        }
        if offset < events {
            due.extend(engine.observe(place, offset));
        }
    }
    Ok(engine)
}

fn alerts(broker: &mut Broker, due: &BTreeSet<u64>) -> Result<(), Verdict> {
    let mut told: BTreeMap<u64, usize> = BTreeMap::new();
    for record in broker.log(Topic::Alerts).all_committed() {
        if let Record::Alert(alert) = record {
            *told.entry(*alert).or_default() += 1;
        }
    }
    let lost = due.iter().filter(|alert| !told.contains_key(alert)).count();
    let repeated = told.values().filter(|times| **times > 1).count();
    let invented = told.keys().filter(|alert| !due.contains(alert)).count();
    match (lost, repeated, invented) {
        (0, 0, 0) => Ok(()),
        (1.., ..) => Err(Verdict::Lost(lost)),
        (_, 1.., _) => Err(Verdict::Repeated(repeated)),
        _ => Err(Verdict::Invented(invented)),
    }
}

/// What owners have contributed and no epoch has taken yet.
fn waiting(broker: &mut Broker) -> u64 {
    let mut rows = BTreeMap::new();
    for record in broker.log(Topic::Shared).all_committed() {
        match record {
            Record::Shared(key, Some(gathered)) => drop(rows.insert(*key, *gathered)),
            Record::Shared(key, None) => drop(rows.remove(key)),
            _ => {}
        }
    }
    rows.values().sum()
}
