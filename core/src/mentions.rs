//! What a result mentioned, as the engine reads it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::Text;

/// Hashes of a result that count; further ones are passed over (contract, event v1).
const MOST: usize = 256;

/// Hashes of the identifiers that a result held, as the 40-bit numbers that their hexadecimal digits write, by where they
/// stood. What is no such hash is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mentioned {
    /// They were a whole field.
    pub field: Vec<u64>,
    /// They were a whole line.
    pub line: Vec<u64>,
    /// They stood inside text.
    pub text: Vec<u64>,
}

/// What an act returned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Returned {
    /// What was mentioned in it.
    #[serde(default)]
    pub mentions: Option<Mentioned>,
}

impl<'de> Deserialize<'de> for Mentioned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Lists {
            #[serde(default)]
            field: Option<Hashes>,
            #[serde(default)]
            line: Option<Hashes>,
            #[serde(default)]
            text: Option<Hashes>,
        }

        let Lists { field, line, text } = Lists::deserialize(deserializer)?;
        let list = |hashes: Option<Hashes>| hashes.map(|Hashes(hashes)| hashes).unwrap_or_default();
        let mut mentioned = Self { field: list(field), line: list(line), text: list(text) };
        // Text first: it is what an attacker can write.
        let mut room = MOST;
        for hashes in [&mut mentioned.text, &mut mentioned.line, &mut mentioned.field] {
            hashes.truncate(room);
            room -= hashes.len();
        }
        Ok(mentioned)
    }
}

struct Hashes(Vec<u64>);

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HashesVisitor;

        impl<'de> Visitor<'de> for HashesVisitor {
            type Value = Hashes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of hashes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Hashes, A::Error> {
                let mut hashes = Vec::new();
                while let Some(hash) = list.next_element::<Text<'de>>()? {
                    let is_hash = hash.len() == 10 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
                    if is_hash && hashes.len() < MOST {
                        hashes.extend(u64::from_str_radix(&hash, 16));
                    }
                }
                Ok(Hashes(hashes))
            }
        }

        deserializer.deserialize_seq(HashesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Event, Limits, mention, mention_number};

    fn mentioned(result: &str) -> Option<super::Mentioned> {
        let record = format!(r#"{{"time": 0, "agent": {{"id": "a"}}, "action": {{"name": "x"}}, "result": {result}}}"#);
        Event::decode(record.as_bytes(), &Limits::default()).unwrap().result.and_then(|result| result.mentions)
    }

    #[test]
    fn hashes_become_the_numbers_that_identifiers_have() {
        let hash = mention("bob@example.org", b"");
        let read = mentioned(&format!(r#"{{"mentions": {{"text": ["{hash}", "zz", "5f2c0a91b"]}}}}"#)).unwrap();
        assert_eq!(read.text, [mention_number("Bob @ example org", b"")]);
    }

    #[test]
    fn text_comes_before_fields_at_the_bound() {
        let many =
            |first: usize, n: usize| (first..first + n).map(|i| format!("\"{i:010x}\"")).collect::<Vec<_>>().join(",");
        let read = mentioned(&format!(
            r#"{{"mentions": {{"field": [{}], "line": null, "text": [{}]}}}}"#,
            many(0, 300),
            many(1_000, 200)
        ));
        let read = read.unwrap();
        assert_eq!((read.text.len(), read.line.len(), read.field.len()), (200, 0, 56));
    }

    #[test]
    fn a_result_need_not_mention_anything() {
        assert_eq!(mentioned(r#"{"origin": "external"}"#), None);
        assert_eq!(mentioned("null"), None);
    }
}
