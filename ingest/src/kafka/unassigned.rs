//! Partitions that a group has left to nobody.
//!
//! A cooperative rebalance goes in two steps: a member gives up what it is asked for and joins once more, and only then
//! another is given it. A static member that dies in between, and is back before its session's time-out, is handed what the
//! first step has left it, without a rebalance, and the second step never comes: what it was to give up is nobody's, while
//! group and members look well. So whoever joins under a name that outlives it looks whether the group has shared out all
//! partitions, and where it has not and nothing changes, has it rebalance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::consumer::CLASSIC;
use super::{Admin, ClientSettings, GroupSettings, KafkaError};
use crate::source::TopicPartition;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(2);
/// Partitions that are on their way from one member to another are nobody's for as long as the first commits what came of
/// them; where they are for so many looks, nobody will take them.
const LOOKS: u32 = 4;
/// How long a rebalance may take.
const REBALANCE: Duration = Duration::from_secs(30);

/// What each member has, by the name that the broker has given it.
type Shares = BTreeMap<String, BTreeSet<TopicPartition>>;

/// Looks until all partitions are seen to be shared out, or it is dropped.
pub(super) struct Lookout {
    _stop: Sender<()>,
}

impl Lookout {
    /// Begins to look, on a thread of its own. What fails there is tried again, and told once.
    ///
    /// # Errors
    ///
    /// What the system says where it gives no thread.
    pub fn begin(settings: &ClientSettings, group: &GroupSettings) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let (settings, group) = (settings.clone(), group.clone());
        std::thread::Builder::new().name("lookout".to_owned()).spawn(move || {
            let mut is_told = false;
            while let Err(error) = look(&settings, &group, &stopped) {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!("whether all partitions are read by somebody is not known: {error}");
                }
                if is_over(&stopped) {
                    break;
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

/// Waits for the next look; whether there is to be none.
fn is_over(stopped: &Receiver<()>) -> bool {
    stopped.recv_timeout(LOOK) != Err(crossbeam_channel::RecvTimeoutError::Timeout)
}

fn look(settings: &ClientSettings, group: &GroupSettings, stopped: &Receiver<()>) -> Result<(), KafkaError> {
    let admin = Admin::new(settings)?;
    let (mut before, mut same) = (None, 0);
    while !is_over(stopped) {
        let shares = shares(&admin, &group.group)?;
        let unassigned = match &shares {
            Some(shares) => unassigned(&admin, group, shares)?,
            // It is about to share them out.
            None => BTreeSet::new(),
        };
        if shares.is_some() && unassigned.is_empty() {
            break;
        }
        same = if shares.is_some() && shares == before { same + 1 } else { 0 };
        before = shares;
        if same >= LOOKS {
            let names: Vec<String> = unassigned.iter().map(ToString::to_string).collect();
            tracing::warn!("the group has left {} to nobody: having it share them out anew", names.join(", "));
            rebalance(settings, group)?;
            before = None;
        }
    }
    Ok(())
}

/// What members have, where the group has settled.
fn shares(admin: &Admin, group: &str) -> Result<Option<Shares>, KafkaError> {
    let Some(members) = admin.members(group)? else { return Ok(None) };
    let shares = members.into_iter().map(|(member, share)| Some((member, parse(&share)?)));
    Ok(shares.collect())
}

fn unassigned(admin: &Admin, group: &GroupSettings, shares: &Shares) -> Result<BTreeSet<TopicPartition>, KafkaError> {
    let mut all = BTreeSet::new();
    for topic in &group.topics {
        let name: Arc<str> = topic.as_str().into();
        let partitions = admin.partitions(topic)?.unwrap_or(0);
        all.extend((0..partitions).map(|partition| TopicPartition { topic: name.clone(), partition }));
    }
    for partition in shares.values().flatten() {
        all.remove(partition);
    }
    Ok(all)
}

/// Has the group rebalance: a member joins that wants none of its partitions, and leaves again.
fn rebalance(settings: &ClientSettings, group: &GroupSettings) -> Result<(), KafkaError> {
    let failed = |error| KafkaError::from_client("having the group rebalance", error);
    let fixed = [("group.id", group.group.as_str()), ("enable.auto.commit", "false")];
    let member: BaseConsumer = settings.client(CLASSIC, &fixed).create().map_err(failed)?;
    // The group shares out only what members have subscribed to, and these are nobody's to read by subscription.
    let others: Vec<&str> = group.internal.iter().map(String::as_str).collect();
    member.subscribe(&others).map_err(failed)?;
    let deadline = Instant::now() + REBALANCE;
    while member.assignment().map_err(failed)?.count() == 0 && Instant::now() < deadline {
        // What it reads is of no interest, and neither is why it does not.
        drop(member.poll(Duration::from_millis(100)));
    }
    Ok(())
}

/// A member's share, as clients tell each other (Kafka's `ConsumerProtocolAssignment`, all versions begin alike): a version,
/// then topics, each with its partitions; numbers are big-endian. `None` where it is something else.
fn parse(share: &[u8]) -> Option<BTreeSet<TopicPartition>> {
    fn number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (number, after) = rest.split_first_chunk()?;
        *rest = after;
        Some(*number)
    }
    let mut partitions = BTreeSet::new();
    if share.is_empty() {
        return Some(partitions);
    }
    let mut rest = share;
    number::<2>(&mut rest)?;
    for _ in 0..u32::from_be_bytes(number(&mut rest)?) {
        let length = usize::from(u16::from_be_bytes(number(&mut rest)?));
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let topic: Arc<str> = std::str::from_utf8(name).ok()?.into();
        for _ in 0..u32::from_be_bytes(number(&mut rest)?) {
            let partition = i32::from_be_bytes(number(&mut rest)?);
            partitions.insert(TopicPartition { topic: topic.clone(), partition });
        }
    }
    Some(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_and_what_is_cut_off_is_none() {
        let share = b"\0\x01\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\x03\0\0\0\x0b\0\x02bc\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";
        let expected = [("a", 3), ("a", 11), ("bc", 0)].map(|(topic, n)| TopicPartition::new(topic, n));
        assert_eq!(parse(share), Some(BTreeSet::from(expected)));
        assert_eq!(parse(b""), Some(BTreeSet::new()), "nothing was given to it");
        for end in 1..share.len() - 4 {
            assert_eq!(parse(&share[..end]), None, "{end}");
        }
    }
}
