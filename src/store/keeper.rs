//! Keeps what a running replay comes to, and commits it from time to time.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftline_core::{Alert, ControlRecord, Timestamp};
use driftline_detectors::{Conductor, Engine};
use driftline_ingest::Record;

use super::alerts_file;
use super::arguments::Arguments;
use super::commit::{Commit, Progress};
use super::database::Store;
use super::error::StoreError;
use super::passed::Passed;

const DATABASE: &str = "replay.redb";
/// A commit comes this often.
const INTERVAL: Duration = Duration::from_secs(2);

/// A state that is kept, and what was not committed yet.
pub struct Keeper {
    store: Store,
    passed: Passed,
    /// As of the last commit.
    progress: Progress,
    /// As of the beginning of this run.
    before: Progress,
    control: Vec<ControlRecord>,
    alerts: Vec<Alert>,
    /// Records taken since the last commit, and most of them.
    taken: u64,
    most: u64,
    committed_at: Instant,
}

/// How far this run has come.
#[derive(Debug, Clone, Copy)]
pub struct Come {
    /// The highest event time.
    pub highest: Timestamp,
    /// Events, in this run.
    pub events: u64,
    /// What was no event, in this run.
    pub rejected: u64,
    /// Repeats, in this run.
    pub repeats: u64,
    /// Bytes of the file of scores.
    pub scores: u64,
    /// Bytes of the file of dead letters.
    pub dead_letters: u64,
}

impl Keeper {
    /// Takes a state up, or begins one; with it come the conductor and the engines. A commit is due after `most`
    /// records, or two seconds.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the state cannot be used, or is not of these arguments and control records.
    pub fn open(
        folder: &Path,
        arguments: &Arguments,
        begun: &[ControlRecord],
        engines: u16,
        most: u64,
    ) -> Result<(Self, Conductor, Vec<Engine>), StoreError> {
        let store = Store::open(folder, DATABASE, arguments, begun)?;
        store.must_have_begun_with(begun)?;
        let resumed = store.resume(begun, engines)?;
        let keeper = Self {
            store,
            passed: Passed::from(resumed.input),
            progress: resumed.progress,
            before: resumed.progress,
            control: Vec::new(),
            alerts: Vec::new(),
            taken: 0,
            most,
            committed_at: Instant::now(),
        };
        Ok((keeper, resumed.conductor, resumed.engines))
    }

    /// The highest event time, as of the last commit.
    pub fn highest(&self) -> Timestamp {
        self.progress.highest()
    }

    /// How far all runs have come, as of the last commit.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Makes a file of alerts agree with what is committed, or writes all of it to standard output.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be read; in the inner result what the system says of the file.
    pub fn tell(&self, file: Option<&Path>) -> Result<io::Result<()>, StoreError> {
        match file {
            Some(path) => alerts_file::agree(&self.store, path),
            None => alerts_file::write_all(&self.store, &mut io::stdout().lock()),
        }
    }

    /// Takes a file's next record; says whether it is yet to be replayed.
    ///
    /// # Errors
    ///
    /// [`StoreError::InputChanged`] where the file is not the one that was replayed.
    pub fn is_new(&mut self, file: &Arc<str>, record: &Record<'_>) -> Result<bool, StoreError> {
        let is_new = self.passed.take(file, record)?;
        self.taken += u64::from(is_new);
        Ok(is_new)
    }

    /// Says that the input has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Shorter`] where a file has less than was replayed of it.
    pub fn end(&self) -> Result<(), StoreError> {
        self.passed.end()
    }

    /// Adds a control record.
    pub fn decreed(&mut self, record: ControlRecord) {
        self.control.push(record);
    }

    /// Adds an alert.
    pub fn raised(&mut self, alert: Alert) {
        self.alerts.push(alert);
    }

    /// Whether a commit should come now.
    pub fn is_due(&self) -> bool {
        self.taken >= self.most || (self.taken > 0 && self.committed_at.elapsed() >= INTERVAL)
    }

    /// Whether there is something to commit.
    pub fn has_news(&self) -> bool {
        self.taken > 0
    }

    /// Commits, and returns the alerts that may be told now. Scores and dead letters are on the disk already.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it could not be written: nothing of it counts then, and the replay must end.
    pub fn commit<'e>(
        &mut self,
        engines: impl Iterator<Item = &'e mut Engine>,
        come: Come,
    ) -> Result<Vec<Alert>, StoreError> {
        let progress = Progress {
            highest: come.highest.millis(),
            events: self.before.events + come.events,
            rejected: self.before.rejected + come.rejected,
            repeats: self.before.repeats + come.repeats,
            alerts: self.progress.alerts + self.alerts.len() as u64,
            scores: come.scores,
            dead_letters: come.dead_letters,
        };
        let state: Vec<_> = engines.map(Engine::take_changes).collect();
        self.store.commit(&Commit {
            progress: &progress,
            input: &self.passed.take_changed(),
            control: &self.control,
            state: &state,
            alerts: &self.alerts,
            outbox: &[],
        })?;
        self.progress = progress;
        self.control.clear();
        (self.taken, self.committed_at) = (0, Instant::now());
        Ok(std::mem::take(&mut self.alerts))
    }
}
