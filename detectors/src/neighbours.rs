//! What an agent's peers and the fleet do, as of the last epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftline_core::{Epoch, KeyCount};
use hashbrown::HashMap;

use crate::pitman_yor::Level;

/// Most categories of one dimension that are kept of one group. A resource that one agent of a large group touched once
/// tells nothing of its peers, so past this only known categories are counted on.
const CATEGORIES: usize = 16_384;
/// Most groups that are kept, all tenants' together: events may name any. The agents of further ones are compared with
/// their fleet.
const GROUPS: usize = 16_384;

/// Of how many agents each category is known: one level of the back-off.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    agents: HashMap<u64, u32>,
    total: f64,
    /// `up_to[n]`: sum of the counts that are at most `n`, so that no score needs a pass; the last one holds for all
    /// larger `n`.
    up_to: Vec<f64>,
    once: f64,
    twice: f64,
}

impl Usage {
    fn add(&mut self, key: u64, agents: u32) {
        if self.agents.len() < CATEGORIES || self.agents.contains_key(&key) {
            *self.agents.entry(key).or_default() += agents;
        }
    }

    fn derive(&mut self) {
        // Counts above this are common whatever they are exactly.
        const MOST: usize = 4096;
        let mut sums = vec![0u64; MOST + 1];
        let (mut once, mut twice, mut most) = (0u32, 0u32, 0);
        for &count in self.agents.values() {
            let bucket = (count as usize).min(MOST);
            sums[bucket] += u64::from(count);
            once += u32::from(count == 1);
            twice += u32::from(count == 2);
            most = most.max(bucket);
        }
        (self.once, self.twice) = (f64::from(once), f64::from(twice));
        let mut sum = 0;
        self.up_to = sums[..=most]
            .iter()
            .map(|&more| {
                sum += more;
                sum as f64
            })
            .collect();
        self.total = sum as f64;
    }

    /// Agents that use a category.
    pub fn agents(&self, key: u64) -> u32 {
        self.agents.get(&key).copied().unwrap_or(0)
    }
}

impl Level for Usage {
    fn total(&self) -> f64 {
        self.total
    }

    fn distinct(&self) -> f64 {
        self.agents.len() as f64
    }

    fn rare(&self) -> (f64, f64) {
        (self.once, self.twice)
    }

    fn count(&self, key: u64) -> u32 {
        self.agents(key)
    }

    fn total_up_to(&self, count: u32) -> f64 {
        self.up_to.get(count as usize).or(self.up_to.last()).copied().unwrap_or(0.0)
    }
}

/// A group of agents, by dimension.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Agents that were learned from.
    pub agents: u64,
    dimensions: BTreeMap<u8, Usage>,
}

impl Group {
    /// What its agents use in one dimension.
    pub fn usage(&self, dimension: u8) -> Option<&Usage> {
        self.dimensions.get(&dimension)
    }

    fn add(&mut self, agents: u64, keys: &[KeyCount]) {
        self.agents += agents;
        for count in keys {
            self.dimensions.entry(count.dimension).or_default().add(count.key, count.agents);
        }
    }

    fn derive(&mut self) {
        self.dimensions.values_mut().for_each(Usage::derive);
    }
}

/// All peer groups, and the fleet of each tenant.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// By [`group_key`]; the fleet of a tenant is the group with no name.
    groups: HashMap<u64, Arc<Group>>,
}

impl Neighbours {
    /// Adds an epoch's counts.
    pub fn fold(&mut self, epoch: &Epoch) {
        let mut changed = BTreeSet::new();
        for counts in &epoch.groups {
            for name in [counts.group.as_str(), FLEET] {
                let key = group_key(&counts.tenant, name);
                if self.groups.len() < GROUPS || self.groups.contains_key(&key) {
                    Arc::make_mut(self.groups.entry(key).or_default()).add(counts.agents, &counts.keys);
                    changed.insert(key);
                }
                if counts.group == FLEET {
                    break;
                }
            }
        }
        for key in changed {
            if let Some(group) = self.groups.get_mut(&key) {
                Arc::make_mut(group).derive();
            }
        }
    }

    /// A group by its key; `None` before its first epoch.
    pub fn group(&self, key: u64) -> Option<&Group> {
        self.groups.get(&key).map(Arc::as_ref)
    }
}

/// The name of the group that a tenant's agents without a peer group are in, and all its other agents too.
pub const FLEET: &str = "";

/// The key of a tenant's peer group, or of its [`FLEET`].
pub fn group_key(tenant: &str, group: &str) -> u64 {
    driftline_core::key(u8::MAX, [tenant, group])
}

#[cfg(test)]
mod tests {
    use driftline_core::GroupCounts;

    use super::*;

    fn epoch(group: &str, agents: u64, keys: &[(u64, u32)]) -> Epoch {
        let keys = keys.iter().map(|&(key, agents)| KeyCount { dimension: 0, key, agents }).collect();
        Epoch {
            groups: vec![GroupCounts {
                tenant: "t".into(),
                group: group.into(),
                agents,
                keys,
                ..GroupCounts::default()
            }],
            ..Epoch::default()
        }
    }

    #[test]
    fn a_groups_counts_reach_the_fleet() {
        let mut neighbours = Neighbours::default();
        neighbours.fold(&epoch("a", 3, &[(1, 3), (2, 1)]));
        neighbours.fold(&epoch("b", 2, &[(1, 2)]));
        let usage = |group| neighbours.group(group_key("t", group)).and_then(|g| g.usage(0)).unwrap();
        assert_eq!((usage("a").agents(1), usage("b").agents(1), usage(FLEET).agents(1)), (3, 2, 5));
        assert_eq!(neighbours.group(group_key("t", FLEET)).unwrap().agents, 5);
        assert!(neighbours.group(group_key("other", FLEET)).is_none());
    }

    #[test]
    fn the_prefix_sums_are_what_a_pass_would_find() {
        let mut neighbours = Neighbours::default();
        neighbours.fold(&epoch("a", 9, &[(1, 9), (2, 1), (3, 1), (4, 5_000)]));
        let usage = neighbours.group(group_key("t", "a")).and_then(|g| g.usage(0)).unwrap();
        assert_eq!((usage.total_up_to(1), usage.total_up_to(8), usage.total_up_to(9)), (2.0, 2.0, 11.0));
        assert_eq!(usage.rare(), (2.0, 0.0));
        assert_eq!(usage.total(), 5_011.0);
        assert!(usage.tail(4, || 1.0) > 0.99);
    }
}
