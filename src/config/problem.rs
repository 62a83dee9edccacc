//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use driftline_core::terminal;
use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// It runs, but perhaps not as meant.
    Warning,
    /// It does not run.
    Error,
}

/// Something wrong with a configuration file, or with a file that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it stands in the way of running.
    pub gravity: Gravity,
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1, where one is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The character in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The field's path (`source.kafka.topic`, `slack[0].webhook`), where one is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// A file as a whole is at fault.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            gravity: Gravity::Error,
            file: file.to_owned(),
            line: None,
            column: None,
            field: None,
            message: message.into(),
        }
    }
}

/// `error: driftline.toml:7:1: source.kafka.topic: …`; what came from outside is escaped.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gravity = match self.gravity {
            Gravity::Warning => "warning",
            Gravity::Error => "error",
        };
        write!(f, "{gravity}: {}", terminal(&self.file.to_string_lossy()))?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{place}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {}", terminal(field))?;
        }
        write!(f, ": {}", terminal(&self.message))
    }
}

/// A configuration that cannot be run, with every reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// The reasons, at least one.
    pub problems: Vec<Problem>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}
