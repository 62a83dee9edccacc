//! How clients are set up: librdkafka's own settings under its own names, over Driftline's defaults.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use super::KafkaError;

/// What cannot be set from outside, and why.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "give it as `bootstrap`"),
    ("metadata.broker.list", "give it as `bootstrap`"),
    ("group.id", "give it as `group`"),
    ("group.instance.id", "it comes from the instance's id"),
    ("transactional.id", "it comes from the instance's id"),
    ("enable.auto.commit", "positions move only in the transaction that holds what was made of the records"),
    ("enable.auto.offset.store", "positions move only in the transaction that holds what was made of the records"),
    ("isolation.level", "records of aborted transactions would be taken for real ones"),
    ("enable.idempotence", "records could be written twice"),
    (
        "enable.partition.eof",
        "librdkafka counts such an event as a record that was taken, and may then miss the next one",
    ),
    ("enable.gapless.guarantee", "it ends the client where a record is refused"),
];

/// Where the brokers are and how to talk to them; values are never shown.
#[derive(Clone)]
pub struct ClientSettings {
    bootstrap: String,
    librdkafka: BTreeMap<String, SecretString>,
}

impl ClientSettings {
    /// `bootstrap`: brokers to begin with, `host:port`, separated by commas. `librdkafka`: its settings under its own
    /// names, TLS and SASL among them, for every client.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Reserved`] for a setting that Driftline's promises rest on. Whether librdkafka knows the others,
    /// and takes their values, shows when a client is made.
    pub fn new(bootstrap: &str, librdkafka: BTreeMap<String, SecretString>) -> Result<Self, KafkaError> {
        match RESERVED.iter().find(|(name, _)| librdkafka.contains_key(*name)) {
            Some((name, why)) => Err(KafkaError::Reserved { name: (*name).to_owned(), why }),
            None => Ok(Self { bootstrap: bootstrap.to_owned(), librdkafka }),
        }
    }

    /// The setting as it was given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.librdkafka.get(name).map(ExposeSecret::expose_secret)
    }

    /// The settings of one client: `defaults` under what was given, `fixed` over it.
    pub(crate) fn client(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "driftline");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.librdkafka {
            config.set(name, value.expose_secret());
        }
        for (name, value) in fixed {
            config.set(*name, *value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientSettings({}, {:?})", self.bootstrap, self.librdkafka.keys().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<ClientSettings, KafkaError> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
        ClientSettings::new("127.0.0.1:9092", pairs.collect())
    }

    #[test]
    fn what_is_given_goes_over_the_defaults_and_under_what_is_fixed() {
        let config = settings(&[("linger.ms", "5"), ("acks", "1")]).unwrap();
        let config = config.client(&[("linger.ms", "100"), ("batch.size", "9")], &[("acks", "all")]);
        let values = ["linger.ms", "batch.size", "acks", "bootstrap.servers"].map(|name| config.get(name).unwrap());
        assert_eq!(values, ["5", "9", "all", "127.0.0.1:9092"]);
    }

    #[test]
    fn what_promises_rest_on_is_refused_with_the_reason() {
        let error = settings(&[("enable.auto.commit", "true")]).unwrap_err().to_string();
        assert!(error.starts_with("librdkafka setting `enable.auto.commit` cannot be set here: positions"), "{error}");
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", settings(&[("sasl.password", "hunter2")]).unwrap());
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
