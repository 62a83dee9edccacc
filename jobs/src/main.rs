//! `driftline-baseline`: the jobs that `driftline baseline` and `driftline query` hand over to.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use driftline_jobs::{JobError, build, diff, query, show, versions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Baselines from history.
#[derive(Debug, Parser)]
#[command(name = "driftline baseline", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What agents do, from their events, published as a new version.
    Build(build::Args),
    /// An agent's baseline.
    Show(show::Args),
    /// The versions of a store.
    List(versions::ListArgs),
    /// What has changed between two versions.
    Diff(diff::Args),
    /// Puts an earlier version in force again.
    Rollback(versions::RollbackArgs),
    /// SQL over events, alerts and baselines (`driftline query`).
    Query(query::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = std::io::stdout().lock();
    let outcome = match &cli.command {
        Command::Build(args) => build::run(args, &mut std::io::stderr()),
        Command::Show(args) => show::run(args, &mut out),
        Command::List(args) => versions::list(args, &mut out),
        Command::Diff(args) => diff::run(args, &mut out),
        Command::Query(args) => query::run(args, &mut out, &mut std::io::stderr()),
        Command::Rollback(args) => versions::roll_back(args, &mut out),
    };
    match outcome.and_then(|()| Ok(out.flush()?)) {
        Ok(()) | Err(JobError::Closed) => ExitCode::SUCCESS,
        Err(error) => {
            // Line by line, so that what is quoted from outside cannot play tricks on the terminal.
            for line in error.to_string().lines() {
                // There is nowhere left to say that standard error is closed.
                let _ = writeln!(std::io::stderr(), "{}", driftline_core::terminal(line));
            }
            ExitCode::from(error.status())
        }
    }
}
