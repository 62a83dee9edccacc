//! What has changed: kept by place while events are scored, made into records when it is asked for.

use std::collections::BTreeMap;

use crate::agent::Changed;
use crate::engine::Engine;
use crate::evicted::hash_of;
use crate::state::value::checksum_of;
use crate::state::{StateRecord, agent, partition};

/// What was changed since it was last asked.
#[derive(Debug, Default)]
pub struct Changes {
    /// Agents that changed, each once: they are [`Changed::LISTED`].
    pub places: Vec<u32>,
    /// The parts of the contribution that are in the last records, with their checksums: what is no longer gathered
    /// must be taken out of them.
    pub parts: BTreeMap<Vec<u8>, u64>,
}

impl Engine {
    /// Switches on or off that changes are kept for [`Engine::take_changes`]; off at first, since a list that nobody
    /// asks for would only grow. Switched on, all that is in memory counts as changed.
    pub fn track_changes(&mut self, track: bool) {
        if track == self.changes.is_some() {
            return;
        }
        self.lexicon.track(track);
        self.contribution.set_changed();
        self.arrivals.set_changed();
        let listed = if track { Changed::ALL } else { Changed::NOTHING };
        self.agents.iter_mut().for_each(|agent| agent.changed = listed);
        let places = (0..self.agents.len() as u32).collect();
        self.changes = track.then(|| Changes { places, parts: BTreeMap::new() });
    }

    /// What has changed since this was last asked, ordered by key, each section once and whole; nothing while changes
    /// are not kept ([`Engine::track_changes`]).
    ///
    /// Whoever puts these records over those they have has the state as it is now. It goes with the alerts and the
    /// contribution taken at the same moment: they are in no record any more.
    pub fn take_changes(&mut self) -> Vec<StateRecord> {
        let Some(changes) = &mut self.changes else { return Vec::new() };
        let mut records = Vec::with_capacity(changes.places.len() + changes.places.len() / 4);
        for place in changes.places.drain(..) {
            let agent = &mut self.agents[place as usize];
            let changed = std::mem::replace(&mut agent.changed, Changed::NOTHING);
            if changed.has(Changed::BASELINE) {
                records.push(agent::baseline(agent));
            }
            records.push(agent::live(agent));
        }
        let fresh = self.lexicon.take_fresh();
        records.extend(fresh.into_iter().filter_map(|key| partition::name(&self.lexicon, key)));
        if self.arrivals.take_changed() {
            records.extend(partition::arrivals(&self.arrivals));
        }
        if self.contribution.take_changed() {
            changes.take_contributed(partition::contributed(&self.contribution), &mut records);
        }
        records.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        records
    }

    /// All of its state that is in memory, in no order.
    pub fn records(&self) -> impl Iterator<Item = StateRecord> {
        let of_many = partition::contributed(&self.contribution).chain(partition::arrivals(&self.arrivals));
        self.agents_and_names().chain(of_many)
    }

    /// How many records its state is besides the two of each agent.
    pub fn shared_records(&self) -> usize {
        self.lexicon.len() + self.contribution.len() + usize::from(!self.arrivals.tenants.is_empty())
    }

    fn agents_and_names(&self) -> impl Iterator<Item = StateRecord> {
        let agents = self.agents.iter().flat_map(|agent| agent::records(agent));
        let names = self.lexicon.keys().filter_map(|key| partition::name(&self.lexicon, key));
        agents.chain(names)
    }

    /// A hash of what is known of its agents: equal where two engines hold the same, in whatever order they came to it. The
    /// sum of the records' hashes, those of agents that are not in memory included; it takes as long as writing all that is
    /// does. What was gathered for the next epoch is left out: where several share the work it goes to who closes the hour,
    /// where one does all it stays until then.
    pub fn state_hash(&self) -> u128 {
        self.agents_and_names().fold(self.evicted.hash(), |sum, record| sum.wrapping_add(hash_of(&record)))
    }

    /// Notes that something about an agent has changed.
    pub(crate) fn note_change(&mut self, place: u32) {
        let Some(changes) = &mut self.changes else { return };
        let changed = &mut self.agents[place as usize].changed;
        if !changed.has(Changed::LISTED) {
            changed.set(Changed::LISTED);
            changes.places.push(place);
        }
    }
}

impl Changes {
    /// Adds what is new or different among the parts, and tombstones of those that are no more.
    fn take_contributed(&mut self, parts: impl Iterator<Item = StateRecord>, records: &mut Vec<StateRecord>) {
        let mut before = std::mem::take(&mut self.parts);
        for record in parts {
            let checksum = record.value.as_deref().map_or(0, checksum_of);
            let known = before.remove(&record.key);
            self.parts.insert(record.key.clone(), checksum);
            if known != Some(checksum) {
                records.push(record);
            }
        }
        records.extend(before.into_keys().map(|key| StateRecord { key, value: None }));
    }
}
