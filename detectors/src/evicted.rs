//! Agents that are out: what an engine does not hold in memory, and how it comes back.
//!
//! Whoever runs an engine may give it a [`BackingStore`] and ask it from time to time to keep no more than so many agents
//! in memory ([`Engine::evict`]). Those that were heard of longest ago go to the store, whole; each comes back before its
//! next event is scored, and before anything about it falls due. So whether and when an agent was out changes nothing
//! that the engine says: not an alert, not a score, not the state's hash. What remains of one in memory is nine bytes, and
//! sixteen more while something is to fall due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;

use driftline_core::{Timestamp, key, record_hash};
use hashbrown::HashSet;

use crate::agent::{AgentState, Changed};
use crate::engine::{Engine, intern};
use crate::state::{At, Key, Section, StateError, StateRecord, agent_records, put_section};

/// Where the state of agents is kept that are not in memory. It need not outlive the process: the changelog has it all.
///
/// Records stand under a number that is the agent's, and now and then another agent's too; a record's own key tells them
/// apart. One that was put stays until another with the same key is put, whatever was read in between.
pub trait BackingStore: fmt::Debug + Send {
    /// Puts records, each under its number and over the one that had the same key; one without a value only removes it.
    ///
    /// # Errors
    ///
    /// [`BackingError`] where not all of them could be put. What was put before must still be there.
    fn put(&mut self, records: &mut dyn Iterator<Item = (u64, StateRecord)>) -> Result<(), BackingError>;

    /// All records under a number, in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`BackingError`] where they cannot be read.
    fn get(&mut self, number: u64) -> Result<Vec<StateRecord>, BackingError>;

    /// Shows all records, ordered by number and key; it ends at the first error that `look` gives.
    ///
    /// # Errors
    ///
    /// [`BackingError`] where they cannot be read, or what `look` says.
    fn each(&mut self, look: &mut dyn FnMut(u64, StateRecord) -> Result<(), BackingError>) -> Result<(), BackingError>;
}

/// Agents could not be put into a [`BackingStore`], or did not come back as they went.
#[derive(Debug, thiserror::Error)]
pub enum BackingError {
    /// The store has failed.
    #[error("the local store of agents' state cannot be used: {0}")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The records themselves cannot be used, whether they have been in the store or not.
    #[error(transparent)]
    State(#[from] StateError),
}

impl BackingError {
    /// What is wrong with a record that was checked before it was put.
    fn of_store(error: StateError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// The agents that are out, and the store that they are in.
#[derive(Debug, Default)]
pub(crate) struct Evicted {
    store: Option<Box<dyn BackingStore>>,
    /// Numbers under which there is an agent that is out.
    numbers: HashSet<u64>,
    /// When something about one of them falls due. One that has come back since is looked at in vain.
    timers: BinaryHeap<Reverse<(Timestamp, u64)>>,
    agents: usize,
    /// The sum of their records' hashes.
    hash: u128,
    failure: Option<BackingError>,
    /// Agents that have gone out, and that have come back.
    traffic: Traffic,
}

/// Agents that went out of memory and came back since the engine began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Went to the store.
    pub evicted: u64,
    /// Came back from it.
    pub fetched: u64,
}

impl Evicted {
    /// How many there are.
    pub fn agents(&self) -> usize {
        self.agents
    }

    /// The sum of the hashes of their records ([`Engine::state_hash`]).
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// Bytes that they take in memory.
    pub fn bytes(&self) -> usize {
        self.numbers.capacity() * (size_of::<u64>() + 1)
            + self.timers.capacity() * size_of::<Reverse<(Timestamp, u64)>>()
    }

    /// Puts records into the store.
    pub fn put(&mut self, records: &mut dyn Iterator<Item = (u64, StateRecord)>) -> Result<(), BackingError> {
        self.store.as_mut().map_or(Ok(()), |store| store.put(records))
    }

    /// Notes that an agent is out whose records have this hash.
    fn note(&mut self, number: u64, due: Option<Timestamp>, hash: u128) {
        self.numbers.insert(number);
        self.timers.extend(due.map(|due| Reverse((due, number))));
        self.agents += 1;
        self.hash = self.hash.wrapping_add(hash);
    }

    /// Takes in what was put into the store while it was filled; shows each agent.
    pub fn take_stock(&mut self, mut each: impl FnMut(&AgentState)) -> Result<(), BackingError> {
        let Some(mut store) = self.store.take() else { return Ok(()) };
        let mut agents = Assembling::default();
        let mut whole = |out: &mut Self, found: Option<Found>| {
            if let Some(Found { number, agent, hash }) = found {
                each(&agent);
                out.note(number, agent.deadline(), hash);
            }
        };
        store.each(&mut |number, record| {
            let found = agents.add(number, &record, &mut |name| name.into());
            whole(
                self,
                found.map_err(|error| match error {
                    // What a program wrote that is not this one, or did not write.
                    StateError::Body { .. } | StateError::Incomplete { .. } => error.into(),
                    _ => BackingError::of_store(error),
                })?,
            );
            Ok(())
        })?;
        agents.end()?;
        self.store = Some(store);
        Ok(())
    }
}

impl Engine {
    /// Gives the engine a store, in which nothing is yet, for agents that are evicted.
    pub fn set_backing_store(&mut self, store: Box<dyn BackingStore>) {
        self.evicted.store = Some(store);
    }

    /// Agents in memory.
    pub fn resident(&self) -> usize {
        self.agents.len()
    }

    /// Agents that went to the store and came back.
    pub fn traffic(&self) -> Traffic {
        self.evicted.traffic
    }

    /// Why the engine is of no more use: an agent did not come back from the store. What it has said since the changes
    /// were last taken must not be used; what is in the changelog is whole.
    pub fn failure(&self) -> Option<&BackingError> {
        self.evicted.failure.as_ref()
    }

    /// Evicts the agents that were heard of longest ago until no more than `keep` are in memory; says how many went. Those
    /// with changes that were not taken stay ([`Engine::take_changes`]), so it is best called right after. Without a store,
    /// or where changes are not kept, nothing happens.
    ///
    /// # Errors
    ///
    /// [`BackingError`] where the store does not take them: they stay in memory, and nothing is lost.
    pub fn evict(&mut self, keep: usize) -> Result<usize, BackingError> {
        let over = self.agents.len().saturating_sub(keep);
        if over == 0 || self.evicted.store.is_none() || self.changes.is_none() {
            return Ok(0);
        }
        let places = (0u32..).zip(&self.agents);
        let mut idle: Vec<(Timestamp, u32)> = places
            .filter(|(_, agent)| agent.changed == Changed::NOTHING)
            .map(|(place, agent)| (agent.last_seen, place))
            .collect();
        if idle.len() > over {
            idle.select_nth_unstable(over);
            idle.truncate(over);
        }
        let mut going: Vec<u32> = idle.into_iter().map(|(_, place)| place).collect();
        // From the last one on, so that what moves into a gap is not itself about to go.
        going.sort_unstable_by(|a, b| b.cmp(a));
        let agents = &self.agents;
        let mut hashes = Vec::with_capacity(going.len());
        self.evicted.put(&mut going.iter().flat_map(|&place| {
            let agent = &agents[place as usize];
            let number = number_of(&agent.tenant, &agent.id);
            let records = agent_records(agent);
            hashes.push(records.iter().fold(0u128, |sum, record| sum.wrapping_add(hash_of(record))));
            records.map(|record| (number, record))
        }))?;
        for (&place, hash) in going.iter().zip(hashes) {
            let agent = self.remove(place);
            self.evicted.note(number_of(&agent.tenant, &agent.id), agent.deadline(), hash);
        }
        self.evicted.traffic.evicted += going.len() as u64;
        self.forget_places();
        Ok(going.len())
    }

    /// Whether an agent may be out that is not in memory; it is back then, if it was.
    pub(crate) fn fetch(&mut self, number: u64) -> bool {
        if !self.evicted.numbers.remove(&number) {
            return false;
        }
        if let Err(error) = self.read_back(number) {
            self.evicted.failure.get_or_insert(error);
        }
        true
    }

    /// Has all that is out come back of which something falls due up to `now`.
    pub(crate) fn fetch_due(&mut self, now: Timestamp) {
        while let Some(&Reverse((due, number))) = self.evicted.timers.peek()
            && due <= now
        {
            self.evicted.timers.pop();
            self.fetch(number);
        }
    }

    fn read_back(&mut self, number: u64) -> Result<(), BackingError> {
        let Some(store) = &mut self.evicted.store else { return Ok(()) };
        let mut agents = Assembling::default();
        for record in store.get(number)? {
            let groups = &mut self.groups;
            let Some(Found { mut agent, hash, .. }) =
                agents.add(number, &record, &mut |name| intern(groups, name)).map_err(BackingError::of_store)?
            else {
                continue;
            };
            // What is in memory was here before, and has left its records behind.
            if self.find(&agent.tenant, &agent.id).is_some() {
                continue;
            }
            if let Some((tenant, _)) = self.tenants.get_key_value(&agent.tenant) {
                agent.tenant = tenant.clone();
            }
            self.evicted.agents -= 1;
            self.evicted.hash = self.evicted.hash.wrapping_sub(hash);
            self.evicted.traffic.fetched += 1;
            let place = self.index(agent);
            self.set_timer(place);
        }
        agents.end().map_err(BackingError::of_store)
    }
}

/// The number under which an agent is in the store.
pub(crate) fn number_of(tenant: &str, id: &str) -> u64 {
    key(22, [tenant, id])
}

/// An agent made of its two records.
struct Found {
    number: u64,
    agent: Box<AgentState>,
    hash: u128,
}

/// Makes agents of records that come in the order of their keys.
#[derive(Default)]
struct Assembling {
    half: Option<(Vec<u8>, Found)>,
}

impl Assembling {
    /// Takes the next record; with an agent's second one, the agent.
    fn add(
        &mut self,
        number: u64,
        record: &StateRecord,
        names: &mut dyn FnMut(&str) -> Arc<str>,
    ) -> Result<Option<Found>, StateError> {
        let parsed = Key::parse(&record.key)?;
        let (tenant, id) = (parsed.entity.tenant, parsed.entity.id);
        let (first, mut found) = match self.half.take() {
            Some((first, found)) if *found.agent.id == *id && *found.agent.tenant == *tenant => (Some(first), found),
            Some((first, _)) => return Err(incomplete(&first)),
            None => {
                let mut agent = Box::new(AgentState::blank(tenant.into(), id));
                agent.changed = Changed::NOTHING;
                (None, Found { number, agent, hash: 0 })
            }
        };
        let value = record.value.as_deref().unwrap_or_default();
        put_section(parsed, &record.key, value, &mut found.agent, names)?;
        found.hash = found.hash.wrapping_add(hash_of(record));
        if first.is_some() {
            return Ok(Some(found));
        }
        self.half = Some((record.key.clone(), found));
        Ok(None)
    }

    fn end(self) -> Result<(), StateError> {
        self.half.map_or(Ok(()), |(first, _)| Err(incomplete(&first)))
    }
}

/// The error for an agent of which there is this record only.
fn incomplete(only: &[u8]) -> StateError {
    let Ok(key) = Key::parse(only) else { return StateError::key(only) };
    let missing = if key.section == Section::Live { Section::Baseline } else { Section::Live };
    StateError::Incomplete { at: At::of(Key::agent(key.entity.tenant, key.entity.id, missing)) }
}

/// The hash of one record, of which a state's hash is the sum.
pub(crate) fn hash_of(record: &StateRecord) -> u128 {
    let mut whole = record.key.clone();
    whole.extend_from_slice(record.value.as_deref().unwrap_or_default());
    record_hash(&whole)
}
