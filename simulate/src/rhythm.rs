//! When agents work: by the hour of their day, the day of their week, and in bursts.

use rand::RngExt;
use serde::Deserialize;

use crate::chance::{Dice, exponential, mix, unit};

pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Share of sessions that follow the one before within minutes.
const BURST: f64 = 0.2;
/// Mean gap inside a burst.
const BURST_GAP: f64 = 240_000.0;

/// The shape of an agent's week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rhythm {
    /// Monday to Friday in office hours, not on holidays.
    Business,
    /// Every day from morning to evening, at weekends less.
    Extended,
    /// Round the clock, in a gentle wave.
    Always,
    /// Batch jobs in the small hours.
    Night,
}

/// Where an agent works.
#[derive(Debug, PartialEq)]
pub(crate) struct Region {
    pub name: &'static str,
    /// Minutes ahead of UTC; no daylight saving, as if the company had abolished it.
    pub offset_minutes: i64,
    pub country: &'static str,
    pub asn: u32,
}

pub(crate) const REGIONS: &[Region] = &[
    Region { name: "emea", offset_minutes: 60, country: "DE", asn: 64500 },
    Region { name: "us-east", offset_minutes: -300, country: "US", asn: 64510 },
    Region { name: "uk", offset_minutes: 0, country: "GB", asn: 64501 },
    Region { name: "apac", offset_minutes: 480, country: "SG", asn: 64520 },
    Region { name: "us-west", offset_minutes: -480, country: "US", asn: 64511 },
    Region { name: "india", offset_minutes: 330, country: "IN", asn: 64521 },
    Region { name: "latam", offset_minutes: -180, country: "BR", asn: 64530 },
];

/// An agent's own week.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Week {
    pub rhythm: Rhythm,
    pub region: &'static Region,
    /// How much later than others it starts its day, in milliseconds.
    pub shift: i64,
    pub sessions_per_day: f64,
}

impl Week {
    /// How busy it is at `time` compared with its busiest hour, 0 to 1.
    pub fn weight(&self, time: i64) -> f64 {
        let local = time + self.region.offset_minutes * 60_000 - self.shift;
        let day = local.div_euclid(DAY);
        let hour = local.rem_euclid(DAY) / HOUR;
        // Day 0, 1970-01-01, was a Thursday.
        let weekend = (day + 3).rem_euclid(7) >= 5;
        match self.rhythm {
            Rhythm::Business if weekend || is_holiday(self.region, day) => 0.0,
            Rhythm::Business => match hour {
                9..=11 | 14..=16 => 1.0,
                8 | 13 | 17 => 0.6,
                12 => 0.4,
                18 => 0.15,
                _ => 0.0,
            },
            Rhythm::Extended => {
                let hourly = match hour {
                    9..=20 => 1.0,
                    7 | 8 | 21 => 0.6,
                    22 => 0.3,
                    _ => 0.0,
                };
                if weekend { hourly * 0.5 } else { hourly }
            }
            Rhythm::Always => 0.7 + 0.3 * ((hour - 14) as f64 * std::f64::consts::TAU / 24.0).cos(),
            Rhythm::Night => match hour {
                1..=3 => 1.0,
                4 => 0.4,
                _ => 0.0,
            },
        }
    }

    /// [`Week::weight`] averaged over a week without holidays.
    fn mean_weight(&self) -> f64 {
        match self.rhythm {
            Rhythm::Business => (6.0 + 3.0 * 0.6 + 0.4 + 0.15) / 24.0 * 5.0 / 7.0,
            Rhythm::Extended => (12.0 + 3.0 * 0.6 + 0.3) / 24.0 * (5.0 + 2.0 * 0.5) / 7.0,
            Rhythm::Always => 0.7,
            Rhythm::Night => 3.4 / 24.0,
        }
    }

    /// The start of the session after one at `after`: a Poisson process with the rate of the hour (thinning; Lewis and
    /// Shedler, 1979), where now and then one session sets off the next.
    pub fn next(&self, after: i64, dice: &mut Dice) -> i64 {
        if self.weight(after) > 0.0 && dice.random::<f64>() < BURST {
            return after + 1000 + exponential(dice, BURST_GAP) as i64;
        }
        self.next_alone(after, (1.0 - BURST) * self.sessions_per_day, dice)
    }

    /// The first session after `after`, which need not be the start of another session.
    pub fn first(&self, after: i64, dice: &mut Dice) -> i64 {
        self.next_alone(after, self.sessions_per_day, dice)
    }

    fn next_alone(&self, after: i64, per_day: f64, dice: &mut Dice) -> i64 {
        let mean_gap = DAY as f64 * self.mean_weight() / per_day;
        let mut time = after;
        loop {
            time += 1 + exponential(dice, mean_gap) as i64;
            if dice.random::<f64>() < self.weight(time) {
                return time;
            }
        }
    }
}

/// About every twenty-third day is a holiday somewhere.
fn is_holiday(region: &Region, day: i64) -> bool {
    unit(mix(u64::from(region.asn), day as u64)) < 1.0 / 23.0
}

/// Whether `time` is in the last three or first two days of a month there.
pub(crate) fn is_month_end(region: &Region, time: i64) -> bool {
    let Ok(local) = jiff::Timestamp::from_millisecond(time + region.offset_minutes * 60_000) else { return false };
    let date = jiff::tz::Offset::UTC.to_datetime(local).date();
    date.day() <= 2 || date.day() + 3 > date.days_in_month()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_by_the_calendar_there() {
        let emea = &REGIONS[0];
        for (time, is_end) in [
            ("2025-12-31T12:00:00Z", true),
            ("2026-01-02T12:00:00Z", true),
            ("2026-01-02T23:30:00Z", false),
            ("2026-02-25T12:00:00Z", false),
            ("2026-02-26T12:00:00Z", true),
        ] {
            let millis = time.parse::<driftline_core::Timestamp>().unwrap().millis();
            assert_eq!(is_month_end(emea, millis), is_end, "{time}");
        }
    }

    #[test]
    fn sessions_come_as_often_as_the_week_says() {
        for rhythm in [Rhythm::Business, Rhythm::Extended, Rhythm::Always, Rhythm::Night] {
            let week = Week { rhythm, region: &REGIONS[1], shift: HOUR, sessions_per_day: 6.0 };
            let mut dice = crate::chance::dice(1, 0, 0);
            let (mut time, mut sessions) = (0, 0);
            while time < 365 * DAY {
                time = week.next(time, &mut dice);
                sessions += 1;
            }
            let per_day = f64::from(sessions) / 365.0;
            assert!((4.8..7.2).contains(&per_day), "{rhythm:?}: {per_day}");
        }
    }

    #[test]
    fn office_agents_start_nothing_at_night() {
        let week = Week { rhythm: Rhythm::Business, region: &REGIONS[2], shift: 0, sessions_per_day: 9.0 };
        let mut dice = crate::chance::dice(1, 0, 0);
        let mut time = 0;
        for _ in 0..5000 {
            time = week.next(time, &mut dice);
            let hour = time.rem_euclid(DAY) / HOUR;
            assert!((7..=20).contains(&hour), "{hour}");
        }
    }
}
