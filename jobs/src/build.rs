//! `driftline baseline build`: from files to a published version.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use datafusion::common::cast::{as_binary_array, as_string_array};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::AggregateUDF;
use datafusion::prelude::{SessionConfig, SessionContext};
use driftline_baseline::{About, Entry, Store};
use driftline_core::baseline::Baseline;
use driftline_core::{Limits, Timestamp};
use driftline_ingest::{decoder, now};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use crate::JobError;
use crate::archive::ArchiveSource;
use crate::exclude::Alerted;
use crate::logs::Logs;
use crate::merged::Merged;
use crate::scan::{self, Acts, Input};
use crate::topic::Topic;

/// `driftline baseline build FILES… --store STORE`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, folders or patterns of events (NDJSON, plain, gzip or zstd) or of record dumps; `-` is standard input. Or an
    /// archive of `run --archive`.
    #[arg(required_unless_present = "name")]
    files: Vec<String>,
    #[command(flatten)]
    topic: Topic,
    /// The folder that baselines are published to.
    #[arg(long)]
    store: PathBuf,
    /// Learn events from this time on (RFC 3339).
    #[arg(long, visible_alias = "from")]
    since: Option<Timestamp>,
    /// Learn events before this time.
    #[arg(long)]
    until: Option<Timestamp>,
    /// Alerts, a line each: sessions that raised them are not learned, but for when the agent worked and what permissions it
    /// gave. Those of severity `low` or less keep nothing out.
    #[arg(long, value_name = "FILE")]
    exclude_alerts: Option<PathBuf>,
    /// The format of the events.
    #[arg(long, default_value = "native")]
    format: String,
    /// Publish nothing where more records than this are no events.
    #[arg(long, value_name = "RECORDS")]
    max_bad: Option<u64>,
    /// Threads that decode, and as many that put together; by default as many as there are cores.
    #[arg(long)]
    threads: Option<usize>,
}

/// The two steps: what sessions did, and what that teaches about each version of each agent.
const PLAN: &str = "SELECT tenant, agent, version, baseline(log) AS baseline FROM \
     (SELECT tenant, agent, version, session_log(act) AS log FROM acts GROUP BY tenant, agent, version, session) \
     GROUP BY tenant, agent, version";

/// Builds baselines and publishes them.
///
/// # Errors
///
/// [`JobError::Usage`] names file and line of what cannot be read, and says where there is nothing to learn from; then
/// nothing is published.
pub fn run(args: &Args, log: &mut impl Write) -> Result<(), JobError> {
    let started = Instant::now();
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        return Err(JobError::Usage(format!("--since {since} --until {until}: there is no time in between")));
    }
    let decoder = decoder::by_name(&args.format).map_err(|error| JobError::Usage(error.to_string()))?;
    let (mut input, source) = match &args.topic.name {
        Some(name) => (Input::topic(&args.topic, name, decoder)?, vec![format!("kafka {name}")]),
        None if ArchiveSource::is_at(&args.files) => {
            (Input::archive(&args.files[0], (args.since, args.until), decoder)?, args.files.clone())
        }
        None => (Input::open(&args.files, decoder)?, args.files.clone()),
    };
    (input.since, input.until, input.max_bad) = (args.since, args.until, args.max_bad);
    if let Some(path) = &args.exclude_alerts {
        input.alerted = Alerted::read(path)?;
    }
    let input = Arc::new(input);
    let threads = args.threads.or(std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let entries = runtime.block_on(entries(&input, threads))?;
    let read = &input.read;
    for bad in read.bad() {
        writeln!(log, "not an event: {bad}")?;
    }
    let (rejected, outside) = (read.rejected.load(Relaxed), read.outside.load(Relaxed));
    if entries.is_empty() {
        return Err(JobError::Usage(format!(
            "{}: no event to learn from: {rejected} records are none, and {outside} events are outside the range; nothing was \
             published",
            source.join(" ")
        )));
    }
    let about = About {
        created_at: now(),
        source,
        since: args.since,
        until: args.until,
        positions: read.positions(),
        parts: input.parts(),
        rejected,
        outside,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let learned = started.elapsed().as_secs_f64();
    let manifest = Store::new(&args.store).publish(entries, about)?;
    let (events, seconds) = (read.events.load(Relaxed), started.elapsed().as_secs_f64());
    writeln!(
        log,
        "{}: {} events in {} sessions of {} agents in {} versions; {} sessions kept out; {rejected} records were no events, {outside} outside the range, {} events were not learned; {seconds:.1} s, {:.0} events a second{}",
        manifest.version,
        manifest.events,
        manifest.sessions,
        manifest.agents,
        manifest.versions,
        manifest.excluded,
        events.saturating_sub(manifest.events),
        events as f64 / seconds.max(1e-9),
        peak_memory()
            .map(|bytes| format!(", {} at most in memory", ByteSize(bytes).display().iec()))
            .unwrap_or_default(),
    )?;
    writeln!(log, "{learned:.1} s to read and learn, {:.1} s to write the store", seconds - learned)?;
    Ok(())
}

/// The baselines of the input, in order of tenant, agent and version.
async fn entries(input: &Arc<Input>, threads: usize) -> Result<Vec<Entry>, JobError> {
    let config = SessionConfig::new().with_target_partitions(threads);
    let context = SessionContext::new_with_config(config);
    context.register_udaf(AggregateUDF::from(Logs::new()));
    context.register_udaf(AggregateUDF::from(Merged::new(Limits::default().keys_per_agent)));
    context.register_table("acts", Arc::new(scan::table::<Acts>(input, threads)?))?;
    let mut rows = context.sql(PLAN).await?.execute_stream().await?;
    let bar = progress(input.bytes());
    let started = Instant::now();
    let mut entries = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        let batch = tokio::select! {
            batch = rows.next() => batch,
            _ = tick.tick() => {
                let events = input.read.events.load(Relaxed);
                bar.set_position(input.read.bytes.load(Relaxed));
                bar.set_message(format!("{events} events, {:.0} a second", events as f64 / started.elapsed().as_secs_f64()));
                continue;
            }
        };
        let Some(batch) = batch.transpose()? else { break };
        let text = |i: usize| as_string_array(batch.column(i));
        let (tenants, agents, versions, baselines) = (text(0)?, text(1)?, text(2)?, as_binary_array(batch.column(3))?);
        for row in 0..batch.num_rows() {
            entries.push(Entry {
                tenant: tenants.value(row).to_owned(),
                agent: agents.value(row).to_owned(),
                version: versions.value(row).to_owned(),
                baseline: Baseline::from_bytes(baselines.value(row))
                    .map_err(|error| DataFusionError::External(error.into()))?,
            });
        }
    }
    bar.finish_and_clear();
    entries.sort_unstable_by(|a, b| (&a.tenant, &a.agent, &a.version).cmp(&(&b.tenant, &b.agent, &b.version)));
    Ok(entries)
}

/// A progress bar, on a terminal only.
fn progress(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = match bytes {
        0 => "{spinner} {bytes} read, {msg}",
        _ => "{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// The most memory that the process has had, in bytes; `None` where the system does not say.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
