//! Topics: what there is, what is to be, and how it is set.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::groups::GroupMemberInfo;
#[cfg(feature = "testing")]
use rdkafka::{Offset, TopicPartitionList};

use super::error::Failure;
use super::native::list;
use super::{ClientSettings, KafkaError};
use crate::source::TopicPartition;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Defaults that what is configured goes over.
const DEFAULTS: &[(&str, &str)] = &[("socket.timeout.ms", "30000")];

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many copies; `None` for what the broker does by default.
    pub replication: Option<i32>,
    /// Kafka's own topic settings: `("cleanup.policy", "compact")`.
    pub config: Vec<(String, String)>,
}

impl TopicSpec {
    /// A topic with these of Kafka's own settings, and as many copies as the broker makes by default.
    pub fn new(name: &str, partitions: i32, config: &[(&str, &str)]) -> Self {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { name: name.to_owned(), partitions, replication: None, config }
    }
}

/// Asks about topics, and makes them.
pub struct Admin {
    settings: ClientSettings,
    client: AdminClient<DefaultClientContext>,
}

impl Admin {
    /// Makes a client; it connects in the background.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] for settings that librdkafka does not take.
    pub fn new(settings: &ClientSettings) -> Result<Self, KafkaError> {
        let client = settings.client(DEFAULTS, &[]).create();
        let client = client.map_err(|error| KafkaError::from_client("making a Kafka client", error))?;
        Ok(Self { settings: settings.clone(), client })
    }

    /// How many partitions a topic has; `None` where there is no such topic.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker refuses or does not answer within half a minute.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        let doing = || format!("asking about topic {topic}");
        let metadata = self.client.inner().fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|error| KafkaError::from_client(doing(), error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        match found.error().map(Code::from) {
            None => Ok(i32::try_from(found.partitions().len()).ok()),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => Err(KafkaError::broker(doing(), Failure::of(code))),
        }
    }

    /// Makes a topic, and waits until it can be used; `false` where there was one of the name already, whatever its
    /// settings are.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker refuses or does not answer within half a minute.
    pub fn create(&self, topic: &TopicSpec) -> Result<bool, KafkaError> {
        let doing = || format!("making topic {}", topic.name);
        let replication = TopicReplication::Fixed(topic.replication.unwrap_or(-1));
        let mut new = NewTopic::new(&topic.name, topic.partitions, replication);
        for (name, value) in &topic.config {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let results = wait(self.client.create_topics([&new], &options));
        match results.map_err(|error| KafkaError::from_client(doing(), error))?.into_iter().next() {
            Some(Ok(_)) => self.await_topic(topic, |found| found == topic.partitions).map(|()| true),
            // It may be another instance's, made this very moment.
            Some(Err((_, Code::TopicAlreadyExists))) => self.await_topic(topic, |_| true).map(|()| false),
            Some(Err((_, code))) => Err(KafkaError::broker(doing(), Failure::of(code))),
            None => Err(KafkaError::broker(doing(), Failure::of(Code::Fail))),
        }
    }

    /// A broker hears of a new topic a moment after the controller has made it.
    fn await_topic(&self, topic: &TopicSpec, is_right: impl Fn(i32) -> bool) -> Result<(), KafkaError> {
        let deadline = Instant::now() + TIMEOUT;
        while !self.partitions(&topic.name)?.is_some_and(&is_right) {
            if Instant::now() >= deadline {
                let doing = format!("waiting for topic {} to be there", topic.name);
                return Err(KafkaError::broker(doing, Failure::of(Code::OperationTimedOut)));
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A setting of a topic, as it holds now: `message.timestamp.type`, `cleanup.policy`. `None` where the broker knows
    /// no such setting.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where there is no such topic, or the broker refuses or does not answer within half a minute.
    pub fn topic_setting(&self, topic: &str, name: &str) -> Result<Option<String>, KafkaError> {
        let doing = || format!("asking for `{name}` of topic {topic}");
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let results = wait(self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options));
        match results.map_err(|error| KafkaError::from_client(doing(), error))?.into_iter().next() {
            Some(Ok(resource)) => Ok(resource.get(name).and_then(|entry| entry.value.clone())),
            Some(Err(code)) => Err(KafkaError::broker(doing(), Failure::of(code))),
            None => Ok(None),
        }
    }

    /// Removes the records of a partition before an offset, as retention does.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker refuses or does not answer within half a minute.
    #[cfg(feature = "testing")]
    pub fn delete_before(&self, partition: &TopicPartition, offset: i64) -> Result<(), KafkaError> {
        let failed = |error| KafkaError::from_client(format!("removing records of {partition}"), error);
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(offset)).map_err(failed)?;
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let deleted = wait(self.client.delete_records(&before, &options)).map_err(failed)?;
        deleted.elements().iter().try_for_each(|element| element.error()).map_err(failed)
    }

    /// What each member of a group was given, as clients write it, by the name that the broker has for the member. `None` where
    /// a rebalance is under way, and for groups of the new protocol, which see to it themselves.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker refuses or does not answer within half a minute.
    pub(super) fn members(&self, group: &str) -> Result<Option<BTreeMap<String, Vec<u8>>>, KafkaError> {
        let list = self.client.inner().fetch_group_list(Some(group), TIMEOUT);
        let list =
            list.map_err(|error| KafkaError::from_client(format!("asking for the members of {group}"), error))?;
        let settled = list.groups().iter().find(|found| found.name() == group && found.state() == "Stable");
        let share = |member: &GroupMemberInfo| {
            (member.id().to_owned(), member.assignment().map(<[u8]>::to_vec).unwrap_or_default())
        };
        Ok(settled.map(|group| group.members().iter().map(share).collect()))
    }

    /// Where a group stands, in each partition that it has committed a position of: the offset of the next record.
    ///
    /// # Errors
    ///
    /// [`KafkaError`] where the broker refuses or does not answer within half a minute.
    pub fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, i64)>, KafkaError> {
        let doing = || format!("asking for the positions of group {group}");
        let failed = |error| KafkaError::from_client(doing(), error);
        let fixed = [("group.id", group), ("enable.auto.commit", "false")];
        let consumer: BaseConsumer = self.settings.client(&[], &fixed).create().map_err(failed)?;
        let list = consumer.committed_offsets(list(partitions), TIMEOUT).map_err(failed)?;
        let elements = list.elements().into_iter();
        let committed = elements.filter_map(|element| {
            let offset = element.offset().to_raw().filter(|offset| *offset >= 0)?;
            Some((TopicPartition::new(element.topic(), element.partition()), offset))
        });
        Ok(committed.collect())
    }
}

/// Waits for an answer that a thread of the client's brings.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    futures_executor::block_on(answer)
}
