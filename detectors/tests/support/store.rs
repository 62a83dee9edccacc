//! The state of an engine as whoever keeps it has it: the last record of each key.

use std::collections::BTreeMap;

use driftline_detectors::state::StateRecord;
use driftline_detectors::{BackingError, BackingStore, Engine, World};

#[derive(Default)]
pub struct Store {
    pub records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Store {
    /// Takes up what has changed, and sees to it that nothing is missing, nothing too much, and each key comes once.
    pub fn save(&mut self, engine: &mut Engine) {
        let changes = engine.take_changes();
        assert!(changes.windows(2).all(|pair| pair[0].key < pair[1].key), "keys in order, each once");
        for record in changes {
            match record.value {
                Some(value) => self.records.insert(record.key, value),
                None => Some(self.records.remove(&record.key).expect("a tombstone of what there is")),
            };
        }
        let all: BTreeMap<_, _> = engine.records().map(|record| (record.key, record.value.unwrap())).collect();
        let told = all.iter().all(|(key, value)| self.records.get(key) == Some(value));
        let out = 2 * (engine.len() - engine.resident());
        assert!(told && self.records.len() == all.len() + out, "a change was not told");
        assert!(engine.take_changes().is_empty(), "nothing has changed since");
    }

    /// The engine that was saved, with so many agents in memory, and a store for all further ones.
    pub fn engine_of(&self, world: World, room: usize) -> Engine {
        let mut restoring = Engine::restore(world).with_backing_store(Box::new(Backing::default()), room);
        for (key, value) in &self.records {
            restoring.add(key, Some(value)).unwrap();
        }
        restoring.finish().unwrap()
    }
}

/// A backing store in memory.
#[derive(Debug, Default)]
pub struct Backing(BTreeMap<(u64, Vec<u8>), Vec<u8>>);

impl BackingStore for Backing {
    fn put(&mut self, records: &mut dyn Iterator<Item = (u64, StateRecord)>) -> Result<(), BackingError> {
        for (number, StateRecord { key, value }) in records {
            match value {
                Some(value) => self.0.insert((number, key), value),
                None => self.0.remove(&(number, key)),
            };
        }
        Ok(())
    }

    fn get(&mut self, number: u64) -> Result<Vec<StateRecord>, BackingError> {
        let all = self.0.range((number, Vec::new())..).take_while(|((under, _), _)| *under == number);
        Ok(all.map(|((_, key), value)| StateRecord { key: key.clone(), value: Some(value.clone()) }).collect())
    }

    fn each(&mut self, look: &mut dyn FnMut(u64, StateRecord) -> Result<(), BackingError>) -> Result<(), BackingError> {
        self.0
            .iter()
            .map(|((number, key), value)| (*number, StateRecord { key: key.clone(), value: Some(value.clone()) }))
            .try_for_each(|(number, record)| look(number, record))
    }
}
