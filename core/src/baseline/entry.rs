//! Whose a baseline is.

use serde::{Deserialize, Serialize};

use super::value::Baseline;

/// The baseline of one version of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The agent's tenant; empty where events name none.
    pub tenant: String,
    /// The agent's id.
    pub agent: String,
    /// Its version; empty where events name none.
    pub version: String,
    /// What it was found to do.
    pub baseline: Baseline,
}
