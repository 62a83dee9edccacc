//! Where the agents of a partition are that are not in memory: a database in a file without a name, in the state folder.
//!
//! It holds nothing that the state topic does not hold, and begins empty each time: a file that the system takes back with
//! the process, however that ends, can be neither stale nor another partition's. So nothing of it is ever forced to the
//! disk either. What it costs is that a restart reads the topic, and not this.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use driftline_detectors::state::StateRecord;
use driftline_detectors::{BackingError, BackingStore};
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

/// An agent's number and a record's key, and the record's value.
const AGENTS: TableDefinition<'_, (u64, &[u8]), &[u8]> = TableDefinition::new("agents");
/// Most memory that the database of a partition takes for pages; the system keeps more of the file where it has room.
const CACHE_BYTES: usize = 8 << 20;
/// Records that are sorted at a time: neighbours in the tree are then written together.
const BATCH: usize = 4096;

/// See the module.
#[derive(Debug)]
pub struct Backing {
    folder: PathBuf,
    /// Made when something is first put.
    database: Option<Database>,
}

impl Backing {
    /// An empty store, whose file will be in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, database: None }
    }

    fn database(&mut self) -> Result<&Database, BackingError> {
        match &mut self.database {
            Some(database) => Ok(database),
            none => {
                let file = tempfile::tempfile_in(&self.folder).map_err(|error| {
                    failed(io::Error::new(error.kind(), format!("no file in {}: {error}", self.folder.display())))
                })?;
                Ok(none.insert(create(Unforced::new(file).map_err(failed)?).map_err(failed)?))
            }
        }
    }
}

fn create(backend: impl StorageBackend) -> Result<Database, redb::Error> {
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
    let transaction = database.begin_write()?;
    transaction.open_table(AGENTS)?;
    transaction.commit()?;
    Ok(database)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> BackingError {
    BackingError::Store(Box::new(error))
}

impl BackingStore for Backing {
    fn put(&mut self, records: &mut dyn Iterator<Item = (u64, StateRecord)>) -> Result<(), BackingError> {
        let mut records = records.peekable();
        if records.peek().is_none() {
            return Ok(());
        }
        let database = self.database()?;
        let mut write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut agents = transaction.open_table(AGENTS)?;
                while records.peek().is_some() {
                    let mut batch: Vec<_> = records.by_ref().take(BATCH).collect();
                    // Stable: of two with one key the later one stays.
                    batch.sort_by_key(|(number, _)| *number);
                    for (number, StateRecord { key, value }) in batch {
                        match value {
                            Some(value) => agents.insert((number, &*key), &*value)?,
                            None => agents.remove((number, &*key))?,
                        };
                    }
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(failed)
    }

    fn get(&mut self, number: u64) -> Result<Vec<StateRecord>, BackingError> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let read = || -> Result<Vec<StateRecord>, redb::Error> {
            let agents = database.begin_read()?.open_table(AGENTS)?;
            // No key is empty, and none has an end.
            let from = agents.range((number, &[][..])..)?;
            let mut records = Vec::with_capacity(2);
            for row in from {
                let (key, value) = row?;
                let (found, key) = key.value();
                if found != number {
                    break;
                }
                records.push(StateRecord { key: key.to_vec(), value: Some(value.value().to_vec()) });
            }
            Ok(records)
        };
        read().map_err(failed)
    }

    fn each(&mut self, look: &mut dyn FnMut(u64, StateRecord) -> Result<(), BackingError>) -> Result<(), BackingError> {
        let Some(database) = &self.database else { return Ok(()) };
        let open = || -> Result<_, redb::Error> { Ok(database.begin_read()?.open_table(AGENTS)?) };
        let agents = open().map_err(failed)?;
        for row in agents.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let (number, key) = key.value();
            look(number, StateRecord { key: key.to_vec(), value: Some(value.value().to_vec()) })?;
        }
        Ok(())
    }
}

/// A file that is not forced to the disk when the database asks for it.
#[derive(Debug)]
struct Unforced(FileBackend);

impl Unforced {
    fn new(file: File) -> Result<Self, redb::DatabaseError> {
        Ok(Self(FileBackend::new(file)?))
    }
}

impl StorageBackend for Unforced {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: Option<&str>) -> StateRecord {
        StateRecord { key: key.into(), value: value.map(Into::into) }
    }

    fn all(store: &mut Backing) -> Vec<(u64, StateRecord)> {
        let mut all = Vec::new();
        store
            .each(&mut |number, record| {
                all.push((number, record));
                Ok(())
            })
            .unwrap();
        all
    }

    #[test]
    fn what_is_put_is_there_until_something_else_is_put() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Backing::new(folder.path().to_owned());
        assert!(store.get(7).unwrap().is_empty() && all(&mut store).is_empty());
        let first = [(7, record("b", Some("2"))), (u64::MAX, record("z", Some("9"))), (7, record("a", Some("1")))];
        store.put(&mut first.into_iter()).unwrap();
        store.put(&mut [(8, record("a", Some("3"))), (8, record("a", Some("4")))].into_iter()).unwrap();
        assert_eq!(store.get(7).unwrap(), [record("a", Some("1")), record("b", Some("2"))]);
        assert_eq!(store.get(8).unwrap(), [record("a", Some("4"))], "of two with one key the later one");
        assert_eq!(store.get(u64::MAX).unwrap().len(), 1);
        store.put(&mut [(7, record("a", None))].into_iter()).unwrap();
        let left = [(7, record("b", Some("2"))), (8, record("a", Some("4"))), (u64::MAX, record("z", Some("9")))];
        assert_eq!(all(&mut store), left);
        let named = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(named, 0, "nothing is left of it when the process ends");
    }

    #[test]
    fn a_file_that_is_written_over_and_over_does_not_grow_on_and_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Backing::new(folder.path().to_owned());
        let value = "v".repeat(1000);
        let mut sizes = Vec::new();
        for _ in 0..40 {
            store.put(&mut (0..500).map(|number| (number, record("a", Some(&value))))).unwrap();
            let stats = store.database.as_ref().unwrap().begin_write().unwrap();
            sizes.push(stats.stats().unwrap().allocated_pages());
            stats.abort().unwrap();
        }
        assert!(sizes[39] <= 2 * sizes[4], "{sizes:?} pages");
    }
}
