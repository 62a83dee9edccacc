//! Progress bars: on a terminal only, and to standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar that vanishes when it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// Of so many events.
    pub fn events(total: u64) -> Self {
        Self::new(total, "{bar:30} {human_pos} of {human_len} events, {per_sec}, {eta} left")
    }

    /// Of so many bytes; 0 where that is not known.
    pub fn bytes(total: u64) -> Self {
        match total {
            0 => Self::new(0, "{spinner} {bytes} read"),
            _ => Self::new(total, "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"),
        }
    }

    fn new(total: u64, template: &str) -> Self {
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// So many more are done.
    pub fn add(&self, more: u64) {
        self.0.inc(more);
    }

    /// So many are done in all.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
