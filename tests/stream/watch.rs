//! How long a stream has stood still: looked at all the time, over all of its instances.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::instance::get;

const INTERVAL: Duration = Duration::from_millis(50);

/// Asks every instance that runs for its metrics, on a thread of its own.
///
/// The stream stands still while there is something to read and nobody commits: whether instances run and have come to
/// nothing, or one was killed and who comes after it has not committed yet. It counts from the first commit on.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    /// Instances that run, by their address, and how often each has committed.
    commits: BTreeMap<String, f64>,
    /// Partitions of all topics that are read.
    partitions: usize,
    /// When somebody last committed, or there was nothing to read.
    moved: Option<Instant>,
    longest: Duration,
    ended: bool,
}

impl Watch {
    /// Begins to watch a stream of so many partitions, those of the internal topic included.
    pub fn new(partitions: usize) -> Self {
        let seen = Arc::new(Mutex::new(Seen { partitions, ..Seen::default() }));
        let thread = {
            let seen = seen.clone();
            std::thread::spawn(move || {
                while !lock(&seen).ended {
                    look(&seen);
                    std::thread::park_timeout(INTERVAL);
                }
            })
        };
        Self { seen, thread: Some(thread) }
    }

    /// An instance has been started.
    pub fn started(&self, address: &str) {
        lock(&self.seen).commits.insert(address.to_owned(), 0.0);
    }

    /// Watches no longer: the longest time in which the stream stood still.
    pub fn end(&self) -> Duration {
        let mut seen = lock(&self.seen);
        seen.ended = true;
        seen.longest
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
        // What it has panicked of has failed the test already, or does not matter.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(seen: &Mutex<Seen>) {
    let addresses: Vec<String> = lock(seen).commits.keys().cloned().collect();
    let (mut partitions, mut lag, mut committed) = (0, 0.0, false);
    for address in addresses {
        // One that has been killed or paused says nothing; its partitions are then missed.
        let Some(metrics) = get(&address, "/metrics") else { continue };
        let series = |name: &str| -> Vec<f64> {
            let of = metrics.lines().filter(|line| line.starts_with(name));
            of.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
        };
        let lags = series("driftline_lag_records{");
        partitions += lags.len();
        lag += lags.iter().sum::<f64>();
        let commits = series("driftline_commit_duration_seconds_count").iter().sum::<f64>();
        let before = lock(seen).commits.insert(address, commits);
        committed |= before.is_none_or(|before| commits > before);
    }
    let mut seen = lock(seen);
    let now = Instant::now();
    let has_read_all = partitions >= seen.partitions && lag == 0.0;
    match seen.moved {
        _ if committed || has_read_all => seen.moved = Some(now),
        Some(moved) if !seen.ended => seen.longest = seen.longest.max(now - moved),
        _ => {}
    }
}
