//! Where there is no Kafka: position, state, control records and what is said are kept in a database in the state folder.
//!
//! Its one transaction stands for that of the brokers. Alerts and dead letters are in it before they are in their files
//! ([`crate::store`]), so that a crash in between loses none and repeats none.

use std::path::{Path, PathBuf};

use crate::commands::CommandError;
use crate::store::{Arguments, Commit, Progress, Resumed, Store, StoreError};

use super::Work;

/// The database's name in the state folder.
const DATABASE: &str = "run.redb";
/// The file of alerts, in the outbox.
const ALERTS: &str = "alerts";
/// The file of dead letters, in the outbox.
const DEAD_LETTERS: &str = "dead_letters";

/// The database, seen from who commits.
pub struct Local {
    folder: PathBuf,
    /// `None` after a failed commit: it must be opened again.
    store: Option<Store>,
    progress: Progress,
}

impl Local {
    /// Opens the database in a folder, or begins one, and returns what it has come to.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be used.
    pub fn open(folder: &Path) -> Result<(Self, Resumed), StoreError> {
        let store = open(folder)?;
        let resumed = store.resume(&[], 1)?;
        Ok((Self { folder: folder.to_owned(), store: Some(store), progress: resumed.progress }, resumed))
    }

    /// The lines that the last commit has said: alerts, and dead letters. They may be in their files, or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub fn said(&mut self) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
        let store = self.store()?;
        Ok((store.outbox(ALERTS)?, store.outbox(DEAD_LETTERS)?))
    }

    /// Commits; what the commit before has said must be in its files by now.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it could not be written. The same work may be tried again, as often as need be.
    pub fn commit(&mut self, work: &Work, alerts: &[u8]) -> Result<(), StoreError> {
        let progress = Progress {
            highest: work.kept.highest.max(self.progress.highest()).millis(),
            alerts: self.progress.alerts + work.alerts.len() as u64,
            ..self.progress
        };
        let outcome = self.store()?.commit(&Commit {
            progress: &progress,
            input: &work.kept.input,
            control: &work.kept.control,
            state: std::slice::from_ref(&work.kept.state),
            alerts: &[],
            outbox: &[(ALERTS, alerts), (DEAD_LETTERS, &work.dead_letter_lines)],
        });
        match outcome {
            Ok(()) => self.progress = progress,
            // After an error the database takes nothing more.
            Err(_) => self.store = None,
        }
        outcome
    }

    /// Notes that what the last commit has said is in its files.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it could not be written: it is then said again where nobody can tell that it was.
    pub fn written(&mut self) -> Result<(), StoreError> {
        let progress = self.progress;
        let outbox: &[(&str, &[u8])] = &[(ALERTS, b""), (DEAD_LETTERS, b"")];
        self.store()?.commit(&Commit { progress: &progress, input: &[], control: &[], state: &[], alerts: &[], outbox })
    }

    fn store(&mut self) -> Result<&Store, StoreError> {
        match &mut self.store {
            Some(store) => Ok(store),
            none => Ok(none.insert(open(&self.folder)?)),
        }
    }
}

/// Opens the database of a run that is there, to read it.
///
/// # Errors
///
/// [`CommandError`] where there is none, or it cannot be used.
pub fn read(folder: &Path) -> Result<Store, CommandError> {
    if !folder.join(DATABASE).is_file() {
        return Err(CommandError::Usage(format!("there is no state of a run over files in {}", folder.display())));
    }
    Ok(open(folder)?)
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(folder, DATABASE, &Arguments::default(), &[])
}
