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
}

impl Lexicon {
    /// Notes the name of a category.
    pub fn note(&mut self, key: u64, name: &str) {
        if self.names.len() < NAMES {
            self.names.entry(key).or_insert_with(|| driftline_core::truncate(name, LENGTH).as_ref().into());
        } else if !self.names.contains_key(&key) {
            self.turned_away += 1;
        }
    }

    /// The name of a category, or its key where there was no room.
    pub fn name(&self, key: u64) -> String {
        self.names.get(&key).map_or_else(|| format!("#{key:016x}"), |name| name.to_string())
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
