//! How fast the show goes, so that people can follow.

use std::time::{Duration, Instant};

/// How often the status line moves.
const FRAMES_A_SECOND: u64 = 25;
/// The time to take in an alert.
const HOLD: Duration = Duration::from_millis(400);
/// Until attacks begin there is little to see: so much of the events goes by in so much of the time.
const CALM: (f64, f64) = (1.0 / 3.0, 0.2);

/// A timetable: when which event is due.
pub(super) struct Pace {
    show: Duration,
    events: u64,
    started: Instant,
}

impl Pace {
    pub fn new(show: Duration, events: u64) -> Self {
        Self { show, events: events.max(1), started: Instant::now() }
    }

    /// Events between two frames.
    pub fn frame(&self) -> u64 {
        let frames = (self.show.as_secs_f64() * FRAMES_A_SECOND as f64).max(1.0);
        (self.events as f64 / frames).ceil() as u64
    }

    /// Puts all that is still due off for a moment.
    pub fn hold(&mut self) {
        self.started += HOLD;
    }

    /// Waits until so many events are due.
    pub fn wait(&self, events: u64) {
        let due = self.started + self.show.mul_f64(share(events as f64 / self.events as f64));
        // Nothing is ever sent: a way to wait that needs no sleep.
        let _ = crossbeam_channel::never::<()>().recv_deadline(due);
    }
}

/// The share of the time that is over when this share of the events is.
fn share(events: f64) -> f64 {
    let (calm, takes) = CALM;
    if events < calm { events / calm * takes } else { takes + (events - calm) / (1.0 - calm) * (1.0 - takes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calm_goes_by_quickly_and_the_end_comes_in_time() {
        assert_eq!(share(0.0), 0.0);
        assert_eq!(share(CALM.0), CALM.1);
        assert!((share(1.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_alert_puts_the_rest_off() {
        let mut pace = Pace::new(Duration::ZERO, 10);
        pace.wait(10);
        let before = Instant::now();
        pace.hold();
        pace.wait(10);
        assert!(before.elapsed() >= HOLD / 2);
    }
}
