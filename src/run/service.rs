//! The stream processor as a whole: what runs for as long as the process does, and the sessions in it.
//!
//! A session begins with what was committed and ends where the process stops, or where something has come between: the
//! group has moved on without this member, or a commit whose outcome is not known. Then what was not committed is
//! dropped and another session begins. So there is one way to recover, and it is the one that every start takes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use driftline_alerting::log::AlertLog;
use driftline_ingest::failpoints::{Step, reach};
use driftline_ingest::kafka::{Admin, ClientSettings, TopicSpec};

use super::commits::Commits;
use super::committer::{Committer, Outlet};
use super::instance::{self, Instance};
use super::local::Local;
use super::outage::Outage;
use super::scorer::Scorer;
use super::sinks::Sinks;
use super::watchdog::{Pulse, Watchdog};
use crate::commands::CommandError;
use crate::config::{Alerts, Config, KafkaSource, Source as SourceConfig};
use crate::http::{Readiness, Server};
use crate::metrics::Metrics;
use crate::store::{self, Resumed};

/// A session that was so long has gone well: what ends it is another outage than the one before.
const LONG: Duration = Duration::from_secs(60);

/// What all sessions share.
pub struct Service {
    /// The configuration.
    pub config: Config,
    /// The brokers; `None` where there are none.
    pub kafka: Option<ClientSettings>,
    /// The instance's name.
    pub instance: Instance,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told to `/readyz`.
    pub readiness: Readiness,
    /// What the watchdog looks at.
    pub pulse: Arc<Pulse>,
}

/// Runs the stream processor until it is told to stop, or the files are read.
///
/// # Errors
///
/// [`CommandError`] for a configuration that nothing can be run from, and for what makes going on impossible; what was
/// committed before holds.
pub fn run(config: Config, stop: &Arc<AtomicBool>) -> Result<(), CommandError> {
    let instance = instance::take(config.instance.id.as_deref(), &config.instance.state)?;
    let metrics = Arc::new(Metrics::new(config.metrics.top_agents));
    let readiness = Readiness::default();
    let liveness = Readiness::default();
    readiness.degrade("start", "not all parts are up yet");
    let server = Server::start(config.http.listen, metrics.clone(), readiness.clone(), liveness.clone())
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    tracing::info!(instance = instance.id, address = %server.address(), "started");

    let kafka = match &config.source {
        SourceConfig::Kafka(kafka) => Some(ClientSettings::new(&kafka.bootstrap, kafka.librdkafka.0.clone())?),
        SourceConfig::Files(_) => None,
    };
    let pulse = Arc::default();
    let service = Service { config, kafka, instance, metrics, readiness, pulse };
    let outcome = service.work(stop, liveness);
    drop(server);
    outcome?;
    tracing::info!("stopped");
    Ok(())
}

impl Service {
    /// Sessions, one after the other, and the sinks and the watchdog beside them.
    fn work(&self, stop: &Arc<AtomicBool>, liveness: Readiness) -> Result<(), CommandError> {
        let sinks = self.persist(stop, || {
            self.make_topics()?;
            Sinks::start(&self.config, self.kafka.as_ref())
        })?;
        let Some(sinks) = sinks else { return Ok(()) };
        let statuses = sinks.statuses().map(|(name, status)| (name.to_owned(), status.clone())).collect();
        let (patience, told) = (self.config.watchdog, (self.readiness.clone(), liveness));
        let watchdog = Watchdog::start(patience, self.pulse.clone(), statuses, self.metrics.clone(), told)
            .map_err(|error| CommandError::Failed(format!("cannot start a thread: {error}")))?;
        #[cfg(feature = "archive")]
        let archiver = super::archiver::Archiver::start(self)?;
        let outcome = self.persist(stop, || {
            self.session(stop, &sinks).inspect_err(|error| {
                if let CommandError::Interrupted(_) = error {
                    self.metrics.restarts.inc();
                }
            })
        });
        drop(watchdog);
        #[cfg(feature = "archive")]
        let outcome = outcome.and(archiver.map_or(Ok(()), super::archiver::Archiver::stop).map(Some));
        sinks.stop();
        outcome.map(drop)
    }

    /// Does something again and again until nothing comes between; `None` where the process is to stop before.
    fn persist<T>(
        &self,
        stop: &Arc<AtomicBool>,
        mut act: impl FnMut() -> Result<T, CommandError>,
    ) -> Result<Option<T>, CommandError> {
        let mut outage = Outage::new("start", &self.readiness, &self.metrics, stop);
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            match act() {
                Err(CommandError::Interrupted(why)) => {
                    if began.elapsed() >= LONG {
                        // It has worked in between.
                        outage = Outage::new("start", &self.readiness, &self.metrics, stop);
                    }
                    outage.wait(&why)?;
                }
                outcome => return outcome.map(Some),
            }
        }
        // What was not committed is left to the next start.
        Ok(None)
    }

    /// One session, from what was committed on.
    fn session(&self, stop: &Arc<AtomicBool>, sinks: &Sinks) -> Result<(), CommandError> {
        let (commits, taken, done) = Commits::new();
        let (outlet, resumed) = self.outlet()?;
        let committer = Committer {
            outlet,
            alerts: self.alert_log()?,
            dead_letters: self.dead_letter_file()?,
            metrics: self.metrics.clone(),
            pulse: self.pulse.clone(),
            outage: Outage::new("commit", &self.readiness, &self.metrics, stop),
        };
        reach(Step::SessionBegun);
        let failed = Arc::new(AtomicBool::new(false));
        let committing = {
            let failed = failed.clone();
            std::thread::Builder::new()
                .name("committer".to_owned())
                .spawn(move || committer.run(&taken, &done).inspect_err(|_| failed.store(true, Ordering::Relaxed)))
                .map_err(|error| CommandError::Failed(format!("cannot start a thread: {error}")))?
        };
        let mut scorer = Scorer::new(self, commits, resumed)?;
        let halted = || stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
        let outcome = scorer.run(&halted, sinks);
        self.pulse.rest();
        let mut input = Some(scorer.end());
        if outcome.is_err() {
            // Nobody shall wait for this member: a commit that hangs may do so for long.
            input = None;
        }
        // The last commit is made while the member still is in the group; then it leaves.
        let committed = committing
            .join()
            .unwrap_or_else(|_| Err(CommandError::Failed("the committing thread has failed".to_owned())));
        if let (Err(CommandError::Interrupted(_)), Some(input)) = (&committed, &mut input) {
            input.listen()?;
        }
        drop(input);
        // What was read is others' now.
        self.metrics.forget_lags();
        outcome.and(committed)
    }

    fn make_topics(&self) -> Result<(), CommandError> {
        let Some(settings) = &self.kafka else {
            if matches!(self.config.alerts, Alerts::Kafka(_)) || self.config.dead_letters.kafka.is_some() {
                return Err(CommandError::Usage(
                    "alerts.kafka and dead_letters.kafka go with source.kafka, whose brokers they use".to_owned(),
                ));
            }
            return Ok(());
        };
        let admin = Admin::new(settings)?;
        let dead_letters = self.config.dead_letters.kafka.as_ref().map(|topic| topic.topic.as_str());
        for topic in self.alerts_topic().into_iter().chain(dead_letters) {
            admin.create(&TopicSpec::new(topic, 1, &[]))?;
        }
        Ok(())
    }

    fn outlet(&self) -> Result<(Outlet, Option<Resumed>), CommandError> {
        let (Some(settings), SourceConfig::Kafka(kafka)) = (&self.kafka, &self.config.source) else {
            let (mut local, resumed) = Local::open(&self.config.instance.state)?;
            self.deliver(&mut local)?;
            return Ok((Outlet::Local(Box::new(local)), Some(resumed)));
        };
        let id = self.writer_of(kafka);
        let alerts = self.alerts_topic().map(Arc::from);
        Ok((Outlet::Kafka { settings: settings.clone(), writer: None, id, alerts }, None))
    }

    /// Has the files hold what the last commit has said, where it was not written any more.
    fn deliver(&self, local: &mut Local) -> Result<(), CommandError> {
        let (alerts, dead_letters) = local.said()?;
        let write = |path: &Path, lines: &[u8]| {
            // It passes once there is room again.
            store::deliver(path, lines)
                .map_err(|error| CommandError::Interrupted(format!("cannot write to {}: {error}", path.display())))
        };
        match &self.config.alerts {
            Alerts::File(file) => write(&file.path, &alerts)?,
            Alerts::Stdout(_) => {
                let mut log = AlertLog::stdout();
                let written = log.append_lines(&alerts).and_then(|()| log.sync());
                written.map_err(|error| CommandError::Failed(error.to_string()))?;
            }
            Alerts::Kafka(_) => {}
        }
        if let Some(file) = &self.config.dead_letters.file {
            write(&file.path, &dead_letters)?;
        }
        Ok(())
    }

    /// The transactional id of this instance.
    pub fn writer_of(&self, kafka: &KafkaSource) -> String {
        format!("driftline-{}-{}", kafka.group, self.instance.id)
    }

    fn alerts_topic(&self) -> Option<&str> {
        match &self.config.alerts {
            Alerts::Kafka(topic) => Some(topic.topic.as_str()),
            Alerts::File(_) | Alerts::Stdout(_) => None,
        }
    }

    fn alert_log(&self) -> Result<Option<AlertLog>, CommandError> {
        match &self.config.alerts {
            Alerts::Kafka(_) => Ok(None),
            Alerts::File(file) => log_file(&file.path).map(Some),
            Alerts::Stdout(_) => Ok(Some(AlertLog::stdout())),
        }
    }

    fn dead_letter_file(&self) -> Result<Option<AlertLog>, CommandError> {
        self.config.dead_letters.file.as_ref().map(|file| log_file(&file.path)).transpose()
    }
}

fn log_file(path: &Path) -> Result<AlertLog, CommandError> {
    AlertLog::file(path).map_err(|error| CommandError::Failed(error.to_string()))
}
