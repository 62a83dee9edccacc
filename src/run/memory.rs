//! Sees to it that no more agents are in memory than there is room for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use driftline_detectors::BackingStore;
use rayon::prelude::*;

use super::backing::Backing;
use super::owner::Owner;
use crate::config::Instance;
use crate::http::Readiness;
use crate::metrics::Metrics;

/// When room is made, this share of it is: one part in so many, so that it is not made for each agent anew.
const SLACK: usize = 32;
/// After a store has refused, none is asked for so long.
const PAUSE: Duration = Duration::from_secs(10);
const CONDITION: &str = "local store";

/// How many agents the instance may have in memory, all its partitions together, and where the others go.
pub struct Memory {
    most: usize,
    folder: PathBuf,
    /// A store has refused, and is not asked before this.
    refused_until: Option<Instant>,
}

impl Memory {
    /// As the configuration has it.
    pub fn new(instance: &Instance) -> Self {
        Self { most: instance.agents_in_memory, folder: instance.state.clone(), refused_until: None }
    }

    /// How many agents each of so many partitions may have in memory.
    pub fn share(&self, partitions: usize) -> usize {
        self.most / partitions.max(1)
    }

    /// An empty store for the agents of a partition.
    pub fn store(&self) -> Box<dyn BackingStore> {
        Box::new(Backing::new(self.folder.clone()))
    }

    /// Whether so many agents have come since the last commit that the next one should not be waited for: only what is
    /// committed can go.
    pub fn is_crowded(&self, agents: usize) -> bool {
        agents > self.most.saturating_add(self.most / 8) && !self.is_refused()
    }

    fn is_refused(&self) -> bool {
        self.refused_until.is_some_and(|until| Instant::now() < until)
    }

    /// Has the agents go out that were heard of longest ago, where there are too many. Where a store refuses, they stay in
    /// memory: that is told and counted, and tried again.
    pub fn make_room<'o>(
        &mut self,
        owners: impl ExactSizeIterator<Item = &'o mut Owner>,
        metrics: &Metrics,
        readiness: &Readiness,
    ) {
        if self.is_refused() {
            metrics.limit_hits("agents_in_memory").inc();
            return;
        }
        let share = self.share(owners.len());
        let crowded: Vec<&mut Owner> = owners.filter(|owner| owner.engine.resident() > share).collect();
        if crowded.is_empty() {
            return;
        }
        let refused = crowded.into_par_iter().find_map_any(|owner| owner.engine.evict(share - share / SLACK).err());
        match refused {
            None => {
                self.refused_until = None;
                readiness.restore(CONDITION);
            }
            Some(error) => {
                tracing::error!("{error}; agents stay in memory, more of them than instance.agents_in_memory");
                metrics.limit_hits("agents_in_memory").inc();
                readiness.degrade(CONDITION, error.to_string());
                self.refused_until = Some(Instant::now() + PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use driftline_core::{Event, Limits};
    use driftline_detectors::{Engine, World};

    use super::*;

    fn hear_of(owner: &mut Owner, agent: usize, time: usize) -> bool {
        let record = format!(r#"{{"time":{time},"agent":{{"id":"{agent}"}},"action":{{"name":"t"}},"id":"one"}}"#);
        owner.engine.observe(&Event::decode(record.as_bytes(), &Limits::default()).unwrap()).repeated
    }

    #[test]
    fn where_the_disk_refuses_agents_stay_and_it_is_told_until_it_takes_them() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("not there yet");
        let mut memory = Memory::new(&Instance { agents_in_memory: 64, state: state.clone(), id: None });
        let mut engine = Engine::new(World::default());
        engine.track_changes(true);
        engine.set_backing_store(memory.store());
        let mut owner = Owner::new(0, engine, driftline_core::Timestamp::MIN, 100);
        let (metrics, readiness) = (Metrics::new(0), Readiness::default());
        (0..100).for_each(|agent| assert!(!hear_of(&mut owner, agent, agent)));
        assert!(memory.is_crowded(owner.engine.resident()));
        owner.engine.take_changes();
        let hash = owner.engine.state_hash();

        memory.make_room(std::iter::once(&mut owner), &metrics, &readiness);
        assert_eq!(owner.engine.resident(), 100);
        let reasons = readiness.reasons();
        assert!(reasons[0].0 == CONDITION && reasons[0].1.contains("not there yet"), "{reasons:?}");
        assert_eq!(metrics.limit_hits("agents_in_memory").get(), 1);
        assert!(!memory.is_crowded(owner.engine.resident()), "it is not tried all the time");

        std::fs::create_dir(&state).unwrap();
        memory.refused_until = None;
        memory.make_room(std::iter::once(&mut owner), &metrics, &readiness);
        assert!(readiness.is_ready());
        assert_eq!((owner.engine.resident(), owner.engine.len()), (62, 100));
        assert_eq!(owner.engine.state_hash(), hash);
        assert!(hear_of(&mut owner, 0, 0), "one that was out is known as before");
        assert_eq!(owner.engine.resident(), 63);
    }
}
