//! `--baseline STORE[@VERSION]`: a published baseline to begin with, and what of the input it contains already.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_baseline::{About, Part, Store, StoreError};
use driftline_core::{Contained as Range, Event, Position};
use driftline_detectors::History;
use driftline_ingest::{Place, Record};

use super::CommandError;

/// What a baseline says, and what it was built from.
pub struct Published {
    /// What engines begin with.
    pub history: History,
    /// What of the input it contains.
    pub contained: Contained,
}

impl Published {
    /// Reads the version that is named, by default the one in force.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] where there is no such version, or it is damaged.
    pub fn open(reference: &str) -> Result<Self, CommandError> {
        let (store, version) = Store::at(reference);
        Self::read(&store, version).map_err(|error| CommandError::Usage(format!("--baseline {reference}: {error}")))
    }

    /// Reads a version of a store.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where there is no such version, or it is damaged.
    pub fn read(store: &Store, version: &str) -> Result<Self, StoreError> {
        let manifest = store.find(version)?;
        let entries = store.read(&manifest.version)?;
        let history = History {
            version: manifest.version,
            content: manifest.content,
            until: manifest.last.unwrap_or_default(),
            entries,
            contained: Range {
                positions: manifest.about.positions.clone(),
                since: manifest.about.since,
                last: manifest.last.unwrap_or_default(),
            },
        };
        Ok(Self { history, contained: Contained::of(manifest.about) })
    }
}

/// What of the input a baseline contains, so that nothing is learned twice: of a dump, what stands before the offsets that it
/// was built up to; of a file, under whatever name, what it was built from, which the content tells.
pub struct Contained {
    about: About,
    files: BTreeMap<Arc<str>, File>,
    /// Events that were passed over.
    pub events: u64,
}

/// A file that is being read.
struct File {
    place: Place,
    /// Files of the baseline that may be this one as far as it was read; the shortest comes last.
    parts: Vec<Part>,
    is_known: bool,
}

impl Contained {
    fn of(about: About) -> Self {
        Self { about, files: BTreeMap::new(), events: 0 }
    }

    /// Takes a file's next record; says whether the baseline was built from it.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] where a file begins like one of the baseline, and then is another.
    pub fn take(&mut self, file: &Arc<str>, record: &Record<'_>) -> Result<bool, CommandError> {
        if let Some(position @ Position::Kafka { .. }) = &record.origin {
            return Ok(position.is_before(&self.about.positions));
        }
        if self.about.parts.is_empty() {
            return Ok(false);
        }
        let known = match self.files.get_mut(file) {
            Some(known) => {
                if known.parts.is_empty() {
                    return Ok(false);
                }
                known.place.pass(record);
                known
            }
            None => {
                let mut place = Place::default();
                place.pass(record);
                let first = place.hex();
                let mut parts: Vec<_> = self.about.parts.iter().filter(|part| part.first == first).cloned().collect();
                parts.sort_unstable_by(|a, b| b.cmp(a));
                self.files.entry(file.clone()).or_insert(File { place, parts, is_known: false })
            }
        };
        let is_contained = !known.parts.is_empty();
        while let Some(part) = known.parts.pop_if(|part| part.next <= known.place.next) {
            known.is_known |= part.all == known.place.hex();
        }
        if is_contained && known.parts.is_empty() && !known.is_known {
            return Err(CommandError::Usage(format!(
                "{file}: line {}: it begins as a file that the baseline was built from, and goes on otherwise: which of its \
                 events the baseline contains cannot be told; build the baseline again, or score with --no-learn",
                known.place.next - 1
            )));
        }
        Ok(is_contained)
    }

    /// Whether the baseline has learned an event of a record that it contains, or was to leave it out; counts it then.
    pub fn has(&mut self, event: &Event<'_>) -> bool {
        let About { since, until, .. } = &self.about;
        let is_inside = since.is_none_or(|since| event.time >= since) && until.is_none_or(|until| event.time < until);
        self.events += u64::from(is_inside);
        is_inside
    }
}
