//! What can be wrong with a store.

use std::io;
use std::path::PathBuf;

/// Why a version could not be published or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder cannot be read or written.
    #[error("{path}: cannot {doing}: {error}")]
    Io {
        /// What was tried: `read`, `write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A name that is neither `current` nor a version of this store.
    #[error("{store}: there is no version `{name}`; give `current` or one of: {known}", name = driftline_core::terminal(.name))]
    Unknown {
        /// The store.
        store: PathBuf,
        /// The name as it was given.
        name: String,
        /// The versions that there are, the newest first, joined by commas.
        known: String,
    },
    /// A manifest that is none, or is that of another version.
    #[error("{path}: not the manifest of this version: {problem}; publish it again")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The baselines are not what was published.
    #[error("{path}: damaged: {found} where {expected} was published; remove the version and publish it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The hash of what is there.
        found: String,
        /// The hash of what was published.
        expected: String,
    },
    /// Files that cannot be written, or are not those of baselines.
    #[error("{path}: not the files of baselines: {problem}; publish them again")]
    Files {
        /// The version's folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is no version to go back to.
    #[error("{store}: no version was published before {current}")]
    Oldest {
        /// The store.
        store: PathBuf,
        /// The version in force.
        current: String,
    },
    /// Baselines were given that do not ascend by tenant, agent and version, or come twice.
    #[error("agent `{agent}` of tenant `{tenant}` comes twice, or out of order: merge its baselines first", agent = driftline_core::terminal(.agent), tenant = driftline_core::terminal(.tenant))]
    Twice {
        /// The tenant.
        tenant: String,
        /// The agent.
        agent: String,
    },
}
