//! Times: those of the contract (RFC 3339 or integer Unix milliseconds, years 1970 to 9999), and what only looks like it.

use crate::generator::{Expected, Generator, Hostile, NOT_EVENT};

const GOOD: &[&str] = &[
    "0",
    "1",
    "253402207200000",
    "1772438400000",
    r#""1970-01-01T00:00:00Z""#,
    r#""9999-12-30T22:00:00Z""#,
    r#""2036-03-02T08:11:24Z""#,
    r#""2016-12-31T23:59:60Z""#,
    r#""2024-02-29T12:00:00Z""#,
    r#""2000-02-29T00:00:00Z""#,
    // Clocks in Berlin go from 02:00 to 03:00, and at another time back.
    r#""2026-03-29T01:59:59+01:00""#,
    r#""2026-03-29T03:00:00+02:00""#,
    r#""2026-03-29T02:30:00+01:00""#,
    r#""2026-10-25T02:30:00+02:00""#,
    r#""2026-10-25T02:30:00+01:00""#,
    r#""2026-03-02T08:11:24.7-11:59""#,
    r#""2026-03-02T08:11:24+23:59""#,
    r#""2026-03-02T08:11:24-23:59""#,
    r#""2026-03-02T08:11:24-00:00""#,
    r#""2026-03-02t08:11:24z""#,
    r#""2026-03-02T08:11:24.123456789Z""#,
    r#""2026-03-02T08:11:24.000Z""#,
    r#""2026-03-02T08:11:24.7\u005a""#,
];

const BAD: &[&str] = &[
    "-1",
    "-62135596800000",
    "253402207200001",
    "253402300800000",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    "1772438400.5",
    "1e12",
    "true",
    "[]",
    "{}",
    "[0]",
    r#"{"millis":0}"#,
    r#""""#,
    r#"" ""#,
    r#""yesterday""#,
    r#""1772438400000""#,
    r#""-9999-01-01T00:00:00Z""#,
    r#""-009999-01-01T00:00:00Z""#,
    r#""0000-01-01T00:00:00Z""#,
    r#""1969-12-31T23:59:59Z""#,
    r#""1970-01-01T00:00:00+01:00""#,
    r#""9999-12-31T23:59:59Z""#,
    r#""10000-01-01T00:00:00Z""#,
    r#""+010000-01-01T00:00:00Z""#,
    r#""2023-02-29T00:00:00Z""#,
    r#""2100-02-29T00:00:00Z""#,
    r#""2026-02-30T00:00:00Z""#,
    r#""2026-13-01T00:00:00Z""#,
    r#""2026-00-10T00:00:00Z""#,
    r#""2026-03-00T00:00:00Z""#,
    r#""2026-03-02T25:00:00Z""#,
    r#""2026-03-02T08:60:00Z""#,
    r#""2026-03-02T08:11:61Z""#,
    r#""2026-03-02T08:11:24""#,
    r#""2026-03-02""#,
    r#""08:11:24Z""#,
    r#""2026-03-02T08:11:24Zx""#,
    r#""2026-03-02T08:11:24.Z""#,
    r#""2026-03-02T08:11:24Z ""#,
    r#"" 2026-03-02T08:11:24Z""#,
    r#""2026-03-02T08:11:24+99:00""#,
    r#""٢٠٢٦-03-02T08:11:24Z""#,
    r#""Mon, 02 Mar 2026 08:11:24 GMT""#,
    r#""2026-03-02T08:11:24Z\u0000""#,
];

/// Where a time is read; of all but the first, `null` says that there is none.
const FIELDS: &[&str] = &[
    "/time",
    "/observed_at",
    "/session/started_at",
    "/session/expires_at",
    "/credential/issued_at",
    "/credential/expires_at",
    "/grant/expires_at",
    "/delegation/0/expires_at",
    "/approval/time",
];

pub fn any(generator: &mut Generator) -> Hostile {
    // Where it matters most, half of the time.
    let field = generator.pick(FIELDS);
    let field = generator.pick(&["/time", field]);
    match generator.pick(&[0, 1, 2, 3, 4]) {
        0 | 1 => {
            let raw = generator.pick(GOOD);
            generator.with(raw, field, raw, Expected::Scored)
        }
        2 | 3 => {
            let raw = generator.pick(BAD);
            generator.with(raw, field, raw, NOT_EVENT)
        }
        _ if field == "/time" => generator.with("null", field, "null", NOT_EVENT),
        _ => generator.with("null", field, "null", Expected::Scored),
    }
}
