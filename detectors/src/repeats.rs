//! Telling a repeated event from a reused id.

use serde::{Deserialize, Serialize};

use crate::state::wire;

/// Events of an agent whose ids are remembered.
const REMEMBERED: usize = 64;

/// The ids and record hashes of an agent's last 64 events, each cut to 32 bits: 8 bytes an event. Two different ids
/// are taken for one with probability 64 / 2³² an event, and the event is then scored under a longer id; that it is not
/// scored at all needs both hashes to agree, 64 / 2⁶⁴. Part of the format of [`crate::state`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Repeats {
    #[serde(with = "wire::halves")]
    ids: Vec<u32>,
    #[serde(with = "wire::halves")]
    contents: Vec<u32>,
    next: u8,
}

/// What an event's id says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Not among the last 64.
    Never,
    /// The same id and the same bytes: a repeat, not to be scored.
    Repeated,
    /// The same id with other bytes: to be scored under an id of its own, since reusing an id must not hide anything.
    Reused,
}

impl Repeats {
    /// Looks an event up and remembers it.
    pub fn check(&mut self, id: u64, content: u128) -> Seen {
        let (id, content) = (id as u32, content as u32);
        // Nearly always none is equal, and a look that goes over all of them is vector code.
        let mut seen = Seen::Never;
        if self.ids.iter().fold(false, |found, &known| found | (known == id)) {
            for (i, _) in self.ids.iter().enumerate().filter(|&(_, &known)| known == id) {
                if self.contents[i] == content {
                    return Seen::Repeated;
                }
                seen = Seen::Reused;
            }
        }
        if self.ids.len() < REMEMBERED {
            if self.ids.len() == self.ids.capacity() {
                self.ids.reserve_exact(16);
                self.contents.reserve_exact(16);
            }
            self.ids.push(id);
            self.contents.push(content);
        } else {
            let i = usize::from(self.next);
            (self.ids[i], self.contents[i]) = (id, content);
        }
        self.next = (self.next + 1) % REMEMBERED as u8;
        seen
    }

    /// Whether ids can be remembered so: read back, they need not have been written by this program.
    pub fn is_sound(&self) -> bool {
        let (known, next) = (self.ids.len(), usize::from(self.next));
        known == self.contents.len() && (next == known || known == REMEMBERED && next < REMEMBERED)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        (self.ids.capacity() + self.contents.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_the_same_id_and_the_same_bytes() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.check(1, 10), Seen::Never);
        assert_eq!(repeats.check(1, 10), Seen::Repeated);
        assert_eq!(repeats.check(1, 11), Seen::Reused);
        assert_eq!(repeats.check(1, 11), Seen::Repeated);
        assert_eq!(repeats.check(2, 10), Seen::Never);
    }

    #[test]
    fn sixty_four_events_are_remembered() {
        let mut repeats = Repeats::default();
        for id in 0..65 {
            repeats.check(id, 1);
        }
        assert_eq!(repeats.check(1, 1), Seen::Repeated);
        assert_eq!(repeats.check(0, 1), Seen::Never, "the 65th pushed the first out");
        assert!(repeats.heap_bytes() <= 512);
    }
}
