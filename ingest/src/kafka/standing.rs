//! Where a group stands in partitions that a member was given.
//!
//! The answer waits for transactions that are still open. It is waited for on a thread of its own, so that the partitions
//! that the member already has go on meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::error::Failure;
use super::native::{Client, Membership, list};
use super::writer::end_transaction_of;
use super::{ClientSettings, GroupSettings, KafkaError};
use crate::source::{Assignment, TopicPartition};

/// How long the coordinator may take for an answer. A position that belongs to an open transaction is known only when
/// that ends, so the question is asked again.
const ANSWER: Duration = Duration::from_secs(1);

/// A position that is not known for so long belongs to a transaction whose writer is gone: those that live take
/// milliseconds. Nobody else may be writing to partitions that were given to this member.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is asked between two questions that were not answered.
const AGAIN: Duration = Duration::from_millis(100);

/// Whom to ask.
#[derive(Clone)]
pub(super) struct Standing {
    client: Arc<Client>,
    /// Sees positions as they were before a transaction that is still open.
    before: Arc<Client>,
    settings: ClientSettings,
    /// Who writes of partitions from the assignment on; empty: nobody.
    writer: String,
}

/// A question that is under way.
pub(super) struct Inquiry {
    /// Those that are still ours to ask about.
    partitions: BTreeSet<TopicPartition>,
    over: Arc<AtomicBool>,
    answer: Receiver<Result<Vec<Assignment>, KafkaError>>,
}

impl Standing {
    /// Of the group that `client` is a member of.
    pub fn new(client: Arc<Client>, group: &GroupSettings, settings: &ClientSettings) -> Result<Self, KafkaError> {
        let uncommitted = [("group.id", group.group.as_str()), ("isolation.level", "read_uncommitted")];
        let before = Client::new(&settings.client(&[], &uncommitted))?;
        Ok(Self { client, before, settings: settings.clone(), writer: group.writer.clone() })
    }

    /// Asks where the group stands in partitions.
    pub fn ask(&self, partitions: Vec<TopicPartition>) -> Result<Inquiry, KafkaError> {
        let (answers, answer) = bounded(1);
        let over = Arc::new(AtomicBool::new(false));
        let inquiry = Inquiry { partitions: partitions.iter().cloned().collect(), over: over.clone(), answer };
        let standing = self.clone();
        let asking = std::thread::Builder::new().name("standing".to_owned());
        let asking = asking.spawn(move || {
            if let Some(found) = standing.find(&partitions, &over).transpose() {
                // Who asked may have gone.
                let _ = answers.send(found);
            }
        });
        match asking {
            Ok(_) => Ok(inquiry),
            Err(error) => {
                let failure = Failure::with_message(Code::Fail, error.to_string());
                Err(KafkaError::broker("starting a thread", failure))
            }
        }
    }

    /// Asks until there is an answer; `None` where nobody waits for it any more.
    fn find(&self, partitions: &[TopicPartition], over: &AtomicBool) -> Result<Option<Vec<Assignment>>, KafkaError> {
        let (since, mut ended) = (Instant::now(), false);
        while !over.load(Ordering::Relaxed) {
            match self.of(partitions).and_then(|assignments| self.announce(&assignments).map(|()| assignments)) {
                Ok(assignments) => return Ok(Some(assignments)),
                Err(error) if error.is_retriable() => tracing::info!("waiting: {error}"),
                Err(error) => return Err(error),
            }
            if since.elapsed() >= PATIENCE && !ended && !over.load(Ordering::Relaxed) {
                // Once: where a transaction is another's, the writer may live and be fenced for nothing.
                ended = self.end_what_nobody_will(partitions)?;
            }
            // Nothing comes from this channel but the time.
            let _ = crossbeam_channel::after(AGAIN).recv();
        }
        Ok(None)
    }

    fn of(&self, partitions: &[TopicPartition]) -> Result<Vec<Assignment>, KafkaError> {
        let doing = "asking for the group's positions";
        let mut list = list(partitions);
        self.client.committed(&mut list, ANSWER).map_err(|failure| KafkaError::broker(doing, failure))?;
        let mut assignments = Vec::with_capacity(partitions.len());
        for element in list.elements() {
            element.error().map_err(|error| KafkaError::from_client(doing, error))?;
            let partition = TopicPartition::new(element.topic(), element.partition());
            let committed = element.offset().to_raw().filter(|offset| *offset >= 0);
            let ends = self.client.query_ends(&partition, ANSWER);
            let (first, _) = ends.map_err(|f| KafkaError::broker(format!("asking where {partition} starts"), f))?;
            let assignment = Assignment { partition, committed, metadata: element.metadata().to_owned(), first };
            if assignment.expired() > 0 {
                let (partition, expired) = (&assignment.partition, assignment.expired());
                tracing::error!("{partition}: retention has removed {expired} offsets that nobody had read");
            }
            assignments.push(assignment);
        }
        Ok(assignments)
    }

    /// Has the name of who writes from here on beside the positions, before anything is written: else nobody would know
    /// whose transaction is open where it dies in its first one. Positions stay as they are.
    fn announce(&self, assignments: &[Assignment]) -> Result<(), KafkaError> {
        let doing = "writing a name beside the group's positions";
        let mut list = TopicPartitionList::new();
        for Assignment { partition, committed, metadata, .. } in assignments {
            if let Some(committed) = committed.filter(|_| *metadata != self.writer && !self.writer.is_empty()) {
                let mut element = list.add_partition(&partition.topic, partition.partition);
                let named = element.set_offset(Offset::Offset(committed));
                named.map_err(|error| KafkaError::from_client(doing, error))?;
                element.set_metadata(&self.writer);
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        // A group without members takes it from anybody.
        let committed = match Membership::of(&self.client).now() {
            Some(_) => self.client.commit(&list),
            None => Err(Failure::of(Code::UnknownMemberId)),
        };
        committed.map_err(|failure| {
            // Where the group has moved on, it gives these partitions again, or takes them back.
            let moved_on = matches!(
                failure.code,
                Code::IllegalGeneration
                    | Code::RebalanceInProgress
                    | Code::UnknownMemberId
                    | Code::StaleMemberEpoch
                    | Code::FencedMemberEpoch
            );
            KafkaError::broker(doing, Failure { retriable: failure.retriable || moved_on, ..failure })
        })
    }

    /// Ends the transactions that hold positions up. Their writers' names stand beside the positions that they committed
    /// before; where there are none, it is the group's first transaction, and may be this member's own. Whether these could be
    /// told.
    fn end_what_nobody_will(&self, partitions: &[TopicPartition]) -> Result<bool, KafkaError> {
        let mut known = list(partitions);
        if self.before.committed(&mut known, ANSWER).is_err() {
            return Ok(false);
        }
        let mut writers: BTreeSet<String> =
            known.elements().iter().map(|element| element.metadata().to_owned()).collect();
        writers.remove("");
        if writers.is_empty() && !self.writer.is_empty() {
            writers.insert(self.writer.clone());
        }
        for writer in &writers {
            tracing::warn!("positions wait for a transaction that `{writer}` has left open: ending it");
            end_transaction_of(&self.settings, writer)?;
        }
        Ok(true)
    }
}

impl Inquiry {
    /// Asks no longer about these: the group has taken them back.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.partitions.remove(partition);
        }
        self.over.store(self.partitions.is_empty(), Ordering::Relaxed);
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The answer, once there is one.
    pub fn answer(&self) -> Option<Result<Vec<Assignment>, KafkaError>> {
        let found = self.answer.try_recv().ok()?;
        let ours = |assignment: &Assignment| self.partitions.contains(&assignment.partition);
        Some(found.map(|assignments| assignments.into_iter().filter(ours).collect()))
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
