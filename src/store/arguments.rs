//! Which arguments a state is of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::StoreError;

/// The arguments that decide what a replay says and where it writes, by name, as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments(Vec<(String, Option<String>)>);

impl Arguments {
    /// Adds an argument; `None` where it was not given.
    pub fn and(mut self, name: &str, value: Option<String>) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    /// Compares with those that the state at `path` was made with.
    ///
    /// # Errors
    ///
    /// [`StoreError::Arguments`] names the first that is different.
    pub fn must_be(&self, then: &Self, path: PathBuf) -> Result<(), StoreError> {
        let value = |arguments: &Self, name: &str| {
            arguments.0.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone())
        };
        let say = |name: &str, value: Option<String>| match value {
            Some(value) => format!("with {name} {value}"),
            None => format!("without {name}"),
        };
        let names = self.0.iter().chain(&then.0).map(|(name, _)| name);
        for name in names {
            let (now, then) = (value(self, name), value(then, name));
            if now != then {
                return Err(StoreError::Arguments { path, then: say(name, then), now: say(name, now) });
            }
        }
        Ok(())
    }
}
