//! How an instance stands to the control log: where it leads it decrees, else it tells the leader how far it has come, and
//! takes up what was decreed.

use std::collections::BTreeMap;
use std::time::Instant;

use driftline_core::{Change, ControlRecord, Settings, Timestamp};
use driftline_detectors::Contribution;
use driftline_ingest::Source;
use driftline_ingest::kafka::OutRecord;

use super::{Input, Scorer};
use crate::commands::CommandError;
use crate::intake::Rules;
use crate::run::control_log::positions;
use crate::run::shared::{Progress, event_time};

impl Scorer<'_> {
    /// Tells the clock and closes the hour where this instance leads; where it does not, it takes up what the leader has
    /// decreed, and tells of partitions that have come to their end.
    pub(super) fn advance(&mut self) -> Result<(), CommandError> {
        if !self.is_leader() {
            self.follow()?;
            self.tell_of_ends();
            return Ok(());
        }
        let Some(clock) = self.clock()? else { return Ok(()) };
        self.decree(clock)?;
        if self.conductor.hour_is_over() {
            let contributed = self.contributed()?;
            let epoch = self.conductor.epoch(contributed);
            self.decree(epoch)?;
        }
        Ok(())
    }

    /// Where partitions have come to an end and nothing else is to be committed, has a commit tell of it.
    fn tell_of_ends(&mut self) {
        if !self.work.is_empty() {
            // The next commit tells.
            return;
        }
        let progress = self.progress();
        if let Some(topics) = self.topics.as_mut().filter(|topics| topics.told.is_behind(&progress)) {
            self.work.records.extend(topics.told.news(&topics.shared, progress));
        }
    }

    /// How far the partitions have come that this instance has.
    fn progress(&mut self) -> BTreeMap<i32, Progress> {
        let owners = self.owners.iter().map(|(place, owner)| (*place, owner.highest));
        let mut progress: BTreeMap<i32, (Timestamp, Option<BTreeMap<String, i64>>)> =
            owners.map(|(place, highest)| (place, (highest, Some(BTreeMap::new())))).collect();
        for partition in self.next.keys() {
            let end = match &mut self.input {
                Input::Kafka(source) => source.log_end(partition).filter(|end| end.reached),
                Input::Files(_) => None,
            };
            let Some((_, ends)) = progress.get_mut(&partition.partition) else { continue };
            match (end, ends.as_mut()) {
                (Some(end), Some(ends)) => drop(ends.insert(partition.to_string(), end.offset)),
                _ => *ends = None,
            }
        }
        let told = progress.into_iter();
        told.map(|(place, (highest, ends))| (place, Progress { highest, ends: ends.unwrap_or_default() })).collect()
    }

    /// The clock record that is due, by how far event time has come over all partitions of the source, whoever has them.
    fn clock(&mut self) -> Result<Option<ControlRecord>, CommandError> {
        let own = self.progress();
        let own = own.into_iter().map(|(place, progress)| (place, (progress.highest, progress.is_at_end())));
        let own: BTreeMap<i32, (Timestamp, bool)> = own.collect();
        let Some(topics) = &mut self.topics else {
            return Ok(event_time(own.into_values().map(Some)).and_then(|highest| self.conductor.clock(highest)));
        };
        // Partitions that are on their way here hold the clock: their events would all be late.
        if !topics.takeovers.is_empty() {
            return Ok(None);
        }
        let Some(others) = &mut topics.told_by_others else { return Ok(None) };
        others.follow()?;
        let places = 0..topics.placement.partitions;
        let clock = |is_at_end: &dyn Fn(i32, &Progress) -> bool| {
            let told = |place| {
                let others = || others.progress(place).map(|it| (it.highest, is_at_end(place, it)));
                own.get(&place).copied().or_else(others)
            };
            event_time(places.clone().map(told)).and_then(|highest| self.conductor.clock(highest))
        };
        if clock(&|_, told| told.is_at_end()).is_none() {
            return Ok(None);
        }
        let elsewhere = places.clone().filter(|place| !own.contains_key(place)).collect();
        match others.still_at_end(&elsewhere, [&topics.placement.topic, &topics.placement.internal]) {
            Ok(still) => Ok(clock(&|place, _| still.contains(&place))),
            Err(error) => {
                tracing::warn!("the clock waits: {error}");
                Ok(None)
            }
        }
    }

    /// All that the next epoch is made of: what others have told, which goes out of the table with it, and what the engines
    /// here have gathered.
    fn contributed(&mut self) -> Result<Contribution, CommandError> {
        let mut contributed = Contribution::default();
        if let Some(table) = self.topics.as_mut().and_then(|topics| topics.told_by_others.as_mut()) {
            table.follow()?;
            let (others, tombstones) = table.take_contributions();
            contributed.merge(others);
            self.work.records.extend(tombstones);
        }
        for owner in self.owners.values_mut() {
            contributed.merge(owner.engine.take_contribution());
        }
        Ok(contributed)
    }

    /// What goes with a commit of an instance that does not lead: how far it has come, and its part of the next epoch.
    pub(super) fn tell_the_leader(&mut self) -> Vec<OutRecord> {
        if self.is_leader() {
            return Vec::new();
        }
        let progress = self.progress();
        let control = self.conductor.world().next;
        let Some(topics) = &mut self.topics else { return Vec::new() };
        let mut records: Vec<OutRecord> = topics.told.news(&topics.shared, progress).collect();
        for (place, owner) in &mut self.owners {
            let contribution = owner.engine.take_contribution();
            if contribution.is_empty() {
                continue;
            }
            // Between two commits an engine has taken an event or a control record, or it has nothing to contribute.
            let of_place = self.next.iter().filter(|(partition, _)| partition.partition == *place);
            let offsets: Vec<String> = of_place.map(|(_, next)| next.to_string()).collect();
            let at = format!("{control}/{}", offsets.join("/"));
            records.push(topics.shared.contribution(*place, &at, contribution));
        }
        records
    }

    /// Makes a control record hold from here on, and has it written with the positions that it holds from.
    fn decree(&mut self, mut record: ControlRecord) -> Result<(), CommandError> {
        record.positions = positions(&self.next);
        self.apply(&record, true)?;
        match &self.topics {
            Some(topics) => self.work.records.push(topics.control_log.encode(&record)),
            None => self.work.kept.control.push(record),
        }
        Ok(())
    }

    fn apply(&mut self, record: &ControlRecord, raise: bool) -> Result<(), CommandError> {
        let (control, about_many) =
            self.conductor.fold(record).map_err(|error| CommandError::Failed(format!("the control log: {error}")))?;
        for (place, owner) in &mut self.owners {
            owner.engine.apply(&control);
            self.baselines.give(&mut owner.engine, record, *place)?;
            self.work.alerts.extend(owner.engine.take_alerts());
        }
        if raise {
            self.work.alerts.extend(about_many);
        }
        if let Some(topics) = &mut self.topics {
            topics.takeovers.applied(record, raise);
        }
        let kind = match &record.change {
            Change::Settings { settings } => {
                self.rules = Rules::new(self.rules.decoder, settings);
                "settings"
            }
            Change::Identity { .. } | Change::IdentityRemoved { .. } => "identity",
            Change::Clock { .. } => "clock",
            Change::Baseline { .. } => "baseline",
            Change::Epoch { epoch } => {
                self.service.metrics.epoch.set(i64::try_from(epoch.number).unwrap_or(i64::MAX));
                "epoch"
            }
        };
        self.service.metrics.control_records(kind).inc();
        Ok(())
    }

    /// Takes up what others have written to the control log, and notes from where it holds here.
    pub(super) fn follow(&mut self) -> Result<(), CommandError> {
        let from = self.conductor.world().next;
        let Some(topics) = &mut self.topics else { return Ok(()) };
        for record in topics.control_log.read()? {
            // What this instance wrote comes back to it.
            if record.number >= self.conductor.world().next {
                self.apply(&record, false)?;
            }
        }
        let until = self.conductor.world().next;
        if let Some(topics) = self.topics.as_ref().filter(|_| !self.next.is_empty()) {
            self.work.records.extend(topics.note(from, until, positions(&self.next)));
        }
        Ok(())
    }

    /// What a leader sees to first: that the settings and documents in force are those of its configuration.
    pub(super) fn lead(&mut self, settings: &Settings) -> Result<(), CommandError> {
        if self.conductor.world().next == 0 || *self.conductor.world().settings != *settings {
            let record = self.conductor.record(Change::Settings { settings: settings.clone() });
            self.decree(record)?;
        }
        self.reload_identities()?;
        self.reload_baseline()
    }

    /// Has agents known from the baseline that is in force in the store, where that is another than before.
    pub(super) fn reload_baseline(&mut self) -> Result<(), CommandError> {
        let Some(topics) = &self.topics else { return Ok(()) };
        let spread = topics.placement.spread();
        if let Some(record) = self.baselines.news(&mut self.watch, &self.conductor, spread, Instant::now())? {
            self.decree(record)?;
        }
        Ok(())
    }

    pub(super) fn reload_identities(&mut self) -> Result<(), CommandError> {
        let Some(folder) = &mut self.identities else { return Ok(()) };
        let changes = folder.changes(&self.conductor.world().registry, Instant::now());
        for change in changes {
            let record = self.conductor.record(change);
            self.decree(record)?;
        }
        Ok(())
    }
}
