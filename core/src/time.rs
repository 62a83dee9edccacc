//! Event time: milliseconds since the Unix epoch, in UTC.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// A moment in event time, in whole milliseconds since 1970-01-01T00:00:00Z (leap seconds are not counted, as in Unix
/// time).
///
/// Reads RFC 3339 or integer Unix milliseconds, writes RFC 3339 with milliseconds in UTC.
///
/// ```
/// use driftline_core::Timestamp;
///
/// let time: Timestamp = "2026-03-02T09:11:24.715+01:00".parse()?;
/// assert_eq!(time.to_string(), "2026-03-02T08:11:24.715Z");
/// assert_eq!(time, Timestamp::from_millis(1_772_439_084_715).unwrap());
/// # Ok::<(), driftline_core::ParseTimeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time, or a number outside the years that one can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time: give RFC 3339 (2026-03-02T08:11:24.715Z) or integer Unix milliseconds, years 1970 to 9999"
)]
pub struct ParseTimeError(String);

impl Timestamp {
    /// The first moment that is taken: 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// The last one: 9999-12-30T22:00:00Z, the last that every time zone can show.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// A moment from Unix milliseconds; `None` outside [`Timestamp::MIN`] to [`Timestamp::MAX`].
    pub fn from_millis(millis: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Unix milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The moment `millis` milliseconds later (earlier where negative), held inside the range.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds from `earlier` to this moment; negative if it is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The start of the period of `millis` milliseconds that this moment is in.
    pub const fn floor(self, millis: i64) -> Self {
        Self(self.0 - self.0.rem_euclid(millis))
    }

    /// Whole hours since the epoch.
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(3_600_000)
    }

    /// Hour of the week in UTC: 0 is Monday 00:00, 167 is Sunday 23:00.
    pub const fn hour_of_week(self) -> usize {
        // 1970-01-01 was a Thursday, 72 hours into its week.
        (self.hour() + 72).rem_euclid(168) as usize
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .and_then(|time| Self::from_millis(time.as_millisecond()))
            .ok_or_else(|| ParseTimeError(crate::truncate(text, 40).into_owned()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimestampVisitor;

        impl Visitor<'_> for TimestampVisitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time or integer Unix milliseconds")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: Error>(self, millis: i64) -> Result<Timestamp, E> {
                Timestamp::from_millis(millis).ok_or_else(|| E::custom(ParseTimeError(millis.to_string())))
            }

            fn visit_u64<E: Error>(self, millis: u64) -> Result<Timestamp, E> {
                i64::try_from(millis)
                    .ok()
                    .and_then(Timestamp::from_millis)
                    .ok_or_else(|| E::custom(ParseTimeError(millis.to_string())))
            }
        }

        deserializer.deserialize_any(TimestampVisitor)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "RFC 3339, or integer Unix milliseconds",
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_of_week_starts_on_monday() {
        let monday: Timestamp = "2026-03-02T00:30:00Z".parse().unwrap();
        assert_eq!(monday.hour_of_week(), 0);
        assert_eq!(monday.plus_millis(-3_600_000).hour_of_week(), 167);
    }

    #[test]
    fn nonsense_is_refused_with_what_to_give_instead() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "12026-01-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains("RFC 3339"), "{error}");
        }
        assert!(serde_json::from_str::<Timestamp>("1e400").is_err());
        assert!(serde_json::from_str::<Timestamp>("-5").is_err());
        assert!(serde_json::from_str::<Timestamp>("99999999999999999").is_err());
    }

    #[test]
    fn a_leap_second_and_a_leap_day_are_times() {
        assert!("2024-02-29T12:00:00Z".parse::<Timestamp>().is_ok());
        assert!("2016-12-31T23:59:60Z".parse::<Timestamp>().is_ok());
    }
}
