//! A record dump: a topic in a file, with every record's position, time, key and bytes exactly as they were, so that
//! a replay of the file computes what the live run computed, down to the ids that are hashes of a record's bytes.
//!
//! One JSON object a line, `driftline.record/1`:
//!
//! ```json
//! {"schema":"driftline.record/1","topic":"agent-events","partition":3,"offset":1042,"observed_at":"2026-03-02T08:11:24.715Z","key":"support-assistant","value":"{…}"}
//! ```
//!
//! Bytes that are not UTF-8 stand in `key_base64` and `value_base64` instead; a record without a key has neither, a
//! tombstone has no value. A file that starts with such a line is read as a dump, by every command that reads files.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftline_core::{Position, Text, Timestamp};
use serde::{Deserialize, Serialize};

use crate::source::Record;

const SCHEMA: &str = "driftline.record/1";

/// How [`write_line`] starts every line.
const START: &[u8] = br#"{"schema":"driftline.record/1","#;

#[derive(Serialize, Deserialize)]
// An unknown field is refused before anything inside it is parsed.
#[serde(deny_unknown_fields)]
struct DumpLine<'a> {
    #[serde(borrow)]
    schema: Text<'a>,
    #[serde(borrow)]
    topic: Text<'a>,
    /// Absent for a line of a file: `topic` is then its path, and `offset` the line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    partition: Option<i32>,
    offset: i64,
    observed_at: Timestamp,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    key_base64: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    value_base64: Option<Cow<'a, str>>,
}

/// A record as a line of a dump has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dumped<'a> {
    /// The record's key, if it had one.
    pub key: Option<Cow<'a, [u8]>>,
    /// Its bytes.
    pub value: Cow<'a, [u8]>,
    /// Where it was read first.
    pub position: Position,
    /// When it was read first.
    pub observed_at: Timestamp,
}

/// Why a line is no line of a dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// Not JSON, or not of this schema.
    #[error("not a {SCHEMA} line: {0}")]
    Json(#[from] serde_json::Error),
    /// Another schema.
    #[error("not a {SCHEMA} line: its schema is `{0}`")]
    Schema(String),
    /// A field that is not base64.
    #[error("not a {SCHEMA} line: `{field}` is not base64: {source}")]
    Base64 {
        /// The field.
        field: &'static str,
        /// What is wrong with it, and where.
        source: base64::DecodeError,
    },
}

/// Writes one record as a line of a dump; `position` is where it was read first ([`crate::Records::position`]).
///
/// # Errors
///
/// What `out` returns.
pub fn write_line(out: &mut impl Write, record: &Record<'_>, position: &Position) -> io::Result<()> {
    let (topic, partition, offset) = match position {
        Position::Kafka { topic, partition, offset } => (topic, Some(*partition), *offset),
        Position::File { path, line } => (path, None, i64::try_from(*line).unwrap_or(i64::MAX)),
    };
    let (key, key_base64) = record.key.map_or((None, None), as_text);
    let (value, value_base64) = if record.value.is_empty() { (None, None) } else { as_text(record.value) };
    let line = DumpLine {
        schema: SCHEMA.into(),
        topic: (&**topic).into(),
        partition,
        offset,
        observed_at: record.observed_at,
        key,
        key_base64,
        value,
        value_base64,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// Bytes as text, or as base64 where they are none.
pub(crate) fn as_text(bytes: &[u8]) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.into()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes).into())),
    }
}

/// Reads a line of a dump back.
///
/// # Errors
///
/// [`DumpError`] says what is wrong with the line.
pub fn parse(line: &[u8]) -> Result<Dumped<'_>, DumpError> {
    let line: DumpLine<'_> = serde_json::from_slice(line)?;
    if line.schema.as_str() != SCHEMA {
        return Err(DumpError::Schema(driftline_core::truncate(&line.schema, 40).into_owned()));
    }
    let topic = line.topic.as_str().into();
    let position = match line.partition {
        Some(partition) => Position::Kafka { topic, partition, offset: line.offset },
        None => Position::File { path: topic, line: u64::try_from(line.offset).unwrap_or(0) },
    };
    Ok(Dumped {
        key: bytes("key_base64", line.key, line.key_base64)?,
        value: bytes("value_base64", line.value, line.value_base64)?.unwrap_or_default(),
        position,
        observed_at: line.observed_at,
    })
}

fn bytes<'a>(
    field: &'static str,
    text: Option<Cow<'a, str>>,
    base64: Option<Cow<'a, str>>,
) -> Result<Option<Cow<'a, [u8]>>, DumpError> {
    match (text, base64) {
        (_, Some(base64)) => {
            let decoded = STANDARD.decode(base64.as_bytes()).map_err(|source| DumpError::Base64 { field, source })?;
            Ok(Some(Cow::Owned(decoded)))
        }
        (Some(Cow::Borrowed(text)), None) => Ok(Some(Cow::Borrowed(text.as_bytes()))),
        (Some(Cow::Owned(text)), None) => Ok(Some(Cow::Owned(text.into_bytes()))),
        (None, None) => Ok(None),
    }
}

/// Whether a file's first line makes it a dump.
pub(crate) fn is_dump(first_line: &[u8]) -> bool {
    first_line.starts_with(START)
}

/// The longest line that a record of `record_bytes` can make: each byte an escape of six, and room for key, topic and
/// position.
pub(crate) fn line_bytes(record_bytes: usize) -> usize {
    record_bytes.saturating_mul(6).saturating_add(64 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: Option<&[u8]>, value: &[u8], position: &str) -> String {
        let observed_at = Timestamp::from_millis(1_772_439_084_715).unwrap();
        let record = Record { key, value, offset: 1, observed_at, origin: None, oversize: None };
        let mut out = Vec::new();
        write_line(&mut out, &record, &position.parse().unwrap()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_as_the_documentation_shows_it() {
        assert_eq!(
            line(Some(b"support-assistant"), br#"{"a":1}"#, "agent-events/3/1042"),
            concat!(
                r#"{"schema":"driftline.record/1","topic":"agent-events","partition":3,"offset":1042,"#,
                r#""observed_at":"2026-03-02T08:11:24.715Z","key":"support-assistant","value":"{\"a\":1}"}"#,
                "\n"
            )
        );
        assert!(line(None, b"\xff", "logs/a.ndjson:7").ends_with(
            r#""topic":"logs/a.ndjson","offset":7,"observed_at":"2026-03-02T08:11:24.715Z","value_base64":"/w=="}
"#
        ));
        assert!(is_dump(line(None, b"", "t/0/0").as_bytes()), "what is written is known again");
    }

    #[test]
    fn what_is_no_line_of_a_dump_is_refused_by_name() {
        let good = line(Some(b"k"), b"v", "t/0/0");
        assert!(parse(good.as_bytes()).is_ok());
        let error = |text: String| parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error(good.replace("record/1", "record/2")).contains("`driftline.record/2`"));
        assert!(error(good.replace("\"value\":", "\"value_base64\":")).contains("`value_base64` is not base64"));
        assert!(error(good.replace("\"value\":", "\"deep\":")).contains("unknown field `deep`"));
        assert!(error(good.replace("\"v\"", &"[".repeat(100_000))).contains("invalid type"));
    }
}
