//! Commits what came of batches, whole or not at all, while the next batches are scored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use driftline_alerting::log::AlertLog;
use driftline_core::Alert;
use driftline_ingest::failpoints::{Step, reach};
use driftline_ingest::kafka::{ClientSettings, CommitError, Membership, OutRecord, TransactionalWriter};

use super::Work;
use super::commits::Commit;
use super::local::Local;
use super::outage::Outage;
use super::watchdog::Pulse;
use crate::commands::CommandError;
use crate::metrics::Metrics;
use crate::store::StoreError;

/// A commit that the group refuses is tried again for so long, under the standing that the member has by then. Past it, the
/// session begins anew from what was committed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where alerts and positions go.
pub enum Outlet {
    /// In one transaction, alerts included where they have a topic.
    Kafka {
        /// How to reach the brokers.
        settings: ClientSettings,
        /// The writer, from the first assignment on: it fences every other one of its id, and only who is the member of
        /// that name may.
        writer: Option<Box<TransactionalWriter>>,
        /// Its transactional id. It stands beside the positions, so that who takes a partition over knows whose
        /// transaction may still be open.
        id: String,
        /// The alerts topic; `None` where alerts go to a file.
        alerts: Option<Arc<str>>,
    },
    /// In a database, where there is no Kafka.
    Local(Box<Local>),
}

/// The committing side.
pub struct Committer {
    /// Where alerts and positions go.
    pub outlet: Outlet,
    /// Alerts that go to a file or to standard output.
    pub alerts: Option<AlertLog>,
    /// Dead letters that go to a file.
    pub dead_letters: Option<AlertLog>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the watchdog looks at.
    pub pulse: Arc<Pulse>,
    /// What cannot be written at present.
    pub outage: Outage,
}

impl Committer {
    /// Commits until the scorer is done, and answers how long each took. What cannot be written is waited for. Of no work there
    /// is only the writer made ready.
    ///
    /// # Errors
    ///
    /// [`CommandError`] where a commit can't be made; nothing of it counts then.
    pub fn run(mut self, commits: &Receiver<Commit>, done: &Sender<Duration>) -> Result<(), CommandError> {
        for (work, group) in commits {
            let started = Instant::now();
            self.open()?;
            if work.is_empty() {
                // As below.
                let _ = done.send(Duration::ZERO);
                continue;
            }
            self.metrics.commit_under_way.set(1);
            self.pulse.commit_begins();
            let outcome = self.commit(work, group);
            self.pulse.commit_ends();
            outcome?;
            self.metrics.commit_under_way.set(0);
            self.metrics.commit.observe(started.elapsed().as_secs_f64());
            // Nobody waits for the last one.
            let _ = done.send(started.elapsed());
            reach(Step::CommitTold);
        }
        if let Outlet::Local(local) = &mut self.outlet
            && let Err(error) = local.written()
        {
            tracing::warn!("alerts on standard output come again at the next start: {error}");
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), CommandError> {
        if let Outlet::Kafka { settings, writer: writer @ None, id, .. } = &mut self.outlet {
            *writer = Some(Box::new(TransactionalWriter::new(settings, id)?));
            reach(Step::WriterOpened);
        }
        Ok(())
    }

    fn commit(&mut self, mut work: Work, group: Option<Membership>) -> Result<(), CommandError> {
        let detected_at = driftline_ingest::now();
        for alert in &mut work.alerts {
            alert.detected_at = detected_at;
        }
        let lines = if self.alerts.is_some() { lines(&work.alerts) } else { Vec::new() };
        if let Outlet::Local(local) = &mut self.outlet {
            while let Err(error) = local.commit(&work, &lines) {
                match error {
                    StoreError::System { .. } => self.outage.wait(&error.to_string())?,
                    error => return Err(error.into()),
                }
            }
        }
        for (log, lines) in [(&mut self.dead_letters, &work.dead_letter_lines), (&mut self.alerts, &lines)] {
            write(log.as_mut(), lines, &mut self.outage)?;
        }
        if matches!(self.outlet, Outlet::Kafka { .. }) {
            self.commit_transaction(&mut work, group)?;
        }
        self.outage.over();
        for alert in &work.alerts {
            self.metrics.alerts(&alert.detector, alert.severity).inc();
        }
        Ok(())
    }

    fn commit_transaction(&mut self, work: &mut Work, group: Option<Membership>) -> Result<(), CommandError> {
        let Outlet::Kafka { writer, id, alerts, .. } = &mut self.outlet else { return Ok(()) };
        let writer = writer.as_mut().ok_or_else(|| CommandError::Failed("the writer is not ready yet".to_owned()))?;
        if let Some(topic) = alerts {
            work.records.extend(work.alerts.iter().map(|alert| alert_record(topic, alert)));
        }
        let group = group.ok_or_else(|| {
            CommandError::Failed("records were read, but the consumer group has no member of ours".to_owned())
        })?;
        let patience = Instant::now() + PATIENCE;
        loop {
            // Taken anew each time: a rebalance has moved it, and left to this member what it has not given up yet.
            let Some(standing) = group.now() else {
                return Err(CommandError::Interrupted("the group has given this member up".to_owned()));
            };
            match writer.commit(&work.positions, id, &standing, &work.records) {
                Ok(()) => return Ok(()),
                Err(CommitError::Aborted(error)) if error.is_about_membership() && Instant::now() >= patience => {
                    return Err(CommandError::Interrupted(error.to_string()));
                }
                // It holds what it held before.
                Err(error @ (CommitError::Aborted(_) | CommitError::Refused { can_pass: true, .. })) => {
                    self.outage.wait(&error.to_string())?;
                }
                // Nothing that is done to the broker helps.
                Err(error @ CommitError::Refused { .. }) => return Err(CommandError::Failed(error.to_string())),
                // Who ends a transaction that was left open fences its writer. Whether there is another process of this
                // name as well is for the group to say.
                Err(error) => return Err(CommandError::Interrupted(error.to_string())),
            }
        }
    }
}

/// Writes lines to a file, and waits where it takes none.
fn write(log: Option<&mut AlertLog>, lines: &[u8], outage: &mut Outage) -> Result<(), CommandError> {
    let Some(log) = log.filter(|_| !lines.is_empty()) else { return Ok(()) };
    let mut written = log.append_lines(lines);
    // What was not written waits in the log.
    if written.is_ok() {
        written = log.sync();
    }
    while let Err(error) = written {
        match error.is_closed() {
            true => return Err(CommandError::Failed(error.to_string())),
            false => outage.wait(&error.to_string())?,
        }
        written = log.sync();
    }
    Ok(())
}

fn lines(alerts: &[Alert]) -> Vec<u8> {
    let mut lines = Vec::new();
    for alert in alerts {
        // An alert is plain data, and memory takes whatever is written to it.
        drop(serde_json::to_writer(&mut lines, alert));
        lines.push(b'\n');
    }
    lines
}

fn alert_record(topic: &Arc<str>, alert: &Alert) -> OutRecord {
    let agent = alert.agent.as_ref().map_or("", |agent| agent.id.as_str());
    // An alert is plain data: it always has a JSON form.
    let value = serde_json::to_vec(alert).unwrap_or_default();
    OutRecord::new(topic.clone(), format!("{}/{agent}", alert.tenant), value)
}
