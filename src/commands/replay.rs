//! `driftline replay`: the engine over history, as fast as it goes.

mod given_log;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driftline_alerting::log::AlertLog;
use driftline_core::{Alert, Change, ControlRecord, Event, Position, Settings, Timestamp};
use driftline_detectors::{Conductor, Contribution, Engine, History};
use driftline_ingest::kafka::partition_of;
use driftline_ingest::{FileOptions, FileSource, PartitionBatch, Polled, Source, decoder};

use self::given_log::GivenLog;
use super::published::{Contained, Published};
use super::{CommandError, documents, scores::write_score, strictness::Strictness};
use crate::intake::{self, Counts, Rules};
use crate::progress::Progress;
use crate::run::is_at;
use crate::store::{Arguments, Come, Keeper, Output, Progress as Kept};

/// `driftline replay FILES…`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, folders or patterns of events (NDJSON, plain, gzip or zstd) or of record dumps; `-` is standard input.
    #[arg(required = true)]
    files: Vec<String>,
    /// A folder of identity documents.
    #[arg(long, conflicts_with = "control")]
    identities: Option<PathBuf>,
    /// A published baseline to begin with, STORE[@VERSION]: agents are known by what it says of them. Events that it
    /// contains are passed over, unless nothing is learned. With --control, the store that the log's run has read from.
    #[arg(long, value_name = "STORE[@VERSION]")]
    baseline: Option<String>,
    /// A control log to replay by, instead of making clock and epochs from the input; identity documents and settings
    /// are in it. The input must be a dump of the topic that the log's run has read.
    #[arg(long, conflicts_with_all = ["level", "alert_budget"])]
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
    #[command(flatten)]
    strictness: Strictness,
    /// A folder in which the replay keeps what it has come to. Killed at any moment and started again with the same
    /// arguments, it goes on; so it does where the files have grown. Of alerts, scores and dead letters nothing is lost
    /// and nothing comes twice.
    #[arg(long, conflicts_with = "control")]
    state: Option<PathBuf>,
    /// With --state: commit after so many records, if two seconds have not passed before.
    #[arg(long, value_name = "RECORDS", requires = "state", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    commit_every: u64,
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
    scores: Option<Output>,
    raised: u64,
    /// With a state that is kept.
    keeper: Option<Keeper>,
    /// With a baseline to begin with, where anything is learned.
    contained: Option<Contained>,
}

/// Where clock and epochs come from.
enum Control {
    /// They are made from the merged input: by this conductor, from the highest event time so far.
    Made(Box<Conductor>, Timestamp),
    /// They are read from a log.
    Given(Given),
}

struct Given {
    log: GivenLog,
    /// The place of each partition's engine.
    places: BTreeMap<i32, usize>,
    /// As far as any engine has taken the log up. What is said about many comes with the log, once.
    leader: Conductor,
    /// The baselines that the log names, by version.
    histories: BTreeMap<String, History>,
}

/// Replays the files.
///
/// # Errors
///
/// [`CommandError::Usage`] names the file, line and field of what cannot be used.
pub fn run(args: &Args, log: &mut impl Write) -> Result<(), CommandError> {
    let decoder = decoder::by_name(&args.format).map_err(|error| CommandError::Usage(error.to_string()))?;
    let settings = Settings { learn: !args.no_learn, ..args.strictness.settings()? };
    let mut source = FileSource::open(&args.files, FileOptions::default())
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    let mut replay = Replay::new(args, &settings)?;
    let mut dead_letters = replay.output(args.dead_letters.as_deref(), |progress| progress.dead_letters)?;
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
                if failed.is_none() && replay.keeper.as_ref().is_some_and(Keeper::is_due) {
                    replay.commit(&counts, dead_letters.as_mut())?;
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
    replay.finish(&counts, dead_letters.as_mut())?;
    if let Some(mut dead_letters) = dead_letters {
        dead_letters.flush()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let agents: usize = replay.engines.iter().map(|replayed| replayed.engine.len()).sum();
    let repeats = replay.repeats();
    writeln!(
        log,
        "{} events of {agents} agents, {} alerts, {} dead letters, {repeats} repeats{}; {:.1} s, {:.0} events a second",
        counts.events,
        replay.raised,
        counts.rejected,
        match &replay.contained {
            Some(contained) => format!(", {} passed over as part of the baseline", contained.events),
            None => String::new(),
        },
        seconds,
        counts.events as f64 / seconds.max(1e-9),
    )?;
    let hash = || replay.engines.iter().fold(0u128, |sum, replayed| sum.wrapping_add(replayed.engine.state_hash()));
    match (&replay.keeper, &replay.control) {
        (Some(keeper), _) => {
            let Kept { events, alerts, .. } = keeper.progress();
            writeln!(log, "state {:032x}: {events} events and {alerts} alerts in all", hash())?;
        }
        (None, Control::Given(..)) => writeln!(log, "state {:032x}", hash())?,
        (None, Control::Made(..)) => {}
    }
    Ok(())
}

impl Replay {
    fn new(args: &Args, settings: &Settings) -> Result<Self, CommandError> {
        let own = args.baseline.as_deref().filter(|_| args.control.is_none());
        let published = own.map(Published::open).transpose()?;
        let history = published.as_ref().map(|published| &published.history);
        let mut replay = match (&args.state, &args.control) {
            (Some(folder), _) => Self::resume(args, settings, history, folder)?,
            (None, Some(log)) => {
                let log = GivenLog::read(log)?;
                let histories = log.histories(args.baseline.as_deref())?;
                // An engine comes with the first record of its partition, or with the agents of a baseline.
                let partitions = log.spread().map_or(0, |spread| spread.partitions);
                let engines = (0..partitions).map(|_| Engine::default()).collect();
                let places = (0..partitions).zip(0..).collect();
                let control = Control::Given(Given { log, places, leader: Conductor::default(), histories });
                Self::with(control, engines, alerts_anew(&args.alerts)?, None)
            }
            (None, None) => {
                let mut conductor = Conductor::default();
                for record in begun(args, settings, history)? {
                    conductor.fold(&record).map_err(out_of_order)?;
                }
                let engines = (0..args.partitions).map(|_| Engine::new(conductor.world().clone())).collect();
                let control = Control::Made(Box::new(conductor), Timestamp::MIN);
                Self::with(control, engines, alerts_anew(&args.alerts)?, None)
            }
        };
        if let Some(published) = published {
            replay.begin_with(&published.history);
            replay.contained = settings.learn.then_some(published.contained);
        }
        replay.scores = replay.output(args.scores.as_deref(), |progress| progress.scores)?;
        Ok(replay)
    }

    fn with(control: Control, engines: Vec<Engine>, alerts: AlertLog, keeper: Option<Keeper>) -> Self {
        let replayed = |engine| Replayed { engine, conductor: Conductor::default() };
        let engines = engines.into_iter().map(replayed).collect();
        Self { engines, control, alerts, scores: None, raised: 0, keeper, contained: None }
    }

    /// Has the engines know the agents of a baseline, unless they have come past that.
    fn begin_with(&mut self, history: &History) {
        if self.engines.iter().any(|replayed| !replayed.engine.is_empty()) {
            return;
        }
        let engines = self.engines.len() as i32;
        for (place, replayed) in (0..).zip(&mut self.engines) {
            replayed.engine.take_up(history, |_, id| partition_of(id.as_bytes(), engines) == place);
        }
    }

    /// Goes on from a state that is kept, or begins one.
    fn resume(
        args: &Args,
        settings: &Settings,
        history: Option<&History>,
        folder: &Path,
    ) -> Result<Self, CommandError> {
        let begun = begun(args, settings, history)?;
        let (keeper, conductor, engines) =
            Keeper::open(folder, &arguments(args), &begun, args.partitions, args.commit_every)?;
        let alerts = match args.alerts.as_path() {
            path if path == Path::new("-") => {
                keeper.tell(None)??;
                AlertLog::stdout()
            }
            path => {
                // Locked first, so that nobody else writes what is compared.
                let alerts = AlertLog::file(path).map_err(|error| CommandError::Failed(error.to_string()))?;
                keeper.tell(Some(path))?.map_err(|error| CommandError::file("write", path, &error))?;
                alerts
            }
        };
        let control = Control::Made(Box::new(conductor), keeper.highest());
        Ok(Self::with(control, engines, alerts, Some(keeper)))
    }

    /// A file to write to: anew, or after what a state that is kept has counted of it.
    fn output(&self, path: Option<&Path>, committed: fn(&Kept) -> u64) -> Result<Option<Output>, CommandError> {
        let Some(path) = path else { return Ok(None) };
        Ok(Some(match &self.keeper {
            Some(keeper) => Output::resume(path, committed(keeper.progress()))?,
            None => Output::create(path).map_err(|error| CommandError::file("create", path, &error))?,
        }))
    }

    /// The settings in force: those of the log, where one is given.
    fn settings(&self, own: &Settings) -> Settings {
        match &self.control {
            Control::Made(..) => own.clone(),
            Control::Given(given) => given.log.settings().unwrap_or(own).clone(),
        }
    }

    fn take(
        &mut self,
        batch: &PartitionBatch,
        rules: &Rules,
        counts: &mut Counts,
        mut dead_letters: Option<&mut Output>,
        failed: &mut Option<CommandError>,
    ) {
        for i in 0..batch.records.len() {
            if failed.is_some() {
                return;
            }
            let record = batch.records.get(i);
            match self.keeper.as_mut().map(|keeper| keeper.is_new(&batch.partition.topic, &record)) {
                Some(Ok(false)) => continue,
                Some(Err(error)) => {
                    *failed = Some(error.into());
                    return;
                }
                Some(Ok(true)) | None => {}
            }
            let is_contained = match self.contained.as_mut().map(|it| it.take(&batch.partition.topic, &record)) {
                Some(Err(error)) => {
                    *failed = Some(error);
                    return;
                }
                taken => taken.is_some_and(|taken| taken.unwrap_or_default()),
            };
            let mut lost = None;
            let mut outcome = Ok(());
            intake::read(
                &record,
                || batch.records.position(i),
                rules,
                counts,
                &mut |event| {
                    let is_learned = is_contained && self.contained.as_mut().is_some_and(|it| it.has(event));
                    if outcome.is_ok() && !is_learned {
                        outcome = self.observe(event, || batch.records.position(i));
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
            Control::Given(..) => {
                let position = event.position.as_ref().and_then(|text| text.parse().ok()).unwrap_or_else(position);
                let place = self.catch_up(&position)?;
                let known = self.engines[place].conductor.world().baseline.as_ref();
                if known.is_some_and(|known| known.contained.has(&position, event.time)) {
                    return Ok(());
                }
                place
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
        let mut decreed = vec![clock];
        if conductor.hour_is_over() {
            let mut contributed = Contribution::default();
            for replayed in &mut self.engines {
                contributed.merge(replayed.engine.take_contribution());
            }
            let epoch = conductor.epoch(contributed);
            let (control, more) = conductor.fold(&epoch).map_err(out_of_order)?;
            about_many.extend(more);
            self.engines.iter_mut().for_each(|replayed| replayed.engine.apply(&control));
            decreed.push(epoch);
        }
        if let Some(keeper) = &mut self.keeper {
            decreed.into_iter().for_each(|record| keeper.decreed(record));
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
        let Control::Given(given) = &mut self.control else { return Ok(0) };
        let place = *given.places.entry(*partition).or_insert(self.engines.len());
        if place == self.engines.len() {
            self.engines.push(Replayed { engine: Engine::default(), conductor: Conductor::default() });
        }
        let name = format!("{topic}/{partition}");
        self.apply_while(place, |log, record| log.holds_from(&name, record).is_some_and(|from| from <= *offset))?;
        Ok(place)
    }

    fn apply_while(
        &mut self,
        place: usize,
        holds: impl Fn(&GivenLog, &ControlRecord) -> bool,
    ) -> Result<(), CommandError> {
        let mut alerts = Vec::new();
        {
            let Control::Given(Given { log, leader, places, histories }) = &mut self.control else { return Ok(()) };
            let partition = places.iter().find(|(_, of)| **of == place).map_or(0, |(partition, _)| *partition);
            let replayed = &mut self.engines[place];
            while let Some(record) = log.get(replayed.conductor.world().next)
                && holds(log, record)
            {
                if matches!(record.change, Change::Epoch { .. }) {
                    // It is in the log already, and the run has taken it at this place.
                    drop(replayed.engine.take_contribution());
                }
                if record.number == leader.world().next {
                    alerts.extend(leader.fold(record).map_err(out_of_order)?.1);
                }
                let (control, _) = replayed.conductor.fold(record).map_err(out_of_order)?;
                replayed.engine.apply(&control);
                if let Change::Baseline { version, spread, .. } = &record.change
                    && let Some(history) = histories.get(version)
                {
                    replayed.engine.take_up(history, |tenant, id| is_at(partition, *spread, tenant, id));
                }
                alerts.extend(replayed.engine.take_alerts());
            }
        }
        self.raise(alerts)
    }

    /// Applies what holds after all that was read.
    fn apply_the_rest(&mut self) -> Result<(), CommandError> {
        let Control::Given(Given { places, .. }) = &self.control else { return Ok(()) };
        for (number, place) in places.clone() {
            self.apply_while(place, |log, record| log.is_applied(number, record))?;
        }
        let mut about_many = Vec::new();
        if let Control::Given(Given { log, leader, .. }) = &mut self.control {
            while let Some(record) = log.get(leader.world().next) {
                about_many.extend(leader.fold(record).map_err(out_of_order)?.1);
            }
        }
        self.raise(about_many)
    }

    fn raise(&mut self, alerts: Vec<Alert>) -> Result<(), CommandError> {
        for alert in alerts {
            self.raised += 1;
            if let Some(keeper) = &mut self.keeper {
                // It is told once it is committed.
                keeper.raised(alert);
                continue;
            }
            self.alerts.append(&alert).map_err(|error| CommandError::Failed(error.to_string()))?;
        }
        Ok(())
    }

    fn repeats(&self) -> u64 {
        self.engines.iter().map(|replayed| replayed.engine.counters().repeated).sum()
    }

    /// Commits what has come to the state that is kept, then tells the alerts in it.
    fn commit(&mut self, counts: &Counts, dead_letters: Option<&mut Output>) -> Result<(), CommandError> {
        let repeats = self.repeats();
        let (Some(keeper), Control::Made(_, highest)) = (&mut self.keeper, &self.control) else { return Ok(()) };
        let length = |out: Option<&mut Output>| out.map_or(Ok(0), Output::sync);
        let come = Come {
            highest: *highest,
            events: counts.events,
            rejected: counts.rejected,
            repeats,
            scores: length(self.scores.as_mut())?,
            dead_letters: length(dead_letters)?,
        };
        let engines = self.engines.iter_mut().map(|replayed| &mut replayed.engine);
        for alert in keeper.commit(engines, come)? {
            self.alerts.append(&alert).map_err(|error| CommandError::Failed(error.to_string()))?;
        }
        self.alerts.sync().map_err(|error| CommandError::Failed(error.to_string()))
    }

    fn finish(&mut self, counts: &Counts, dead_letters: Option<&mut Output>) -> Result<(), CommandError> {
        self.apply_the_rest()?;
        if let Some(keeper) = &self.keeper {
            keeper.end()?;
            if keeper.has_news() {
                self.commit(counts, dead_letters)?;
            }
        }
        if let Some(scores) = &mut self.scores {
            scores.flush()?;
        }
        self.alerts.sync().map_err(|error| CommandError::Failed(error.to_string()))
    }
}

/// What a replay that makes its own control log begins with: settings, identity documents, and a baseline.
fn begun(args: &Args, settings: &Settings, history: Option<&History>) -> Result<Vec<ControlRecord>, CommandError> {
    let mut changes = vec![Change::Settings { settings: settings.clone() }];
    let documents = documents(args.identities.as_deref())?.into_iter();
    changes.extend(documents.map(|document| Change::Identity { document: Box::new(document) }));
    let mut records: Vec<_> = (0..).zip(changes).map(|(number, change)| ControlRecord::new(number, change)).collect();
    if let Some(history) = history {
        let mut conductor = Conductor::default();
        for record in &records {
            conductor.fold(record).map_err(out_of_order)?;
        }
        records.push(conductor.baseline(history, None));
    }
    Ok(records)
}

/// What decides the outcome of a replay, beside the contents of files.
fn arguments(args: &Args) -> Arguments {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    Arguments::default()
        .and("FILES", Some(args.files.join(" ")))
        .and("--format", Some(args.format.clone()))
        .and("--alert-budget", args.strictness.alert_budget.map(|budget| budget.to_string()))
        .and("--level", args.strictness.level.map(|level| level.to_string()))
        .and("--no-learn", args.no_learn.then(|| "set".to_owned()))
        .and("--partitions", Some(args.partitions.to_string()))
        .and("--scores", path(&args.scores))
        .and("--dead-letters", path(&args.dead_letters))
}

/// Where alerts go, empty: a replay says anew all that there is to say.
fn alerts_anew(path: &Path) -> Result<AlertLog, CommandError> {
    if path == Path::new("-") {
        return Ok(AlertLog::stdout());
    }
    File::create(path).map_err(|error| CommandError::file("create", path, &error))?;
    AlertLog::file(path).map_err(|error| CommandError::Failed(error.to_string()))
}

fn out_of_order(error: driftline_detectors::OutOfOrder) -> CommandError {
    CommandError::Usage(format!("the control log: {error}"))
}
