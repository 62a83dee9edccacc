//! Where alerts and dead letters go.

use std::path::PathBuf;

use driftline_core::Severity;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Rate;

/// Where alerts are written; exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Alerts {
    /// A topic of the source's cluster, written in the transaction that commits the positions: each alert stands there
    /// exactly once for a `read_committed` reader.
    Kafka(KafkaTopic),
    /// A file, one JSON object a line.
    File(FilePath),
    /// Standard output, one JSON object a line.
    Stdout(Stdout),
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaTopic {
    /// The topic's name.
    pub topic: String,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePath {
    /// The file's path; the file is appended to, and made where it is missing.
    pub path: PathBuf,
}

/// Standard output, which has no settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stdout {}

/// Where records go that cannot be decoded, and what happens when there are many. One of `kafka` and `file` is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// A topic of the source's cluster.
    #[serde(default)]
    pub kafka: Option<KafkaTopic>,
    /// A file, one JSON object a line.
    #[serde(default)]
    pub file: Option<FilePath>,
    /// After this many rejected records in a row in one partition, `/readyz` says so and one alert is raised.
    #[serde(default = "max_in_a_row")]
    pub max_in_a_row: u32,
    /// Whether nothing more is then read of that partition, after the batch that they came in, until a restart. They are dead
    /// letters in either case.
    #[serde(default)]
    pub stop_partition: bool,
}

fn max_in_a_row() -> u32 {
    100
}

/// A Slack channel, through an incoming webhook.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// What metrics and logs call it; no two channels share a name.
    #[serde(default = "slack")]
    pub name: String,
    /// The webhook's address. It is a secret: name a variable, `"${SLACK_WEBHOOK}"`.
    #[schemars(with = "String")]
    pub webhook: SecretString,
    /// The least severity that is posted.
    #[serde(default = "medium")]
    pub min_severity: Severity,
    /// How many messages are posted at most; what comes faster waits and is grouped.
    #[serde(default = "one_a_second")]
    pub rate: Rate,
}

fn slack() -> String {
    "slack".to_owned()
}

fn medium() -> Severity {
    Severity::Medium
}

fn one_a_second() -> Rate {
    Rate::ONE_A_SECOND
}
