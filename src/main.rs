//! The `driftline` program: reads the command line, runs one command, and turns its outcome into an exit status.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use driftline::commands::{self, CommandError};
use driftline::config::Log;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stream processor for the behavioural drift of AI agents.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A simulated fleet with attacks in it, through the real engine; nothing else needed.
    Demo(commands::demo::Args),
    /// The stream processor.
    Run(commands::run::Args),
    /// The same engine over history, as fast as it goes.
    Replay(commands::replay::Args),
    /// What agents do, from their history: build, show, list, diff, rollback.
    #[command(disable_help_flag = true)]
    Baseline(commands::baseline::Args),
    /// SQL over events, alerts and baselines.
    #[command(disable_help_flag = true)]
    Query(commands::baseline::QueryArgs),
    /// How well the detectors tell attacks from honest sessions, by labelled events.
    Evaluate(commands::evaluate::Args),
    /// Labelled synthetic events, to a file, to standard output or into Kafka.
    Simulate(commands::simulate::Args),
    /// What is wrong with a configuration, and where.
    Check(commands::check::Args),
    /// The records of a topic with their positions, to replay them.
    Dump(commands::dump::Args),
    /// Whether a run's state topic is whole, what it is the state of, and its hash.
    State(commands::state::Args),
    /// The hash that `result.mentions` holds for an identifier.
    Hash(commands::hash::Args),
}

fn main() -> ExitCode {
    // Nothing, unless it was built for tests.
    let _failpoints = driftline_ingest::failpoints::begin();
    let cli = Cli::parse();
    // The stream processor sets its logs up from its configuration.
    if !matches!(cli.command, Command::Run(_))
        && let Err(error) = driftline::logging::init(&Log::default())
    {
        return say(&CommandError::Failed(error.to_string()));
    }
    let mut out = std::io::stdout().lock();
    let outcome = match &cli.command {
        Command::Demo(args) => commands::demo::run(args, &mut out),
        Command::Run(args) => {
            drop(out);
            return done(commands::run::run(args));
        }
        Command::Replay(args) => {
            // Alerts may go to standard output; what is said about them goes beside it.
            drop(out);
            return done(commands::replay::run(args, &mut std::io::stderr()));
        }
        Command::Baseline(args) => commands::baseline::run(args),
        Command::Query(args) => commands::baseline::query(args),
        Command::Evaluate(args) => commands::evaluate::run(args, &mut out),
        Command::Simulate(args) => commands::simulate::run(args, &mut out),
        Command::Check(args) => commands::check::run(args, &mut out),
        Command::Dump(args) => commands::dump::run(args, &mut out),
        Command::State(args) => commands::state::run(args, &mut out),
        Command::Hash(args) => commands::hash::run(args, &mut out),
    };
    done(outcome.and_then(|()| Ok(out.flush()?)))
}

fn done(outcome: Result<(), CommandError>) -> ExitCode {
    match outcome {
        Ok(()) | Err(CommandError::Closed) => ExitCode::SUCCESS,
        Err(error) => say(&error),
    }
}

fn say(error: &CommandError) -> ExitCode {
    // Line by line, so that what is quoted from outside cannot play tricks on the terminal.
    let text = error.to_string();
    for line in text.lines() {
        // There is nowhere left to say that standard error is closed.
        let _ = writeln!(std::io::stderr(), "{}", driftline_core::terminal(line));
    }
    ExitCode::from(error.status())
}
