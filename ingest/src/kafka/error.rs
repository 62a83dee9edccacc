//! What goes wrong between here and a broker.

use rdkafka::error::RDKafkaErrorCode as Code;

/// A failure of the broker or of the client that talks to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// A setting that librdkafka does not know, or a value that it does not take.
    #[error("librdkafka setting `{name}`: {message}")]
    Setting {
        /// The setting, under librdkafka's own name.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A setting that would break what Driftline promises.
    #[error("librdkafka setting `{name}` cannot be set here: {why}")]
    Reserved {
        /// The setting, under librdkafka's own name.
        name: String,
        /// What it would break, or where to set it instead.
        why: &'static str,
    },
    /// The broker refused, or did not answer in time.
    #[error("{doing}: {}", .failure.message)]
    Broker {
        /// What was being done, and to what.
        doing: String,
        /// What came of it.
        failure: Failure,
    },
}

/// What librdkafka says of something that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// librdkafka's or the broker's word for it.
    pub(crate) code: Code,
    /// A sentence about it.
    pub message: String,
    /// Whether the client is of no use any more, and a new one is needed.
    pub fatal: bool,
    /// Whether the same call may succeed later, with nothing changed here.
    pub retriable: bool,
    /// Whether the open transaction must be aborted.
    pub abortable: bool,
}

impl Failure {
    /// A failure of which only the code is known.
    pub(crate) fn of(code: Code) -> Self {
        Self::with_message(code, code.to_string())
    }

    pub(crate) fn with_message(code: Code, message: String) -> Self {
        Self { code, message, fatal: code == Code::Fatal, retriable: passes_by_itself(code), abortable: false }
    }
}

impl KafkaError {
    pub(crate) fn broker(doing: impl Into<String>, failure: Failure) -> Self {
        Self::Broker { doing: doing.into(), failure }
    }

    /// From what `rdkafka` returns.
    pub(crate) fn from_client(doing: impl Into<String>, error: rdkafka::error::KafkaError) -> Self {
        use rdkafka::error::KafkaError as Client;
        match error {
            Client::ClientConfig(_, message, name, _) => Self::Setting { name, message },
            Client::Transaction(error) => Self::broker(doing, error.into()),
            Client::AdminOp(code) => Self::broker(doing, Failure::of(code)),
            error => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                let message = if code == Code::Fail { error.to_string() } else { code.to_string() };
                Self::broker(doing, Failure::with_message(code, message))
            }
        }
    }

    /// Whether the same call may succeed later, with nothing changed here.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Broker { failure, .. } if failure.retriable && !failure.fatal)
    }

    /// Whether it passes by itself, though a new client is needed: the group has not noticed yet that the member of this
    /// name, which is to come back, is gone (`group.protocol=consumer`, after a crash).
    pub fn is_unreleased(&self) -> bool {
        matches!(self, Self::Broker { failure, .. } if failure.code == Code::UnreleasedInstanceId)
    }

    /// Whether somebody has to allow it first, or make a topic, which may be done while one waits.
    pub fn is_refused(&self) -> bool {
        let refusals = [
            Code::UnknownTopic,
            Code::UnknownTopicOrPartition,
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::TransactionalIdAuthorizationFailed,
        ];
        matches!(self, Self::Broker { failure, .. } if refusals.contains(&failure.code))
    }

    /// Whether the group does not know the member in this standing (any more).
    pub fn is_about_membership(&self) -> bool {
        let refusals =
            [Code::IllegalGeneration, Code::UnknownMemberId, Code::RebalanceInProgress, Code::FencedInstanceId];
        matches!(self, Self::Broker { failure, .. } if refusals.contains(&failure.code))
    }

    /// Whether the client is of no use any more, and a new one is needed.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Broker { failure, .. } if failure.fatal)
    }
}

impl From<rdkafka::error::RDKafkaError> for Failure {
    fn from(error: rdkafka::error::RDKafkaError) -> Self {
        Self {
            code: error.code(),
            message: error.string(),
            fatal: error.is_fatal(),
            retriable: error.is_retriable(),
            abortable: error.txn_requires_abort(),
        }
    }
}

/// What ends when a broker comes back, a leader is elected, or another transaction ends.
fn passes_by_itself(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::MessageTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::WaitingForCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::NetworkException
            | Code::UnstableOffsetCommit
            | Code::State
            | Code::PreviousInProgress
    )
}
