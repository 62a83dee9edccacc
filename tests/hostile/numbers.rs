//! Numbers: what is none, and what does not fit.

use crate::generator::{Expected, Generator, Hostile, NOT_EVENT, NOT_JSON};

/// Whole numbers of up to 64 bits, and one of 32.
const COUNTS: &[&str] =
    &["/usage/bytes_in", "/usage/bytes_out", "/usage/records", "/usage/input_tokens", "/usage/output_tokens", ASN];
const ASN: &str = "/network/asn";
const AMOUNTS: &[&str] = &["/usage/duration_ms", "/usage/cost_usd"];
const TIMES: &[&str] = &[
    "/time",
    "/observed_at",
    "/session/started_at",
    "/session/expires_at",
    "/credential/expires_at",
    "/delegation/0/expires_at",
    "/approval/time",
];
const SKIPPED: &[&str] =
    &["/schema", "/trace/span_id", "/result/origin", "/error", "/attributes/x", "/surprise", "/agent/surprise"];

/// What RFC 8259 does not have for a value.
const NO_VALUE: &[&str] = &[
    "NaN",
    "-NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "inf",
    "01",
    "-01",
    "1.",
    ".5",
    "-.5",
    "+1",
    "1e",
    "1e+",
    "0x10",
    "--1",
    "-",
    "1_000",
    "1,5",
    "'a'",
    "nul",
    "True",
    "undefined",
    "tru",
    "1 2",
    "",
    "٣",
    "a",
];

/// Numbers that JSON has and no float.
const TOO_LARGE: &[&str] = &["1e999", "-1e999", "1e400", "9.9e308999"];

pub fn any(generator: &mut Generator) -> Hostile {
    let kinds = [COUNTS, AMOUNTS, TIMES];
    let numeric = generator.pick(&kinds);
    let numeric = generator.pick(numeric);
    let skipped = generator.pick(SKIPPED);
    let anywhere = generator.pick(&[numeric, skipped]);
    match generator.pick(&[0, 1, 2, 3, 4, 5, 6]) {
        0 => {
            let raw = generator.pick(NO_VALUE);
            generator.with(&format!("`{raw}`"), anywhere, raw, NOT_JSON)
        }
        1 => {
            let raw = generator.pick(TOO_LARGE);
            generator.with(raw, numeric, raw, NOT_JSON)
        }
        2 => {
            let raw = generator.pick(TOO_LARGE);
            generator.with(raw, skipped, raw, Expected::Scored)
        }
        3 => {
            let raw =
                generator.pick(&["-1", "1.5", "-0.5", "-0.0", "18446744073709551616", "1e30", "-9223372036854775809"]);
            let pointer = generator.pick(COUNTS);
            generator.with(raw, pointer, raw, NOT_EVENT)
        }
        4 => {
            let digits = "9".repeat(generator.pick(&[1, 3, 18, 300, 3000]));
            generator.with("many digits", skipped, digits, Expected::Scored)
        }
        5 => {
            let raw = generator.pick(&["0", "1", "4294967295"]);
            let pointer = generator.pick(COUNTS);
            if generator.pick(&[true, false]) {
                generator.with(raw, pointer, raw, Expected::Scored)
            } else {
                generator.with("one too many", ASN, "4294967296", NOT_EVENT)
            }
        }
        _ => {
            let raw = generator.pick(&[
                "-0.0",
                "-0",
                "0",
                "1e308",
                "-1e308",
                "5e-324",
                "1e-999",
                "18446744073709551616",
                "-1",
                "0.1e1",
                "1E5",
            ]);
            let pointer = generator.pick(AMOUNTS);
            generator.with(raw, pointer, raw, Expected::Scored)
        }
    }
}
