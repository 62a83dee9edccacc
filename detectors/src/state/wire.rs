//! How single values are written in state records, where serde's own way would not do or would waste bytes; used as
//! `#[serde(with = "…")]`. Part of the format ([`crate::state`]).

pub use driftline_core::packed::{halves, keys};

/// A moment as Unix milliseconds: text, as core writes it, is for people.
pub mod millis {
    use driftline_core::Timestamp;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::{Serialize, Serializer};

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        time.millis().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let millis = i64::deserialize(deserializer)?;
        Timestamp::from_millis(millis).ok_or_else(|| D::Error::custom("a moment outside all years"))
    }

    /// The same where there may be none.
    pub mod option {
        use super::*;

        pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            time.map(Timestamp::millis).serialize(serializer)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
            let Some(millis) = Option::<i64>::deserialize(deserializer)? else { return Ok(None) };
            Timestamp::from_millis(millis).map(Some).ok_or_else(|| D::Error::custom("a moment outside all years"))
        }
    }
}

/// Counts of categories: keys, counts, total.
pub mod categories {
    use std::borrow::Cow;

    use driftline_core::Categories;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    #[derive(serde::Serialize)]
    struct Written<'a>(#[serde(with = "super::keys")] &'a [u64], &'a [u32], u64);

    #[derive(serde::Deserialize)]
    struct Read(#[serde(with = "super::keys")] Vec<u64>, Vec<u32>, u64);

    pub fn serialize<S: Serializer>(counts: &Categories, serializer: S) -> Result<S::Ok, S::Error> {
        Written(counts.keys(), counts.counts(), counts.total()).serialize(serializer)
    }

    pub fn deserialize<'de, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'a, Categories>, D::Error> {
        let Read(keys, counts, total) = Read::deserialize(deserializer)?;
        let counts = Categories::from_parts(keys, counts, total);
        counts.map(Cow::Owned).ok_or_else(|| D::Error::custom("counts of categories that cannot be so"))
    }
}

/// Counts by hour of the week: a bit for each hour that has any, these hours' counts, squares, active hours, span.
pub mod hours {
    use std::borrow::Cow;

    use driftline_core::HourCounts;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    const WEEK: usize = 168;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Body([u8; WEEK / 8], Vec<u32>, u64, u64, Option<(i64, i64)>);

    pub fn serialize<S: Serializer>(hours: &HourCounts, serializer: S) -> Result<S::Ok, S::Error> {
        let mut any = [0; WEEK / 8];
        let mut counts = Vec::new();
        for hour in 0..WEEK {
            let events = hours.events(hour);
            if events > 0 {
                any[hour / 8] |= 1 << (hour % 8);
                counts.push(events);
            }
        }
        Body(any, counts, hours.squares(), hours.active(), hours.span()).serialize(serializer)
    }

    pub fn deserialize<'de, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'a, HourCounts>, D::Error> {
        let Body(any, counts, squares, active, span) = Body::deserialize(deserializer)?;
        let mut events = [0; WEEK];
        let mut with_any = (0..WEEK).filter(|hour| any[hour / 8] >> (hour % 8) & 1 == 1);
        let mut are_so = counts.iter().all(|&count| {
            let hour = with_any.next();
            if let Some(hour) = hour {
                events[hour] = count;
            }
            hour.is_some() && count > 0
        });
        are_so &= with_any.next().is_none();
        let hours = HourCounts::from_parts(&events, squares, active, span).filter(|_| are_so);
        hours.map(Cow::Owned).ok_or_else(|| D::Error::custom("counts by hour that cannot be so"))
    }
}

/// What a session has at stake. Core leaves out what is not known, which only a format with names can.
pub mod impact {
    use driftline_core::{Impact, Sensitivity};
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    type Body = (Option<u64>, Option<u64>, Option<u64>, Option<Sensitivity>, Option<f64>);

    pub fn serialize<S: Serializer>(impact: &Impact, serializer: S) -> Result<S::Ok, S::Error> {
        let Impact { bytes_out, records, resources, sensitivity, cost_usd } = impact.clone();
        let body: Body = (bytes_out, records, resources, sensitivity, cost_usd);
        body.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Impact, D::Error> {
        let (bytes_out, records, resources, sensitivity, cost_usd) = Body::deserialize(deserializer)?;
        Ok(Impact { bytes_out, records, resources, sensitivity, cost_usd })
    }
}
