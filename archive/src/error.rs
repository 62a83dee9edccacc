//! What is wrong with an archive.

use std::io;
use std::path::{Path, PathBuf};

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system refused.
    #[error("cannot {doing} {path}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A listing or a file is not what was written.
    #[error("{path}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another writer has archived the range, or a part of it.
    #[error("{topic}/{partition}: offset {from} was archived by another writer")]
    Claimed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the range begins.
        from: i64,
    },
    /// What was named is no place for an archive.
    #[error("`{0}` is no folder: archives are kept in folders of the file system so far, not in object stores")]
    NoFolder(String),
}

impl ArchiveError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }

    pub(crate) fn damaged(path: &Path, problem: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.to_string() }
    }
}
