//! Categories of one dimension: how often, in how many sessions, and what they are called.

use serde::{Deserialize, Serialize};

use crate::Categories;

/// Longest name kept, in characters.
const LONGEST_NAME: usize = 96;

/// A category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Its key ([`crate::key`]).
    pub key: u64,
    /// Sessions in which it came.
    pub sessions: u32,
    /// Events in which it came.
    pub events: u64,
    /// What it is called.
    pub name: Box<str>,
}

/// The categories of one dimension.
///
/// At most so many are kept, those with the least keys. Keys are hashes, so that is a sample without regard to what they
/// are; and since a category that is kept of all lessons is kept of any part of them, merging parts gives the same sample
/// with the same counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Ordered by key.
    kept: Vec<Count>,
    /// Whether any category is not kept.
    full: bool,
    /// Bytes of the names.
    name_bytes: usize,
}

impl Counts {
    /// Adds to a category; `name`, which the key must determine, is asked only where it is new and kept. At most `room` are kept.
    pub fn learn(&mut self, key: u64, sessions: u32, events: u64, room: usize, name: impl FnOnce() -> String) {
        match self.kept.binary_search_by_key(&key, |count| count.key) {
            Ok(i) => {
                let count = &mut self.kept[i];
                count.sessions = count.sessions.saturating_add(sessions);
                count.events = count.events.saturating_add(events);
            }
            Err(i) if i >= room => self.full = true,
            Err(i) => {
                let name: Box<str> = crate::truncate(&name(), LONGEST_NAME).as_ref().into();
                self.name_bytes += name.len();
                self.kept.insert(i, Count { key, sessions, events, name });
                if self.kept.len() > room {
                    self.full = true;
                    self.name_bytes -= self.kept.pop().map_or(0, |count| count.name.len());
                }
            }
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self, room: usize) {
        self.full |= other.full;
        for count in &other.kept {
            self.learn(count.key, count.sessions, count.events, room, || count.name.to_string());
        }
    }

    /// The categories that are kept, ordered by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Count> {
        self.kept.iter()
    }

    /// A category, where it is kept.
    pub fn get(&self, key: u64) -> Option<&Count> {
        self.kept.binary_search_by_key(&key, |count| count.key).ok().map(|i| &self.kept[i])
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether some are not kept.
    pub fn is_sample(&self) -> bool {
        self.full
    }

    pub(super) fn set_sample(&mut self) {
        self.full = true;
    }

    /// How many there were; estimated by how densely the kept keys lie where not all are kept.
    pub fn distinct(&self) -> u64 {
        match self.kept.last() {
            Some(last) if self.full && last.key > 0 => {
                ((self.kept.len() - 1) as f64 * (u64::MAX as f64 / last.key as f64)).round() as u64
            }
            _ => self.kept.len() as u64,
        }
    }

    /// The `n` that came in the most sessions, the most frequent first; ties by events, then name.
    pub fn top(&self, n: usize) -> Vec<&Count> {
        let mut all: Vec<_> = self.kept.iter().collect();
        all.sort_by(|a, b| (b.sessions, b.events, &a.name, a.key).cmp(&(a.sessions, a.events, &b.name, b.key)));
        all.truncate(n);
        all
    }

    /// What the engine keeps of them: sessions by key.
    pub fn by_session(&self) -> Categories {
        let (keys, counts): (Vec<_>, Vec<_>) = self.kept.iter().map(|count| (count.key, count.sessions)).unzip();
        let total = counts.iter().map(|&sessions| u64::from(sessions)).sum();
        // Keys ascend and come once; a category without a session has nothing to say.
        Categories::from_parts(keys, counts, total).unwrap_or_default()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Count>() + self.name_bytes
    }
}
