//! The names behind the keys of tools and resource families, for explanations.

use hashbrown::HashMap;

/// Most names that one engine keeps. Past it a category is still counted and scored, and shown by its key.
const NAMES: usize = 1 << 18;
/// Longest name kept, in characters.
const LENGTH: usize = 96;

/// Names by key. Resources themselves are not named here: there are too many, and their family says what is usual.
#[derive(Debug, Default)]
pub struct Lexicon {
    names: HashMap<u64, Box<str>>,
    turned_away: u64,
    /// Keys named since they were last asked for; `None` while nobody asks.
    fresh: Option<Vec<u64>>,
}

impl Lexicon {
    /// Notes the name of a category.
    pub fn note(&mut self, key: u64, name: &str) {
        if self.names.contains_key(&key) {
            return;
        }
        if self.names.len() >= NAMES {
            self.turned_away += 1;
            return;
        }
        self.names.insert(key, driftline_core::truncate(name, LENGTH).as_ref().into());
        if let Some(fresh) = &mut self.fresh {
            fresh.push(key);
        }
    }

    /// The name of a category, or its key where there was no room.
    pub fn name(&self, key: u64) -> String {
        self.get(key).map_or_else(|| format!("#{key:016x}"), str::to_owned)
    }

    /// The name of a category, where there was room.
    pub fn get(&self, key: u64) -> Option<&str> {
        self.names.get(&key).map(Box::as_ref)
    }

    /// How many categories are named.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The categories that are named, in no order.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        self.names.keys().copied()
    }

    /// Puts back a name that was kept, or takes it out.
    pub fn put(&mut self, key: u64, name: Option<&str>) {
        match name {
            Some(name) => self.names.insert(key, name.into()),
            None => self.names.remove(&key),
        };
    }

    /// Whether keys that are named are kept for [`Lexicon::take_fresh`]; all are fresh at first.
    pub fn track(&mut self, track: bool) {
        self.fresh = track.then(|| self.keys().collect());
    }

    /// Keys named since this was last asked.
    pub fn take_fresh(&mut self) -> Vec<u64> {
        self.fresh.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Names that found no room.
    pub fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.names.capacity() * (size_of::<(u64, Box<str>)>() + 1)
            + self.names.values().map(|name| name.len()).sum::<usize>()
    }
}
