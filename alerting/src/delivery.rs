//! One worker a sink: reads the alert log, sends what is routed to its sink, and moves its position once that is there.
//!
//! - **At least once, in order.** The position moves only past alerts that the sink took or that no route sends there. A
//!   message is tried again until it is taken; a crash in between sends it again, with the same id.
//! - **Repeats are told once.** The first alert of a fingerprint goes out at once; its repeats inside
//!   [`Policy::window`] wait and go out together, with their number. The position waits with them.
//! - **A backlog becomes digests.** Where more than [`Policy::backlog`] messages wait, the sink gets as many at once as
//!   it takes, so that a flood is told in minutes and not in hours.
//! - **The sink's pace holds** between any two messages, tries included.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use driftline_core::Alert;

use crate::group::Group;
use crate::routing::{Decision, Routing};
use crate::sinks::{SendError, Sink};
use crate::source::{AlertSource, SourceError};

mod clock;
mod repeats;
mod status;

pub use clock::{Clock, Stopper, SystemClock};
use repeats::Repeats;
pub use status::{DeliveryReport, DeliveryStatus, Failure};

/// How long a worker waits for alerts before it looks at its timers.
const POLL: Duration = Duration::from_millis(250);

/// How a worker groups and retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long repeats of a fingerprint are gathered. Default 5 minutes.
    pub window: Duration,
    /// Most repeats that are held at once; at that number they are sent early. Default 1,000.
    pub held: usize,
    /// Most messages that are sent one by one; where more wait, they become digests. Default 5.
    pub backlog: usize,
    /// The first wait after a failure; it doubles each time, and up to the same again is added by chance. Default 1 s.
    pub retry_min: Duration,
    /// The longest such wait before chance is added. Default 2 minutes.
    pub retry_max: Duration,
    /// The longest wait that the other side may ask for. Default 1 hour.
    pub retry_after_max: Duration,
    /// The wait while the sink is wrongly set up. Default 5 minutes.
    pub misconfigured: Duration,
    /// Seeds the chance in waits. Give each instance another one, so that they don't come back all at once.
    pub seed: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            held: 1_000,
            backlog: 5,
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(120),
            retry_after_max: Duration::from_secs(3_600),
            misconfigured: Duration::from_secs(300),
            seed: 0,
        }
    }
}

/// A worker was told to stop.
struct Stopped;

/// The worker of one sink.
pub struct Delivery {
    sink: Box<dyn Sink>,
    source: Box<dyn AlertSource>,
    clock: Box<dyn Clock>,
    routing: Routing,
    policy: Policy,
    status: DeliveryStatus,
    repeats: Repeats,
    /// Alerts that were handed out and that the position is not past.
    uncommitted: u64,
    last_message: Option<Instant>,
}

impl Delivery {
    /// A worker that sends what `routing` has for `sink`, read from `source`.
    pub fn new(
        sink: impl Sink + 'static,
        source: impl AlertSource + 'static,
        clock: impl Clock + 'static,
        routing: Routing,
        policy: Policy,
    ) -> Self {
        Self {
            sink: Box::new(sink),
            source: Box::new(source),
            clock: Box::new(clock),
            routing,
            repeats: Repeats::new(policy.window, policy.held),
            policy,
            status: DeliveryStatus::default(),
            uncommitted: 0,
            last_message: None,
        }
    }

    /// How it goes, for metrics and readiness; stays up to date while the worker runs.
    pub fn status(&self) -> DeliveryStatus {
        self.status.clone()
    }

    /// Delivers until the clock says to stop. A message that is being retried then is left for the next start; held
    /// repeats get one try.
    pub fn run(mut self) {
        let mut backoff = self.backoff();
        while self.clock.wait(Duration::ZERO) {
            let wait = match self.pass() {
                Ok(Ok(())) => {
                    backoff = self.backoff();
                    continue;
                }
                Ok(Err(Stopped)) => return,
                Err(error) => {
                    self.failed(&error.to_string(), false);
                    backoff.next().unwrap_or(self.policy.retry_max)
                }
            };
            if !self.clock.wait(wait) {
                return;
            }
        }
        self.finish();
    }

    /// Reads a batch, sends what is to be sent now, and moves the position unless repeats wait.
    fn pass(&mut self) -> Result<Result<(), Stopped>, SourceError> {
        let alerts = self.source.next(POLL)?;
        self.uncommitted += alerts.len() as u64;
        let first = self.select(alerts);
        // What was held is older and goes first. It is asked for last, so that repeats in this very batch go along and
        // nothing is held afterwards: else a steady stream of repeats would keep the position where it is.
        let mut groups = self.repeats.due(self.clock.now());
        groups.extend(first);
        self.report_pending(&groups);
        if self.send_all(&groups).is_err() {
            return Ok(Err(Stopped));
        }
        if self.uncommitted > 0 && self.repeats.held() == 0 {
            self.source.commit()?;
            self.uncommitted = 0;
        }
        self.status.update(|report| report.failing = None);
        Ok(Ok(()))
    }

    /// What of a batch is to be sent now: what is routed to the sink and not silenced, without repeats.
    fn select(&mut self, alerts: Vec<Alert>) -> Vec<Group> {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let mut groups: Vec<Group> = Vec::new();
        for alert in alerts {
            match self.routing.decide(self.sink.name(), &alert, wall) {
                Decision::Send => groups.extend(self.repeats.admit(alert, now)),
                Decision::NotRouted => self.status.update(|report| report.not_routed += 1),
                Decision::Silenced => {
                    tracing::debug!(sink = self.sink.name(), alert = %alert.id, "alert silenced");
                    self.status.update(|report| report.suppressed += 1);
                }
            }
        }
        groups
    }

    /// Sends groups one by one, or in digests where many wait.
    fn send_all(&mut self, groups: &[Group]) -> Result<(), Stopped> {
        let at_once = if groups.len() > self.policy.backlog { self.sink.capacity().max(1) } else { 1 };
        for (i, message) in groups.chunks(at_once).enumerate() {
            self.send(message)?;
            self.report_pending(groups.get((i + 1) * at_once..).unwrap_or_default());
        }
        Ok(())
    }

    /// Sends one message until it is taken.
    fn send(&mut self, groups: &[Group]) -> Result<(), Stopped> {
        let mut backoff = self.backoff();
        let mut plain = false;
        loop {
            self.keep_pace()?;
            let sent = if plain { self.sink.send_plain(groups) } else { self.sink.send(groups) };
            self.last_message = Some(self.clock.now());
            let Err(error) = sent else {
                self.delivered(groups);
                return Ok(());
            };
            let refused = matches!(error, SendError::Rejected { .. });
            let misconfigured = matches!(error, SendError::Misconfigured { .. }) || (refused && plain);
            self.failed(&error.to_string(), misconfigured);
            let wait = match error {
                SendError::Retry { after, .. } => match after {
                    Some(after) => after.min(self.policy.retry_after_max),
                    None => backoff.next().unwrap_or(self.policy.retry_max),
                },
                SendError::Rejected { .. } if !plain => {
                    plain = true;
                    self.status.update(|report| report.rejected += 1);
                    continue;
                }
                // The plain form cannot be refused for its form, so that something else must be wrong.
                SendError::Rejected { .. } | SendError::Misconfigured { .. } => self.policy.misconfigured,
            };
            self.status.update(|report| report.retried += 1);
            if !self.clock.wait(wait) {
                return Err(Stopped);
            }
        }
    }

    fn keep_pace(&self) -> Result<(), Stopped> {
        let Some(last) = self.last_message else { return Ok(()) };
        let wait = (last + self.sink.pace()).saturating_duration_since(self.clock.now());
        if wait.is_zero() || self.clock.wait(wait) { Ok(()) } else { Err(Stopped) }
    }

    /// On the way out: held repeats go in one message if they fit, with one try, so that the next start does not send
    /// again what was sent before them.
    fn finish(&mut self) {
        let held = self.repeats.drain();
        let sent = match held.len() {
            0 => true,
            groups if groups <= self.sink.capacity() => self.sink.send(&held).is_ok(),
            _ => false,
        };
        if !sent {
            return;
        }
        if !held.is_empty() {
            self.delivered(&held);
        }
        if self.uncommitted > 0
            && let Err(error) = self.source.commit()
        {
            self.failed(&error.to_string(), false);
        }
    }

    fn backoff(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.policy.retry_min)
            .with_max_delay(self.policy.retry_max)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(self.policy.seed ^ self.status.report().retried)
            .build()
    }

    fn delivered(&self, groups: &[Group]) {
        let now = self.clock.wall();
        let alerts: usize = groups.iter().map(Group::count).sum();
        self.status.update(|report| {
            report.delivered += alerts as u64;
            report.messages += 1;
            report.last_success = Some(now);
            report.failing = None;
        });
    }

    fn failed(&self, why: &str, misconfigured: bool) {
        let now = self.clock.wall();
        tracing::warn!(sink = self.sink.name(), why, "alerts could not be delivered; trying again");
        self.status.update(|report| {
            report.last_error = Some((now, why.to_owned()));
            let since = report.failing.as_ref().map_or(now, |failure| failure.since);
            report.failing = Some(Failure { since, misconfigured });
        });
    }

    /// What waits: `groups` and the repeats that are held.
    fn report_pending(&self, groups: &[Group]) {
        let waiting: usize = groups.iter().map(Group::count).sum();
        let (pending, unreadable) = ((waiting + self.repeats.held()) as u64, self.source.unreadable());
        self.status.update(|report| (report.pending, report.unreadable) = (pending, unreadable));
    }
}

#[cfg(test)]
mod tests;
