//! `driftline replay`: the engine over history, as fast as it goes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driftline_alerting::log::AlertLog;
use driftline_core::{Alert, Change, ControlRecord, Event, Position, Settings, Timestamp};
use driftline_detectors::{Conductor, Contribution, DETECTORS, Engine, Scored};
use driftline_ingest::kafka::partition_of;
use driftline_ingest::{FileOptions, FileSource, PartitionBatch, Polled, Source, decoder};
use serde::Serialize;

use super::CommandError;
use crate::config::identities;
use crate::intake::{self, Counts, Rules};
use crate::progress::Progress;

/// `driftline replay FILES…`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, folders or patterns of events (NDJSON, plain, gzip or zstd) or of record dumps; `-` is standard input.
    #[arg(required = true)]
    files: Vec<String>,
    /// A folder of identity documents.
    #[arg(long, conflicts_with = "control")]
    identities: Option<PathBuf>,
    /// A control log to replay by, instead of making clock and epochs from the input; identity documents and settings
    /// are in it. The input must be a dump of the topic that the log's run has read.
    #[arg(long)]
    control: Option<PathBuf>,
    /// Score, but leave baselines as they are.
    #[arg(long, conflicts_with = "control")]
    no_learn: bool,
    /// How many engines share the agents; the alerts are the same for any number.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    partitions: u16,
    /// Where to write alerts; `-` is standard output.
    #[arg(long, default_value = "-")]
    alerts: PathBuf,
    /// Where to write each event's scores.
    #[arg(long)]
    scores: Option<PathBuf>,
    /// Where to write what could not be decoded.
    #[arg(long)]
    dead_letters: Option<PathBuf>,
    /// The format of the events.
    #[arg(long, default_value = "native")]
    format: String,
    /// A fixed p-value level, 0 to 1, instead of the one that the detectors were measured at.
    #[arg(long, conflicts_with = "control")]
    level: Option<f64>,
}

/// One engine with the fold of the control log that it has come to.
struct Replayed {
    engine: Engine,
    /// Control records applied so far, of a log that is given.
    conductor: Conductor,
}

struct Replay {
    engines: Vec<Replayed>,
    control: Control,
    alerts: AlertLog,
    /// Alerts about many come with the control log, once for each engine that reads it.
    about_many: BTreeSet<uuid::Uuid>,
    scores: Option<BufWriter<File>>,
    raised: u64,
}

/// Where clock and epochs come from.
enum Control {
    /// They are made from the merged input: by this conductor, from the highest event time so far.
    Made(Box<Conductor>, Timestamp),
    /// They are read from a log.
    Given(Vec<ControlRecord>),
}

/// Replays the files.
///
/// # Errors
///
/// [`CommandError::Usage`] names the file, line and field of what cannot be used.
pub fn run(args: &Args, log: &mut impl Write) -> Result<(), CommandError> {
    if args.level.is_some_and(|level| !(level > 0.0 && level <= 1.0)) {
        return Err(CommandError::Usage("--level: give a probability above 0 and up to 1".to_owned()));
    }
    let decoder = decoder::by_name(&args.format).map_err(|error| CommandError::Usage(error.to_string()))?;
    let settings = Settings { level: args.level, learn: !args.no_learn, ..Settings::default() };
    let mut source = FileSource::open(&args.files, FileOptions::default())
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    let mut dead_letters = args.dead_letters.as_deref().map(create).transpose()?;
    let mut replay = Replay::new(args, &settings)?;
    let rules = Rules::new(decoder, &replay.settings(&settings)).archived();
    let (mut counts, started) = (Counts::default(), Instant::now());
    let progress = Progress::bytes(source.progress().map_or(0, |progress| progress.total));
    let mut failed = None;
    while failed.is_none() {
        match source.poll(Duration::from_secs(1))? {
            Polled::Records(batches) => {
                for batch in &batches {
                    replay.take(batch, &rules, &mut counts, dead_letters.as_mut(), &mut failed);
                }
                progress.set(source.progress().map_or(0, |progress| progress.bytes));
            }
            Polled::Finished => break,
            _ => {}
        }
    }
    drop(progress);
    if let Some(error) = failed {
        return Err(error);
    }
    replay.finish()?;
    if let Some(mut dead_letters) = dead_letters {
        dead_letters.flush()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let agents: usize = replay.engines.iter().map(|replayed| replayed.engine.len()).sum();
    let repeats: u64 = replay.engines.iter().map(|replayed| replayed.engine.counters().repeated).sum();
    writeln!(
        log,
        "{} events of {agents} agents, {} alerts, {} dead letters, {repeats} repeats; {:.1} s, {:.0} events a second",
        counts.events,
        replay.raised,
        counts.rejected,
        seconds,
        counts.events as f64 / seconds.max(1e-9),
    )?;
    Ok(())
}

impl Replay {
    fn new(args: &Args, settings: &Settings) -> Result<Self, CommandError> {
        let failed = |error: driftline_alerting::log::LogError| CommandError::Failed(error.to_string());
        let alerts = match args.alerts.as_path() {
            path if path == Path::new("-") => AlertLog::stdout(),
            path => {
                // A replay says anew all that there is to say.
                File::create(path).map_err(|error| CommandError::file("create", path, &error))?;
                AlertLog::file(path).map_err(failed)?
            }
        };
        let control = match &args.control {
            Some(path) => Control::Given(read_control(path)?),
            None => Control::Made(Box::new(begin(args, settings)?), Timestamp::MIN),
        };
        let engines = (0..args.partitions).map(|_| {
            let conductor = Conductor::default();
            match &control {
                Control::Made(conductor, _) => {
                    Replayed { engine: Engine::new(conductor.world().clone()), conductor: Conductor::default() }
                }
                Control::Given(_) => Replayed { engine: Engine::default(), conductor },
            }
        });
        Ok(Self {
            engines: engines.collect(),
            alerts,
            about_many: BTreeSet::new(),
            scores: args.scores.as_deref().map(create).transpose()?,
            raised: 0,
            control,
        })
    }

    /// The settings in force: those of the log, where one is given.
    fn settings(&self, own: &Settings) -> Settings {
        match &self.control {
            Control::Made(..) => own.clone(),
            Control::Given(log) => log
                .iter()
                .find_map(|record| match &record.change {
                    Change::Settings { settings } => Some(settings.clone()),
                    _ => None,
                })
                .unwrap_or_else(|| own.clone()),
        }
    }

    fn take(
        &mut self,
        batch: &PartitionBatch,
        rules: &Rules,
        counts: &mut Counts,
        mut dead_letters: Option<&mut BufWriter<File>>,
        failed: &mut Option<CommandError>,
    ) {
        for i in 0..batch.records.len() {
            if failed.is_some() {
                return;
            }
            let record = batch.records.get(i);
            let mut lost = None;
            let mut outcome = Ok(());
            intake::read(
                &record,
                || batch.records.position(i),
                rules,
                counts,
                &mut |event| {
                    if outcome.is_ok() {
                        outcome = self.observe(&event, || batch.records.position(i));
                    }
                },
                &mut |letter| {
                    if let Some(out) = dead_letters.as_deref_mut() {
                        lost = letter.write_line(out).err();
                    } else {
                        tracing::warn!(position = %letter.position, reason = letter.reason, "{}", letter.error);
                    }
                },
            );
            *failed = outcome.err().or(lost.map(CommandError::from));
        }
    }

    fn observe(&mut self, event: &Event<'_>, position: impl Fn() -> Position) -> Result<(), CommandError> {
        let place = match &self.control {
            Control::Made(..) => {
                let partition = partition_of(event.agent.id.as_bytes(), self.engines.len() as i32);
                // From 0 up to the number of engines.
                partition as usize
            }
            Control::Given(_) => {
                let place = event.position.as_ref().and_then(|text| text.parse().ok()).unwrap_or_else(position);
                self.catch_up(&place)?
            }
        };
        let scored = self.engines[place].engine.observe(event);
        if let Some(scores) = &mut self.scores {
            write_score(scores, event, &scored)?;
        }
        if self.engines[place].engine.has_alerts() {
            let alerts = self.engines[place].engine.take_alerts();
            self.raise(alerts)?;
        }
        self.advance(event.time)
    }

    /// Makes clock and epoch records from the merged input, and applies them to all engines.
    fn advance(&mut self, time: Timestamp) -> Result<(), CommandError> {
        let Control::Made(conductor, highest) = &mut self.control else { return Ok(()) };
        *highest = (*highest).max(time);
        let Some(clock) = conductor.clock(*highest) else { return Ok(()) };
        let (control, mut about_many) = conductor.fold(&clock).map_err(out_of_order)?;
        self.engines.iter_mut().for_each(|replayed| replayed.engine.apply(&control));
        if conductor.hour_is_over() {
            let mut contributed = Contribution::default();
            for replayed in &mut self.engines {
                contributed.merge(replayed.engine.take_contribution());
            }
            let epoch = conductor.epoch(contributed);
            let (control, more) = conductor.fold(&epoch).map_err(out_of_order)?;
            about_many.extend(more);
            self.engines.iter_mut().for_each(|replayed| replayed.engine.apply(&control));
        }
        self.raise(about_many)?;
        for place in 0..self.engines.len() {
            let alerts = self.engines[place].engine.take_alerts();
            self.raise(alerts)?;
        }
        Ok(())
    }

    /// Applies the control records that hold from this position on or before; returns the partition's engine.
    fn catch_up(&mut self, position: &Position) -> Result<usize, CommandError> {
        let Position::Kafka { topic, partition, offset } = position else {
            return Err(CommandError::Usage(format!(
                "{position}: a control log goes with a dump of the topic that its run has read (driftline dump), and \
                 this record has no position in one"
            )));
        };
        let place = usize::try_from(*partition).unwrap_or_default();
        while self.engines.len() <= place {
            self.engines.push(Replayed { engine: Engine::default(), conductor: Conductor::default() });
        }
        let name = format!("{topic}/{partition}");
        self.apply_while(place, |record| record.positions.get(&name).copied().unwrap_or(0) <= *offset)?;
        Ok(place)
    }

    fn apply_while(&mut self, place: usize, holds: impl Fn(&ControlRecord) -> bool) -> Result<(), CommandError> {
        let mut alerts = Vec::new();
        {
            let Control::Given(log) = &self.control else { return Ok(()) };
            let replayed = &mut self.engines[place];
            while let Some(record) = usize::try_from(replayed.conductor.world().next).ok().and_then(|i| log.get(i))
                && holds(record)
            {
                let (control, about_many) = replayed.conductor.fold(record).map_err(out_of_order)?;
                replayed.engine.apply(&control);
                // What many do is in the log already.
                drop(replayed.engine.take_contribution());
                alerts.extend(about_many.into_iter().filter(|alert| self.about_many.insert(alert.id)));
                alerts.extend(replayed.engine.take_alerts());
            }
        }
        self.raise(alerts)
    }

    fn raise(&mut self, alerts: Vec<Alert>) -> Result<(), CommandError> {
        for alert in alerts {
            self.raised += 1;
            self.alerts.append(&alert).map_err(|error| CommandError::Failed(error.to_string()))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), CommandError> {
        for place in 0..self.engines.len() {
            self.apply_while(place, |_| true)?;
        }
        if let Some(scores) = &mut self.scores {
            scores.flush()?;
        }
        self.alerts.sync().map_err(|error| CommandError::Failed(error.to_string()))
    }
}

/// The conductor of a replay that makes its own control log: settings and identity documents first.
fn begin(args: &Args, settings: &Settings) -> Result<Conductor, CommandError> {
    let mut conductor = Conductor::default();
    let mut changes = vec![Change::Settings { settings: settings.clone() }];
    if let Some(folder) = &args.identities {
        let read = identities::read(folder);
        if let Some(problem) = read.problems.first() {
            return Err(CommandError::Usage(problem.to_string()));
        }
        changes
            .extend(read.documents.into_iter().map(|(_, document)| Change::Identity { document: Box::new(document) }));
    }
    for change in changes {
        let record = conductor.record(change);
        conductor.fold(&record).map_err(out_of_order)?;
    }
    Ok(conductor)
}

fn read_control(path: &Path) -> Result<Vec<ControlRecord>, CommandError> {
    let file = File::open(path)
        .map_err(|error| CommandError::Usage(format!("cannot read the control log {}: {error}", path.display())))?;
    let mut records = Vec::new();
    for (i, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| CommandError::file("read", path, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let record = ControlRecord::parse(line.as_bytes())
            .map_err(|error| CommandError::Usage(format!("{}:{}: {error}", path.display(), i + 1)))?;
        records.push(record);
    }
    Ok(records)
}

fn out_of_order(error: driftline_detectors::OutOfOrder) -> CommandError {
    CommandError::Usage(format!("the control log: {error}"))
}

#[derive(Serialize)]
struct Score<'e> {
    id: &'e str,
    agent: &'e str,
    session: Option<&'e str>,
    score: f64,
    detectors: std::collections::BTreeMap<&'static str, f64>,
}

fn write_score(out: &mut impl Write, event: &Event<'_>, scored: &Scored) -> Result<(), CommandError> {
    let score = Score {
        id: &event.id,
        agent: &event.agent.id,
        session: event.session.as_ref().map(|session| session.id.as_str()),
        score: scored.score,
        detectors: DETECTORS.iter().map(|detector| detector.name()).zip(scored.p).collect(),
    };
    serde_json::to_writer(&mut *out, &score).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

fn create(path: &Path) -> Result<BufWriter<File>, CommandError> {
    let file = File::create(path).map_err(|error| CommandError::file("create", path, &error))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}
