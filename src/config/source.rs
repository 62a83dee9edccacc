//! Where events come from.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Where events come from; exactly one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A Kafka topic, read as a member of a consumer group.
    Kafka(KafkaSource),
    /// Files, read to their end. What they have come to is kept in the state folder, and gone on with.
    Files(FileSource),
}

impl Source {
    /// The format that the records are in, wherever they come from.
    pub fn format(&self) -> &str {
        match self {
            Self::Kafka(kafka) => &kafka.format,
            Self::Files(files) => &files.format,
        }
    }
}

/// A Kafka topic of agent action events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSource {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub bootstrap: String,
    /// The topic that events are read from. Nothing is ever written to it.
    pub topic: String,
    /// The consumer group. All instances that share the work name the same one.
    pub group: String,
    /// What the producers' record key holds. Records that are keyed otherwise are repartitioned through
    /// `internal_topic`.
    #[serde(default)]
    pub key: Key,
    /// How the producers choose a partition from the key.
    #[serde(default)]
    pub partitioner: Partitioner,
    /// The topic through which records reach the partition that their agent belongs to.
    #[serde(default = "internal_topic")]
    pub internal_topic: String,
    /// The topic of control records; it has one partition and is never compacted.
    #[serde(default = "control_topic")]
    pub control_topic: String,
    /// The topic that keeps what is known of the agents: compacted, and with as many partitions as `topic`. A partition's
    /// state is read from it by whoever takes the partition over. Each group needs one of its own.
    #[serde(default = "state_topic")]
    pub state_topic: String,
    /// The topic in which instances tell the one that leads how far they have come, and what their agents have in common:
    /// compacted, with one partition. Each group needs one of its own.
    #[serde(default = "shared_topic")]
    pub shared_topic: String,
    /// The format of the records.
    #[serde(default = "native")]
    pub format: String,
    /// Passed on to librdkafka under its own names, for consumer and producer alike: `security.protocol = "SASL_SSL"`.
    /// What Driftline's promises rest on (offsets, transactions, isolation) cannot be set here. An instance that is not
    /// heard of for `session.timeout.ms` (6000) loses its partitions to others; with `group.protocol = "consumer"` the
    /// broker's `group.consumer.session.timeout.ms` (45 s as it comes) counts instead.
    #[serde(default)]
    pub librdkafka: Librdkafka,
}

impl KafkaSource {
    /// The topics that it names: each is another one.
    pub fn topics(&self) -> [&String; 5] {
        [&self.topic, &self.internal_topic, &self.control_topic, &self.state_topic, &self.shared_topic]
    }
}

/// Files of agent action events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Paths, in which `*` and `?` stand for parts of names; `-` is standard input.
    pub paths: Vec<String>,
    /// The format of the records.
    #[serde(default = "native")]
    pub format: String,
}

fn internal_topic() -> String {
    "driftline.internal".to_owned()
}

fn shared_topic() -> String {
    "driftline.shared".to_owned()
}

fn control_topic() -> String {
    "driftline.control".to_owned()
}

fn state_topic() -> String {
    "driftline.state".to_owned()
}

fn native() -> String {
    "native".to_owned()
}

/// What a record's key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The agent's id.
    #[default]
    Agent,
    /// Tenant and agent id, joined by a slash.
    #[serde(rename = "tenant/agent")]
    TenantAgent,
    /// Nothing that says where the record belongs: every record goes through the internal topic.
    None,
}

/// How a partition is chosen from a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Partitioner {
    /// As Kafka's Java clients do, and librdkafka with `partitioner=murmur2_random`.
    #[default]
    Murmur2,
}

/// Settings of librdkafka under its own names. The values may hold passwords, so none of them is ever shown.
///
/// Written `"session.timeout.ms" = 6000` or, as TOML reads the name without quotes, `session.timeout.ms = 6000`.
#[derive(Clone, Default, JsonSchema)]
#[schemars(with = "BTreeMap<String, String>")]
pub struct Librdkafka(pub BTreeMap<String, SecretString>);

impl Librdkafka {
    /// What Driftline sets itself, and what would break its promises if it were set otherwise.
    pub const RESERVED: &'static [&'static str] = &[
        "bootstrap.servers",
        "metadata.broker.list",
        "group.id",
        "group.instance.id",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "isolation.level",
        "transactional.id",
    ];
}

impl fmt::Debug for Librdkafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Serialize for Librdkafka {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.keys().map(|name| (name, "…")))
    }
}

impl<'de> Deserialize<'de> for Librdkafka {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = BTreeMap::new();
        for (name, value) in BTreeMap::<String, Value>::deserialize(deserializer)? {
            value.flatten(name, &mut settings);
        }
        Ok(Self(settings))
    }
}

/// A value of librdkafka's, or a table that TOML made of a name with dots.
enum Value {
    One(String),
    Table(BTreeMap<String, Value>),
}

impl Value {
    fn flatten(self, name: String, into: &mut BTreeMap<String, SecretString>) {
        match self {
            Self::One(value) => {
                into.insert(name, value.into());
            }
            Self::Table(table) => {
                for (part, value) in table {
                    value.flatten(format!("{name}.{part}"), into);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean")
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::One(value.to_owned()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::One(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::One(value.to_string()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::One(value.to_string()))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Value, M::Error> {
                BTreeMap::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Value::Table)
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn librdkafkas_names_work_with_quotes_and_without() {
        let settings: Librdkafka =
            toml::from_str("session.timeout.ms = 6000\n\"sasl.password\" = \"hunter2\"\nenable.ssl = true").unwrap();
        let shown: Vec<_> = settings.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(shown, [("enable.ssl", "true"), ("sasl.password", "hunter2"), ("session.timeout.ms", "6000")]);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
