//! The stream processor as a whole: what runs for as long as the process does, and the sessions in it.
//!
//! A session begins with what was committed and ends where the process stops, or where something has come between: the
//! group has moved on without this member, or a commit whose outcome is not known. Then what was not committed is
//! dropped and another session begins. So there is one way to recover, and it is the one that every start takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use driftline_alerting::log::AlertLog;
use driftline_ingest::failpoints::{Step, reach};
use driftline_ingest::kafka::{Admin, ClientSettings, TopicSpec};

use super::commits::Commits;
use super::committer::{Committer, Outlet};
use super::instance::{self, Instance};
use super::scorer::Scorer;
use super::sinks::Sinks;
use crate::commands::CommandError;
use crate::config::{Alerts, Config, Source as SourceConfig};
use crate::http::{Readiness, Server};
use crate::metrics::Metrics;

/// What is between two sessions, so that a broker that refuses is not asked without a pause.
const PAUSE: Duration = Duration::from_secs(1);

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
    readiness.degrade("start", "not all parts are up yet");
    let server = Server::start(config.http.listen, metrics.clone(), readiness.clone())
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    tracing::info!(instance = instance.id, address = %server.address(), "started");

    let kafka = match &config.source {
        SourceConfig::Kafka(kafka) => Some(ClientSettings::new(&kafka.bootstrap, kafka.librdkafka.0.clone())?),
        SourceConfig::Files(_) => None,
    };
    let service = Service { config, kafka, instance, metrics, readiness };
    service.make_topics()?;
    let sinks = Sinks::start(&service.config, service.kafka.as_ref())?;
    let outcome = loop {
        match service.session(stop, &sinks) {
            Err(CommandError::Interrupted(why)) if !stop.load(Ordering::Relaxed) => {
                tracing::warn!("{why}; going on from what was committed");
                service.metrics.restarts.inc();
                service.readiness.degrade("start", why);
                // Nothing comes from this channel but the time.
                let _ = crossbeam_channel::after(PAUSE).recv();
            }
            outcome => break outcome,
        }
    };
    sinks.stop();
    drop(server);
    outcome?;
    tracing::info!("stopped");
    Ok(())
}

impl Service {
    /// One session, from what was committed on.
    fn session(&self, stop: &AtomicBool, sinks: &Sinks) -> Result<(), CommandError> {
        let (commits, taken, done) = Commits::new();
        let committer = Committer {
            outlet: self.outlet()?,
            log: self.alert_log()?,
            dead_letters: self.dead_letter_file()?,
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
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
        let mut scorer = Scorer::new(self, commits)?;
        let halted = || stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
        let outcome = scorer.run(&halted, sinks);
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
            let spec = TopicSpec { name: topic.to_owned(), partitions: 1, replication: None, config: Vec::new() };
            admin.create(&spec)?;
        }
        Ok(())
    }

    fn outlet(&self) -> Result<Outlet, CommandError> {
        let (Some(settings), SourceConfig::Kafka(kafka)) = (&self.kafka, &self.config.source) else {
            return Ok(Outlet::Local);
        };
        let id = self.transactional_id(&kafka.group);
        Ok(Outlet::Kafka { settings: settings.clone(), writer: None, id, alerts: self.alerts_topic().map(Arc::from) })
    }

    /// Under which this instance commits.
    pub fn transactional_id(&self, group: &str) -> String {
        format!("driftline-{group}-{}", self.instance.id)
    }

    fn alerts_topic(&self) -> Option<&str> {
        match &self.config.alerts {
            Alerts::Kafka(topic) => Some(topic.topic.as_str()),
            Alerts::File(_) | Alerts::Stdout(_) => None,
        }
    }

    fn alert_log(&self) -> Result<Option<AlertLog>, CommandError> {
        let failed = |error: driftline_alerting::log::LogError| CommandError::Failed(error.to_string());
        match &self.config.alerts {
            Alerts::Kafka(_) => Ok(None),
            Alerts::File(file) => AlertLog::file(&file.path).map(Some).map_err(failed),
            Alerts::Stdout(_) => Ok(Some(AlertLog::stdout())),
        }
    }

    fn dead_letter_file(&self) -> Result<Option<std::fs::File>, CommandError> {
        let open = |path: &PathBuf| {
            let file = std::fs::File::options().create(true).append(true).open(path);
            file.map_err(|error| CommandError::file("open", path, &error))
        };
        self.config.dead_letters.file.as_ref().map(|file| open(&file.path)).transpose()
    }
}
