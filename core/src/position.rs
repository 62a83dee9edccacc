//! Where a record was read.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a record was read: `topic/partition/offset` on Kafka, `file:line` in a file (the line counts from 1).
///
/// ```
/// use driftline_core::Position;
///
/// let position: Position = "agent-events/3/1042".parse().unwrap();
/// assert_eq!(position, Position::Kafka { topic: "agent-events".into(), partition: 3, offset: 1042 });
/// assert_eq!("logs/a.ndjson:7".parse::<Position>().unwrap().to_string(), "logs/a.ndjson:7");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// A record of a Kafka topic.
    Kafka {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The offset inside the partition.
        offset: i64,
    },
    /// A line of a file.
    File {
        /// The path as it was given, or `-` for standard input.
        path: Arc<str>,
        /// The line, from 1.
        line: u64,
    },
}

impl Position {
    /// Whether it stands before the offset that is told of its `topic/partition`; not so for what is not on Kafka.
    pub fn is_before(&self, offsets: &BTreeMap<String, i64>) -> bool {
        let Self::Kafka { topic, partition, offset } = self else { return false };
        offsets.get(&format!("{topic}/{partition}")).is_some_and(|next| offset < next)
    }
}

/// A text that names no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a position: give topic/partition/offset or file:line")]
pub struct ParsePositionError(String);

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        kafka(text).or_else(|| file(text)).ok_or_else(|| ParsePositionError(crate::truncate(text, 80).into_owned()))
    }
}

fn kafka(text: &str) -> Option<Position> {
    // A topic's name holds no slash.
    let mut parts = text.split('/');
    let (topic, partition, offset) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next().is_none() && !topic.is_empty()).then(|| Position::Kafka { topic: topic.into(), partition, offset })
}

fn file(text: &str) -> Option<Position> {
    let (path, line) = text.rsplit_once(':')?;
    Some(Position::File { path: path.into(), line: line.parse().ok()? })
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka { topic, partition, offset } => write!(f, "{topic}/{partition}/{offset}"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::Text::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
