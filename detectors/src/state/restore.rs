//! An engine from its records.

use std::sync::Arc;

use crate::agent::{AgentState, Changed};
use crate::engine::{Engine, intern};
use crate::state::agent::{Baseline, Live};
use crate::state::error::At;
use crate::state::partition::{GroupBody, NameBody, TenantBody};
use crate::state::value::{checksum_of, open};
use crate::state::{Changes, Entity, Key, Section, StateError};
use crate::world::World;

const BASELINE: u8 = 1;
const LIVE: u8 = 2;
const BOTH: u8 = BASELINE | LIVE;

/// An engine whose records are being read. They may come in any order of keys; of one key the last counts, so that a
/// changelog can be read as it is, compacted or not.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use driftline_core::{Event, Limits};
/// use driftline_detectors::{Engine, World};
///
/// let mut engine = Engine::new(World::default());
/// engine.track_changes(true);
/// let record = br#"{"time": 0, "agent": {"id": "a"}, "action": {"name": "read_file"}}"#;
/// engine.observe(&Event::decode(record, &Limits::default())?);
///
/// let mut restoring = Engine::restore(World::default());
/// for record in engine.take_changes() {
///     restoring.add(&record.key, record.value.as_deref())?;
/// }
/// let restored = restoring.finish()?;
/// assert_eq!(restored.state_hash(), engine.state_hash());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Restoring {
    engine: Engine,
    changes: Changes,
    /// Which sections each of the engine's agents has.
    held: Vec<u8>,
}

impl Engine {
    /// Begins to take an engine's state back. The world must be the one that held when the records were taken: it comes
    /// from the control log.
    pub fn restore(world: World) -> Restoring {
        Restoring { engine: Self::new(world), changes: Changes::default(), held: Vec::new() }
    }

    /// The engine that all these records make ([`Restoring`]).
    ///
    /// # Errors
    ///
    /// [`StateError`] where a record cannot be read or one is missing.
    pub fn from_records<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        world: World,
        records: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, StateError> {
        let mut restoring = Self::restore(world);
        for (key, value) in records {
            restoring.add(key.as_ref(), Some(value.as_ref()))?;
        }
        restoring.finish()
    }
}

impl Restoring {
    /// Takes a record; `None` is a tombstone.
    ///
    /// # Errors
    ///
    /// [`StateError`] where it cannot be read; what was read so far must not be used then.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let parsed = Key::parse(key)?;
        match value {
            Some(value) => self.put(parsed, key, value),
            None => {
                self.remove(parsed, key);
                Ok(())
            }
        }
    }

    /// The engine. Its changes are kept from here on ([`Engine::track_changes`]): the records read count as taken.
    ///
    /// # Errors
    ///
    /// [`StateError::Incomplete`] where an agent has one section and not the other.
    pub fn finish(self) -> Result<Engine, StateError> {
        let Self { mut engine, changes, held } = self;
        let agents = std::mem::take(&mut engine.agents);
        engine.places.clear();
        engine.agents.reserve_exact(agents.len());
        for (agent, held) in agents.into_iter().zip(held) {
            let missing = match held {
                0 => continue,
                BOTH => None,
                BASELINE => Some(Section::Live),
                _ => Some(Section::Baseline),
            };
            if let Some(missing) = missing {
                return Err(StateError::Incomplete { at: At::of(Key::agent(&agent.tenant, &agent.id, missing)) });
            }
            let place = engine.admit(agent);
            engine.set_timer(place);
        }
        engine.lexicon.track(true);
        engine.lexicon.take_fresh();
        engine.changes = Some(changes);
        Ok(engine)
    }

    fn put(&mut self, key: Key<'_>, bytes: &[u8], value: &[u8]) -> Result<(), StateError> {
        let Entity { tenant, id, .. } = key.entity;
        match key.section {
            Section::Baseline => {
                let body: Baseline<'_> = open(key, bytes, value)?;
                let place = self.place(tenant, id);
                let groups = &mut self.engine.groups;
                body.put(&mut self.engine.agents[place], &mut |name| intern(groups, name));
                self.held[place] |= BASELINE;
            }
            Section::Live => {
                let body: Live<'_> = open(key, bytes, value)?;
                let place = self.place(tenant, id);
                let put = body.put(&mut self.engine.agents[place]);
                put.map_err(|reason| StateError::Body { at: At::of(key), reason: reason.to_owned() })?;
                self.held[place] |= LIVE;
            }
            Section::Group => {
                let GroupBody(agents, keys) = open(key, bytes, value)?;
                self.engine.contribution.put_group(tenant, id, agents, keys);
                self.changes.parts.insert(bytes.to_owned(), checksum_of(value));
            }
            Section::Tenant => {
                let body: TenantBody = open(key, bytes, value)?;
                self.engine.contribution.put_tenant(body.counts(tenant));
                self.changes.parts.insert(bytes.to_owned(), checksum_of(value));
            }
            Section::Name(name_of) => {
                let NameBody(name) = open(key, bytes, value)?;
                self.engine.lexicon.put(name_of, Some(name));
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: Key<'_>, bytes: &[u8]) {
        let Entity { tenant, id, .. } = key.entity;
        match key.section {
            // An agent without any section is left out in the end.
            Section::Baseline | Section::Live => {
                if let Some(place) = self.engine.find(tenant, id) {
                    let section = if key.section == Section::Live { LIVE } else { BASELINE };
                    self.held[place as usize] &= !section;
                }
            }
            Section::Group => self.engine.contribution.remove_group(tenant, id),
            Section::Tenant => self.engine.contribution.remove_tenant(tenant),
            Section::Name(name_of) => self.engine.lexicon.put(name_of, None),
        }
        self.changes.parts.remove(bytes);
    }

    /// The place of an agent, an empty one where it is new.
    fn place(&mut self, tenant: &str, id: &str) -> usize {
        if let Some(place) = self.engine.find(tenant, id) {
            return place as usize;
        }
        let tenant: Arc<str> = intern(&mut self.engine.tenants, tenant);
        let mut agent = Box::new(AgentState::blank(tenant, id));
        agent.changed = Changed::NOTHING;
        self.held.push(0);
        self.engine.index(agent) as usize
    }
}
