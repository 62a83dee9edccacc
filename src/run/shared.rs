//! What owners of partitions tell whoever leads: how far event time has come, and their part of the next epoch.
//!
//! It goes through a compacted topic of one partition, in the transactions of those who tell, and is read by the leader
//! alone: a table, of which the last record of a key counts. A contribution is a row of its own, and its tombstone is in
//! the transaction of the epoch that it went into: so it is in one epoch and no other, whoever leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftline_core::{GroupCounts, TenantCounts, Timestamp};
use driftline_detectors::Contribution;
use driftline_ingest::kafka::{Admin, ClientSettings, KafkaError, OutRecord, Reader, Start, TopicSpec, Until};
use driftline_ingest::{Polled, Source, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::commands::CommandError;

/// How long the broker may take to say where logs end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far a partition has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The highest event time read; [`Timestamp::MIN`] before any.
    pub highest: Timestamp,
    /// Where its topics ended, by `topic/partition`, when all before was read; empty while there was something left. That
    /// holds until something is written there, which its owner may not have heard of yet.
    pub ends: BTreeMap<String, i64>,
}

impl Progress {
    /// Whether there was nothing left to read.
    pub fn is_at_end(&self) -> bool {
        !self.ends.is_empty()
    }
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
    /// Rows for what has changed.
    pub fn news(&mut self, topic: &SharedTopic, now: BTreeMap<i32, Progress>) -> impl Iterator<Item = OutRecord> {
        now.into_iter().filter_map(move |(place, progress)| {
            if self.0.get(&place) == Some(&progress) {
                return None;
            }
            self.0.insert(place, progress.clone());
            Some(topic.row(format!("progress/{place}"), &Row::Progress { place, progress }))
        })
    }

    /// Whether it must be told of an end, though nothing else is to be committed: while it is not, nobody's clock moves.
    pub fn is_behind(&self, now: &BTreeMap<i32, Progress>) -> bool {
        now.iter().any(|(place, progress)| {
            let told = self.0.get(place);
            told.is_none() || (progress.is_at_end() && told != Some(progress))
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
    pub fn progress(&self, place: i32) -> Option<&Progress> {
        self.progress.get(&place)
    }

    /// Those of the partitions that are at their end still, by what the broker says: of some, more may have been written
    /// since their owner told, which it has not read, or nobody has while it is gone.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker does not say.
    pub fn still_at_end(&self, places: &BTreeSet<i32>, topics: [&Arc<str>; 2]) -> Result<BTreeSet<i32>, KafkaError> {
        let at_end = |place: &&i32| self.progress.get(place).is_some_and(Progress::is_at_end);
        let asked: Vec<TopicPartition> = places
            .iter()
            .filter(at_end)
            .flat_map(|place| topics.map(|topic| TopicPartition { topic: topic.clone(), partition: *place }))
            .collect();
        let mut still: BTreeSet<i32> = asked.iter().map(|partition| partition.partition).collect();
        if !asked.is_empty() {
            for (partition, end) in self.reader.written_ends(&asked, PATIENCE)? {
                let told = self.progress.get(&partition.partition);
                if told.and_then(|told| told.ends.get(&partition.to_string())) != Some(&end) {
                    still.remove(&partition.partition);
                }
            }
        }
        Ok(still)
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

/// How far event time has come for everybody, of partitions with the highest event time read in each and whether they are
/// at their end: the least of those that have something left to read, or the greatest where none has. `None` while one
/// holds the clock, because nothing is known of it or nothing was read of it yet.
pub fn event_time(partitions: impl Iterator<Item = Option<(Timestamp, bool)>>) -> Option<Timestamp> {
    let all: Vec<(Timestamp, bool)> = partitions.collect::<Option<_>>()?;
    let least = all.iter().filter(|(_, at_end)| !at_end).map(|(highest, _)| *highest).min();
    let reached = least.or_else(|| all.iter().map(|(highest, _)| *highest).max());
    reached.filter(|reached| *reached > Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000).unwrap()
    }

    #[test]
    fn who_has_something_left_to_read_holds_the_clock_and_who_waits_does_not() {
        let at = |seconds, at_end| Some((at(seconds), at_end));
        let time = |all: &[Option<(Timestamp, bool)>]| event_time(all.iter().copied()).map(|time| time.millis() / 1000);
        assert_eq!(time(&[at(50, false), at(30, false), at(10, true)]), Some(30));
        assert_eq!(time(&[at(50, true), at(30, true), at(0, true)]), Some(50));
        assert_eq!(time(&[at(50, false), at(0, false)]), None, "something is there, and nothing was read of it");
        assert_eq!(time(&[at(50, false), None]), None, "nobody has told of it");
        assert_eq!(time(&[at(0, true)]), None, "there is no event yet");
    }

    #[test]
    fn progress_is_told_with_a_commit_and_begins_one_where_another_end_is_reached() {
        let settings = ClientSettings::new("127.0.0.1:1", BTreeMap::new()).unwrap();
        let topic = SharedTopic { settings, name: "shared".to_owned() };
        let mut told = Told::default();
        let progress = |seconds, end: Option<i64>| {
            let ends = end.map(|end| ("events/3".to_owned(), end)).into_iter().collect();
            BTreeMap::from([(3, Progress { highest: at(seconds), ends })])
        };
        assert!(told.is_behind(&progress(1, None)), "never told before");
        assert_eq!(told.news(&topic, progress(1, None)).count(), 1);
        assert!(!told.is_behind(&progress(2, None)), "it goes with the next commit");
        assert_eq!(told.news(&topic, progress(2, None)).count(), 1);
        assert_eq!(told.news(&topic, progress(2, None)).count(), 0);
        for end in [10, 11] {
            assert!(told.is_behind(&progress(2, Some(end))));
            assert_eq!(told.news(&topic, progress(2, Some(end))).count(), 1);
            assert!(!told.is_behind(&progress(2, Some(end))));
        }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let ends = BTreeMap::from([("events/3".to_owned(), 12)]);
        let progress = Row::Progress { place: 3, progress: Progress { highest: at(7), ends } };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(
            text,
            r#"{"schema":"driftline.progress/1","place":3,"highest":"1970-01-01T00:00:07.000Z","ends":{"events/3":12}}"#
        );
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), progress);
        let contribution = Row::Contribution { groups: Vec::new(), tenants: vec![TenantCounts::default()] };
        let text = serde_json::to_string(&contribution).unwrap();
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), contribution);
    }
}
