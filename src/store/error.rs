//! What can be wrong with a kept state, and the way out.

use std::io;
use std::path::PathBuf;

use crate::commands::CommandError;

/// Why a state can be neither used nor added to. What was committed before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses: no room, no permission, a broken disk.
    #[error("the state in {path}: {source}; what was committed holds: once this is put right, it is gone on with")]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process is at it.
    #[error("the state in {folder} is in use by another process: wait for it, or give another state folder")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The database is not as it was written, or is none.
    #[error("the state in {path} is damaged ({reason}): remove that file to start anew")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database is of another version of the program.
    #[error(
        "the state in {path} has format {found}, and this program reads format {known}: use the program that wrote it, or \
         give another state folder to start anew"
    )]
    Format {
        /// The database.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format of this program.
        known: u64,
    },
    /// The state is that of another replay.
    #[error(
        "the state in {path} is of a replay {then}, and this one is {now}: give the same arguments, or another state \
         folder to start anew"
    )]
    Arguments {
        /// The database.
        path: PathBuf,
        /// The argument as it was.
        then: String,
        /// The argument as it is.
        now: String,
    },
    /// Identity documents have changed, or the program's own settings.
    #[error(
        "the state in {path} was begun with other identity documents or settings ({which}): restore them, or give another \
         state folder to start anew"
    )]
    Begun {
        /// The database.
        path: PathBuf,
        /// Which one is different.
        which: String,
    },
    /// The input is not what was replayed.
    #[error(
        "{file}: the lines before {line} are not those that the state was made from: restore the file, or give another \
         state folder to start anew"
    )]
    InputChanged {
        /// The file.
        file: String,
        /// The line to go on at.
        line: u64,
    },
    /// The input, or an output, has less than was accounted for.
    #[error(
        "{file}: is gone or ends before {place}, up to where the state accounts for it: restore the file, or give another \
         state folder to start anew"
    )]
    Shorter {
        /// The file.
        file: String,
        /// Where it should at least reach.
        place: String,
    },
    /// An output that could not be cut back.
    #[error("{}: --state needs an ordinary file here, since what was not committed is cut off again", path.display())]
    NotAFile {
        /// The output.
        path: PathBuf,
    },
}

impl StoreError {
    /// What the database or the system says of the database at `path`.
    pub fn of(path: PathBuf, error: redb::Error) -> Self {
        match error {
            // Too short, or no database at all: redb says so by these kinds.
            redb::Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Self::Damaged { path, reason: error.to_string() }
            }
            redb::Error::Io(source) => Self::System { path, source },
            redb::Error::PreviousIo => Self::System { path, source: io::Error::other(error) },
            redb::Error::DatabaseAlreadyOpen => Self::InUse { folder: path },
            error => Self::Damaged { path, reason: error.to_string() },
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::System { .. } | StoreError::Damaged { .. } => Self::Failed(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}
