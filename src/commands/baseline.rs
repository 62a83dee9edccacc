//! `driftline baseline` and `driftline query`: handed over to `driftline-baseline`, which has DataFusion in it and takes long
//! to build.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::CommandError;

/// The program that has the jobs.
const JOBS: &str = "driftline-baseline";

/// `driftline baseline …`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the jobs are asked: `build`, `show`, `list`, `diff`, `rollback`; `--help` tells more.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// `driftline query …`.
#[derive(Debug, clap::Args)]
pub struct QueryArgs {
    /// The query, and the files that it is over; `--help` tells more.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Becomes the program that has the jobs, for a query.
///
/// # Errors
///
/// As [`run`].
pub fn query(args: &QueryArgs) -> Result<(), CommandError> {
    let arguments = std::iter::once("query".into()).chain(args.arguments.iter().cloned());
    run(&Args { arguments: arguments.collect() })
}

/// Becomes the program that has the jobs.
///
/// # Errors
///
/// [`CommandError::Usage`] says how to get that program where it is neither beside this one nor on the path.
pub fn run(args: &Args) -> Result<(), CommandError> {
    let beside = std::env::current_exe().ok().map(|path| path.with_file_name(JOBS)).filter(|path| path.is_file());
    let program = beside.unwrap_or_else(|| PathBuf::from(JOBS));
    let error = become_program(Command::new(&program).args(&args.arguments));
    Err(match error.kind() {
        std::io::ErrorKind::NotFound => CommandError::Usage(format!(
            "{JOBS} is neither beside this program nor on the PATH. It is built by itself, since that takes about twenty \
             minutes:\n    cargo build --release -p driftline-jobs --features datafusion"
        )),
        _ => CommandError::Failed(format!("cannot start {}: {error}", program.display())),
    })
}

/// Runs the program in place of this one; returns why it could not.
#[cfg(unix)]
fn become_program(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}
