//! Files of alerts, a line each.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use driftline_core::{Alert, terminal};

use crate::JobError;

/// Shows each alert of a file.
///
/// # Errors
///
/// [`JobError::Usage`] names file and line of what is no alert.
pub fn read(path: &Path, mut each: impl FnMut(&Alert)) -> Result<(), JobError> {
    let unusable = |what: String| JobError::Usage(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| unusable(format!("cannot read: {error}")))?;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| unusable(format!("line {number}: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let alert: Alert = serde_json::from_str(&line)
            .map_err(|error| unusable(format!("line {number}: not an alert: {}", terminal(&error.to_string()))))?;
        each(&alert);
    }
    Ok(())
}
