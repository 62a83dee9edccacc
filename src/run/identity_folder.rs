//! Identity documents from a folder, turned into control records as they change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use driftline_core::{Change, IdentityDocument};
use driftline_detectors::Registry;

use crate::config::{Identities, identities};

/// Watches a folder of identity documents.
pub struct IdentityFolder {
    path: PathBuf,
    every: Duration,
    next: Instant,
    /// Problems already told.
    told: Vec<String>,
}

impl IdentityFolder {
    /// A folder that is read at once, then from time to time.
    pub fn new(identities: &Identities) -> Self {
        Self { path: identities.path.clone(), every: identities.reload, next: Instant::now(), told: Vec::new() }
    }

    /// What has changed against the documents in force, if it is time to look. A document that cannot be read is told
    /// once and changes nothing.
    pub fn changes(&mut self, registry: &Registry, now: Instant) -> Vec<Change> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now + self.every;
        let folder = identities::read(&self.path);
        let problems: Vec<String> = folder.problems.iter().map(ToString::to_string).collect();
        for problem in problems.iter().filter(|problem| !self.told.contains(problem)) {
            tracing::error!("identity document left as it was: {problem}");
        }
        let has_problems = !problems.is_empty();
        self.told = problems;
        let read = folder.documents.into_iter().map(|(_, document)| (key(&document), document)).collect();
        difference(registry, read, has_problems)
    }
}

type Key = (Option<String>, String);

fn key(document: &IdentityDocument) -> Key {
    (document.tenant.clone(), document.id.clone())
}

fn difference(registry: &Registry, read: BTreeMap<Key, IdentityDocument>, has_problems: bool) -> Vec<Change> {
    let known: BTreeMap<Key, &IdentityDocument> =
        registry.documents().map(|document| (key(document), document)).collect();
    let mut changes = Vec::new();
    for (tenant, id) in known.keys().filter(|key| !read.contains_key(*key)) {
        // A file that cannot be read now is not a document that was taken away.
        if !has_problems {
            changes.push(Change::IdentityRemoved { tenant: tenant.clone(), id: id.clone() });
        }
    }
    for (key, document) in read {
        if known.get(&key).is_none_or(|known| **known != document) {
            changes.push(Change::Identity { document: Box::new(document) });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(yaml: &[&str]) -> BTreeMap<Key, IdentityDocument> {
        let parsed = yaml.iter().map(|text| IdentityDocument::parse(text).unwrap());
        parsed.map(|document| (key(&document), document)).collect()
    }

    #[test]
    fn only_what_changed_becomes_a_record() {
        let mut registry = Registry::default();
        for document in documents(&["id: a", "id: b", "id: c"]).into_values() {
            registry.insert(document);
        }
        let read = documents(&["id: a", "id: b\nname: B", "id: d"]);
        let changes = difference(&registry, read.clone(), false);
        let told: Vec<String> = changes
            .iter()
            .map(|change| match change {
                Change::Identity { document } => format!("+{}", document.id),
                Change::IdentityRemoved { id, .. } => format!("-{id}"),
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(told, ["-c", "+b", "+d"]);
        assert_eq!(difference(&registry, read, true).len(), 2, "with a file unreadable nothing is taken away");
    }
}
