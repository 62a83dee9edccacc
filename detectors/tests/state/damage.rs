//! What is damaged, missing or of another program is refused, and said.

use std::collections::BTreeMap;

use driftline_core::{Event, Limits};
use driftline_detectors::state::{Key, Kind, Section, StateError, StateRecord};
use driftline_detectors::{BackingError, BackingStore, Engine, World};
use serde_json::json;

use crate::store::{Backing, Store};
use crate::stream::{Step, Stream};

/// The state after a part of a stream.
fn records() -> BTreeMap<Vec<u8>, Vec<u8>> {
    let stream = Stream::new(4, 1, 1_000);
    let mut stage = stream.stage();
    stage.engines[0].track_changes(true);
    for step in &stream.steps[..800] {
        let Step::Record(record) = step else { continue };
        stage.observe(record);
    }
    let mut store = Store::default();
    store.save(&mut stage.engines[0]);
    store.records
}

fn restore(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Engine, StateError> {
    match Engine::from_records(World::default(), records) {
        Err(BackingError::State(error)) => Err(error),
        restored => Ok(restored.unwrap()),
    }
}

#[test]
fn a_missing_section_is_named() {
    let records = records();
    let of_agents: Vec<_> =
        records.keys().filter(|key| Key::parse(key).unwrap().entity.kind == Kind::Agent).cloned().collect();
    assert!(of_agents.len() > 10);
    for key in of_agents {
        let mut rest = records.clone();
        rest.remove(&key);
        let missing = Key::parse(&key).unwrap();
        let Err(StateError::Incomplete { at }) = restore(&rest) else { panic!("{missing:?} was not missed") };
        assert_eq!((at.id.as_str(), at.section), (missing.entity.id, missing.section.to_string()));
    }
}

#[test]
fn values_under_each_others_keys_are_refused() {
    let records = records();
    let live = |key: &&Vec<u8>| Key::parse(key).unwrap().section == Section::Live;
    let [a, b] = [0, 1].map(|n| records.keys().filter(live).nth(n).unwrap().clone());
    let mut swapped = records.clone();
    swapped.insert(a.clone(), records[&b].clone());
    swapped.insert(b, records[&a].clone());
    let error = restore(&swapped).unwrap_err();
    assert!(matches!(error, StateError::Checksum { .. }), "{error}");
}

#[test]
fn a_key_of_something_else_is_refused() {
    let mut records = records();
    records.insert(b"offset".to_vec(), vec![1, 2, 3]);
    let error = restore(&records).unwrap_err();
    assert!(error.to_string().starts_with("`6f6666736574` is no key"), "{error}");
}

#[test]
fn a_changelog_is_read_as_it_was_written() {
    let stream = Stream::new(5, 1, 1_000);
    let mut stage = stream.stage();
    stage.engines[0].track_changes(true);
    let (mut changelog, mut tombstones) = (Vec::new(), 0);
    for (number, step) in stream.steps.iter().enumerate() {
        let Step::Record(record) = step else { continue };
        stage.observe(record);
        if number.is_multiple_of(100) {
            changelog.extend(stage.engines[0].take_changes());
        }
    }
    changelog.extend(stage.engines[0].take_changes());
    let mut restoring = Engine::restore(stage.conductor.world().clone());
    for record in &changelog {
        tombstones += usize::from(record.value.is_none());
        restoring.add(&record.key, record.value.as_deref()).unwrap();
    }
    assert!(tombstones > 0, "no tombstone was read");
    let mut engine = restoring.finish().unwrap();
    assert_eq!(engine.state_hash(), stage.engines[0].state_hash());
    assert!(engine.take_changes().is_empty());
}

#[test]
fn tombstones_of_both_sections_take_an_agent_out() {
    let records = records();
    let gone = records.keys().map(|key| Key::parse(key).unwrap()).find(|key| key.section == Section::Live).unwrap();
    let (gone_tenant, gone_id) = (gone.entity.tenant, gone.entity.id);
    let mut restoring = Engine::restore(World::default());
    for (key, value) in &records {
        restoring.add(key, Some(value)).unwrap();
    }
    for section in [Section::Baseline, Section::Live] {
        restoring.add(&Key::agent(gone_tenant, gone_id, section).encode(), None).unwrap();
    }
    let engine = restoring.finish().unwrap();
    assert!(engine.len() > 3 && engine.agents().all(|agent| *agent.id != *gone_id));
    assert_eq!(engine.len(), restore(&records).unwrap().len() - 1);
}

/// What may happen to a store.
#[derive(Debug, Clone, Copy)]
enum Harm {
    /// A byte of each value changes.
    Byte,
    /// An agent's second record is gone.
    Lost,
    /// It cannot be read.
    Broken,
}

/// A store that does harm to whatever comes back.
#[derive(Debug)]
struct Harmful(Backing, Harm);

impl BackingStore for Harmful {
    fn put(&mut self, records: &mut dyn Iterator<Item = (u64, StateRecord)>) -> Result<(), BackingError> {
        self.0.put(records)
    }

    fn get(&mut self, number: u64) -> Result<Vec<StateRecord>, BackingError> {
        let mut found = self.0.get(number)?;
        match self.1 {
            Harm::Byte => found.iter_mut().for_each(|record| record.value.as_mut().unwrap()[5] ^= 1),
            Harm::Lost => drop(found.pop()),
            Harm::Broken => return Err(BackingError::Store("it is broken".into())),
        }
        Ok(found)
    }

    fn each(&mut self, look: &mut dyn FnMut(u64, StateRecord) -> Result<(), BackingError>) -> Result<(), BackingError> {
        self.0.each(look)
    }
}

#[test]
fn an_agent_that_does_not_come_back_as_it_went_stops_the_engine() {
    let records = records();
    let is_agent = |key: &&Vec<u8>| Key::parse(key).unwrap().entity.kind == Kind::Agent;
    let agent = Key::parse(records.keys().find(is_agent).unwrap()).unwrap().entity;
    let act =
        json!({"time": 0, "tenant": agent.tenant, "agent": {"id": agent.id}, "action": {"name": "t"}}).to_string();
    for harm in [Harm::Byte, Harm::Lost, Harm::Broken] {
        let store = Box::new(Harmful(Backing::default(), harm));
        let mut restoring = Engine::restore(World::default()).with_backing_store(store, 0);
        for (key, value) in &records {
            restoring.add(key, Some(value)).unwrap();
        }
        let mut engine = restoring.finish().unwrap();
        assert!(engine.resident() == 0 && engine.failure().is_none());
        engine.observe(&Event::decode(act.as_bytes(), &Limits::default()).unwrap());
        let failure = engine.failure().unwrap_or_else(|| panic!("{harm:?} was not noticed"));
        assert!(matches!(failure, BackingError::Store(_)), "{failure}");
    }
}

#[test]
fn what_is_damaged_or_missing_is_named_where_it_goes_to_the_store_too() {
    let records = records();
    let restore = |records: &BTreeMap<Vec<u8>, Vec<u8>>| {
        let store = Box::new(Backing::default());
        let mut restoring = Engine::restore(World::default()).with_backing_store(store, 2);
        records.iter().try_for_each(|(key, value)| restoring.add(key, Some(value)))?;
        restoring.finish()
    };
    let whole = restore(&records).unwrap();
    assert!(whole.resident() == 2 && whole.len() > 4);
    let last = records.keys().next_back().unwrap().clone();
    let mut rest = records.clone();
    rest.remove(&last);
    let error = restore(&rest).unwrap_err();
    assert!(matches!(error, BackingError::State(StateError::Incomplete { .. })), "{error}");
    let mut damaged = records;
    damaged.get_mut(&last).unwrap()[5] ^= 1;
    let error = restore(&damaged).unwrap_err();
    assert!(matches!(error, BackingError::State(StateError::Checksum { .. })), "{error}");
}
