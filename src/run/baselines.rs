//! The store of published baselines, as a run sees it: what is in force there, and what engines are given of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use driftline_baseline::Store;
use driftline_core::{Change, ControlRecord, Spread, Timestamp};
use driftline_detectors::{Conductor, Engine, History};
use driftline_ingest::kafka::{Keyed, partition_of};

use crate::commands::{CommandError, Published};
use crate::config::Baseline;

/// Where baselines are read from; a clone is for another thread.
#[derive(Clone, Default)]
pub struct Baselines {
    settings: Option<Baseline>,
    /// The version that was read last.
    read: Arc<Mutex<Option<Arc<History>>>>,
}

/// Watches for another version.
#[derive(Default)]
pub struct Watch {
    next: Option<Instant>,
    /// What stood in the way when it was last looked.
    told: Option<String>,
}

impl Baselines {
    /// The store that is configured, if one is.
    pub fn new(settings: Option<&Baseline>) -> Self {
        Self { settings: settings.cloned(), read: Arc::default() }
    }

    /// Gives an engine the agents that a control record has it know; other records have nothing to give.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] where no store is configured, [`CommandError::Interrupted`] where it has not got the version:
    /// it may come there.
    pub fn give(&self, engine: &mut Engine, record: &ControlRecord, place: i32) -> Result<(), CommandError> {
        let Change::Baseline { version, content, spread, .. } = &record.change else { return Ok(()) };
        let history = self.of(version, content)?;
        let taken = engine.take_up(&history, |tenant, id| is_at(place, *spread, tenant, id));
        tracing::info!(
            version,
            partition = place,
            new = taken.new,
            completed = taken.completed,
            kept = taken.kept,
            "agents are known from a baseline"
        );
        Ok(())
    }

    fn of(&self, version: &str, content: &str) -> Result<Arc<History>, CommandError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.as_ref().filter(|known| known.content == content) {
            return Ok(known.clone());
        }
        let settings = self.settings.as_ref().ok_or_else(|| {
            CommandError::Usage(format!(
                "the control log has agents known from the baseline {version}, and no store is configured that it could be \
                 read from: set baseline.store, as the other instances have it"
            ))
        })?;
        let (store, _) = Store::at(&settings.store);
        // What is missing may be on its way, to whoever shares the folder.
        let published = Published::read(&store, version)
            .map_err(|error| CommandError::Interrupted(format!("baseline.store: {error}")))?;
        let history = Arc::new(published.history);
        if history.content != content {
            return Err(CommandError::Usage(format!(
                "the baseline {version} in {} is another than the one that the control log has",
                settings.store
            )));
        }
        *read = Some(history.clone());
        Ok(history)
    }

    /// The record that has agents known from another version than the control log has, if there is one and it is time.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] where the log is to begin with it, and it cannot be read. Later that is told once, and changes
    /// nothing.
    pub fn news(
        &self,
        watch: &mut Watch,
        conductor: &Conductor,
        spread: Spread,
        now: Instant,
    ) -> Result<Option<ControlRecord>, CommandError> {
        let Some(settings) = self.settings.as_ref().filter(|_| watch.next.is_none_or(|next| next <= now)) else {
            return Ok(None);
        };
        watch.next = Some(now + settings.reload);
        let world = conductor.world();
        match self.newer(settings, conductor) {
            Ok(history) => {
                watch.told = None;
                Ok(history.map(|history| conductor.baseline(&history, Some(spread))))
            }
            Err(why) if world.baseline.is_none() && world.clock == Timestamp::MIN => Err(CommandError::Usage(why)),
            Err(why) => {
                if watch.told.as_ref() != Some(&why) {
                    tracing::warn!("{why}");
                }
                watch.told = Some(why);
                Ok(None)
            }
        }
    }

    /// Another version than the one that is known; or why it is not taken up now.
    fn newer(&self, settings: &Baseline, conductor: &Conductor) -> Result<Option<Arc<History>>, String> {
        let (store, version) = Store::at(&settings.store);
        let manifest = store.find(version).map_err(|error| format!("baseline.store: {error}"))?;
        let world = conductor.world();
        if world.baseline.as_ref().is_some_and(|known| known.version == manifest.version) {
            return Ok(None);
        }
        let last = manifest.last.unwrap_or_default();
        if !conductor.may_take_up(last) {
            return Err(format!(
                "the baseline {} waits until the stream has read what it contains, up to {last}",
                manifest.version
            ));
        }
        self.of(&manifest.version, &manifest.content).map(Some).map_err(|error| error.to_string())
    }
}

/// Whether a partition's engine has an agent.
pub fn is_at(place: i32, spread: Option<Spread>, tenant: &str, id: &str) -> bool {
    let Some(spread) = spread else { return true };
    let keyed = if spread.by_tenant { Keyed::TenantAgent } else { Keyed::Agent };
    partition_of(keyed.key(tenant, id).as_bytes(), spread.partitions) == place
}
