//! Commits what came of batches, whole or not at all, while the next batches are scored.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use driftline_alerting::log::AlertLog;
use driftline_ingest::failpoints::{Step, reach};
use driftline_ingest::kafka::{ClientSettings, CommitError, Membership, OutRecord, TransactionalWriter};

use super::Work;
use super::commits::Commit;
use crate::commands::CommandError;
use crate::http::Readiness;
use crate::metrics::Metrics;

/// An aborted commit is tried again for so long: it holds what it held before, and the group takes it from a member that
/// still is one. Past it, the session begins anew from what was committed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Aborted commits are tried again after this.
const RETRY: Duration = Duration::from_millis(200);

/// Where alerts and positions go.
pub enum Outlet {
    /// In one transaction, alerts included where they have a topic.
    Kafka {
        /// How to reach the brokers.
        settings: ClientSettings,
        /// The writer, from the first commit on: it fences every other one of its id, and only who is in the group may.
        writer: Option<Box<TransactionalWriter>>,
        /// Its transactional id. It stands beside the positions, so that who takes a partition over knows whose
        /// transaction may still be open.
        id: String,
        /// The alerts topic; `None` where alerts go to a file.
        alerts: Option<Arc<str>>,
    },
    /// There is no Kafka: alerts are written, positions are not kept.
    Local,
}

/// The committing side.
pub struct Committer {
    /// Where alerts and positions go.
    pub outlet: Outlet,
    /// Alerts that go to a file or to standard output.
    pub log: Option<AlertLog>,
    /// Dead letters that go to a file.
    pub dead_letters: Option<File>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told to `/readyz`.
    pub readiness: Readiness,
}

impl Committer {
    /// Commits until the scorer is done, and answers how long each took.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where a commit can't be made; nothing of it has been written then.
    pub fn run(mut self, commits: &Receiver<Commit>, done: &Sender<Duration>) -> Result<(), CommandError> {
        for (work, group) in commits {
            let started = Instant::now();
            self.metrics.commit_under_way.set(1);
            self.commit(work, group)?;
            self.metrics.commit_under_way.set(0);
            self.metrics.commit.observe(started.elapsed().as_secs_f64());
            // Nobody waits for the last one.
            let _ = done.send(started.elapsed());
            reach(Step::CommitTold);
        }
        Ok(())
    }

    fn commit(&mut self, mut work: Work, group: Option<Membership>) -> Result<(), CommandError> {
        let detected_at = driftline_ingest::now();
        for alert in &mut work.alerts {
            alert.detected_at = detected_at;
        }
        if let Some(file) = &mut self.dead_letters {
            let written = file.write_all(&work.dead_letter_lines).and_then(|()| file.sync_data());
            written.map_err(|error| CommandError::Failed(format!("cannot write dead letters: {error}")))?;
        }
        if let Some(log) = &mut self.log {
            let failed = |error: driftline_alerting::log::LogError| CommandError::Failed(error.to_string());
            for alert in &work.alerts {
                log.append(alert).map_err(failed)?;
            }
            log.sync().map_err(failed)?;
        }
        if let Outlet::Kafka { settings, writer, id, alerts } = &mut self.outlet {
            if let Some(topic) = alerts {
                work.records.extend(work.alerts.iter().map(|alert| alert_record(topic, alert)));
            }
            let group = group.ok_or_else(|| {
                CommandError::Failed("records were read, but the consumer group has no member of ours".to_owned())
            })?;
            let writer = match writer {
                Some(writer) => writer,
                None => {
                    let opened = Box::new(TransactionalWriter::new(settings, id)?);
                    reach(Step::WriterOpened);
                    writer.insert(opened)
                }
            };
            commit_transaction(writer, id, &work, &group, &self.readiness)?;
        }
        for alert in &work.alerts {
            self.metrics.alerts(&alert.detector, alert.severity).inc();
        }
        Ok(())
    }
}

fn commit_transaction(
    writer: &mut TransactionalWriter,
    id: &str,
    work: &Work,
    group: &Membership,
    readiness: &Readiness,
) -> Result<(), CommandError> {
    let patience = Instant::now() + PATIENCE;
    loop {
        // Taken anew each time: a rebalance has moved it, and left to this member what it has not given up yet.
        let Some(standing) = group.now() else {
            return Err(CommandError::Interrupted("the group has given this member up".to_owned()));
        };
        match writer.commit(&work.positions, id, &standing, &work.records) {
            Ok(()) => {
                readiness.restore("commit");
                return Ok(());
            }
            Err(error @ CommitError::Aborted(_)) if Instant::now() < patience => {
                tracing::warn!("{error}; trying again");
                readiness.degrade("commit", error.to_string());
                // Nothing comes from this channel but the time.
                let _ = crossbeam_channel::after(RETRY).recv();
            }
            // The broker will never take these records.
            Err(error @ CommitError::Refused { .. }) => return Err(CommandError::Failed(error.to_string())),
            // Who ends a transaction that was left open fences its writer. Whether there is another process of this
            // name as well is for the group to say.
            Err(error) => return Err(CommandError::Interrupted(error.to_string())),
        }
    }
}

fn alert_record(topic: &Arc<str>, alert: &driftline_core::Alert) -> OutRecord {
    let agent = alert.agent.as_ref().map_or("", |agent| agent.id.as_str());
    // An alert is plain data: it always has a JSON form.
    let value = serde_json::to_vec(alert).unwrap_or_default();
    OutRecord::new(topic.clone(), format!("{}/{agent}", alert.tenant), value)
}
