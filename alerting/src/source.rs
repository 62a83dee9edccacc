//! How a delivery reads the alert log: batch by batch, from a position of its own.

use std::path::PathBuf;
use std::time::Duration;

use driftline_core::Alert;

/// A reader of the alert log with a position of its own.
///
/// What has been handed out and not committed is handed out again after a restart: that is what makes delivery happen
/// at least once.
pub trait AlertSource: Send {
    /// The next alerts in the log's order, at most a bounded batch; empty where none came within `timeout`. A later call
    /// goes on where this one ended, whether or not it was committed.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the log cannot be read now. The next call tries again from the same place.
    fn next(&mut self, timeout: Duration) -> Result<Vec<Alert>, SourceError>;

    /// Moves the position past everything handed out so far. It holds after a crash once this returns.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the position could not be kept; it is then where it was.
    fn commit(&mut self) -> Result<(), SourceError>;

    /// Records that were no alerts and were passed over, since the source was opened.
    fn unreadable(&self) -> u64 {
        0
    }
}

/// Why the alert log cannot be read, or its position not be kept. Worth another try each.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file that keeps the position holds something else.
    #[error(
        "{path} holds no position ({why}); delete it to send every alert of the log again, or restore it",
        path = path.display()
    )]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another kind of log says this.
    #[error("cannot read the alert log: {0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}
