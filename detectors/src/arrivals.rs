//! How many agents are new in an hour: the bound that a flood of made-up ids meets.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_core::Timestamp;

/// Agents without an identity document that were let in since the clock's hour began. It turns with the first one that
/// comes in a later hour, so that it depends on events and the clock in their order alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    /// Beginning of the hour.
    pub hour: Timestamp,
    /// By tenant.
    pub tenants: BTreeMap<Arc<str>, u64>,
    /// The sum of them.
    all: u64,
    /// Whether it has changed since that was last asked.
    changed: bool,
}

impl Arrivals {
    /// What was let in in an hour.
    pub fn of(hour: Timestamp, tenants: BTreeMap<Arc<str>, u64>) -> Self {
        let all = tenants.values().fold(0u64, |sum, &more| sum.saturating_add(more));
        Self { hour, tenants, all, changed: false }
    }

    /// Lets one more in where its tenant has brought fewer than `most` in this hour, and all tenants together fewer than
    /// twice as many: one that is flooded leaves room for the others, and made-up tenants get no further than one.
    pub fn admit(&mut self, hour: Timestamp, tenant: &Arc<str>, most: usize) -> bool {
        if hour > self.hour {
            *self = Self { hour, ..Self::default() };
        }
        let (own, most) = (self.tenants.get(tenant).copied().unwrap_or(0), most as u64);
        let is_room = own < most && self.all < most.saturating_mul(2);
        if is_room {
            self.tenants.insert(tenant.clone(), own + 1);
            self.all += 1;
            self.changed = true;
        }
        is_room
    }

    /// How many of a tenant's were let in in the hour that the last one came in.
    pub fn of_tenant(&self, tenant: &str) -> u64 {
        self.tenants.get(tenant).copied().unwrap_or(0)
    }

    /// Has it count as changed.
    pub fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Whether it has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_brings_so_many_an_hour_and_all_together_twice_as_many() {
        let hour = |hours: i64| Timestamp::MIN.plus_millis(hours * 3_600_000);
        let tenants: Vec<Arc<str>> = ["a", "b", "c"].map(Into::into).to_vec();
        let mut arrivals = Arrivals::default();
        for _ in 0..2 {
            let admitted: Vec<usize> =
                tenants.iter().map(|tenant| (0..9).filter(|_| arrivals.admit(hour(5), tenant, 4)).count()).collect();
            assert!(admitted == [4, 4, 0] || admitted == [0, 0, 0], "{admitted:?}");
        }
        let kept = Arrivals::of(arrivals.hour, arrivals.tenants.clone());
        assert_eq!(Arrivals { changed: true, ..kept }, arrivals);
        assert!(!arrivals.admit(hour(4), &tenants[2], 4), "an hour that is over comes not again");
        assert!(arrivals.admit(hour(6), &tenants[2], 4));
        assert_eq!(arrivals.tenants.len(), 1);
    }
}
