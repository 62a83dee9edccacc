//! A folder of versions, each written once and whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use driftline_core::{Timestamp, record_hash};
use serde::{Deserialize, Serialize};

use crate::{Baseline, StoreError};

const MANIFEST: &str = "manifest.json";
const BASELINES: &str = "baselines.ndjson";
/// Hexadecimal digits of the content's hash that name a version.
const DIGITS: usize = 16;

/// What a version holds, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`Manifest::SCHEMA`].
    pub schema: String,
    /// The version: the first 16 hexadecimal digits of `content`.
    pub version: String,
    /// The 128-bit XXH3 of `baselines.ndjson`, in hexadecimal. It tells damage, not malice: who may write to the store
    /// is up to the file system.
    pub content: String,
    /// When it was first published.
    pub created_at: Timestamp,
    /// What it was learned from, in the publisher's words.
    pub source: String,
    /// Agents that have a baseline.
    pub agents: u64,
    /// Their events.
    pub events: u64,
}

impl Manifest {
    /// The value of [`Manifest::schema`].
    pub const SCHEMA: &'static str = "driftline.baseline-manifest/1";
}

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

    /// Publishes baselines, in whatever order they come. Readers see the version whole or not at all. Where the same
    /// content is published already, that version stays as it is and its manifest is returned.
    ///
    /// # Errors
    ///
    /// [`StoreError::Twice`] where an agent comes twice, [`StoreError::Io`] where nothing can be written.
    pub fn publish(
        &self,
        mut baselines: Vec<Baseline>,
        created_at: Timestamp,
        source: &str,
    ) -> Result<Manifest, StoreError> {
        baselines.sort_unstable_by(|a, b| (&a.tenant, &a.agent).cmp(&(&b.tenant, &b.agent)));
        if let Some(twice) =
            baselines.windows(2).find(|two| two[0].tenant == two[1].tenant && two[0].agent == two[1].agent)
        {
            return Err(StoreError::Twice { tenant: twice[0].tenant.clone(), agent: twice[0].agent.clone() });
        }
        let content = lines(&baselines).map_err(io_error("write", &self.root.join(BASELINES)))?;
        let hash = hash(&content);
        let manifest = Manifest {
            schema: Manifest::SCHEMA.to_owned(),
            version: version_of(&hash).to_owned(),
            content: hash,
            created_at,
            source: source.to_owned(),
            agents: baselines.len() as u64,
            events: baselines.iter().map(|baseline| baseline.events).fold(0, u64::saturating_add),
        };
        self.put(&manifest, &content)
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
        manifests.sort_unstable_by(|a, b| (b.created_at, &b.version).cmp(&(a.created_at, &a.version)));
        Ok(manifests)
    }

    /// The manifest of a version, or of the newest one for `latest`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] lists the versions that there are; otherwise as [`Store::list`].
    pub fn find(&self, name: &str) -> Result<Manifest, StoreError> {
        let all = self.list()?;
        let known: Vec<_> = all.iter().map(|manifest| manifest.version.as_str()).collect();
        let unknown = StoreError::Unknown { store: self.root.clone(), name: name.to_owned(), known: known.join(", ") };
        all.into_iter().find(|manifest| name == "latest" || manifest.version == name).ok_or(unknown)
    }

    /// The baselines of a version, ordered by tenant and agent.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] where they are not what was published, [`StoreError::Line`] where one is no baseline;
    /// otherwise as [`Store::find`].
    pub fn read(&self, version: &str) -> Result<Vec<Baseline>, StoreError> {
        let manifest = self.find(version)?;
        let path = self.root.join(&manifest.version).join(BASELINES);
        let content = fs::read(&path).map_err(io_error("read", &path))?;
        let found = hash(&content);
        if found != manifest.content {
            return Err(StoreError::Damaged { path, found, expected: manifest.content });
        }
        let lines = content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let read = |(i, line)| {
            Baseline::parse(line).map_err(|problem| StoreError::Line { path: path.clone(), line: i + 1, problem })
        };
        lines.enumerate().map(read).collect()
    }

    /// Writes a version beside its place, then moves it there.
    fn put(&self, manifest: &Manifest, content: &[u8]) -> Result<Manifest, StoreError> {
        let failed = io_error("write", &self.root);
        fs::create_dir_all(&self.root).map_err(&failed)?;
        let staging = tempfile::Builder::new().prefix(".publishing-").tempdir_in(&self.root).map_err(&failed)?;
        write(&staging.path().join(BASELINES), content)?;
        let json = serde_json::to_vec_pretty(manifest).map_err(io::Error::from).map_err(&failed)?;
        write(&staging.path().join(MANIFEST), &json)?;
        let place = self.root.join(&manifest.version);
        match fs::rename(staging.path(), &place) {
            Ok(()) => {
                // It has moved: there is nothing left to remove.
                let _ = staging.keep();
                File::open(&self.root).and_then(|root| root.sync_all()).map_err(&failed)?;
                Ok(manifest.clone())
            }
            // A folder that is not empty is not replaced: the same content is there already.
            Err(_) if place.join(MANIFEST).exists() => self.manifest(&manifest.version),
            Err(error) => Err(io_error("write", &place)(error)),
        }
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

/// The version that content of this hash is published as.
fn version_of(hash: &str) -> &str {
    hash.get(..DIGITS).unwrap_or(hash)
}

fn hash(content: &[u8]) -> String {
    format!("{:032x}", record_hash(content))
}

fn lines(baselines: &[Baseline]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    for baseline in baselines {
        serde_json::to_writer(&mut content, baseline)?;
        content.push(b'\n');
    }
    Ok(content)
}

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
    use super::*;

    fn baseline(agent: &str, events: u64) -> Baseline {
        let mut baseline =
            Baseline { tenant: "acme".to_owned(), agent: agent.to_owned(), events, sessions: 2, ..Baseline::default() };
        baseline.tools.learn(u64::MAX, 2);
        baseline.hours.learn(490_000, 70_000);
        baseline
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn what_is_published_is_read_back_and_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("store"));
        assert_eq!(store.list().unwrap(), []);
        let first = store.publish(vec![baseline("b", 1), baseline("a", 2)], at(1), "one").unwrap();
        let second = store.publish(vec![baseline("a", 5)], at(2), "two").unwrap();
        assert_eq!((first.agents, first.events), (2, 3));
        assert_eq!(store.find("latest").unwrap(), second);
        assert_eq!(store.find(&first.version).unwrap(), first);
        assert_eq!(store.list().unwrap(), [second, first.clone()]);
        assert_eq!(store.read(&first.version).unwrap(), [baseline("a", 2), baseline("b", 1)]);
    }

    #[test]
    fn the_same_content_is_one_version_which_never_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let first = store.publish(vec![baseline("a", 1), baseline("b", 1)], at(1), "one").unwrap();
        let again = store.publish(vec![baseline("b", 1), baseline("a", 1)], at(2), "two").unwrap();
        assert_eq!(again, first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of the second try");
    }

    #[test]
    fn a_torn_or_changed_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let version = store.publish(vec![baseline("a", 1), baseline("b", 1)], at(1), "one").unwrap().version;
        let path = folder.path().join(&version).join(BASELINES);
        let whole = fs::read(&path).unwrap();
        // Cut at a line's end, where each line that is left is sound.
        let first_line = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        fs::write(&path, &whole[..first_line]).unwrap();
        assert!(matches!(store.read(&version), Err(StoreError::Damaged { .. })));
        fs::write(&path, &whole).unwrap();
        assert_eq!(store.read(&version).unwrap().len(), 2);
        fs::write(folder.path().join(&version).join(MANIFEST), b"{").unwrap();
        assert!(matches!(store.read(&version), Err(StoreError::Manifest { .. })));
    }

    #[test]
    fn a_line_that_is_no_baseline_is_told_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let content = [lines(&[baseline("a", 1)]).unwrap(), b"{\"agent\": 3}\n".to_vec()].concat();
        let hash = hash(&content);
        let published = store.publish(vec![baseline("a", 1)], at(1), "one").unwrap();
        let forged = Manifest { version: version_of(&hash).to_owned(), content: hash, ..published };
        store.put(&forged, &content).unwrap();
        let error = store.read(&forged.version).unwrap_err();
        assert!(matches!(&error, StoreError::Line { line: 2, .. }), "{error}");
    }

    #[test]
    fn an_agent_that_comes_twice_and_a_name_that_is_a_path_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("store"));
        let twice = store.publish(vec![baseline("a", 1), baseline("a", 2)], at(1), "one");
        assert!(matches!(twice, Err(StoreError::Twice { .. })));
        let error = store.read("../../etc").unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    }
}
