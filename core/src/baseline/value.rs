//! The baseline itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::act::Exclusion;
use super::counts::Counts;
use super::lesson::Lesson;
use super::sizes::{Size, Sizes};
use crate::observation::Dimension;
use crate::{Habits, HourCounts, Timestamp};

const DIMENSIONS: usize = Dimension::ALL.len();
const SIZES: usize = Size::ALL.len();

/// What an agent, or a version of it, was found to do. See [`crate::baseline`].
///
/// ```
/// use driftline_core::baseline::{Act, Baseline, SessionLog};
/// use driftline_core::observation::Dimension;
/// use driftline_core::{Event, Limits};
///
/// let record = br#"{"time": 0, "agent": {"id": "a"}, "action": {"name": "look"}, "session": {"id": "s"}}"#;
/// let mut log = SessionLog::default();
/// log.push(&Act::of(&Event::decode(record, &Limits::default())?, 0));
/// let mut baseline = Baseline::new(1024);
/// log.lessons(|lesson| baseline.learn(lesson));
/// let tools = baseline.counts(Dimension::Tool);
/// assert_eq!(tools.top(1)[0].name.as_ref(), "look");
/// # Ok::<(), driftline_core::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// How many categories of a dimension are kept ([`crate::Limits::keys_per_agent`]).
    room: u32,
    /// Sessions.
    pub sessions: u64,
    /// Sessions that were kept out ([`Exclusion`]): of these, only hours and grants are in it.
    pub excluded: u64,
    /// Events of the sessions that were learned.
    pub events: u64,
    /// Of these, denied.
    pub denied: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Events that gave permissions.
    pub grants: u64,
    /// Times of the first and the last event, in Unix milliseconds; `None` before any.
    span: Option<(i64, i64)>,
    /// The platform that the last session named; of several at the same time the last by name.
    platform: Box<str>,
    /// Events by hour since the epoch. All are kept: how bursty an hour is does not follow from sums.
    hours: BTreeMap<i64, u32>,
    counts: [Counts; DIMENSIONS],
    sizes: [Sizes; SIZES],
    /// What requests lead to, and where targets come from.
    pub habits: Habits,
}

/// Bytes that are no baseline's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a baseline of this version of the program: {0}")]
pub struct Unreadable(String);

impl Baseline {
    /// One that has learned nothing, and will keep so many categories of a dimension.
    pub fn new(room: usize) -> Self {
        Self {
            room: u32::try_from(room).unwrap_or(u32::MAX),
            sessions: 0,
            excluded: 0,
            events: 0,
            denied: 0,
            failed: 0,
            grants: 0,
            span: None,
            platform: "".into(),
            hours: BTreeMap::new(),
            counts: Default::default(),
            sizes: Default::default(),
            habits: Habits::default(),
        }
    }

    /// How many categories of a dimension are kept.
    pub fn room(&self) -> usize {
        self.room as usize
    }

    /// Learns what a session did.
    pub fn learn(&mut self, lesson: &Lesson<'_>) {
        self.grants += lesson.grants;
        self.meet(lesson.first, lesson.last, lesson.platform);
        if lesson.exclusion < Exclusion::Pace {
            lesson.hours.iter().for_each(|&(hour, events)| self.add_hour(hour, events));
        }
        if lesson.exclusion > Exclusion::None {
            self.excluded += 1;
            return;
        }
        self.sessions += 1;
        self.events += lesson.events;
        self.denied += lesson.denied;
        self.failed += lesson.failed;
        for taught in &lesson.categories {
            let counts = &mut self.counts[taught.dimension as usize];
            counts.learn(taught.key, 1, u64::from(taught.events), self.room as usize, || taught.name.to_string());
        }
        for &(size, value) in &lesson.sizes {
            self.sizes[size as usize].learn(value, 1);
        }
        if let Some(pursuit) = &lesson.pursuit {
            pursuit.teach(&mut self.habits);
        }
    }

    /// Adds what another one has learned.
    pub fn merge(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.excluded += other.excluded;
        self.events += other.events;
        self.denied += other.denied;
        self.failed += other.failed;
        self.grants += other.grants;
        if let Some((first, last)) = other.span() {
            self.meet(first, last, &other.platform);
        }
        for (&hour, &events) in &other.hours {
            self.add_hour(hour, events);
        }
        for (own, others) in self.counts.iter_mut().zip(&other.counts) {
            own.merge(others, self.room as usize);
        }
        for (own, others) in self.sizes.iter_mut().zip(&other.sizes) {
            own.merge(others);
        }
        self.habits.merge(&other.habits);
    }

    /// Times of the first and the last event; `None` before any.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let time = |millis| Timestamp::MIN.plus_millis(millis);
        self.span.map(|(first, last)| (time(first), time(last)))
    }

    /// The platform that the last session named; empty where none did.
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// The categories of a dimension.
    pub fn counts(&self, dimension: Dimension) -> &Counts {
        &self.counts[dimension as usize]
    }

    /// Sizes of one kind.
    pub fn sizes(&self, size: Size) -> &Sizes {
        &self.sizes[size as usize]
    }

    /// Events by hour since the epoch, ascending.
    pub fn hours(&self) -> impl ExactSizeIterator<Item = (i64, u32)> + '_ {
        self.hours.iter().map(|(&hour, &events)| (hour, events))
    }

    /// The same as the engine keeps it, by hour of the week.
    pub fn rhythm(&self) -> HourCounts {
        let mut counts = HourCounts::default();
        self.hours().for_each(|(hour, events)| counts.learn(hour, events));
        counts
    }

    /// The longest time between two hours with events, in hours without any.
    pub fn longest_silence(&self) -> i64 {
        let (before, after) = (self.hours.keys(), self.hours.keys().skip(1));
        before.zip(after).map(|(before, after)| after - before - 1).max().unwrap_or(0)
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.hours.len() * 24
            + self.counts.iter().map(Counts::heap_bytes).sum::<usize>()
            + self.sizes.iter().map(Sizes::heap_bytes).sum::<usize>()
            + self.habits.heap_bytes()
    }

    /// Puts back times and platform; for whoever reads a baseline from where it was kept.
    pub fn meet(&mut self, first: Timestamp, last: Timestamp, platform: &str) {
        let (first, last) = (first.millis(), last.millis());
        let newest = self.span.map_or(i64::MIN, |(_, last)| last);
        if (last, platform) > (newest, &*self.platform) {
            self.platform = platform.into();
        }
        let (from, to) = self.span.unwrap_or((first, last));
        self.span = Some((from.min(first), to.max(last)));
    }

    /// Puts back the events of an hour.
    pub fn add_hour(&mut self, hour: i64, events: u32) {
        let known = self.hours.entry(hour).or_default();
        *known = known.saturating_add(events);
    }

    /// Puts back a category.
    pub fn add_count(&mut self, dimension: Dimension, key: u64, sessions: u32, events: u64, name: &str) {
        self.counts[dimension as usize].learn(key, sessions, events, self.room as usize, || name.to_owned());
    }

    /// Puts back that some categories of a dimension are not kept.
    pub fn set_sample(&mut self, dimension: Dimension) {
        self.counts[dimension as usize].set_sample();
    }

    /// Puts back a bucket of sizes.
    pub fn add_size(&mut self, size: Size, bucket: u16, times: u64) {
        self.sizes[size as usize].add(bucket, times);
    }

    /// Its form between the steps of a job; not one to be kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A vector takes all there is.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads what [`Baseline::to_bytes`] gave.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] where it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        postcard::from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::baseline::{Act, SessionLog};
    use crate::{Event, Limits};

    /// Few rooms, so that the bound is met.
    const ROOM: usize = 6;

    fn sessions() -> impl Strategy<Value = Vec<Vec<String>>> {
        let record = (0i64..50_000_000, 0u8..12, 0u8..30, 0u8..3).prop_map(|(time, tool, resource, outcome)| {
            let outcome = ["success", "denied", "error"][usize::from(outcome)];
            format!(
                r#"{{"time":{time},"agent":{{"id":"a","platform":"p{tool}"}},"session":{{"id":"s"}},"action":{{"name":"t{tool}","access":"write"}},
                "task":{{"intent":"fetch paper {resource}00"}},"resource":{{"id":"r/{resource}"}},"outcome":"{outcome}",
                "result":{{"mentions":{{"text":["{resource:010x}"]}}}},"usage":{{"duration_ms":{time}.5}}}}"#
            )
        });
        prop::collection::vec(prop::collection::vec(record, 1..6), 1..12)
    }

    fn log(records: &[String]) -> SessionLog {
        let mut log = SessionLog::default();
        for (order, record) in records.iter().enumerate() {
            log.push(&Act::of(&Event::decode(record.as_bytes(), &Limits::default()).unwrap(), order as u64));
        }
        log
    }

    fn learned<'r>(sessions: impl IntoIterator<Item = &'r Vec<String>>) -> Baseline {
        let mut baseline = Baseline::new(ROOM);
        sessions.into_iter().for_each(|session| log(session).lessons(|lesson| baseline.learn(lesson)));
        baseline
    }

    proptest! {
        #[test]
        fn merging_is_learning_all_in_any_order_and_grouping(sessions in sessions(), cuts in prop::collection::vec(0usize..4, 12)) {
            let batch = learned(&sessions);
            let parts: Vec<_> = (0..4)
                .map(|part| learned(sessions.iter().zip(&cuts).filter(|(_, cut)| **cut == part).map(|(session, _)| session)))
                .collect();
            let merged = |order: [usize; 4]| {
                let mut whole = Baseline::new(ROOM);
                order.iter().for_each(|&part| whole.merge(&parts[part]));
                whole
            };
            prop_assert_eq!(&merged([0, 1, 2, 3]), &batch);
            prop_assert_eq!(&merged([3, 1, 0, 2]), &batch);
            let (mut left, mut right) = (parts[2].clone(), parts[1].clone());
            left.merge(&parts[0]);
            right.merge(&parts[3]);
            right.merge(&left);
            prop_assert_eq!(&right, &batch);
            prop_assert_eq!(Baseline::from_bytes(&right.to_bytes()).unwrap(), batch);
        }

        #[test]
        fn a_session_teaches_the_same_however_it_is_put_together(sessions in sessions()) {
            for session in &sessions {
                let whole = learned([session]);
                // Later acts first, and all of them twice.
                let (log, mut pieces) = (log(session), SessionLog::default());
                let mut acts: Vec<&[u8]> = Vec::new();
                let mut rest = log.bytes();
                while let Ok((_, after)) = postcard::take_from_bytes::<Act<'_>>(rest) {
                    acts.push(&rest[..rest.len() - after.len()]);
                    rest = after;
                }
                acts.iter().rev().chain(&acts).for_each(|act| pieces.extend(act));
                let mut baseline = Baseline::new(ROOM);
                pieces.lessons(|lesson| baseline.learn(lesson));
                prop_assert_eq!(baseline, whole);
            }
        }
    }
}
