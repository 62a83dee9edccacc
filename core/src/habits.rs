//! What an agent does about what it is asked: the part of a baseline that knows requests.

use serde::{Deserialize, Serialize};

use crate::{Requests, Targets};

/// What the requests of an agent lead to, and where the targets of its acts come from. A mergeable value like
/// [`crate::Categories`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Habits {
    /// Acts by request.
    pub requests: Requests,
    /// Origins of targets by tool and role.
    pub targets: Targets,
}

impl Habits {
    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.requests.merge(&other.requests);
        self.targets.merge(&other.targets);
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.requests.heap_bytes() + self.targets.heap_bytes()
    }
}
