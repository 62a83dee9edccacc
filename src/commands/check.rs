//! `driftline check`: what is wrong with a configuration, and where.

use std::io::Write;
use std::path::PathBuf;

use super::CommandError;
use crate::config::{Gravity, check};

/// `driftline check -c FILE`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(short, long, default_value = "driftline.toml")]
    config: PathBuf,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON array.
    Json,
}

/// Prints every problem.
///
/// # Errors
///
/// [`CommandError::Usage`] where any of them stands in the way of running.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let problems = check(&args.config);
    match args.output {
        Output::Json => {
            let json = serde_json::to_string_pretty(&problems).map_err(|e| CommandError::Failed(e.to_string()))?;
            writeln!(out, "{json}")?;
        }
        Output::Text => {
            for problem in &problems {
                writeln!(out, "{problem}")?;
            }
        }
    }
    let errors = problems.iter().filter(|problem| problem.gravity == Gravity::Error).count();
    if errors > 0 {
        return Err(CommandError::Usage(format!("{}: errors: {errors}", args.config.display())));
    }
    if args.output == Output::Text {
        writeln!(out, "{}: fine", args.config.display())?;
    }
    Ok(())
}
