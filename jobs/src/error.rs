//! Why a job did not do what it was asked.

use driftline_baseline::StoreError;
use driftline_ingest::{FileError, SourceError};

/// Why a job did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// What was asked for makes no sense, or the input is not what it must be: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// Something failed on the way: exit status 1.
    #[error("{0}")]
    Failed(String),
    /// Whoever read the output has gone; that is their right.
    #[error("the output was closed")]
    Closed,
}

impl JobError {
    /// The exit status that the contract has for it.
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
            Self::Closed => 0,
        }
    }
}

impl From<std::io::Error> for JobError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<FileError> for JobError {
    fn from(error: FileError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<SourceError> for JobError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::File(error) => error.into(),
            SourceError::Other(error) => Self::Usage(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { .. } | StoreError::Twice { .. } => Self::Failed(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

impl From<datafusion::error::DataFusionError> for JobError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        // An error of ours comes back wrapped in what it came through.
        match error.find_root() {
            datafusion::error::DataFusionError::External(inner) => match inner.downcast_ref::<Self>() {
                Some(Self::Usage(text)) => Self::Usage(text.clone()),
                Some(Self::Failed(text)) => Self::Failed(text.clone()),
                _ => Self::Failed(error.to_string()),
            },
            _ => Self::Failed(error.to_string()),
        }
    }
}
