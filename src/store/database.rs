//! The database: its tables, how it comes into being, and how it is opened.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use driftline_core::ControlRecord;
use redb::{Builder, Database, ReadableDatabase, TableDefinition};

use super::arguments::Arguments;
use super::commit::Progress;
use super::error::StoreError;

/// Version of the tables and of what is in them.
const FORMAT: u64 = 1;
/// Most memory that the database takes for pages. State is read once, at the start.
const CACHE_BYTES: usize = 64 << 20;

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const INPUT: TableDefinition<'_, &str, (u64, u128)> = TableDefinition::new("input");
pub(super) const CONTROL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("control");
pub(super) const STATE: TableDefinition<'_, (u16, &[u8]), &[u8]> = TableDefinition::new("state");
pub(super) const ALERTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("alerts");
pub(super) const OUTBOX: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("outbox");

const FORMAT_KEY: &str = "format";
const ARGUMENTS_KEY: &str = "arguments";
pub(super) const PROGRESS_KEY: &str = "progress";

/// A database that is open, by this process alone.
pub struct Store {
    pub(super) database: Database,
    pub(super) path: PathBuf,
    /// Locked until the process ends.
    _lock: File,
}

impl Store {
    /// Opens the database of a name in a folder, after verifying all of it; makes both where they are not there, with the
    /// control records that everything begins with.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be opened or was made with other arguments.
    pub fn open(folder: &Path, name: &str, arguments: &Arguments, begun: &[ControlRecord]) -> Result<Self, StoreError> {
        let system = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::System { path, source }
        };
        fs::create_dir_all(folder).map_err(system(folder))?;
        let lock = lock(folder)?;
        let path = folder.join(name);
        if !path.try_exists().map_err(system(&path))? {
            let unfinished = folder.join(format!("{name}.new"));
            // A database that was begun and never finished may lie there.
            File::create(&unfinished).map_err(system(&unfinished))?;
            make(&unfinished, arguments, begun).map_err(|error| StoreError::of(unfinished.clone(), error))?;
            fs::rename(&unfinished, &path).map_err(system(&path))?;
            #[cfg(unix)]
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(system(folder))?;
        }
        let opened = builder().open(&path).map_err(|error| StoreError::of(path.clone(), error.into()))?;
        let store = Self { database: opened, path, _lock: lock };
        store.must_be_of(arguments)?;
        Ok(store)
    }

    fn must_be_of(&self, arguments: &Arguments) -> Result<(), StoreError> {
        let format = self.meta(FORMAT_KEY)?;
        if format != FORMAT.to_string().as_bytes() {
            let found = String::from_utf8_lossy(&format).into_owned();
            return Err(StoreError::Format { path: self.path.clone(), found, known: FORMAT });
        }
        let then: Arguments = self.json(&self.meta(ARGUMENTS_KEY)?)?;
        arguments.must_be(&then, self.path.clone())
    }

    /// Compares the control records that everything began with.
    ///
    /// # Errors
    ///
    /// [`StoreError::Begun`] names the first that is different.
    pub fn must_have_begun_with(&self, begun: &[ControlRecord]) -> Result<(), StoreError> {
        for record in begun {
            let now = serde_json::to_vec(record).map_err(|error| self.damaged(error))?;
            if self.control(record.number)?.is_none_or(|then| then != now) {
                let which = format!("control record {}: {}", record.number, kind(record));
                return Err(StoreError::Begun { path: self.path.clone(), which });
            }
        }
        // A document, or a baseline, more than now.
        match self.control(begun.len() as u64)? {
            Some(next) if has_begun_with(&self.json(&next)?) => {
                let which = "an identity document is gone".to_owned();
                Err(StoreError::Begun { path: self.path.clone(), which })
            }
            _ => Ok(()),
        }
    }

    /// A value that is always there.
    pub(super) fn meta(&self, key: &str) -> Result<Vec<u8>, StoreError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let meta = self.database.begin_read()?.open_table(META)?;
            Ok(meta.get(key)?.map(|value| value.value().to_vec()))
        };
        read().map_err(|error| self.explain(error))?.ok_or_else(|| self.damaged(format!("no `{key}` in it")))
    }

    fn control(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let control = self.database.begin_read()?.open_table(CONTROL)?;
            Ok(control.get(number)?.map(|value| value.value().to_vec()))
        };
        read().map_err(|error| self.explain(error))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| self.damaged(error))
    }

    pub(super) fn explain(&self, error: redb::Error) -> StoreError {
        StoreError::of(self.path.clone(), error)
    }

    pub(super) fn damaged(&self, reason: impl ToString) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), reason: reason.to_string() }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// Writes a database with all its tables, in which nothing was replayed yet.
fn make(path: &Path, arguments: &Arguments, begun: &[ControlRecord]) -> Result<(), redb::Error> {
    let database = builder().create(path)?;
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT.to_string().as_bytes())?;
        meta.insert(ARGUMENTS_KEY, &*json(arguments)?)?;
        meta.insert(PROGRESS_KEY, &*json(&Progress::default())?)?;
        let mut control = transaction.open_table(CONTROL)?;
        for record in begun {
            control.insert(record.number, &*json(record)?)?;
        }
        transaction.open_table(INPUT)?;
        transaction.open_table(STATE)?;
        transaction.open_table(ALERTS)?;
        transaction.open_table(OUTBOX)?;
    }
    transaction.commit()?;
    Ok(database.close()?)
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Io(error.into()))
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let open = || File::options().write(true).create(true).truncate(false).open(&path);
    let file = open().map_err(|source| StoreError::System { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::System { path, source }),
    }
}

/// Whether a record is of those that stand before all input.
fn has_begun_with(record: &ControlRecord) -> bool {
    use driftline_core::Change;
    matches!(
        record.change,
        Change::Settings { .. } | Change::Identity { .. } | Change::IdentityRemoved { .. } | Change::Baseline { .. }
    )
}

fn kind(record: &ControlRecord) -> String {
    use driftline_core::Change;
    match &record.change {
        Change::Identity { document } => format!("the identity document of `{}`", document.id),
        Change::Baseline { version, .. } => format!("the baseline {version}"),
        _ => "the settings".to_owned(),
    }
}
