//! A folder of versions, each written once and whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
#[cfg(feature = "publish")]
use std::sync::mpsc;

use driftline_core::record_hash;

#[cfg(feature = "publish")]
use crate::{About, tables};
use crate::{Entry, Manifest, StoreError, compact};

const MANIFEST: &str = "manifest.json";
const FILES: [&str; 3] = ["baselines.zst", "agents.parquet", "counts.parquet"];
/// Names the version in force.
const CURRENT: &str = "current";
/// Hexadecimal digits of the content's hash that name a version.
const DIGITS: usize = 16;
/// Baselines that wait to be written to the tables.
#[cfg(feature = "publish")]
const WAITING: usize = 64;

/// A folder of published baselines.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in a folder, which is made when something is published.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store and the version that `STORE[@VERSION]` names; by default the one in force.
    pub fn at(reference: &str) -> (Self, &str) {
        match reference.rsplit_once('@') {
            // A folder may have the mark in its name.
            Some((store, version)) if !Path::new(reference).exists() => (Self::new(store), version),
            _ => (Self::new(reference), CURRENT),
        }
    }

    /// Publishes baselines, which come in order of tenant, agent and version, and puts them in force. Readers see the version
    /// whole or not at all. Where the same content is published already, that version stays as it is, is in force again, and
    /// its manifest is returned.
    ///
    /// # Errors
    ///
    /// [`StoreError::Twice`] where an agent's version comes twice or out of order, [`StoreError::Io`] where nothing can be
    /// written.
    #[cfg(feature = "publish")]
    pub fn publish(&self, entries: impl IntoIterator<Item = Entry>, about: About) -> Result<Manifest, StoreError> {
        let bad = |error: parquet::errors::ParquetError| self.not_files(&self.root, error.to_string());
        let failed = io_error("write", &self.root);
        let mut manifest = Manifest {
            schema: Manifest::SCHEMA.to_owned(),
            version: String::new(),
            content: String::new(),
            agents: 0,
            versions: 0,
            sessions: 0,
            excluded: 0,
            events: 0,
            first: None,
            last: None,
            about,
        };
        let mut compact = compact::Writer::new().map_err(&failed)?;
        // Beside it, since both take as long, and one core would wait.
        let (sender, receiver) = mpsc::sync_channel::<Entry>(WAITING);
        let tables = std::thread::spawn(move || {
            let mut tables = tables::Writer::new();
            receiver.iter().try_for_each(|entry| tables.push(&entry))?;
            tables.finish()
        });
        let mut before: Option<(String, String, String)> = None;
        for entry in entries {
            let whose = (entry.tenant.clone(), entry.agent.clone(), entry.version.clone());
            if before.as_ref().is_some_and(|before| *before >= whose) {
                return Err(StoreError::Twice { tenant: whose.0, agent: whose.1 });
            }
            let same_agent = before.as_ref().is_some_and(|before| (&before.0, &before.1) == (&whose.0, &whose.1));
            manifest.agents += u64::from(!same_agent);
            manifest.versions += 1;
            manifest.sessions += entry.baseline.sessions;
            manifest.excluded += entry.baseline.excluded;
            manifest.events += entry.baseline.events;
            if let Some((first, last)) = entry.baseline.span() {
                manifest.first = Some(manifest.first.map_or(first, |known| known.min(first)));
                manifest.last = manifest.last.max(Some(last));
            }
            compact.push(&entry).map_err(&failed)?;
            before = Some(whose);
            // Where the tables have failed, they tell why.
            if sender.send(entry).is_err() {
                break;
            }
        }
        drop(sender);
        let failed_thread = || self.not_files(&self.root, "the thread that writes tables has failed".to_owned());
        let [agents, counts] = tables.join().map_err(|_| failed_thread())?.map_err(bad)?;
        let files = [compact.finish().map_err(&failed)?, agents, counts];
        manifest.content = hash(&files);
        manifest.version = manifest.content.get(..DIGITS).unwrap_or(&manifest.content).to_owned();
        let manifest = self.put(manifest, &files)?;
        self.set_current(&manifest.version)?;
        Ok(manifest)
    }

    /// The manifests of all versions, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Manifest`] where one is damaged, [`StoreError::Io`] where the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Manifest>, StoreError> {
        let failed = io_error("read", &self.root);
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut manifests = Vec::new();
        for entry in entries {
            let name = entry.map_err(&failed)?.file_name();
            // What is being published, and what others have put here, is no version.
            if let Some(version) = name.to_str().filter(|name| is_version(name)) {
                manifests.push(self.manifest(version)?);
            }
        }
        manifests.sort_unstable_by(|a, b| (b.about.created_at, &b.version).cmp(&(a.about.created_at, &a.version)));
        Ok(manifests)
    }

    /// The name of the version in force; `None` before anything was published.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] where it cannot be read.
    pub fn current(&self) -> Result<Option<String>, StoreError> {
        let path = self.root.join(CURRENT);
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// The manifest of a version, by its name or the beginning of it, or of the one in force for `current`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] lists the versions that there are; otherwise as [`Store::list`].
    pub fn find(&self, name: &str) -> Result<Manifest, StoreError> {
        let all = self.list()?;
        let known: Vec<_> = all.iter().map(|manifest| manifest.version.as_str()).collect();
        let unknown = StoreError::Unknown { store: self.root.clone(), name: name.to_owned(), known: known.join(", ") };
        let version = if name == CURRENT { self.current()?.unwrap_or_default() } else { name.to_owned() };
        let mut found =
            all.into_iter().filter(|manifest| !version.is_empty() && manifest.version.starts_with(&version));
        match (found.next(), found.next()) {
            (Some(manifest), None) => Ok(manifest),
            _ => Err(unknown),
        }
    }

    /// Puts an earlier version in force: the one that is named, else the one that was published before the present one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Oldest`] where there is none before; otherwise as [`Store::find`].
    pub fn roll_back(&self, to: Option<&str>) -> Result<Manifest, StoreError> {
        let target = match to {
            Some(name) => self.find(name)?,
            None => {
                let current = self.find(CURRENT)?;
                let mut older = self.list()?.into_iter().skip_while(|manifest| manifest.version != current.version);
                let oldest = StoreError::Oldest { store: self.root.clone(), current: current.version.clone() };
                older.nth(1).ok_or(oldest)?
            }
        };
        self.set_current(&target.version)?;
        Ok(target)
    }

    /// The baselines of a version, ordered by tenant, agent and version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] where they are not what was published, [`StoreError::Files`] where they cannot be read;
    /// otherwise as [`Store::find`].
    pub fn read(&self, version: &str) -> Result<Vec<Entry>, StoreError> {
        let manifest = self.find(version)?;
        let folder = self.root.join(&manifest.version);
        let file = |name: &str| fs::read(folder.join(name)).map_err(io_error("read", &folder.join(name)));
        let files = [file(FILES[0])?, file(FILES[1])?, file(FILES[2])?];
        let found = hash(&files);
        if found != manifest.content {
            return Err(StoreError::Damaged { path: folder, found, expected: manifest.content });
        }
        compact::read(&files[0]).map_err(|problem| self.not_files(&folder, problem))
    }

    /// The folder of a version, which holds its files.
    pub fn folder(&self, manifest: &Manifest) -> PathBuf {
        self.root.join(&manifest.version)
    }

    fn not_files(&self, path: &Path, problem: String) -> StoreError {
        StoreError::Files { path: path.to_owned(), problem }
    }

    /// Writes a version beside its place, then moves it there.
    #[cfg(feature = "publish")]
    fn put(&self, manifest: Manifest, files: &[Vec<u8>; 3]) -> Result<Manifest, StoreError> {
        let failed = io_error("write", &self.root);
        fs::create_dir_all(&self.root).map_err(&failed)?;
        let staging = tempfile::Builder::new().prefix(".publishing-").tempdir_in(&self.root).map_err(&failed)?;
        for (name, content) in FILES.iter().zip(files) {
            write(&staging.path().join(name), content)?;
        }
        let json = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from).map_err(&failed)?;
        write(&staging.path().join(MANIFEST), &json)?;
        let place = self.root.join(&manifest.version);
        match fs::rename(staging.path(), &place) {
            Ok(()) => {
                // It has moved: there is nothing left to remove.
                let _ = staging.keep();
                File::open(&self.root).and_then(|root| root.sync_all()).map_err(&failed)?;
                Ok(manifest)
            }
            // A folder that is not empty is not replaced: the same content is there already.
            Err(_) if place.join(MANIFEST).exists() => self.manifest(&manifest.version),
            Err(error) => Err(io_error("write", &place)(error)),
        }
    }

    /// Names the version in force, in one step.
    fn set_current(&self, version: &str) -> Result<(), StoreError> {
        let path = self.root.join(CURRENT);
        let failed = io_error("write", &path);
        let mut file = tempfile::NamedTempFile::new_in(&self.root).map_err(&failed)?;
        file.write_all(version.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(&failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        File::open(&self.root).and_then(|root| root.sync_all()).map_err(&failed)
    }

    fn manifest(&self, version: &str) -> Result<Manifest, StoreError> {
        let path = self.root.join(version).join(MANIFEST);
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        let problem = match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(manifest) if manifest.schema != Manifest::SCHEMA => {
                format!("`schema` is not {}", Manifest::SCHEMA)
            }
            Ok(manifest) if manifest.version != version || !manifest.content.starts_with(version) => {
                "`version` and `content` are not those of the folder".to_owned()
            }
            Ok(manifest) => return Ok(manifest),
            Err(error) => error.to_string(),
        };
        Err(StoreError::Manifest { path, problem })
    }
}

fn is_version(name: &str) -> bool {
    name.len() == DIGITS && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The hash of all files.
fn hash(files: &[Vec<u8>; 3]) -> String {
    let all: Vec<u8> = files.iter().flat_map(|file| record_hash(file).to_be_bytes()).collect();
    format!("{:032x}", record_hash(&all))
}

#[cfg(feature = "publish")]
fn write(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(io_error("write", path))
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { doing, path: path.clone(), error }
}

#[cfg(test)]
mod tests {
    use driftline_core::Timestamp;
    use driftline_core::baseline::{Act, Baseline, SessionLog};
    use driftline_core::{Event, Limits};

    use super::*;

    fn entry(agent: &str, sessions: u64) -> Entry {
        // Less room than resources, so that a sample is kept.
        let mut baseline = Baseline::new(3);
        for session in 0..sessions {
            let mut log = SessionLog::default();
            for act in 0..4 {
                let record = format!(
                    r#"{{"time":{},"agent":{{"id":"a","platform":"p"}},"session":{{"id":"{session}"}},"action":{{"name":"t{act}"}},
                    "task":{{"intent":"Look it up"}},"resource":{{"id":"r/{act}{session}"}},"outcome":"denied","usage":{{"duration_ms":41.5}}}}"#,
                    (session * 10 + act) * 1_000_000
                );
                log.push(&Act::of(&Event::decode(record.as_bytes(), &Limits::default()).unwrap(), act));
            }
            log.lessons(|lesson| baseline.learn(lesson));
        }
        Entry { tenant: "acme".into(), agent: agent.into(), version: "1".into(), baseline }
    }

    fn at(millis: i64) -> About {
        About { created_at: Timestamp::from_millis(millis).unwrap(), ..About::default() }
    }

    #[test]
    fn what_is_published_is_read_back_and_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("store"));
        assert_eq!(store.list().unwrap(), []);
        assert!(matches!(store.find("current"), Err(StoreError::Unknown { .. })));
        let first = store.publish([entry("a", 2), entry("b", 1)], at(1)).unwrap();
        let second = store.publish([entry("a", 5)], at(2)).unwrap();
        assert_eq!((first.agents, first.sessions, first.events), (2, 3, 12));
        assert_eq!(store.find("current").unwrap(), second);
        assert_eq!(store.find(first.version.get(..6).unwrap()).unwrap(), first);
        assert_eq!(store.list().unwrap(), [second, first.clone()]);
        assert_eq!(store.read(&first.version).unwrap(), [entry("a", 2), entry("b", 1)]);
    }

    #[test]
    fn an_earlier_version_is_put_in_force_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let versions: Vec<_> = (1..4).map(|n| store.publish([entry("a", n)], at(n as i64)).unwrap()).collect();
        assert_eq!(store.roll_back(None).unwrap(), versions[1]);
        assert_eq!(store.roll_back(None).unwrap(), versions[0]);
        assert!(matches!(store.roll_back(None), Err(StoreError::Oldest { .. })));
        assert_eq!(store.find("current").unwrap(), versions[0]);
        store.roll_back(Some(&versions[2].version)).unwrap();
        assert_eq!(store.current().unwrap().as_ref(), Some(&versions[2].version));
    }

    #[test]
    fn the_same_content_is_one_version_which_never_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let first = store.publish([entry("a", 1)], at(1)).unwrap();
        store.publish([entry("a", 2)], at(2)).unwrap();
        assert_eq!(store.publish([entry("a", 1)], at(3)).unwrap(), first);
        assert_eq!(store.current().unwrap(), Some(first.version));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            3,
            "two versions, which one is in force, and nothing else"
        );
    }

    #[test]
    fn a_torn_or_changed_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let version = store.publish([entry("a", 1), entry("b", 1)], at(1)).unwrap().version;
        for table in FILES {
            let path = folder.path().join(&version).join(table);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            assert!(matches!(store.read(&version), Err(StoreError::Damaged { .. })));
            fs::write(&path, &whole).unwrap();
            assert_eq!(store.read(&version).unwrap().len(), 2);
        }
        fs::write(folder.path().join(&version).join(MANIFEST), b"{").unwrap();
        assert!(matches!(store.read(&version), Err(StoreError::Manifest { .. })));
    }

    #[test]
    fn files_of_something_else_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let published = store.publish([entry("a", 1)], at(1)).unwrap();
        let forged = [b"PAR1".to_vec(), Vec::new(), Vec::new()];
        let content = hash(&forged);
        let manifest = Manifest { version: content.get(..DIGITS).unwrap().to_owned(), content, ..published };
        store.put(manifest.clone(), &forged).unwrap();
        let error = store.read(&manifest.version).unwrap_err();
        assert!(matches!(error, StoreError::Files { .. }), "{error}");
    }

    #[test]
    fn an_agent_that_comes_twice_and_a_name_that_is_a_path_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("store"));
        let twice = store.publish([entry("a", 1), entry("a", 2)], at(1));
        assert!(matches!(twice, Err(StoreError::Twice { .. })));
        assert!(matches!(store.publish([entry("b", 1), entry("a", 2)], at(1)), Err(StoreError::Twice { .. })));
        let error = store.read("../../etc").unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    }
}
