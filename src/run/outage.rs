//! What cannot be written for a while: it is waited for, and told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::commands::CommandError;
use crate::http::Readiness;
use crate::metrics::Metrics;

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(5);
/// How often a reason that stays the same is told again.
const TOLD_AGAIN: Duration = Duration::from_secs(300);
/// Whoever asks the process to stop is not kept waiting longer than this.
const WHEN_STOPPING: Duration = Duration::from_secs(10);
/// How soon a stop is noticed.
const NOTICED: Duration = Duration::from_millis(100);

/// Waits for what passes: without limit, longer each time, and told once. The reason stands at `/readyz` meanwhile.
pub struct Outage {
    condition: &'static str,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    stop: Arc<AtomicBool>,
    now: Option<Now>,
}

struct Now {
    since: Instant,
    wait: Duration,
    told: (String, Instant),
    stopping: Option<Instant>,
}

impl Outage {
    /// Nothing is out yet. `condition` is what `/readyz` calls it.
    pub fn new(condition: &'static str, readiness: &Readiness, metrics: &Arc<Metrics>, stop: &Arc<AtomicBool>) -> Self {
        let (readiness, metrics, stop) = (readiness.clone(), metrics.clone(), stop.clone());
        Self { condition, readiness, metrics, stop, now: None }
    }

    /// Waits before the next try; `why` is what went wrong and what is to be done.
    ///
    /// # Errors
    ///
    /// [`CommandError::Failed`] with `why`, where the process is to stop and that has been so for ten seconds.
    pub fn wait(&mut self, why: &str) -> Result<(), CommandError> {
        self.metrics.outages(self.condition).inc();
        let began = Instant::now();
        let now = self.now.get_or_insert_with(|| Now {
            since: began,
            wait: FIRST,
            told: (String::new(), began),
            stopping: None,
        });
        if now.told.0 != why || now.told.1.elapsed() >= TOLD_AGAIN {
            tracing::warn!("{}: {why}; it is tried again until it succeeds", self.condition);
            now.told = (why.to_owned(), began);
        }
        self.readiness.degrade(self.condition, why);
        while began.elapsed() < now.wait {
            // Nothing comes from this channel but the time.
            let _ = crossbeam_channel::after(NOTICED.min(now.wait)).recv();
            if self.stop.load(Ordering::Relaxed) {
                let since = now.stopping.get_or_insert_with(Instant::now);
                if since.elapsed() >= WHEN_STOPPING {
                    return Err(CommandError::Failed(why.to_owned()));
                }
                break;
            }
        }
        now.wait = (now.wait * 2).min(LONGEST);
        Ok(())
    }

    /// Says that it has succeeded.
    pub fn over(&mut self) {
        if let Some(Now { since, .. }) = self.now.take() {
            tracing::info!("{}: goes on after {:.1} s", self.condition, since.elapsed().as_secs_f64());
            self.readiness.restore(self.condition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_while_it_lasts_and_no_longer() {
        let (readiness, metrics) = (Readiness::default(), Arc::new(Metrics::new(0)));
        let mut outage = Outage::new("commit", &readiness, &metrics, &Arc::default());
        for _ in 0..2 {
            outage.wait("no room").unwrap();
        }
        assert_eq!(readiness.reasons(), [("commit".to_owned(), "no room".to_owned())]);
        assert_eq!(metrics.outages("commit").get(), 2);
        outage.over();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_stop_does_not_wait_for_ever() {
        let (readiness, metrics) = (Readiness::default(), Arc::new(Metrics::new(0)));
        let stop = Arc::new(AtomicBool::new(true));
        let mut outage = Outage::new("commit", &readiness, &metrics, &stop);
        outage.wait("no room").unwrap();
        if let Some(now) = &mut outage.now {
            now.stopping = now.stopping.and_then(|since| since.checked_sub(WHEN_STOPPING));
        }
        assert_eq!(outage.wait("no room").unwrap_err().to_string(), "no room");
    }
}
