//! The program's commands, one file each.

pub mod baseline;
pub mod check;
pub mod demo;
pub mod dump;
pub mod evaluate;
pub mod hash;
mod published;
pub mod replay;
pub mod run;
mod scores;
pub mod simulate;
pub mod state;
mod strictness;

use std::path::Path;

use driftline_core::IdentityDocument;

pub use published::Published;

use crate::config::identities;

/// The identity documents of a folder, where one is given.
///
/// # Errors
///
/// [`CommandError::Usage`] says what is wrong with the first that cannot be used.
fn documents(folder: Option<&Path>) -> Result<Vec<IdentityDocument>, CommandError> {
    let read = folder.map(identities::read).unwrap_or_default();
    match read.problems.first() {
        Some(problem) => Err(CommandError::Usage(problem.to_string())),
        None => Ok(read.documents.into_iter().map(|(_, document)| document).collect()),
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What was asked for makes no sense, or the input is not what it must be: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// Something failed on the way: exit status 1.
    #[error("{0}")]
    Failed(String),
    /// Something that passes has come between; what was committed holds, and the work is taken up again from there. Where
    /// it cannot be: exit status 1.
    #[error("{0}")]
    Interrupted(String),
    /// Whoever read the output has gone; that is their right.
    #[error("the output was closed")]
    Closed,
}

impl CommandError {
    /// A failure to do something with a file.
    pub fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The exit status that the contract has for it.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Interrupted(_) => 1,
            Self::Closed => 0,
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<driftline_ingest::SourceError> for CommandError {
    fn from(error: driftline_ingest::SourceError) -> Self {
        match error {
            driftline_ingest::SourceError::File(_) => Self::Usage(error.to_string()),
            driftline_ingest::SourceError::Kafka(error) => error.into(),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<driftline_ingest::kafka::KafkaError> for CommandError {
    fn from(error: driftline_ingest::kafka::KafkaError) -> Self {
        match error.is_retriable() || error.is_unreleased() || error.is_refused() {
            true => Self::Interrupted(error.to_string()),
            false => Self::Failed(error.to_string()),
        }
    }
}

impl From<crate::config::ConfigError> for CommandError {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}
