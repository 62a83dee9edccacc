//! What owners of partitions tell whoever leads: how far event time has come, and their part of the next epoch.
//!
//! It goes through a compacted topic of one partition, in the transactions of those who tell, and is read by the leader
//! alone: a table, of which the last record of a key counts. A contribution is a row of its own, and its tombstone is in
//! the transaction of the epoch that it went into: so it is in one epoch and no other, whoever leads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftline_core::{GroupCounts, TenantCounts, Timestamp};
use driftline_detectors::Contribution;
use driftline_ingest::kafka::{Admin, ClientSettings, OutRecord, Reader, Start, TopicSpec, Until};
use driftline_ingest::{Polled, Source, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::commands::CommandError;

/// How far a partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The highest event time read; [`Timestamp::MIN`] before any.
    pub highest: Timestamp,
    /// Whether there was nothing left to read.
    pub at_end: bool,
}

/// The value of a row.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schema")]
enum Row {
    #[serde(rename = "driftline.progress/1")]
    Progress {
        place: i32,
        #[serde(flatten)]
        progress: Progress,
    },
    #[serde(rename = "driftline.contribution/1")]
    Contribution { groups: Vec<GroupCounts>, tenants: Vec<TenantCounts> },
}

/// The topic.
#[derive(Clone)]
pub struct SharedTopic {
    settings: ClientSettings,
    name: String,
}

/// The topic as the leader reads it.
pub struct Table {
    topic: String,
    reader: Reader,
    /// By partition of the source.
    progress: BTreeMap<i32, Progress>,
    /// By key: those that no epoch has yet.
    contributions: BTreeMap<Vec<u8>, Contribution>,
}

/// What an instance has told of its own partitions in this session.
#[derive(Default)]
pub struct Told(BTreeMap<i32, Progress>);

impl SharedTopic {
    /// Makes the topic where it is not there.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the broker refuses, or the topic has several partitions.
    pub fn open(admin: &Admin, settings: &ClientSettings, name: &str) -> Result<Self, CommandError> {
        let config = [("cleanup.policy", "compact"), ("max.message.bytes", "16777216")];
        admin.create(&TopicSpec::new(name, 1, &config))?;
        if admin.partitions(name)?.unwrap_or(1) != 1 {
            return Err(CommandError::Usage(format!(
                "the topic `{name}` (source.kafka.shared_topic) has several partitions; it is one table and needs exactly \
                 one"
            )));
        }
        Ok(Self { settings: settings.clone(), name: name.to_owned() })
    }

    /// Reads the table to its written end, open transactions included: what the leader before has put into an epoch must
    /// not be there any more. `None` where that came to be not wanted.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the topic cannot be read.
    pub fn read(&self, is_over: &AtomicBool) -> Result<Option<Table>, CommandError> {
        let partition = TopicPartition::new(self.name.as_str(), 0);
        let reader = Reader::open(&self.settings, &[(partition.clone(), Start::Beginning)], Until::Forever, &[])?;
        let end = reader.written_end(&partition)?;
        let (progress, contributions) = (BTreeMap::new(), BTreeMap::new());
        let mut table = Table { topic: self.name.clone(), reader, progress, contributions };
        while table.reader.next_offset(&partition).unwrap_or(0) < end {
            if is_over.load(Ordering::Relaxed) {
                return Ok(None);
            }
            table.poll(Duration::from_millis(100))?;
        }
        Ok(Some(table))
    }

    /// A contribution of a partition's engine; `at` is where the partition stands, which no other one of it has.
    pub fn contribution(&self, place: i32, at: &str, contribution: Contribution) -> OutRecord {
        let (groups, tenants) = contribution.into_sums();
        self.row(format!("contribution/{place}/{at}"), &Row::Contribution { groups, tenants })
    }

    fn row(&self, key: String, row: &Row) -> OutRecord {
        // Plain data always has a JSON form.
        let value = serde_json::to_vec(row).unwrap_or_default();
        OutRecord { partition: Some(0), ..OutRecord::new(self.name.as_str(), key, value) }
    }
}

impl Told {
    /// Rows for what has changed: in any way, or only in whether there is something left to read, for which it is worth
    /// to begin a commit.
    pub fn news(
        &mut self,
        topic: &SharedTopic,
        now: &BTreeMap<i32, Progress>,
        in_any_way: bool,
    ) -> impl Iterator<Item = OutRecord> {
        let is_news = move |told: &Progress, now: &Progress| told.at_end != now.at_end || (in_any_way && told != now);
        now.iter().filter_map(move |(&place, &progress)| {
            if self.0.get(&place).is_some_and(|told| !is_news(told, &progress)) {
                return None;
            }
            self.0.insert(place, progress);
            Some(topic.row(format!("progress/{place}"), &Row::Progress { place, progress }))
        })
    }
}

impl Table {
    /// Takes up what others have told since.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where the topic cannot be read.
    pub fn follow(&mut self) -> Result<(), CommandError> {
        while self.poll(Duration::ZERO)? {}
        Ok(())
    }

    /// How far a partition has come, as its owner has told.
    pub fn progress(&self, place: i32) -> Option<Progress> {
        self.progress.get(&place).copied()
    }

    /// What others have contributed to the next epoch, and the tombstones that go with that epoch.
    pub fn take_contributions(&mut self) -> (Contribution, Vec<OutRecord>) {
        let mut whole = Contribution::default();
        let mut tombstones = Vec::new();
        for (key, contribution) in std::mem::take(&mut self.contributions) {
            whole.merge(contribution);
            let record = OutRecord::new(self.topic.as_str(), key, Vec::new());
            tombstones.push(OutRecord { partition: Some(0), value: None, ..record });
        }
        (whole, tombstones)
    }

    /// Whether there was anything.
    fn poll(&mut self, timeout: Duration) -> Result<bool, CommandError> {
        let Polled::Records(batches) = self.reader.poll(timeout)? else { return Ok(false) };
        for record in batches.iter().flat_map(|batch| batch.iter()) {
            let key = record.key.unwrap_or_default();
            if record.value.is_empty() {
                self.contributions.remove(key);
                continue;
            }
            match serde_json::from_slice(record.value) {
                Ok(Row::Progress { place, progress }) => drop(self.progress.insert(place, progress)),
                Ok(Row::Contribution { groups, tenants }) => {
                    self.contributions.insert(key.to_vec(), Contribution::from_sums(groups, tenants));
                }
                Err(error) => tracing::error!(offset = record.offset, "{}: no row: {error}", self.topic),
            }
        }
        Ok(true)
    }
}

/// How far event time has come for everybody: the least of the partitions that have something left to read, or the
/// greatest where none has. `None` while one holds the clock, because nothing is known of it or nothing was read of it yet.
pub fn event_time(partitions: impl Iterator<Item = Option<Progress>>) -> Option<Timestamp> {
    let all: Vec<Progress> = partitions.collect::<Option<_>>()?;
    let least = all.iter().filter(|progress| !progress.at_end).map(|progress| progress.highest).min();
    let reached = least.or_else(|| all.iter().map(|progress| progress.highest).max());
    reached.filter(|reached| *reached > Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, at_end: bool) -> Option<Progress> {
        Some(Progress { highest: Timestamp::from_millis(seconds * 1000).unwrap(), at_end })
    }

    #[test]
    fn who_has_something_left_to_read_holds_the_clock_and_who_waits_does_not() {
        let time = |all: &[Option<Progress>]| event_time(all.iter().copied()).map(|time| time.millis() / 1000);
        assert_eq!(time(&[at(50, false), at(30, false), at(10, true)]), Some(30));
        assert_eq!(time(&[at(50, true), at(30, true), at(0, true)]), Some(50));
        assert_eq!(time(&[at(50, false), at(0, false)]), None, "something is there, and nothing was read of it");
        assert_eq!(time(&[at(50, false), None]), None, "nobody has told of it");
        assert_eq!(time(&[at(0, true)]), None, "there is no event yet");
    }

    #[test]
    fn progress_is_told_when_it_changes_and_at_once_when_the_end_is_reached() {
        let settings = ClientSettings::new("127.0.0.1:1", BTreeMap::new()).unwrap();
        let topic = SharedTopic { settings, name: "shared".to_owned() };
        let mut told = Told::default();
        let mut news = |seconds, at_end, in_any_way| {
            let now = BTreeMap::from([(3, at(seconds, at_end).unwrap())]);
            told.news(&topic, &now, in_any_way).count()
        };
        assert_eq!(news(1, false, false), 1, "never told before");
        assert_eq!(news(2, false, false), 0);
        assert_eq!(news(2, false, true), 1);
        assert_eq!(news(2, false, true), 0);
        assert_eq!(news(2, true, false), 1);
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let progress = Row::Progress { place: 3, progress: at(7, true).unwrap() };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(
            text,
            r#"{"schema":"driftline.progress/1","place":3,"highest":"1970-01-01T00:00:07.000Z","at_end":true}"#
        );
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), progress);
        let contribution = Row::Contribution { groups: Vec::new(), tenants: vec![TenantCounts::default()] };
        let text = serde_json::to_string(&contribution).unwrap();
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), contribution);
    }
}
