//! What is damaged, missing or of another program is refused, and said.

use std::collections::BTreeMap;

use driftline_detectors::state::{Key, Kind, Section, StateError};
use driftline_detectors::{BackingError, Engine, World};

use crate::store::Store;
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
