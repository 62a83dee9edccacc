//! From a record to events that are ready to be scored: decodes, bounds event time, and sends away what is no event.

use driftline_core::{Event, Limits, Position, Settings};
use driftline_ingest::{DeadLetter, Decoder, Record, decoder};

/// How records are read.
pub struct Rules {
    /// The format.
    pub decoder: &'static dyn Decoder,
    /// Bounds on records.
    pub limits: Limits,
    /// How far ahead of its reading an event's time may be, in milliseconds.
    pub allowed_earliness_ms: i64,
    /// Whether `observed_at` in an event is believed: an archive says when its records were read, and a producer must not.
    pub archived: bool,
}

impl Rules {
    /// Rules for a format under the settings in force.
    pub fn new(decoder: &'static dyn Decoder, settings: &Settings) -> Self {
        let Settings { limits, allowed_earliness_ms, .. } = settings;
        Self { decoder, limits: limits.clone(), allowed_earliness_ms: *allowed_earliness_ms, archived: false }
    }

    /// The same for records that an archive holds.
    pub fn archived(self) -> Self {
        Self { archived: true, ..self }
    }
}

/// What came of records, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records read.
    pub records: u64,
    /// Events decoded.
    pub events: u64,
    /// Records, or parts of them, that are no events.
    pub rejected: u64,
    /// Events whose time was held to when they were read.
    pub clamped: u64,
    /// Top-level fields that the contract does not know.
    pub unknown_fields: u64,
}

impl Counts {
    /// Adds what came of other records.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.events += other.events;
        self.rejected += other.rejected;
        self.clamped += other.clamped;
        self.unknown_fields += other.unknown_fields;
    }
}

/// Hands the events of a record to `accept`, and what is no event to `reject`.
pub fn read(
    record: &Record<'_>,
    position: impl Fn() -> Position,
    rules: &Rules,
    counts: &mut Counts,
    accept: &mut dyn FnMut(&Event<'_>),
    reject: &mut dyn FnMut(DeadLetter<'_>),
) {
    counts.records += 1;
    decoder::decode(rules.decoder, record, &rules.limits, &mut |decoded| match decoded {
        Ok(event) => {
            counts.events += 1;
            counts.unknown_fields += u64::from(event.unknown_fields);
            let observed_at = event.observed_at.filter(|_| rules.archived).unwrap_or(record.observed_at);
            if event.time.since(observed_at) > rules.allowed_earliness_ms {
                counts.clamped += 1;
                event.time = observed_at;
            }
            accept(event);
        }
        Err(error) => {
            counts.rejected += 1;
            reject(DeadLetter::new(record, position(), &error));
        }
    });
}

#[cfg(test)]
mod tests {
    use driftline_core::Timestamp;

    use super::*;

    /// The time that an event has after it was read at `observed_at`, and whether it was clamped.
    fn taken(ahead_ms: i64, observed_at: Timestamp) -> (Timestamp, u64) {
        let decoder = decoder::by_name("native").unwrap();
        let rules = Rules::new(decoder, &Settings::default());
        let time = observed_at.plus_millis(ahead_ms).millis();
        let value = format!(r#"{{"time":{time},"agent":{{"id":"a"}},"action":{{"name":"read"}}}}"#);
        let record =
            Record { key: None, value: value.as_bytes(), offset: 0, observed_at, origin: None, oversize: None };
        let (mut counts, mut times) = (Counts::default(), Vec::new());
        let position = || Position::File { path: "f".into(), line: 1 };
        read(&record, position, &rules, &mut counts, &mut |event| times.push(event.time), &mut |_| {});
        (times[0], counts.clamped)
    }

    #[test]
    fn five_minutes_past_its_reading_is_the_most_that_a_time_may_be() {
        let observed_at = "2024-02-29T23:58:00Z".parse::<Timestamp>().unwrap();
        for ahead in [-3_600_000, 0, 1, 299_999, 300_000] {
            assert_eq!(taken(ahead, observed_at), (observed_at.plus_millis(ahead), 0), "{ahead}");
        }
        for ahead in [300_001, 3_600_000, 250_000_000_000_000] {
            assert_eq!(taken(ahead, observed_at), (observed_at, 1), "{ahead}");
        }
    }
}
