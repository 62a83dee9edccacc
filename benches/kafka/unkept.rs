//! What it takes to read, decode and score the topic where nothing of it is kept: no position, no alert, no state. What
//! `driftline run` takes beyond that is what its promise costs.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use driftline::config::identities;
use driftline_core::{Change, Event, Limits, Settings, Timestamp};
use driftline_detectors::{Conductor, Contribution, Control, Engine};
use driftline_ingest::PartitionBatch;
use driftline_ingest::testing::Broker;
use rayon::prelude::*;

use crate::{PARTITIONS, drain};

/// The engines, each with the highest event time that it has seen.
struct Scoring {
    owners: BTreeMap<i32, (Engine, Timestamp)>,
    conductor: Conductor,
    limits: Limits,
}

/// Scores the whole topic as a new group, partitions side by side as the program does it.
pub fn time(broker: &Broker, topic: &str, events: u64, folder: &Path) -> Result<Duration, Box<dyn Error>> {
    let mut scoring = Scoring::new(&folder.join("identities"))?;
    drain::time_batches(broker, topic, events, |batches| scoring.take(batches))
}

impl Scoring {
    fn new(identities: &Path) -> Result<Self, Box<dyn Error>> {
        let mut conductor = Conductor::default();
        let settings = Change::Settings { settings: Settings::default() };
        let documents = identities::read(identities).documents.into_iter();
        let documents = documents.map(|(_, document)| Change::Identity { document: Box::new(document) });
        for change in std::iter::once(settings).chain(documents) {
            let record = conductor.record(change);
            conductor.fold(&record)?;
        }
        let owner = |place| (place, (Engine::new(conductor.world().clone()), Timestamp::MIN));
        Ok(Self { owners: (0..PARTITIONS).map(owner).collect(), conductor, limits: Limits::default() })
    }

    fn take(&mut self, batches: Vec<PartitionBatch>) -> Result<u64, Box<dyn Error>> {
        let mut batches_of: BTreeMap<i32, Vec<PartitionBatch>> = BTreeMap::new();
        for batch in batches {
            batches_of.entry(batch.partition.partition).or_default().push(batch);
        }
        let limits = &self.limits;
        let side_by_side: Vec<_> =
            self.owners.iter_mut().filter_map(|(place, owner)| Some((owner, batches_of.remove(place)?))).collect();
        let good = side_by_side
            .into_par_iter()
            .map(|((engine, highest), batches)| {
                let mut good = 0;
                for record in batches.iter().flat_map(|batch| batch.iter()) {
                    if let Ok(event) = Event::decode(record.value, limits) {
                        *highest = (*highest).max(event.time);
                        engine.observe(&event);
                        good += 1;
                    }
                }
                drop(engine.take_alerts());
                good
            })
            .sum();
        self.advance()?;
        Ok(good)
    }

    /// Tells the clock and closes the hour.
    fn advance(&mut self) -> Result<(), Box<dyn Error>> {
        let reached = self.owners.values().map(|(_, highest)| *highest).min().unwrap_or(Timestamp::MIN);
        if reached == Timestamp::MIN {
            return Ok(());
        }
        let Some(clock) = self.conductor.clock(reached) else { return Ok(()) };
        let (control, _) = self.conductor.fold(&clock)?;
        self.apply(&control);
        if self.conductor.hour_is_over() {
            let mut contributed = Contribution::default();
            self.owners.values_mut().for_each(|(engine, _)| contributed.merge(engine.take_contribution()));
            let epoch = self.conductor.epoch(contributed);
            let (control, _) = self.conductor.fold(&epoch)?;
            self.apply(&control);
        }
        Ok(())
    }

    fn apply(&mut self, control: &Control) {
        for (engine, _) in self.owners.values_mut() {
            engine.apply(control);
            drop(engine.take_alerts());
        }
    }
}
