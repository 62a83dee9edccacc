//! `driftline query`: SQL over events, alerts and baselines.

mod alerts;
mod events;
mod print;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use driftline_baseline::Store;
use driftline_ingest::decoder;

use crate::JobError;
use crate::scan::{self, Input};

/// `driftline query "SELECT …" --events FILES…`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The query, in the SQL of DataFusion. It reads: nothing can be made or changed by it.
    statement: String,
    /// Files, folders or patterns of events (NDJSON, plain, gzip or zstd) or of record dumps: the table `events`.
    #[arg(long, num_args = 1.., value_name = "FILES")]
    events: Vec<String>,
    /// Files of alerts, a line each: the table `alerts`.
    #[arg(long, num_args = 1.., value_name = "FILES")]
    alerts: Vec<PathBuf>,
    /// A published baseline: the tables `agents`, a row for each version of an agent, and `counts`, a row for each thing
    /// that was counted of it.
    #[arg(long, value_name = "STORE[@VERSION]")]
    baseline: Option<String>,
    /// The format of the events.
    #[arg(long, default_value = "native")]
    format: String,
    /// How to print what comes of it.
    #[arg(long, value_enum, default_value = "table")]
    output: print::Form,
}

/// Prints what comes of the query.
///
/// # Errors
///
/// [`JobError::Usage`] where the query makes no sense, asks for a table that is not given, or a file cannot be used.
pub fn run(args: &Args, out: &mut impl Write, log: &mut impl Write) -> Result<(), JobError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(answer(args, out, log))
}

async fn answer(args: &Args, out: &mut impl Write, log: &mut impl Write) -> Result<(), JobError> {
    let config = SessionConfig::new().with_information_schema(true);
    let threads = config.target_partitions();
    let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
    let context = SessionContext::new_with_state(state);
    let mut input = None;
    if !args.events.is_empty() {
        let decoder = decoder::by_name(&args.format).map_err(|error| JobError::Usage(error.to_string()))?;
        let files = Arc::new(Input::open(&args.events, decoder)?);
        context.register_table("events", Arc::new(scan::table::<events::Rows>(&files, threads)?))?;
        input = Some(files);
    }
    if !args.alerts.is_empty() {
        context.register_batch("alerts", alerts::read(&args.alerts)?)?;
    }
    if let Some(reference) = &args.baseline {
        let (store, version) = Store::at(reference);
        let folder = store.folder(&store.find(version)?);
        for table in ["agents", "counts"] {
            let path = folder.join(format!("{table}.parquet"));
            context.register_parquet(table, path.to_string_lossy(), ParquetReadOptions::default()).await?;
        }
    }
    let reads_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(&args.statement, reads_only).await.map_err(refused)?;
    let schema = frame.schema().as_arrow().clone();
    let batches = frame.collect().await?;
    print::print(out, args.output, &schema, &batches)?;
    for bad in input.iter().flat_map(|input| input.read.bad()) {
        writeln!(log, "not an event: {bad}")?;
    }
    Ok(())
}

/// What is wrong with a query, and what it could ask.
fn refused(error: DataFusionError) -> JobError {
    let reason = error.strip_backtrace();
    let hint = match reason.contains("not found") && reason.contains("table") {
        true => "; `events`, `alerts`, and `agents` and `counts` are there with --events, --alerts and --baseline",
        false => "",
    };
    JobError::Usage(format!("the query: {reason}{hint}"))
}
