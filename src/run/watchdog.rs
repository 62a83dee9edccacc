//! Sees what stands still: a thread of its own that looks at how far the others have come, and says so where that does not
//! change. It only tells; machine time decides nothing about alerts.
//!
//! It waits for nobody: a log that nobody reads any more stops whoever writes to it, so it has its lines written by another
//! thread, and drops them where that one is behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use driftline_alerting::delivery::DeliveryStatus;
use driftline_ingest::TopicPartition;

use crate::config::Watchdog as Patience;
use crate::http::Readiness;
use crate::metrics::Metrics;

/// How often it looks.
const TICK: Duration = Duration::from_millis(500);
/// Lines that wait for the log.
const LINES: usize = 64;
/// What `/healthz` calls a scoring thread that hangs.
const HUNG: &str = "scoring";

/// How far the threads have come, as they say themselves.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Signs>);

#[derive(Debug, Default, Clone)]
struct Signs {
    /// When the scoring loop last came round; `None` where no session is going on.
    scored: Option<Instant>,
    /// When the commit began that is under way.
    commit: Option<Instant>,
    /// The next offset of each partition that has more to read.
    behind: BTreeMap<TopicPartition, i64>,
}

impl Pulse {
    /// The scoring loop has come round.
    pub fn beat(&self) {
        self.signs().scored = Some(Instant::now());
    }

    /// The scoring loop is left.
    pub fn rest(&self) {
        let mut signs = self.signs();
        signs.scored = None;
        signs.behind.clear();
    }

    /// A commit begins.
    pub fn commit_begins(&self) {
        self.signs().commit = Some(Instant::now());
    }

    /// It has ended, however.
    pub fn commit_ends(&self) {
        self.signs().commit = None;
    }

    /// The next offsets of the partitions that have more to read; none of others.
    pub fn behind(&self, partitions: impl Iterator<Item = (TopicPartition, i64)>) {
        self.signs().behind = partitions.collect();
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running watchdog. Dropping it stops it.
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to look. `liveness` is told of a scoring thread that hangs, `readiness` of all that stands still.
    ///
    /// # Errors
    ///
    /// What the system says where it gives no thread.
    pub fn start(
        patience: Patience,
        pulse: Arc<Pulse>,
        sinks: Vec<(String, DeliveryStatus)>,
        metrics: Arc<Metrics>,
        (readiness, liveness): (Readiness, Readiness),
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let mut watch = Watch { patience, seen: BTreeMap::new() };
        let (say, lines) = bounded::<Line>(LINES);
        // It ends with the sender; nobody waits for it, since it may hang.
        std::thread::Builder::new().name("watchdog-log".to_owned()).spawn(move || lines.iter().for_each(Line::log))?;
        let run = move || {
            let mut told = BTreeMap::new();
            while stopped.recv_timeout(TICK) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                let signs = pulse.signs().clone();
                let queues = sinks.iter().map(|(name, status)| {
                    let report = status.report();
                    (name.as_str(), report.pending, report.delivered + report.rejected + report.suppressed)
                });
                let found = watch.look(Instant::now(), &signs, queues);
                for line in tell(&found, &mut told, &metrics, &readiness, &liveness) {
                    // `/readyz` has it where the log does not.
                    let _ = say.try_send(line);
                }
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog ended in a panic");
        }
    }
}

/// What stands still.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// By what the metric calls it, each thing with the reason that `/readyz` gives.
    stalled: BTreeMap<&'static str, Vec<String>>,
    /// Why the process had better be started anew.
    hung: Option<String>,
}

const KINDS: [&str; 4] = ["commit", "partition", "scoring", "sink"];

/// Remembers since when what has not moved.
struct Watch {
    patience: Patience,
    /// By kind and name: how far it had come, and since when.
    seen: BTreeMap<(&'static str, String), (u64, Instant)>,
}

impl Watch {
    fn look<'q>(&mut self, now: Instant, signs: &Signs, queues: impl Iterator<Item = (&'q str, u64, u64)>) -> Found {
        let mut found = Found::default();
        let mut add = |kind: &'static str, reason: String| found.stalled.entry(kind).or_default().push(reason);
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        if let Some(passed) = since(signs.scored).filter(|passed| *passed >= self.patience.scoring) {
            add("scoring", format!("the scoring thread has not come round for {} s", passed.as_secs()));
        }
        if let Some(passed) = since(signs.commit).filter(|passed| *passed >= self.patience.commit) {
            add("commit", format!("a commit has not ended for {} s", passed.as_secs()));
        }
        let partitions = signs.behind.iter().map(|(partition, next)| {
            (("partition", partition.to_string()), next.cast_unsigned(), self.patience.partition)
        });
        let sinks = queues
            .filter(|(_, pending, _)| *pending > 0)
            .map(|(name, _, done)| (("sink", name.to_owned()), done, self.patience.sink));
        let mut seen = BTreeMap::new();
        for (key, come, patience) in partitions.chain(sinks) {
            let before = self.seen.get(&key).filter(|(before, _)| *before == come);
            let at = before.map_or(now, |(_, at)| *at);
            let passed = now.saturating_duration_since(at);
            if passed >= patience {
                let (kind, name) = &key;
                let what = match *kind {
                    "sink" => format!("nothing goes out to `{name}`, where alerts wait"),
                    _ => format!("{name} has more to read and does not move"),
                };
                add(kind, format!("{what}: for {} s", passed.as_secs()));
            }
            seen.insert(key, (come, at));
        }
        self.seen = seen;
        if let Some(passed) = since(signs.scored).filter(|passed| *passed >= self.patience.hung) {
            found.hung = Some(format!("the scoring thread has not come round for {} s", passed.as_secs()));
        }
        found
    }
}

/// A line for the log.
struct Line {
    condition: String,
    /// `None` where it goes on.
    reason: Option<String>,
}

impl Line {
    fn log(self) {
        match self.reason {
            Some(reason) => tracing::error!("{}: {reason}", self.condition),
            None => tracing::info!("{}: goes on", self.condition),
        }
    }
}

/// Tells what there is, and returns what is to be logged: where something begins or ceases to stand still.
fn tell(
    found: &Found,
    told: &mut BTreeMap<&'static str, usize>,
    metrics: &Metrics,
    readiness: &Readiness,
    liveness: &Readiness,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for kind in KINDS {
        let reasons = found.stalled.get(kind).map_or(&[][..], Vec::as_slice);
        let condition = format!("stalled {kind}");
        metrics.stalled(kind).set(i64::try_from(reasons.len()).unwrap_or(i64::MAX));
        match reasons {
            [] => readiness.restore(&condition),
            reasons => readiness.degrade(&condition, reasons.join("; ")),
        }
        let before = told.insert(kind, reasons.len()).unwrap_or(0);
        if (before == 0) != reasons.is_empty() {
            lines.push(Line { condition, reason: reasons.first().cloned() });
        }
    }
    metrics.ready.set(i64::from(readiness.is_ready()));
    match &found.hung {
        Some(reason) => liveness.degrade(HUNG, reason),
        None => liveness.restore(HUNG),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch() -> Watch {
        Watch { patience: Patience::default(), seen: BTreeMap::new() }
    }

    fn stalled(found: &Found) -> Vec<(&'static str, usize)> {
        found.stalled.iter().map(|(kind, reasons)| (*kind, reasons.len())).collect()
    }

    #[test]
    fn what_does_not_move_is_seen_and_what_moves_again_is_forgiven() {
        let (mut watch, begin) = (watch(), Instant::now());
        let at = |seconds: u64, next: i64| {
            let behind = (0..2).map(|n| (TopicPartition::new("events", n), if n == 0 { next } else { seconds as i64 }));
            Signs { scored: Some(begin + SECOND * seconds as u32), commit: None, behind: behind.collect() }
        };
        let mut look = |seconds: u64, next: i64| {
            watch.look(begin + SECOND * seconds as u32, &at(seconds, next), std::iter::empty())
        };
        for second in 0..60 {
            assert_eq!(look(second, 7), Found::default());
        }
        let found = look(60, 7);
        assert_eq!(found.stalled["partition"], ["events/0 has more to read and does not move: for 60 s"]);
        assert_eq!(look(61, 8), Found::default());
        for second in 62..121 {
            assert_eq!(look(second, 8), Found::default());
        }
        assert_eq!(stalled(&look(121, 8)), [("partition", 1)]);
    }

    #[test]
    fn a_loop_that_hangs_is_first_not_ready_and_then_not_alive() {
        let (mut watch, begin) = (watch(), Instant::now());
        let signs = Signs { scored: Some(begin), commit: Some(begin), behind: BTreeMap::new() };
        let mut look = |seconds: u32| watch.look(begin + SECOND * seconds, &signs, std::iter::empty());
        assert_eq!(look(29), Found::default());
        let found = look(30);
        assert_eq!((stalled(&found), found.hung.is_some()), (vec![("commit", 1), ("scoring", 1)], false));
        assert!(look(600).hung.is_some());
    }

    #[test]
    fn a_sink_that_sends_is_left_alone_however_many_wait() {
        let (mut watch, begin, signs) = (watch(), Instant::now(), Signs::default());
        let mut look = |seconds: u32, pending, done| {
            watch.look(begin + SECOND * seconds, &signs, [("slack", pending, done)].into_iter())
        };
        for second in 0..1000 {
            assert_eq!(look(second, 5000, u64::from(second / 60)), Found::default());
        }
        for second in 1000..1259 {
            assert_eq!(look(second, 5000, 16), Found::default());
        }
        assert_eq!(stalled(&look(1260, 5000, 16)), [("sink", 1)]);
        assert_eq!(look(1261, 0, 16), Found::default());
    }

    #[test]
    fn what_is_told_is_taken_back() {
        let (metrics, readiness, liveness) = (Metrics::new(0), Readiness::default(), Readiness::default());
        let mut told = BTreeMap::new();
        let reasons = BTreeMap::from([("commit", vec!["slow".to_owned()])]);
        let found = Found { stalled: reasons, hung: Some("hung".to_owned()) };
        tell(&found, &mut told, &metrics, &readiness, &liveness);
        assert_eq!(readiness.reasons(), [("stalled commit".to_owned(), "slow".to_owned())]);
        assert_eq!((metrics.stalled("commit").get(), liveness.is_ready(), metrics.ready.get()), (1, false, 0));
        tell(&Found::default(), &mut told, &metrics, &readiness, &liveness);
        assert_eq!((metrics.stalled("commit").get(), liveness.is_ready(), readiness.is_ready()), (0, true, true));
        assert_eq!(metrics.ready.get(), 1);
    }
}
