//! An engine from its records.

use std::sync::Arc;

use crate::agent::{AgentState, Changed};
use crate::arrivals::Arrivals;
use crate::engine::{Engine, intern};
use crate::evicted::{BackingError, BackingStore, number_of};
use crate::state::error::At;
use crate::state::partition::{ArrivalsBody, GroupBody, GroupBody3, NameBody, TenantBody};
use crate::state::value::{checksum_of, open, unseal, version_of};
use crate::state::{Changes, Entity, Key, Kind, Section, StateError, StateRecord, put_section};
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
    /// Agents that may be in memory.
    room: usize,
    /// Records of further agents, which are on their way to the store.
    overflow: Vec<(u64, StateRecord)>,
}

/// Records that go to the store at once.
const BATCH: usize = 4096;

impl Engine {
    /// Begins to take an engine's state back. The world must be the one that held when the records were taken: it comes
    /// from the control log.
    pub fn restore(world: World) -> Restoring {
        Restoring {
            engine: Self::new(world),
            changes: Changes::default(),
            held: Vec::new(),
            room: usize::MAX,
            overflow: Vec::new(),
        }
    }

    /// The engine that all these records make ([`Restoring`]).
    ///
    /// # Errors
    ///
    /// [`BackingError::State`] where a record cannot be read or one is missing.
    pub fn from_records<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        world: World,
        records: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, BackingError> {
        let mut restoring = Self::restore(world);
        for (key, value) in records {
            restoring.add(key.as_ref(), Some(value.as_ref()))?;
        }
        restoring.finish()
    }
}

impl Restoring {
    /// Has agents that come after the first `room` ones go to a store, in which nothing is yet, as if they had been
    /// evicted ([`Engine::evict`]).
    pub fn with_backing_store(mut self, store: Box<dyn BackingStore>, room: usize) -> Self {
        self.engine.set_backing_store(store);
        self.room = room;
        self
    }

    /// Takes a record; `None` is a tombstone.
    ///
    /// # Errors
    ///
    /// [`BackingError`] where it cannot be read, or be put into the store; what was read so far must not be used then.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), BackingError> {
        let parsed = Key::parse(key)?;
        if parsed.entity.kind == Kind::Agent && self.engine.agents.len() >= self.room {
            let Entity { tenant, id, .. } = parsed.entity;
            if self.engine.find(tenant, id).is_none() {
                if let Some(value) = value {
                    unseal(parsed, key, value)?;
                }
                let record = StateRecord { key: key.to_owned(), value: value.map(<[u8]>::to_owned) };
                self.overflow.push((number_of(tenant, id), record));
                return if self.overflow.len() >= BATCH { self.put_overflow() } else { Ok(()) };
            }
        }
        match value {
            Some(value) => self.put(parsed, key, value)?,
            None => self.remove(parsed, key),
        }
        Ok(())
    }

    fn put_overflow(&mut self) -> Result<(), BackingError> {
        self.engine.evicted.put(&mut std::mem::take(&mut self.overflow).into_iter())
    }

    /// The engine. Its changes are kept from here on ([`Engine::track_changes`]): the records read count as taken.
    ///
    /// # Errors
    ///
    /// [`StateError::Incomplete`] where an agent has one section and not the other; whatever is wrong with what is in the
    /// store.
    pub fn finish(mut self) -> Result<Engine, BackingError> {
        self.put_overflow()?;
        let Self { mut engine, changes, held, .. } = self;
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
                return Err(StateError::Incomplete { at: At::of(Key::agent(&agent.tenant, &agent.id, missing)) }.into());
            }
            let place = engine.admit(agent);
            engine.set_timer(place);
        }
        let tenants = &mut engine.tenants;
        engine.evicted.take_stock(|agent| *tenants.entry(agent.tenant.clone()).or_default() += 1)?;
        // Those of which there are tombstones only.
        tenants.retain(|_, held| *held > 0);
        engine.lexicon.track(true);
        engine.lexicon.take_fresh();
        engine.changes = Some(changes);
        Ok(engine)
    }

    fn put(&mut self, key: Key<'_>, bytes: &[u8], value: &[u8]) -> Result<(), StateError> {
        let Entity { tenant, id, .. } = key.entity;
        match key.section {
            Section::Baseline | Section::Live => {
                let place = self.place(tenant, id);
                let groups = &mut self.engine.groups;
                put_section(key, bytes, value, &mut self.engine.agents[place], &mut |name| intern(groups, name))?;
                self.held[place] |= if key.section == Section::Live { LIVE } else { BASELINE };
            }
            Section::Group => {
                let GroupBody3(GroupBody(agents, keys), tests) = match version_of(value) {
                    1 | 2 => GroupBody3(open(key, bytes, value)?, 0),
                    _ => open(key, bytes, value)?,
                };
                self.engine.contribution.put_group(tenant, id, agents, tests, keys);
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
            Section::Arrivals => self.engine.arrivals = open::<ArrivalsBody<'_>>(key, bytes, value)?.arrivals(),
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
            Section::Arrivals => self.engine.arrivals = Arrivals::default(),
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
