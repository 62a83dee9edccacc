//! Records that are no events: where they go, with their reason and their bytes, so that nothing is lost.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use driftline_core::{DecodeError, Position, Timestamp, truncate};
use serde::Serialize;

use crate::dump::as_text;
use crate::kafka::OutRecord;
use crate::source::Record;

/// A record of Kafka's default largest size (1 MiB), with headers, would not fit into a topic that takes no more.
const MOST_BYTES: usize = (1 << 20) - (64 << 10);

/// Longest key that goes with a dead letter: with the record it must fit into what a topic takes by default, or the
/// letter could not be written at all.
const MOST_KEY_BYTES: usize = 16 << 10;

/// What went wrong may quote the record.
const MOST_ERROR_CHARS: usize = 1000;

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// A word for it, as metrics have it ([`DecodeError::reason`]).
    pub reason: &'static str,
    /// A sentence about it.
    pub error: String,
    /// Where the record was read first.
    pub position: Position,
    /// When it was read first.
    pub time: Timestamp,
    /// The record's key, if it had one.
    pub key: Option<&'a [u8]>,
    /// Its bytes; only the first 960 KiB of a longer one.
    pub record: &'a [u8],
    /// How many bytes it had in all.
    pub bytes: u64,
}

impl<'a> DeadLetter<'a> {
    /// The dead letter of a record; `position` is where it was read first ([`crate::Records::position`]).
    pub fn new(record: &Record<'a>, position: Position, error: &DecodeError) -> Self {
        Self {
            reason: error.reason(),
            error: truncate(&error.to_string(), MOST_ERROR_CHARS).into_owned(),
            position,
            time: record.observed_at,
            key: record.key,
            record: record.value.get(..MOST_BYTES).unwrap_or(record.value),
            bytes: record.oversize.unwrap_or(record.value.len() as u64),
        }
    }

    /// As a Kafka record: the raw bytes under the original key, with headers `reason`, `error`, `topic`, `partition`,
    /// `offset`, `time` (RFC 3339) and `bytes`. Of a line of a file, `topic` is the path, `offset` the line, and there
    /// is no `partition`.
    pub fn to_record(&self, topic: impl Into<Arc<str>>) -> OutRecord {
        let (from, partition, offset) = match &self.position {
            Position::Kafka { topic, partition, offset } => (topic, Some(partition.to_string()), offset.to_string()),
            Position::File { path, line } => (path, None, line.to_string()),
        };
        let mut headers = vec![
            ("reason", self.reason.into()),
            ("error", self.error.clone().into_bytes()),
            ("topic", from.as_bytes().to_vec()),
            ("offset", offset.into_bytes()),
            ("time", self.time.to_string().into_bytes()),
            ("bytes", self.bytes.to_string().into_bytes()),
        ];
        headers.extend(partition.map(|partition| ("partition", partition.into_bytes())));
        OutRecord {
            topic: topic.into(),
            partition: None,
            key: self.key.map(|key| key.get(..MOST_KEY_BYTES).unwrap_or(key).to_vec()),
            value: Some(self.record.to_vec()),
            headers,
        }
    }

    /// As a line of a file: one JSON object, `driftline.dead-letter/1`. Bytes that are not UTF-8 stand in
    /// `key_base64` and `record_base64`.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        let (key, key_base64) = self.key.map_or((None, None), as_text);
        let (record, record_base64) = as_text(self.record);
        let line = Line {
            schema: "driftline.dead-letter/1",
            reason: self.reason,
            error: &self.error,
            position: &self.position,
            time: self.time,
            bytes: self.bytes,
            key,
            key_base64,
            record,
            record_base64,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    reason: &'static str,
    error: &'a str,
    position: &'a Position,
    time: Timestamp,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<Cow<'a, str>>,
}

/// Counts undecodable records in a row: one is an accident, many are a change of format that somebody must see.
///
/// ```
/// use driftline_ingest::Streak;
///
/// let mut streak = Streak::new(2);
/// assert_eq!([streak.rejected(), streak.rejected(), streak.rejected()], [false, true, false], "said once");
/// assert!(streak.is_broken());
/// streak.accepted();
/// assert!(!streak.is_broken());
/// ```
#[derive(Debug, Clone)]
pub struct Streak {
    limit: u64,
    length: u64,
}

impl Streak {
    /// A streak that is too long from `limit` records on (at least 1).
    pub fn new(limit: u64) -> Self {
        Self { limit: limit.max(1), length: 0 }
    }

    /// A record could not be decoded; `true` if with this one the streak has become too long.
    pub fn rejected(&mut self) -> bool {
        self.length += 1;
        self.length == self.limit
    }

    /// A record was decoded.
    pub fn accepted(&mut self) {
        self.length = 0;
    }

    /// How many could not be decoded since the last one that was.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether the last record was decoded.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether there were too many.
    pub fn is_broken(&self) -> bool {
        self.length >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(value: &[u8], oversize: Option<u64>) -> (DeadLetter<'_>, String) {
        let time = Timestamp::from_millis(1_772_439_084_715).unwrap();
        let record = Record { key: Some(b"a"), value, offset: 7, observed_at: time, origin: None, oversize };
        let error = DecodeError::NotJson("expected value".into());
        let letter = DeadLetter::new(&record, "agent-events/3/7".parse().unwrap(), &error);
        let mut line = Vec::new();
        letter.write_line(&mut line).unwrap();
        (letter, String::from_utf8(line).unwrap())
    }

    #[test]
    fn a_line_says_what_where_and_why() {
        assert_eq!(
            letter(b"{\"x", None).1,
            concat!(
                r#"{"schema":"driftline.dead-letter/1","reason":"not_json","error":"the record is not JSON: expected value","#,
                r#""position":"agent-events/3/7","time":"2026-03-02T08:11:24.715Z","bytes":3,"key":"a","record":"{\"x"}"#,
                "\n"
            )
        );
        assert!(letter(b"\xff", None).1.ends_with("\"bytes\":1,\"key\":\"a\",\"record_base64\":\"/w==\"}\n"));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let long = vec![b'x'; 2 << 20];
        let record = letter(&long, None).0.to_record("dead");
        assert_eq!(record.value.map(|value| value.len()), Some(MOST_BYTES));
        assert!(record.headers.contains(&("bytes", b"2097152".to_vec())));
        let (letter, _) = letter(b"first bytes", Some(5_000_000));
        assert_eq!((letter.bytes, letter.record), (5_000_000, &b"first bytes"[..]));
    }
}
