//! From the bytes of a native record to an [`Event`].

use serde::de::DeserializeSeed;

use crate::event::{Event, Fill};
use crate::limits::Excess;
use crate::{Limits, record_hash, record_id};

/// Why a record is no event. [`DecodeError::reason`] is the short form that dead letters and metrics carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record has no bytes (a tombstone, an empty line).
    #[error("the record is empty")]
    Empty,
    /// The record is longer than [`Limits::record_bytes`].
    #[error("the record has {bytes} bytes; `limits.record_bytes` allows {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The record nests deeper than [`Limits::depth`].
    #[error("the record nests deeper than `limits.depth` = {limit}")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// A string is longer than [`Limits::string_bytes`].
    #[error("a string is longer than `limits.string_bytes` = {limit}")]
    StringTooLong {
        /// The bound.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the record is not UTF-8: invalid byte at offset {offset}")]
    NotUtf8 {
        /// Where the first invalid byte stands.
        offset: usize,
    },
    /// The text is not JSON.
    #[error("the record is not JSON: {0}")]
    NotJson(String),
    /// The JSON is not an event: a required field is missing, or one has a value that the contract does not allow.
    #[error("the record is not an action event: {0}")]
    NotEvent(String),
    /// A decoder for another format cannot make events of it.
    #[error("the record is not {format}: {message}")]
    Format {
        /// The format's name.
        format: &'static str,
        /// What was wrong, and where.
        message: String,
    },
}

impl DecodeError {
    /// A word for dead letters and for the `reason` label of metrics: there are as many as variants.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong { .. } => "too_long",
            Self::TooDeep { .. } => "too_deep",
            Self::StringTooLong { .. } => "string_too_long",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotJson(_) => "not_json",
            Self::NotEvent(_) => "not_event",
            Self::Format { .. } => "format",
        }
    }
}

impl<'a> Event<'a> {
    /// Decodes one native record (contract, event v1), borrowing from it.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] says which bound or field was at fault. A record within `limits` is decoded in bounded stack and
    /// in time linear in its length, whatever it holds.
    pub fn decode(record: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut event = Event::default();
        event.fill(record, limits)?;
        Ok(event)
    }

    /// As [`Event::decode`], into an event that holds nothing yet: one is large, and to hand it on by value is to copy it.
    ///
    /// # Errors
    ///
    /// As [`Event::decode`]; the event is not to be used then.
    pub fn fill(&mut self, record: &'a [u8], limits: &Limits) -> Result<(), DecodeError> {
        check(record, limits)?;
        let text = simdutf8::basic::from_utf8(record).map_err(|_| not_utf8(record))?;
        let mut parser = sonic_rs::Deserializer::from_str(text);
        Fill(self).deserialize(&mut parser).and_then(|()| parser.end()).map_err(|error| diagnose(text, &error))?;
        self.content = record_hash(record);
        if self.id.is_empty() {
            self.id = record_id(self.content, None).into();
        }
        Ok(())
    }
}

/// Checks the bounds that must hold before any parser sees the record.
pub(crate) fn check(record: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    if record.is_empty() {
        return Err(DecodeError::Empty);
    }
    limits.check(record).map_err(|excess| match excess {
        Excess::Record => DecodeError::TooLong { bytes: record.len(), limit: limits.record_bytes },
        Excess::Depth => DecodeError::TooDeep { limit: limits.depth },
        Excess::String => DecodeError::StringTooLong { limit: limits.string_bytes },
        Excess::Escape => DecodeError::NotJson("`\\u` stands without four hexadecimal digits".to_owned()),
    })
}

#[cold]
fn not_utf8(record: &[u8]) -> DecodeError {
    let offset = std::str::from_utf8(record).err().map_or(record.len(), |error| error.valid_up_to());
    DecodeError::NotUtf8 { offset }
}

/// Says what was wrong with a record that did not parse: reads it again with the parser that names the field.
#[cold]
fn diagnose(text: &str, fast: &sonic_rs::Error) -> DecodeError {
    match serde_json::from_str::<Event<'_>>(text) {
        Err(error) if error.is_data() => DecodeError::NotEvent(error.to_string()),
        Err(error) => DecodeError::NotJson(error.to_string()),
        // The two parsers disagree; the one that reads the stream decides.
        Ok(_) => DecodeError::NotJson(fast.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"id":"e-1","time":"2026-03-02T08:11:24.715Z","tenant":"acme","agent":{"id":"a","version":"1"},
        "session":{"id":"s"},"action":{"kind":"tool_call","name":"read \"it\"","access":"read"},"resource":{"id":"/x","sensitivity":"restricted"},
        "outcome":"denied","error":null,"attributes":{"deep":[1,2,{"x":null}]},"surprise":1}"#;

    fn decode(record: &str) -> Result<Event<'_>, DecodeError> {
        Event::decode(record.as_bytes(), &Limits::default())
    }

    #[test]
    fn reads_what_the_engine_needs_and_borrows_it() {
        let event = decode(RECORD).unwrap();
        assert_eq!((event.id.as_str(), event.tenant.as_str(), event.agent.id.as_str()), ("e-1", "acme", "a"));
        assert!(event.agent.id.is_borrowed());
        assert_eq!(event.action.name.as_str(), "read \"it\"");
        assert!(!event.action.name.is_borrowed(), "an escape has to be resolved");
        assert_eq!(event.outcome, crate::Outcome::Denied);
        assert_eq!(event.unknown_fields, 1);
    }

    #[test]
    fn equal_records_without_an_id_get_equal_ids() {
        let record = r#"{"time":0,"agent":{"id":"a"},"action":{"name":"t"}}"#;
        let id = decode(record).unwrap().id;
        assert_eq!(id, decode(record).unwrap().id);
        assert_ne!(id, decode(&record.replace("\"t\"", "\"u\"")).unwrap().id.as_str().into());
    }

    #[test]
    fn each_fault_has_its_reason() {
        let deep = format!(
            r#"{{"time":0,"agent":{{"id":"a"}},"action":{{"name":"t"}},"x":{}{}}}"#,
            "[".repeat(20_000),
            "]".repeat(20_000)
        );
        let long = format!(r#"{{"time":0,"agent":{{"id":"{}"}},"action":{{"name":"t"}}}}"#, "a".repeat(70_000));
        let huge = " ".repeat((1 << 20) + 1);
        let cases = [
            ("", "empty"),
            ("{", "not_json"),
            ("[]", "not_event"),
            ("null", "not_event"),
            ("12", "not_event"),
            (r#"{"time":0,"agent":{"id":"a"}}"#, "not_event"),
            (r#"{"time":0,"agent":{"id":""},"action":{"name":"t"}}"#, "not_event"),
            (r#"{"time":0,"time":0,"agent":{"id":"a"},"action":{"name":"t"}}"#, "not_event"),
            (r#"{"time":1e999,"agent":{"id":"a"},"action":{"name":"t"}}"#, "not_json"),
            (r#"{"time":NaN,"agent":{"id":"a"},"action":{"name":"t"}}"#, "not_json"),
            (r#"{"time":0,"agent":{"id":"a"},"action":{"name":"t","kind":"dance"}}"#, "not_event"),
            (&deep, "too_deep"),
            (&long, "string_too_long"),
            (&huge, "too_long"),
        ];
        for (record, reason) in cases {
            let error = decode(record).expect_err(reason);
            assert_eq!(error.reason(), reason, "{} -> {error}", crate::truncate(record, 60));
        }
        let error = Event::decode(b"{\"time\":0,\"agent\":{\"id\":\"\xff\"}}", &Limits::default()).unwrap_err();
        assert_eq!(error, DecodeError::NotUtf8 { offset: 25 });
    }

    #[test]
    fn the_error_names_the_field() {
        let error = decode(r#"{"time":0,"agent":{"id":7},"action":{"name":"t"}}"#).unwrap_err().to_string();
        assert!(error.contains("line 1 column"), "{error}");
        assert!(decode(r#"{"time":0,"agent":{"id":"a"}}"#).unwrap_err().to_string().contains("action"));
    }
}
