//! All that an agent's own events do not say, as of one place in the control log.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_core::{Change, Contained, ControlRecord, Epoch, Settings, TenantCounts, Timestamp};

use crate::agent::AgentState;
use crate::budget::Budget;
use crate::neighbours::Neighbours;
use crate::registry::Registry;

/// How many of a tenant's agents are known to have an identity document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Agents that have one.
    pub registered: u64,
    /// Agents that have none.
    pub unregistered: u64,
    /// How many had none when they were last listed in a finding.
    pub listed: u64,
    /// The epoch of that finding.
    pub listed_in: Option<u64>,
    /// Events of agents that found no room.
    pub flood: Flood,
}

impl Coverage {
    /// The share that has one; `None` before any agent was counted.
    pub fn share(self) -> Option<f64> {
        let all = self.registered + self.unregistered;
        (all > 0).then(|| self.registered as f64 / all as f64)
    }
}

/// Events of agents that found no room, and when that was told. One finding tells of a flood; another only after a day, if
/// it has grown to ten times what was told. It is over when none came for a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flood {
    /// Events so far.
    pub events: u64,
    /// How many there were when it was last told.
    pub told: u64,
    /// The epoch in which it was.
    pub told_in: Option<u64>,
    /// That epoch's end.
    told_at: Timestamp,
    /// End of the last epoch in which there were any.
    last: Timestamp,
}

impl Flood {
    const DAY_MILLIS: i64 = 24 * 3_600_000;

    fn fold(&mut self, turned_away: u64, epoch: &Epoch) {
        if turned_away == 0 {
            return;
        }
        if epoch.until.since(self.last) > Self::DAY_MILLIS {
            *self = Self::default();
        }
        self.last = epoch.until;
        self.events = self.events.saturating_add(turned_away);
        let again = self.events / 10 >= self.told && epoch.until.since(self.told_at) >= Self::DAY_MILLIS;
        if self.told == 0 || again {
            (self.told, self.told_in, self.told_at) = (self.events, Some(epoch.number), epoch.until);
        }
    }
}

/// The published baseline that agents are known from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The version's name in its store.
    pub version: String,
    /// What of the stream it contains.
    pub contained: Contained,
    /// Whether the log begins with it: no engine has heard of any agent before.
    pub is_first: bool,
}

/// Settings, identity documents, clock and neighbours: the fold of the control log up to a record.
///
/// A clone is cheap: it shares what it holds, and folding on copies only what changes. So one fold serves all engines.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Records folded so far; the number that the next one must have.
    pub next: u64,
    /// Event time for everybody: no timer past it has yet to fire.
    pub clock: Timestamp,
    /// The settings that decide.
    pub settings: Arc<Settings>,
    /// Identity documents.
    pub registry: Arc<Registry>,
    /// Peer groups and fleets.
    pub neighbours: Arc<Neighbours>,
    /// How many judgements a day brings.
    pub budget: Arc<Budget>,
    /// By tenant.
    pub coverage: Arc<BTreeMap<String, Coverage>>,
    /// The published baseline that was taken up last.
    pub baseline: Option<Arc<Known>>,
}

/// A control record that is not the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "control record {found} where {expected} should be: the log must be read whole and in order (is it another run's, or cut off at the front?)"
)]
pub struct OutOfOrder {
    /// The number that should be next.
    pub expected: u64,
    /// The number of the record.
    pub found: u64,
}

impl World {
    /// Takes up the next record.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] where the record is not the next one; nothing is changed then.
    pub fn fold(&mut self, record: &ControlRecord) -> Result<(), OutOfOrder> {
        if record.number != self.next {
            return Err(OutOfOrder { expected: self.next, found: record.number });
        }
        self.next += 1;
        match &record.change {
            Change::Settings { settings } => self.settings = Arc::new(settings.clone()),
            Change::Identity { document } => Arc::make_mut(&mut self.registry).insert((**document).clone()),
            Change::IdentityRemoved { tenant, id } => {
                Arc::make_mut(&mut self.registry).remove(tenant.as_deref(), id);
            }
            Change::Clock { clock } => self.clock = self.clock.max(*clock),
            Change::Epoch { epoch } => self.fold_epoch(epoch),
            Change::Baseline { version, epoch, contained, .. } => {
                let (version, contained) = (version.clone(), contained.clone());
                self.baseline = Some(Arc::new(Known { version, contained, is_first: epoch.is_some() }));
                epoch.iter().for_each(|epoch| self.fold_epoch(epoch));
            }
        }
        Ok(())
    }

    fn fold_epoch(&mut self, epoch: &Epoch) {
        Arc::make_mut(&mut self.neighbours).fold(epoch);
        Arc::make_mut(&mut self.budget).fold(epoch);
        let coverage = Arc::make_mut(&mut self.coverage);
        for counts in &epoch.tenants {
            let tenant = coverage.entry(counts.tenant.clone()).or_default();
            tenant.registered += counts.registered;
            tenant.flood.fold(counts.turned_away, epoch);
            if counts.turned_away > 0 {
                // Those without a document are of the flood, which is told of. Were they counted, made-up ids could have a
                // tenant pass for one that registers few, whose shadow agents are not told of one by one.
                continue;
            }
            tenant.unregistered += counts.unregistered;
            // One finding says that a tenant's agents are not registered; another only once there are twice as many. Where
            // nearly all are registered, so many new ones in an hour that not each was told of by itself.
            let is_news = tenant.unregistered > 0 && tenant.unregistered >= 2 * tenant.listed;
            let are_many = counts.unregistered > TenantCounts::SAMPLE as u64;
            let share = tenant.share().unwrap_or(1.0);
            if if share < self.settings.registration_share { is_news } else { are_many } {
                (tenant.listed, tenant.listed_in) = (tenant.unregistered, Some(epoch.number));
            }
        }
    }

    /// A hash of the settings in force, in 16 hexadecimal digits.
    pub fn settings_hash(&self) -> String {
        let text = serde_json::to_string(&*self.settings).unwrap_or_default();
        format!("{:016x}", driftline_core::key(25, [&text, ""]))
    }

    /// The level that an agent is judged at: evidence is alerted on that an honest session, or hour, would give with at most
    /// this probability.
    pub fn level(&self, agent: &AgentState) -> f64 {
        self.budget.level_of(&self.settings, agent)
    }

    /// Whether a tenant has registered so many of its agents that one without an identity document stands out.
    pub fn is_registered(&self, tenant: &str) -> bool {
        self.coverage
            .get(tenant)
            .and_then(|coverage| coverage.share())
            .is_some_and(|share| share >= self.settings.registration_share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_folded_in_order_only() {
        let mut world = World::default();
        let clock = |number, millis| {
            ControlRecord::new(number, Change::Clock { clock: Timestamp::from_millis(millis).unwrap() })
        };
        world.fold(&clock(0, 500)).unwrap();
        assert_eq!(world.fold(&clock(0, 900)), Err(OutOfOrder { expected: 1, found: 0 }));
        world.fold(&clock(1, 400)).unwrap();
        assert_eq!(world.clock.millis(), 500, "the clock never goes back");
    }

    #[test]
    fn a_snapshot_keeps_what_it_held() {
        let mut world = World::default();
        let snapshot = world.clone();
        let document = Box::new(driftline_core::IdentityDocument { id: "a".into(), ..Default::default() });
        world.fold(&ControlRecord::new(0, Change::Identity { document })).unwrap();
        assert!(snapshot.registry.is_empty());
        assert_eq!(world.registry.len(), 1);
    }

    #[test]
    fn a_flood_is_told_once_unless_it_grows_for_days_or_another_comes() {
        let mut world = World::default();
        let mut told = Vec::new();
        // Hours, and events turned away in them.
        let steps = [(1, 5), (2, 1_000_000), (3, 0), (20, 10_000_000), (26, 1), (49, 1), (60, 3), (90, 2), (91, 50)];
        for (hour, turned_away) in steps {
            let tenant = TenantCounts { tenant: "t".into(), turned_away, unregistered: 9, ..TenantCounts::default() };
            let (number, until) =
                (hour, Timestamp::MIN.plus_millis(1_000 * Flood::DAY_MILLIS + hour as i64 * 3_600_000));
            let epoch = Epoch { number, until, tenants: vec![tenant], ..Epoch::default() };
            world.fold(&ControlRecord::new(world.next, Change::Epoch { epoch })).unwrap();
            if world.coverage["t"].flood.told_in == Some(number) {
                told.push(hour);
            }
        }
        assert_eq!(told, [1, 26, 90]);
        assert_eq!(world.coverage["t"].unregistered, 9, "what comes with a flood says nothing of the tenant's agents");
    }
}
