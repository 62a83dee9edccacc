//! The scorer's side of committing: one commit is under way at most, and scoring goes on meanwhile.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use driftline_ingest::kafka::Membership;

use super::Work;

/// Positions move this often, as long as commits take under a twentieth of the time.
const INTERVAL: Duration = Duration::from_secs(2);
/// An alert brings the next commit forward to this, under the same condition.
const ALERT_INTERVAL: Duration = Duration::from_millis(100);
/// What commits may take of the time, as one part in so many: where there is much to catch up with each one carries the state
/// of nearly all agents, however soon it comes after the last.
const SHARE: u32 = 20;
/// Positions move at least this often.
const LONGEST: Duration = Duration::from_secs(10);

/// What is to be committed, and the member that its positions are committed as.
pub type Commit = (Work, Option<Membership>);

/// See the module.
pub struct Commits {
    commits: Sender<Commit>,
    done: Receiver<Duration>,
    under_way: bool,
    /// When the last one began, and how long it took.
    last: (Instant, Duration),
}

impl Commits {
    /// Both ends: the scorer's, and what the committer takes from and answers to.
    pub fn new() -> (Self, Receiver<Commit>, Sender<Duration>) {
        let ((commits, taken), (answers, done)) = (bounded(1), bounded(1));
        let last = (Instant::now(), Duration::ZERO);
        (Self { commits, done, under_way: false, last }, taken, answers)
    }

    /// Whether the next commit should begin now.
    pub fn is_due(&mut self, has_alerts: bool) -> bool {
        if self.under_way
            && let Ok(took) = self.done.try_recv()
        {
            (self.under_way, self.last.1) = (false, took);
        }
        let interval = if has_alerts { ALERT_INTERVAL } else { INTERVAL };
        !self.under_way && self.last.0.elapsed() >= interval.max(self.last.1 * SHARE).min(LONGEST)
    }

    /// Begins a commit; the one before is waited for.
    pub fn begin(&mut self, commit: Commit) {
        self.wait();
        // Where the committer has failed the session is on its way out.
        self.under_way = self.commits.send(commit).is_ok();
        self.last.0 = Instant::now();
    }

    /// Waits until nothing is under way, or for so long. Whether nothing is.
    pub fn wait_until(&mut self, deadline: Instant) -> bool {
        if self.under_way {
            match self.done.recv_deadline(deadline) {
                Ok(took) => (self.under_way, self.last.1) = (false, took),
                Err(RecvTimeoutError::Timeout) => {}
                // The committer has failed, and the session is on its way out.
                Err(RecvTimeoutError::Disconnected) => self.under_way = false,
            }
        }
        !self.under_way
    }

    /// Waits until nothing is under way.
    pub fn wait(&mut self) {
        if std::mem::take(&mut self.under_way) {
            self.last.1 = self.done.recv().unwrap_or_default();
        }
    }
}
