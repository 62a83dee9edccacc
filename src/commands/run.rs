//! `driftline run`: the stream processor.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CommandError;
use crate::config::{Archive, Baseline, Config};

/// `driftline run -c FILE`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(short, long, default_value = "driftline.toml")]
    config: PathBuf,
    /// A published baseline to begin with, STORE[@VERSION], whatever the configuration says (`baseline.store`).
    #[arg(long, value_name = "STORE[@VERSION]")]
    baseline: Option<String>,
    /// A folder to keep what is read in, as Parquet files, whatever the configuration says (`archive.path`).
    #[arg(long, value_name = "URI")]
    archive: Option<String>,
}

/// Runs until SIGINT or SIGTERM, then drains, commits and leaves the group; a second signal ends it at once.
///
/// # Errors
///
/// [`CommandError`] for a configuration that nothing can be run from, and for what makes going on impossible.
pub fn run(args: &Args) -> Result<(), CommandError> {
    let mut config = Config::load(&args.config)?;
    if let Some(store) = &args.baseline {
        let baseline = Baseline::of(store);
        if let Some((_, message)) = baseline.problem(&config.source) {
            return Err(CommandError::Usage(format!("--baseline {store}: {message}")));
        }
        config.baseline = Some(baseline);
    }
    if let Some(path) = &args.archive {
        let archive = Archive::of(path);
        if let Some((_, message)) = archive.problem(&config.source) {
            return Err(CommandError::Usage(format!("--archive {path}: {message}")));
        }
        config.archive = Some(archive);
    }
    crate::logging::init(&config.log).map_err(|error| CommandError::Usage(error.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signal(stop.clone())?;
    crate::run::run(config, &stop)
}

fn stop_on_signal(stop: Arc<AtomicBool>) -> Result<(), CommandError> {
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            end_at_once();
        }
        tracing::info!("stopping: what was read is finished and committed first");
    })
    .map_err(|error| CommandError::Failed(format!("cannot watch for signals: {error}")))
}

#[expect(
    clippy::exit,
    reason = "whoever asks a second time does not want to wait for threads; nothing uncommitted counts"
)]
fn end_at_once() {
    std::process::exit(1);
}
