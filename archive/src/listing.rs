//! Which ranges of offsets are archived.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::ArchiveError;

/// The folder of listings.
const LISTING: &str = "_listing";
/// What names of files are made of as they are; a dot alone would be another folder.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// An archive in a folder.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(crate) root: PathBuf,
}

/// A range of offsets that is archived, and the files that hold its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// [`Listed::SCHEMA`].
    pub schema: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset after the last record, be it an event or not.
    pub until: i64,
    /// Events in it.
    pub events: u64,
    /// The files, relative to the archive's folder; none where no record of the range is an event.
    pub files: Vec<ListedFile>,
}

/// A file of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Its folder.
    pub folder: String,
    /// Its name, and the hidden one that it has before it is listed.
    pub name: String,
    /// See `name`.
    pub hidden: String,
    /// Rows.
    pub events: u64,
}

impl Listed {
    /// The value of [`Listed::schema`].
    pub const SCHEMA: &'static str = "driftline.archive/1";
}

impl Archive {
    /// The archive in a folder, `PATH` or `file://PATH`, which is made when something is written.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NoFolder`] where it names something else.
    pub fn at(uri: &str) -> Result<Self, ArchiveError> {
        match uri.split_once("://") {
            None => Ok(Self { root: uri.into() }),
            Some(("file", path)) if path.starts_with('/') => Ok(Self { root: path.into() }),
            Some(_) => Err(ArchiveError::NoFolder(uri.to_owned())),
        }
    }

    /// Whether a folder is an archive.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(LISTING).is_dir()
    }

    /// All ranges, ordered by topic, partition and offset.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] where a listing cannot be read, or a range begins before the one before it ends.
    pub fn list(&self) -> Result<Vec<Listed>, ArchiveError> {
        let mut all = self.names()?.iter().map(|name| self.read_listing(name)).collect::<Result<Vec<_>, _>>()?;
        all.sort_unstable_by(|a, b| (&a.topic, a.partition, a.from).cmp(&(&b.topic, b.partition, b.from)));
        for pair in all.windows(2) {
            let same = (&pair[0].topic, pair[0].partition) == (&pair[1].topic, pair[1].partition);
            if same && pair[0].until > pair[1].from {
                let path = self.listing(&pair[1].topic, pair[1].partition, pair[1].from);
                return Err(ArchiveError::damaged(&path, format!("offset {} is in another range too", pair[1].from)));
            }
        }
        Ok(all)
    }

    /// The offset at which a partition is to be read on; `None` where nothing of it is archived. Files of the last range that
    /// did not get their names before its writer ended get them now.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] where that cannot be told.
    pub fn resume(&self, topic: &str, partition: i32) -> Result<Option<i64>, ArchiveError> {
        let prefix = format!("{}-{partition}-", plain(topic));
        let names = self.names()?;
        let own = names.iter().filter(|name| {
            name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".json")).is_some_and(is_number)
        });
        let Some(last) = own.max() else { return Ok(None) };
        let last = self.read_listing(last)?;
        self.put_in_place(&last.files)?;
        Ok(Some(last.until))
    }

    /// Lists a range whose files are written under their hidden names, and gives them theirs.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Claimed`] where another writer has listed it; [`ArchiveError::Io`] where that cannot be told: it may
    /// be listed, or not, as [`Archive::resume`] tells.
    pub fn claim(&self, listed: &Listed) -> Result<(), ArchiveError> {
        let folder = self.root.join(LISTING);
        fs::create_dir_all(&folder).map_err(ArchiveError::io("make", &folder))?;
        let path = self.listing(&listed.topic, listed.partition, listed.from);
        let staged = folder.join(format!(".{}", uuid::Uuid::new_v4()));
        let text = serde_json::to_vec_pretty(listed).map_err(|error| ArchiveError::damaged(&path, error))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&staged)
            .map_err(ArchiveError::io("write", &staged))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(ArchiveError::io("write", &staged))?;
        // Whole, and only where there is none: a link, unlike a move, replaces nothing.
        let linked = fs::hard_link(&staged, &path);
        fs::remove_file(&staged).map_err(ArchiveError::io("remove", &staged))?;
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let Listed { topic, partition, from, .. } = listed;
                return Err(ArchiveError::Claimed { topic: topic.clone(), partition: *partition, from: *from });
            }
            Err(error) => return Err(ArchiveError::io("write", &path)(error)),
        }
        sync(&folder)?;
        self.put_in_place(&listed.files)
    }

    /// Gives files of a range their names, where they have them not.
    pub(crate) fn put_in_place(&self, files: &[ListedFile]) -> Result<(), ArchiveError> {
        let mut folders = BTreeSet::new();
        for file in files {
            let folder = self.root.join(&file.folder);
            let (hidden, path) = (folder.join(&file.hidden), folder.join(&file.name));
            match fs::rename(&hidden, &path) {
                Ok(()) => drop(folders.insert(folder)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_file() => {}
                Err(error) => return Err(ArchiveError::io("write", &path)(error)),
            }
        }
        folders.iter().try_for_each(|folder| sync(folder))
    }

    fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let folder = self.root.join(LISTING);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ArchiveError::io("read", &folder)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(ArchiveError::io("read", &folder))?;
            // What is being written is hidden.
            names.extend(entry.file_name().into_string().ok().filter(|name| {
                !name.starts_with('.') && Path::new(name).extension().is_some_and(|extension| extension == "json")
            }));
        }
        Ok(names)
    }

    fn read_listing(&self, name: &str) -> Result<Listed, ArchiveError> {
        let path = self.root.join(LISTING).join(name);
        let text = fs::read(&path).map_err(ArchiveError::io("read", &path))?;
        let listed: Listed = serde_json::from_slice(&text).map_err(|error| ArchiveError::damaged(&path, error))?;
        let is_inside = |file: &ListedFile| {
            let parts =
                [&file.folder, &file.name, &file.hidden].into_iter().flat_map(|path| Path::new(path).components());
            parts.into_iter().all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        if listed.schema != Listed::SCHEMA {
            return Err(ArchiveError::damaged(&path, format!("`schema` is not {}", Listed::SCHEMA)));
        }
        if name != file_name(&listed.topic, listed.partition, listed.from, "json") || listed.from > listed.until {
            return Err(ArchiveError::damaged(&path, "it is the listing of another range"));
        }
        match listed.files.iter().all(is_inside) {
            true => Ok(listed),
            false => Err(ArchiveError::damaged(&path, "it names a file that is not in the archive")),
        }
    }

    fn listing(&self, topic: &str, partition: i32, from: i64) -> PathBuf {
        self.root.join(LISTING).join(file_name(topic, partition, from, "json"))
    }
}

/// The name of a file that begins with an offset; names of a partition are in the order of offsets.
pub(crate) fn file_name(topic: &str, partition: i32, from: i64, extension: &str) -> String {
    format!("{}-{partition}-{from:020}.{extension}", plain(topic))
}

/// A name as part of a path.
pub(crate) fn plain(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

pub(crate) fn sync(folder: &Path) -> Result<(), ArchiveError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ArchiveError::io("write", folder))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
