//! Delivers alerts to the outside: a thread a sink, each with its own position in the alert log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use driftline_alerting::delivery::{Delivery, DeliveryStatus, Policy, Stopper, SystemClock};
use driftline_alerting::follow::FileFollower;
use driftline_alerting::routing::{Route, Routing};
use driftline_alerting::sinks::slack::Slack;
use driftline_alerting::source::{AlertSource, SourceError};
use driftline_core::Alert;
use driftline_ingest::kafka::{Admin, ClientSettings, Reader, Start, TopicSpec, Until};
use driftline_ingest::{Polled, Source, TopicPartition};

use crate::commands::CommandError;
use crate::config::{Alerts, Config};

/// Sinks at work; they stop when this is dropped.
pub struct Sinks {
    running: Vec<(String, DeliveryStatus, Stopper, JoinHandle<()>)>,
}

impl Sinks {
    /// Starts a thread for each sink of the configuration.
    ///
    /// # Errors
    ///
    /// [`CommandError`] for a webhook that is none, and where the alert log cannot be opened.
    pub fn start(config: &Config, kafka: Option<&ClientSettings>) -> Result<Self, CommandError> {
        let mut running = Vec::new();
        for slack in &config.slack {
            let sink = Slack::new(&slack.name, slack.webhook.clone(), Duration::from_secs(10))
                .map_err(|error| CommandError::Usage(error.to_string()))?
                .with_pace(slack.rate.interval());
            let (clock, stopper) = SystemClock::new();
            let state = config.instance.state.join(format!("sink-{}.json", slack.name));
            let route = Route { sink: slack.name.clone(), min_severity: slack.min_severity, matchers: Vec::new() };
            let routing = Routing { routes: vec![route], ..Routing::default() };
            let delivery = match (&config.alerts, kafka) {
                (Alerts::Kafka(alerts), Some(settings)) => {
                    let source = TopicFollower::open(settings, &alerts.topic, &state)?;
                    Delivery::new(sink, source, clock, routing, Policy::default())
                }
                (Alerts::File(file), _) => {
                    let source = FileFollower::open(&file.path, &state, clock.clone())
                        .map_err(|error| CommandError::Usage(error.to_string()))?;
                    Delivery::new(sink, source, clock, routing, Policy::default())
                }
                _ => {
                    return Err(CommandError::Usage(
                        "a sink follows the alert log: give `alerts.kafka` or `alerts.file`, which can be read back"
                            .to_owned(),
                    ));
                }
            };
            let status = delivery.status();
            let name = slack.name.clone();
            let thread = std::thread::Builder::new()
                .name(format!("sink-{name}"))
                .spawn(move || delivery.run())
                .map_err(|error| CommandError::Failed(format!("cannot start a thread: {error}")))?;
            running.push((name, status, stopper, thread));
        }
        Ok(Self { running })
    }

    /// How each is doing.
    pub fn statuses(&self) -> impl Iterator<Item = (&str, &DeliveryStatus)> {
        self.running.iter().map(|(name, status, ..)| (name.as_str(), status))
    }

    /// Stops all, each between two messages.
    pub fn stop(self) {
        for (name, _, stopper, thread) in self.running {
            drop(stopper);
            if thread.join().is_err() {
                tracing::error!("the sink {name} has failed");
            }
        }
    }
}

/// The alerts topic, followed with a position that is kept in a file.
struct TopicFollower {
    reader: Reader,
    state: PathBuf,
    next: BTreeMap<i32, i64>,
    unreadable: u64,
}

impl TopicFollower {
    fn open(settings: &ClientSettings, topic: &str, state: &Path) -> Result<Self, CommandError> {
        let admin = Admin::new(settings)?;
        admin.create(&TopicSpec::new(topic, 1, &[]))?;
        let partitions = admin.partitions(topic)?.unwrap_or(1);
        let next: BTreeMap<i32, i64> = match std::fs::read(state) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                CommandError::Usage(format!(
                    "{} holds no position ({error}); delete it to send every alert of the topic again",
                    state.display()
                ))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(CommandError::file("read", state, &error)),
        };
        let starts: Vec<_> = (0..partitions)
            .map(|partition| {
                let start = next.get(&partition).map_or(Start::Beginning, |&offset| Start::Offset(offset));
                (TopicPartition::new(topic, partition), start)
            })
            .collect();
        let reader = Reader::open(settings, &starts, Until::Forever, &[])?;
        Ok(Self { reader, state: state.to_owned(), next, unreadable: 0 })
    }
}

impl AlertSource for TopicFollower {
    fn next(&mut self, timeout: Duration) -> Result<Vec<Alert>, SourceError> {
        let polled = self.reader.poll(timeout).map_err(|error| SourceError::Other(Box::new(error)))?;
        let Polled::Records(batches) = polled else { return Ok(Vec::new()) };
        let mut alerts = Vec::new();
        for batch in &batches {
            for record in batch.iter() {
                match serde_json::from_slice(record.value) {
                    Ok(alert) => alerts.push(alert),
                    Err(error) => {
                        self.unreadable += 1;
                        tracing::error!("{}/{} is no alert: {error}", batch.partition, record.offset);
                    }
                }
            }
            self.next.insert(batch.partition.partition, batch.next_offset());
        }
        Ok(alerts)
    }

    fn commit(&mut self) -> Result<(), SourceError> {
        let failed = |source| SourceError::File { doing: "write", path: self.state.clone(), source };
        let folder = self.state.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        serde_json::to_writer(&mut file, &self.next).map_err(std::io::Error::from).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.state).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn unreadable(&self) -> u64 {
        self.unreadable
    }
}
