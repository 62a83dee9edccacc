//! The state of an engine as whoever keeps it has it: the last record of each key.

use std::collections::BTreeMap;

use driftline_detectors::{Engine, World};

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
        assert!(self.records == all, "a change was not told");
        assert!(engine.take_changes().is_empty(), "nothing has changed since");
    }

    /// The engine that was saved.
    pub fn engine(&self, world: World) -> Engine {
        Engine::from_records(world, &self.records).unwrap()
    }
}
