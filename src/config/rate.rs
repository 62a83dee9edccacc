//! So many in a while: `5/day`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole number, at least one, in a unit of time.
///
/// ```
/// use driftline::config::Rate;
///
/// let budget: Rate = "5/day".parse()?;
/// assert_eq!(budget.interval().as_secs(), 86_400 / 5);
/// assert_eq!(budget.per_day(), 5.0);
/// assert_eq!(budget.to_string(), "5/day");
/// # Ok::<(), driftline::config::ParseRateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Rate {
    count: u32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
}

impl Unit {
    const ALL: [Self; 5] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week];

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }
}

/// A text that is no [`Rate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate: give a whole number from 1 and a unit, as in 5/day (second, minute, hour, day or week)")]
pub struct ParseRateError(String);

impl Rate {
    /// `1/second`.
    pub const ONE_A_SECOND: Self = Self { count: 1, unit: Unit::Second };

    /// How many come in a day.
    pub fn per_day(self) -> f64 {
        f64::from(self.count) * 86_400.0 / self.unit.seconds() as f64
    }

    /// The time that passes from one to the next when they come evenly.
    pub fn interval(self) -> Duration {
        Duration::from_secs(self.unit.seconds()) / self.count
    }
}

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let parse = || {
            let (count, unit) = text.split_once('/')?;
            let count = count.trim().parse().ok().filter(|&count| count > 0)?;
            let unit = Unit::ALL.into_iter().find(|known| known.name() == unit.trim())?;
            Some(Self { count, unit })
        };
        parse().ok_or_else(|| ParseRateError(driftline_core::truncate(text, 40).into_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit.name())
    }
}

impl TryFrom<String> for Rate {
    type Error = ParseRateError;

    fn try_from(text: String) -> Result<Self, ParseRateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_count_in_a_unit_is_a_rate() {
        for text in
            ["", "5", "5/", "/day", "0/day", "-1/day", "1.5/day", "5/fortnight", "5/day/week", "99999999999/day"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!("60 / minute".parse::<Rate>().unwrap().interval(), Duration::from_secs(1));
    }
}
