//! `driftline evaluate`: how well the detectors tell attacks from honest sessions.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use driftline_core::{Change, Event, Settings};
use driftline_detectors::{OutOfOrder, Solo};
use driftline_evaluate::{Labels, Question};
use driftline_ingest::{FileOptions, FileSource, Polled, Source, decoder};

use super::check::Output;
use super::published::{Contained, Published};
use super::{CommandError, documents, scores::write_score, strictness::Strictness};
use crate::evaluation::{Judge, page, summarize, table};
use crate::intake::{self, Counts, Rules};
use crate::progress::Progress;

/// `driftline evaluate --labels FILE FILES…`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, folders or patterns of labelled events (NDJSON, plain, gzip or zstd).
    #[arg(required = true)]
    files: Vec<String>,
    /// The labels: a line a session, as `driftline simulate --labels` writes them.
    #[arg(long)]
    labels: PathBuf,
    /// What the label of an attack says: FIELD=VALUE, several with commas between them.
    #[arg(long, default_value = "label=attack")]
    positive: String,
    /// What the label of an honest session says.
    #[arg(long, default_value = "label=benign")]
    negative: String,
    /// The field of a label that names the task.
    #[arg(long, default_value = "task")]
    task: String,
    /// Events to learn from before: honest ones, as far as anybody knows.
    #[arg(long, num_args = 1.., value_name = "FILES")]
    history: Vec<String>,
    /// A published baseline to begin with, STORE[@VERSION]: agents are known by what it says of them. Events that it
    /// contains are passed over, unless nothing is learned.
    #[arg(long, value_name = "STORE[@VERSION]", conflicts_with = "history")]
    baseline: Option<String>,
    /// Learn nothing from the labelled events: what is found does not change what is found later.
    #[arg(long)]
    no_learn: bool,
    /// A folder of identity documents.
    #[arg(long)]
    identities: Option<PathBuf>,
    /// The format of the events.
    #[arg(long, default_value = "native")]
    format: String,
    #[command(flatten)]
    strictness: Strictness,
    /// Where to write a page with the curve, the scores, and what was worst.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Where to write each event's scores, as `driftline replay --scores` does.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// How to print the figures.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Scores the files, and prints what came of it.
///
/// # Errors
///
/// [`CommandError::Usage`] names the file, line and field of what cannot be used, and says where the labels leave nothing to
/// tell apart.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let condition =
        |option: &str, text: &str| text.parse().map_err(|error| CommandError::Usage(format!("{option}: {error}")));
    let question = Question {
        positive: condition("--positive", &args.positive)?,
        negative: condition("--negative", &args.negative)?,
        task: args.task.clone(),
    };
    let settings = args.strictness.settings()?;
    let file = File::open(&args.labels)
        .map_err(|error| CommandError::Usage(format!("cannot read {}: {error}", args.labels.display())))?;
    let labels = Labels::read(BufReader::new(file), &question)
        .map_err(|error| CommandError::Usage(format!("{}: {error}", args.labels.display())))?;

    let mut solo = Solo::new(settings.clone(), documents(args.identities.as_deref())?).map_err(out_of_order)?;
    if !args.history.is_empty() {
        let learn = |event: &Event<'_>| solo.observe(event).map(drop).map_err(out_of_order);
        read(&args.history, &args.format, &settings, None, learn)?;
        solo.end_all_sessions();
    }
    let mut published = args.baseline.as_deref().map(Published::open).transpose()?;
    if let Some(published) = &published {
        solo.begin_with(&published.history).map_err(out_of_order)?;
    }
    if args.no_learn {
        let settings = Settings { learn: false, ..settings.clone() };
        solo.decree(Change::Settings { settings }).map_err(out_of_order)?;
    }
    let mut judge = Judge::new(solo, &labels);
    let mut scores = match &args.scores {
        Some(path) => {
            let file = File::create(path).map_err(|error| CommandError::file("create", path, &error))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let contained = published.as_mut().map(|published| &mut published.contained).filter(|_| !args.no_learn);
    read(&args.files, &args.format, &settings, contained, |event| {
        let scored = judge.take(event).map_err(out_of_order)?;
        scores.as_mut().map_or(Ok(()), |scores| write_score(scores, event, &scored))
    })?;
    if let Some(scores) = &mut scores {
        scores.flush()?;
    }
    let events = judge.events;
    let (judged, days) = judge.finish();
    let Some(summary) = summarize(&judged, labels.iter().count(), events, days, settings.alert_budget) else {
        return Err(CommandError::Usage(format!(
            "{}: no events of attacks, or none of honest sessions, are in {}: a session is known by `session.id`",
            args.labels.display(),
            args.files.join(" "),
        )));
    };
    if let Some(path) = &args.report {
        let page = page(&summary, &judged).map_err(|error| CommandError::Failed(error.to_string()))?;
        std::fs::write(path, page).map_err(|error| CommandError::file("write", path, &error))?;
    }
    match args.output {
        Output::Text => write!(out, "{}", table(&summary))?,
        Output::Json => {
            let json = serde_json::to_string_pretty(&summary).map_err(|e| CommandError::Failed(e.to_string()))?;
            writeln!(out, "{json}")?;
        }
    }
    Ok(())
}

/// Reads events one after the other, but for those that a baseline contains. What is no event is told in the log.
fn read(
    files: &[String],
    format: &str,
    settings: &Settings,
    mut contained: Option<&mut Contained>,
    mut each: impl FnMut(&Event<'_>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let decoder = decoder::by_name(format).map_err(|error| CommandError::Usage(error.to_string()))?;
    let mut source =
        FileSource::open(files, FileOptions::default()).map_err(|error| CommandError::Usage(error.to_string()))?;
    let rules = Rules::new(decoder, settings).archived();
    let progress = Progress::bytes(source.progress().map_or(0, |progress| progress.total));
    let (mut counts, mut outcome) = (Counts::default(), Ok(()));
    loop {
        match source.poll(Duration::from_secs(1))? {
            Polled::Records(batches) => {
                for batch in &batches {
                    for (i, record) in batch.iter().enumerate() {
                        let position = || batch.records.position(i);
                        let taken =
                            contained.as_mut().map(|it| it.take(&batch.partition.topic, &record)).transpose()?;
                        let is_contained = taken.unwrap_or_default();
                        let mut take = |event: &Event<'_>| {
                            let is_learned = is_contained && contained.as_mut().is_some_and(|it| it.has(event));
                            if outcome.is_ok() && !is_learned {
                                outcome = each(event);
                            }
                        };
                        intake::read(&record, position, &rules, &mut counts, &mut take, &mut |letter| {
                            tracing::warn!(position = %letter.position, reason = letter.reason, "{}", letter.error);
                        });
                    }
                }
                std::mem::replace(&mut outcome, Ok(()))?;
                progress.set(source.progress().map_or(0, |progress| progress.bytes));
            }
            Polled::Finished => return Ok(()),
            _ => {}
        }
    }
}

fn out_of_order(error: OutOfOrder) -> CommandError {
    CommandError::Failed(format!("the control records of this evaluation: {error}; please report it"))
}
