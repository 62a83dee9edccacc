//! A Kafka topic as input: from its beginning to the end that it has now.

use std::collections::BTreeMap;

use driftline_ingest::TopicPartition;
use driftline_ingest::kafka::{Admin, ClientSettings, KafkaError, Reader, Start, Until};

use crate::JobError;

/// A topic, and how it is reached.
#[derive(Debug, clap::Args)]
pub struct Topic {
    /// A Kafka topic instead of files: all that it has now, without transactions that were aborted.
    #[arg(long = "kafka", value_name = "TOPIC", conflicts_with = "files", requires = "bootstrap")]
    pub name: Option<String>,
    /// With --kafka: brokers to begin with, `host:port`, separated by commas.
    #[arg(long, value_name = "HOST:PORT", requires = "name")]
    bootstrap: Option<String>,
    /// With --kafka: a librdkafka setting, `name=value`; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "name")]
    librdkafka: Vec<String>,
}

impl Topic {
    /// Opens the topic; with it come its partitions.
    ///
    /// # Errors
    ///
    /// [`JobError::Usage`] where there is no such topic, or a setting is none.
    pub fn open(&self, name: &str) -> Result<(Reader, Vec<TopicPartition>), JobError> {
        let mut librdkafka = BTreeMap::new();
        for setting in &self.librdkafka {
            let (name, value) =
                setting.split_once('=').ok_or_else(|| JobError::Usage(format!("--set {setting}: give NAME=VALUE")))?;
            librdkafka.insert(name.to_owned(), value.to_owned().into());
        }
        let failed = |error: KafkaError| JobError::Failed(error.to_string());
        let usage = |error: KafkaError| JobError::Usage(error.to_string());
        let settings = ClientSettings::new(self.bootstrap.as_deref().unwrap_or_default(), librdkafka).map_err(usage)?;
        let partitions = Admin::new(&settings)
            .and_then(|admin| admin.partitions(name))
            .map_err(failed)?
            .ok_or_else(|| JobError::Usage(format!("there is no topic `{name}`")))?;
        let partitions: Vec<_> = (0..partitions).map(|number| TopicPartition::new(name, number)).collect();
        let from: Vec<_> = partitions.iter().map(|partition| (partition.clone(), Start::Beginning)).collect();
        let reader = Reader::open(&settings, &from, Until::End, &[]).map_err(failed)?;
        Ok((reader, partitions))
    }
}
