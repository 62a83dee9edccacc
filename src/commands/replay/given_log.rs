//! A control log that a replay goes by.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use driftline_baseline::Store;
use driftline_core::{Applied, Change, ControlEntry, ControlRecord, Settings, Spread};
use driftline_detectors::History;

use crate::commands::{CommandError, Published};

/// Its records, and from where they hold.
pub struct GivenLog {
    records: Vec<ControlRecord>,
    /// By `topic/partition`, in order: of the records `from..until`, the offset from which they hold there.
    notes: BTreeMap<String, Vec<(u64, u64, i64)>>,
}

impl GivenLog {
    /// Reads a log, an entry a line.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] names the line that is no entry.
    pub fn read(path: &Path) -> Result<Self, CommandError> {
        let file = File::open(path)
            .map_err(|error| CommandError::Usage(format!("cannot read the control log {}: {error}", path.display())))?;
        let mut entries = Vec::new();
        for (i, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|error| CommandError::file("read", path, &error))?;
            if line.trim().is_empty() {
                continue;
            }
            let entry = ControlEntry::parse(line.as_bytes())
                .map_err(|error| CommandError::Usage(format!("{}:{}: {error}", path.display(), i + 1)))?;
            entries.push(entry);
        }
        Ok(Self::of(entries))
    }

    fn of(entries: Vec<ControlEntry>) -> Self {
        let mut log = Self { records: Vec::new(), notes: BTreeMap::new() };
        for entry in entries {
            match entry {
                ControlEntry::Record(record) => log.records.push(record),
                ControlEntry::Applied(Applied { from, until, positions, .. }) => {
                    for (partition, offset) in positions {
                        log.notes.entry(partition).or_default().push((from, until, offset));
                    }
                }
            }
        }
        log.notes.values_mut().for_each(|notes| notes.sort_unstable());
        log
    }

    /// The settings that it begins with.
    pub fn settings(&self) -> Option<&Settings> {
        self.records.iter().find_map(|record| match &record.change {
            Change::Settings { settings } => Some(settings),
            _ => None,
        })
    }

    /// The record of a number.
    pub fn get(&self, number: u64) -> Option<&ControlRecord> {
        self.records.get(usize::try_from(number).ok()?)
    }

    /// How agents are spread over partitions, where the log has any known from a baseline.
    pub fn spread(&self) -> Option<Spread> {
        self.records.iter().find_map(|record| match record.change {
            Change::Baseline { spread, .. } => spread,
            _ => None,
        })
    }

    /// The baselines that the log has agents known from, by version, out of the store that is named.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] where none is named, or it has them not.
    pub fn histories(&self, store: Option<&str>) -> Result<BTreeMap<String, History>, CommandError> {
        let mut histories = BTreeMap::new();
        for record in &self.records {
            let Change::Baseline { version, content, .. } = &record.change else { continue };
            let usage = |why: String| {
                CommandError::Usage(format!("the control log has agents known from the baseline {version}: {why}"))
            };
            let store = store.ok_or_else(|| usage("name its store with --baseline STORE".to_owned()))?;
            let (store, _) = Store::at(store);
            let history = Published::read(&store, version).map_err(|error| usage(error.to_string()))?.history;
            if history.content != *content {
                return Err(usage("the store has another one of that name".to_owned()));
            }
            histories.insert(version.clone(), history);
        }
        Ok(histories)
    }

    /// From which offset of a `topic/partition` a record holds; `None` where no owner of it has come to the record.
    pub fn holds_from(&self, partition: &str, record: &ControlRecord) -> Option<i64> {
        let noted = || {
            let notes = self.notes.get(partition)?;
            let next = notes.partition_point(|(from, ..)| *from <= record.number);
            let (_, until, offset) = notes.get(next.checked_sub(1)?)?;
            (record.number < *until).then_some(*offset)
        };
        record.positions.get(partition).copied().or_else(noted)
    }

    /// Whether an owner of the partitions of this number has come to a record at all. Where the last one stopped before,
    /// nothing was made of it there.
    pub fn is_applied(&self, number: i32, record: &ControlRecord) -> bool {
        let is_of = |partition: &str| partition.rsplit_once('/').is_some_and(|(_, of)| of.parse() == Ok(number));
        let mut named = record.positions.keys().chain(self.notes.keys()).filter(|partition| is_of(partition));
        named.any(|partition| self.holds_from(partition, record).is_some())
    }
}

#[cfg(test)]
mod tests {
    use driftline_core::Timestamp;

    use super::*;

    fn record(number: u64, positions: &[(&str, i64)]) -> ControlRecord {
        let positions = positions.iter().map(|(partition, offset)| ((*partition).to_owned(), *offset)).collect();
        ControlRecord { positions, ..ControlRecord::new(number, Change::Clock { clock: Timestamp::MIN }) }
    }

    fn note(from: u64, until: u64, offset: i64) -> ControlEntry {
        ControlEntry::Applied(Applied::new(from, until, BTreeMap::from([("events/1".to_owned(), offset)])))
    }

    #[test]
    fn a_record_holds_where_its_writer_or_a_note_says_it_does() {
        let own = [("events/0", 7), ("events/1", 20)];
        let records = [record(0, &own[..1]), record(1, &own[..1]), record(2, &own), record(3, &own[..1])];
        let mut entries: Vec<_> = records.iter().cloned().map(ControlEntry::Record).collect();
        // In whatever order they were committed.
        entries.extend([note(3, 4, 30), note(0, 2, 10)]);
        let log = GivenLog::of(entries);
        let holds = |partition: &str| records.each_ref().map(|record| log.holds_from(partition, record));
        assert_eq!(holds("events/0"), [Some(7); 4]);
        assert_eq!(holds("events/1"), [Some(10), Some(10), Some(20), Some(30)]);
        assert_eq!(holds("events/2"), [None; 4]);
        let is_applied = |number| records.each_ref().map(|record| log.is_applied(number, record));
        assert_eq!(is_applied(0), [true; 4]);
        assert_eq!(is_applied(1), [true; 4]);
        assert_eq!(is_applied(2), [false; 4], "its last owner has stopped before it came to any");
        assert_eq!(log.get(3), Some(&records[3]));
        assert_eq!(log.get(4), None);
    }

    #[test]
    fn a_baseline_that_the_log_names_must_be_in_the_store() {
        let change = Change::Baseline {
            version: "0123456789abcdef".to_owned(),
            content: String::new(),
            epoch: None,
            contained: Default::default(),
            spread: Some(Spread { partitions: 3, by_tenant: false }),
        };
        let log = GivenLog::of(vec![ControlEntry::Record(ControlRecord::new(0, change))]);
        assert_eq!(log.spread().map(|spread| spread.partitions), Some(3));
        let told = |store| log.histories(store).map(drop).unwrap_err().to_string();
        assert!(told(None).contains("--baseline STORE"));
        assert!(told(Some("no/such/store")).contains("0123456789abcdef"));
    }
}
