//! The stems of tools' names: made once a name, since each event asks for them.

use driftline_core::words::name_stems;
use hashbrown::HashMap;

/// Names that are remembered; with one more, it begins anew. Tools are few, but producers may send any name.
const NAMES: usize = 4_096;

/// Stems by name. What it holds follows from the names alone, so it is no state.
#[derive(Debug, Default)]
pub struct ToolNames(HashMap<String, Box<[u32]>>);

impl ToolNames {
    /// The stems of a tool's name, in order ([`name_stems`]).
    pub fn stems(&mut self, name: &str) -> &[u32] {
        if self.0.len() >= NAMES && !self.0.contains_key(name) {
            self.0.clear();
        }
        self.0.entry_ref(name).or_insert_with(|| name_stems(name).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_remembered_up_to_a_bound() {
        let mut names = ToolNames::default();
        for i in 0..2 * NAMES {
            assert_eq!(names.stems(&format!("send_mail{i}"))[0], driftline_core::words::hash("send"));
            assert!(names.0.len() <= NAMES);
        }
    }
}
