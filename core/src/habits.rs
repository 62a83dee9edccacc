//! What an agent does about what it is asked: the part of a baseline that knows requests.

use crate::{Requests, Targets};

/// What the requests of an agent lead to, and where the targets of its acts come from. A mergeable value like
/// [`crate::Categories`].
#[derive(Debug, Clone, PartialEq, Default)]
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
}
