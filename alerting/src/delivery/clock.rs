//! Time as a worker sees it, and how it is told to stop: tests put their own in its place and wait for nothing.

use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use driftline_core::Timestamp;

/// The time, and waiting that ends early when it is time to stop.
pub trait Clock: Send {
    /// For pace and waits: never goes back.
    fn now(&self) -> Instant;

    /// For people and silences: the date.
    fn wall(&self) -> Timestamp;

    /// Waits this long; false as soon as the worker is to stop.
    fn wait(&self, time: Duration) -> bool;
}

/// The machine's clock. Clones stop together.
#[derive(Debug, Clone)]
pub struct SystemClock(Receiver<Infallible>);

/// Stops the workers of a [`SystemClock`] when it is dropped.
#[derive(Debug)]
pub struct Stopper(#[expect(dead_code, reason = "dropping it is what stops")] Sender<Infallible>);

impl SystemClock {
    /// A clock for any number of workers, and what stops them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use driftline_alerting::delivery::{Clock, SystemClock};
    ///
    /// let (clock, stopper) = SystemClock::new();
    /// assert!(clock.wait(Duration::ZERO));
    /// drop(stopper);
    /// assert!(!clock.wait(Duration::from_secs(3600)));
    /// ```
    pub fn new() -> (Self, Stopper) {
        let (stopper, receiver) = crossbeam_channel::bounded(0);
        (Self(receiver), Stopper(stopper))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).ok().and_then(Timestamp::from_millis).unwrap_or(Timestamp::MAX)
    }

    fn wait(&self, time: Duration) -> bool {
        match self.0.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
            Ok(never) => match never {},
        }
    }
}
