//! `driftline demo`: a simulated fleet with attacks in it, through the real engine.

use std::io::Write;

use super::CommandError;
use crate::demo::{self, DemoError, Options};

/// `driftline demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What everything is drawn from: another seed, another fleet and other attacks.
    #[arg(long)]
    seed: Option<u64>,
    /// Do not pause: as fast as the engine goes.
    #[arg(long)]
    fast: bool,
}

/// Shows the fleet at work.
///
/// # Errors
///
/// [`CommandError`] where the output cannot be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let mut options = Options::on_stdout();
    options.seed = args.seed.unwrap_or(options.seed);
    if args.fast {
        options.pace = None;
    }
    match demo::run(&options, out) {
        Ok(_) => Ok(()),
        Err(DemoError::Output(error)) => Err(error.into()),
        Err(error) => Err(CommandError::Failed(error.to_string())),
    }
}
