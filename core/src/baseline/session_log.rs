//! The acts of one session, gathered in whatever order they come.

use std::collections::HashSet;

use super::act::Act;
use super::lesson::Lesson;
use crate::observation::{resource_keys, tool};
use crate::{Event, key};

/// As in the engine (`driftline-detectors`, `session`): a session ends when nothing was heard of it for so long, after so
/// long in all, or with so many categories.
const IDLE_MILLIS: i64 = 60 * 60_000;
const LONGEST_MILLIS: i64 = 24 * 60 * 60_000;
const CATEGORIES: usize = 512;

/// Under which key an event's session is known. Where the platform has no sessions, an hour of the agent's events is one.
pub fn session_key(event: &Event<'_>) -> u64 {
    match &event.session {
        Some(session) => key(24, [&session.id, ""]),
        None => event.time.floor(3_600_000).millis() as u64,
    }
}

/// Acts of one session: merging is putting side by side, since order is made when it is read.
///
/// ```
/// use driftline_core::baseline::{Act, SessionLog};
/// use driftline_core::{Event, Limits};
///
/// let record = |minute| format!(r#"{{"time":{},"agent":{{"id":"a"}},"action":{{"name":"look"}}}}"#, minute * 60_000);
/// let (early, late, much_later) = (record(0), record(59), record(120));
/// let mut log = SessionLog::default();
/// for (order, record) in [&late, &much_later, &early].into_iter().enumerate() {
///     let event = Event::decode(record.as_bytes(), &Limits::default())?;
///     log.push(&Act::of(&event, order as u64));
/// }
/// // A pause of an hour ends a session.
/// let mut events = Vec::new();
/// log.lessons(|lesson| events.push(lesson.events));
/// assert_eq!(events, [2, 1]);
/// # Ok::<(), driftline_core::DecodeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionLog(Vec<u8>);

impl SessionLog {
    /// Adds an act.
    pub fn push(&mut self, act: &Act<'_>) {
        act.write(&mut self.0);
    }

    /// Adds acts as [`Act::write`] wrote them, or another log's bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// All acts, as they were added.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Shows what the session teaches, in order: nothing where it holds no acts, and several lessons where it ended in
    /// between.
    pub fn lessons(&self, each: impl FnMut(&Lesson<'_>)) {
        Self::lessons_of(&self.0, each);
    }

    /// As [`SessionLog::lessons`], of the bytes of a log. What cannot be read ends it.
    pub fn lessons_of(mut bytes: &[u8], mut each: impl FnMut(&Lesson<'_>)) {
        let mut acts = Vec::new();
        while let Ok((act, rest)) = postcard::take_from_bytes::<Act<'_>>(bytes) {
            acts.push(act);
            bytes = rest;
        }
        acts.sort_unstable_by_key(|act| (act.time, act.order, act.content));
        let mut seen = Vec::with_capacity(acts.len());
        acts.retain(|act| {
            // A record that comes twice is one act. Sessions are short; long ones are searched in order.
            let at = seen.partition_point(|&known| known < act.content);
            let new = seen.get(at) != Some(&act.content);
            if new {
                seen.insert(at, act.content);
            }
            new
        });
        let mut rest = acts.as_slice();
        while !rest.is_empty() {
            let (session, later) = rest.split_at(length(rest));
            each(&Lesson::of(session));
            rest = later;
        }
    }
}

/// How many of the acts are one session; at least one.
fn length(acts: &[Act<'_>]) -> usize {
    let started = acts.first().map_or(0, |act| act.time);
    let may_be_full = acts.iter().map(|act| 1 + 2 * act.observed().len()).sum::<usize>() >= CATEGORIES;
    let mut used = HashSet::new();
    let mut last = started;
    for (i, act) in acts.iter().enumerate() {
        if i > 0 && act.time >= last.saturating_add(IDLE_MILLIS).min(started.saturating_add(LONGEST_MILLIS)) {
            return i;
        }
        last = act.time;
        if !may_be_full {
            continue;
        }
        used.insert(tool(act.tool, act.server));
        for touched in act.observed() {
            let (resource, family) = resource_keys(touched.id, touched.kind, touched.role, act.changes);
            used.extend([resource, family]);
        }
        if used.len() >= CATEGORIES {
            return i + 1;
        }
    }
    acts.len()
}
