//! Everything that Driftline does with Kafka: no other crate sees a client of it.

mod admin;
mod consumer;
mod error;
mod native;
mod partitioner;
mod producer;
mod reader;
mod record;
mod settings;
mod standing;
mod unassigned;
mod writer;

pub use admin::{Admin, TopicSpec};
pub use consumer::{GroupSettings, KafkaSource};
pub use error::{Failure, KafkaError};
pub use native::{GroupMetadata, Membership};
pub use partitioner::{Keyed, partition_of};
pub use producer::Producer;
pub use reader::{Reader, Start, Until};
pub use record::OutRecord;
pub use settings::ClientSettings;
pub use writer::{CommitError, TransactionalWriter, end_transaction_of};
