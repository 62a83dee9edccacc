//! Who writes the control log: turns how far the partitions have come into clock and epoch records.

use driftline_core::{Alert, Change, ControlRecord, Spread, Timestamp};

use crate::contribution::Contribution;
use crate::inventory;
use crate::warm::{self, History};
use crate::world::{OutOfOrder, World};

/// The clock is told once a minute of event time.
const CLOCK_MILLIS: i64 = 60_000;
const HOUR_MILLIS: i64 = 3_600_000;

/// A control record as engines take it: folded into the world that holds from it on.
#[derive(Debug, Clone)]
pub struct Control {
    /// The world after the record.
    pub world: World,
    /// Whether event time has moved, so that timers may fall due.
    pub is_clock: bool,
}

/// Folds the control log, and makes the records that come out of the stream itself.
#[derive(Debug, Default)]
pub struct Conductor {
    world: World,
    /// End of the last hour that was closed; `None` before the first clock.
    closed: Option<Timestamp>,
    epochs: u64,
}

impl Conductor {
    /// The world as it is now.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Takes up a record that was written elsewhere, or just made; with it come the findings about many.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] where it is not the next one.
    pub fn fold(&mut self, record: &ControlRecord) -> Result<(Control, Vec<Alert>), OutOfOrder> {
        self.world.fold(record)?;
        let alerts = match &record.change {
            Change::Epoch { epoch } => {
                self.epochs = epoch.number + 1;
                self.closed = Some(epoch.until);
                inventory::judge(epoch, &self.world)
            }
            Change::Baseline { epoch: Some(epoch), .. } => {
                self.epochs = epoch.number + 1;
                inventory::judge(epoch, &self.world)
            }
            _ => Vec::new(),
        };
        let is_clock = matches!(record.change, Change::Clock { .. });
        Ok((Control { world: self.world.clone(), is_clock }, alerts))
    }

    /// A record of the next number.
    pub fn record(&self, change: Change) -> ControlRecord {
        ControlRecord::new(self.world.next, change)
    }

    /// The clock record that is due when the least advanced partition has read up to `highest`, if one is.
    pub fn clock(&self, highest: Timestamp) -> Option<ControlRecord> {
        let clock = highest.plus_millis(-self.world.settings.allowed_lateness_ms).floor(CLOCK_MILLIS);
        (clock > self.world.clock).then(|| self.record(Change::Clock { clock }))
    }

    /// Whether the clock has passed the end of an hour that no epoch closes yet.
    pub fn hour_is_over(&self) -> bool {
        self.world.clock > Timestamp::MIN
            && self.closed.is_none_or(|closed| self.world.clock.floor(HOUR_MILLIS) > closed)
    }

    /// The epoch record that closes the hour with what the engines have contributed.
    pub fn epoch(&self, contributed: Contribution) -> ControlRecord {
        let until = self.world.clock.floor(HOUR_MILLIS);
        self.record(Change::Epoch { epoch: contributed.into_epoch(self.epochs, until) })
    }

    /// Whether agents may be known from a published baseline now: nothing has happened yet, or event time has come to the
    /// end of that history, so that nobody has more than a moment of it left to read.
    pub fn may_take_up(&self, until: Timestamp) -> bool {
        self.is_first_baseline() || self.world.clock >= until.plus_millis(-self.world.settings.allowed_lateness_ms)
    }

    /// The record that has agents known from a published baseline. `spread`: where the engines are that have them.
    pub fn baseline(&self, history: &History, spread: Option<Spread>) -> ControlRecord {
        let until = history.until.floor(HOUR_MILLIS);
        let contributed = || warm::contribution(&history.entries, &self.world).into_epoch(self.epochs, until);
        self.record(Change::Baseline {
            version: history.version.clone(),
            content: history.content.clone(),
            epoch: self.is_first_baseline().then(contributed),
            contained: history.contained.clone(),
            spread,
        })
    }

    fn is_first_baseline(&self) -> bool {
        self.world.clock == Timestamp::MIN && self.world.baseline.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_a_minute_and_an_epoch_an_hour() {
        let mut conductor = Conductor::default();
        let mut clocks = 0;
        let mut epochs = 0;
        // Five hours of event time, a step a second.
        for second in 0..5 * 3600 {
            let highest = Timestamp::from_millis(1_772_409_600_000 + second * 1000).unwrap();
            if let Some(clock) = conductor.clock(highest) {
                conductor.fold(&clock).unwrap();
                clocks += 1;
            }
            if conductor.hour_is_over() {
                let epoch = conductor.epoch(Contribution::default());
                conductor.fold(&epoch).unwrap();
                epochs += 1;
            }
        }
        assert_eq!(clocks, 5 * 60);
        assert_eq!(epochs, 6, "one at the start, then one an hour");
    }
}
