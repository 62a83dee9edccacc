//! How results are printed.

use std::io::Write;

use crate::JobError;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints a value as JSON.
pub(crate) fn json(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), JobError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| JobError::Failed(error.to_string()))?;
    writeln!(out, "{text}")?;
    Ok(())
}

/// A bar of so many of `width` characters, in eighths.
pub(crate) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    let rest = width - eighths.div_ceil(8);
    bar + &" ".repeat(rest)
}
