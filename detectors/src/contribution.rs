//! What an engine has to say about many agents: its part of the next epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_core::{Epoch, GroupCounts, KeyCount, TenantCounts, Timestamp};
use hashbrown::HashMap;

use crate::observation::Dimension;

/// Sums over agents since the last epoch. Merging is adding, so that engines may contribute in any order and grouping.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contribution {
    groups: BTreeMap<(Arc<str>, Arc<str>), GroupPart>,
    tenants: BTreeMap<Arc<str>, TenantCounts>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct GroupPart {
    agents: u64,
    keys: HashMap<(u8, u64), u32>,
}

impl Contribution {
    /// An agent of a group was learned from for the first time.
    pub(crate) fn agent_learned(&mut self, tenant: &Arc<str>, group: &Arc<str>) {
        self.group(tenant, group).agents += 1;
    }

    /// An agent of a group used a category for the first time.
    pub(crate) fn category_learned(&mut self, tenant: &Arc<str>, group: &Arc<str>, dimension: Dimension, key: u64) {
        *self.group(tenant, group).keys.entry((dimension as u8, key)).or_default() += 1;
    }

    /// An agent was seen for the first time.
    pub(crate) fn agent_seen(&mut self, tenant: &Arc<str>, id: &str, registered: bool) {
        let counts = self.tenant(tenant);
        if registered {
            counts.registered += 1;
        } else {
            counts.unregistered += 1;
            sample(&mut counts.sample, id);
        }
    }

    /// An agent found no room.
    pub(crate) fn agent_turned_away(&mut self, tenant: &Arc<str>) {
        self.tenant(tenant).turned_away += 1;
    }

    /// Adds another engine's part.
    pub fn merge(&mut self, other: Self) {
        for ((tenant, group), part) in other.groups {
            let own = self.groups.entry((tenant, group)).or_default();
            own.agents += part.agents;
            for (key, agents) in part.keys {
                *own.keys.entry(key).or_default() += agents;
            }
        }
        for (tenant, counts) in other.tenants {
            let own = self.tenant(&tenant);
            own.registered += counts.registered;
            own.unregistered += counts.unregistered;
            own.turned_away += counts.turned_away;
            counts.sample.iter().for_each(|id| sample(&mut own.sample, id));
        }
    }

    /// The epoch that the sums make, everything in it in order.
    pub fn into_epoch(self, number: u64, until: Timestamp) -> Epoch {
        let groups = self.groups.into_iter().map(|((tenant, group), part)| {
            let mut keys: Vec<KeyCount> =
                part.keys.into_iter().map(|((dimension, key), agents)| KeyCount { dimension, key, agents }).collect();
            keys.sort_unstable_by_key(|count| (count.dimension, count.key));
            GroupCounts { tenant: tenant.to_string(), group: group.to_string(), agents: part.agents, keys }
        });
        Epoch { number, until, groups: groups.collect(), tenants: self.tenants.into_values().collect() }
    }

    fn group(&mut self, tenant: &Arc<str>, group: &Arc<str>) -> &mut GroupPart {
        self.groups.entry((tenant.clone(), group.clone())).or_default()
    }

    fn tenant(&mut self, tenant: &Arc<str>) -> &mut TenantCounts {
        self.tenants
            .entry(tenant.clone())
            .or_insert_with(|| TenantCounts { tenant: tenant.to_string(), ..TenantCounts::default() })
    }
}

/// Keeps the least ids, in order.
fn sample(kept: &mut Vec<String>, id: &str) {
    let at = kept.partition_point(|known| known.as_str() < id);
    if at < TenantCounts::SAMPLE && kept.get(at).is_none_or(|known| known != id) {
        kept.insert(at, id.to_owned());
        kept.truncate(TenantCounts::SAMPLE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contribution(acts: &[(u8, u8, u64)]) -> Contribution {
        let mut contribution = Contribution::default();
        let tenant: Arc<str> = "t".into();
        for &(act, group, key) in acts {
            let group: Arc<str> = group.to_string().into();
            match act % 4 {
                0 => contribution.agent_learned(&tenant, &group),
                1 => contribution.category_learned(&tenant, &group, Dimension::Tool, key),
                2 => contribution.agent_seen(&tenant, &key.to_string(), key % 3 == 0),
                _ => contribution.agent_turned_away(&tenant),
            }
        }
        contribution
    }

    proptest! {
        #[test]
        fn the_order_of_contributions_does_not_matter(
            a in prop::collection::vec((0u8..4, 0u8..3, 0u64..60), 0..60),
            b in prop::collection::vec((0u8..4, 0u8..3, 0u64..60), 0..60),
        ) {
            let whole = contribution(&[a.clone(), b.clone()].concat()).into_epoch(0, Timestamp::MIN);
            let mut ab = contribution(&a);
            ab.merge(contribution(&b));
            let mut ba = contribution(&b);
            ba.merge(contribution(&a));
            prop_assert_eq!(ab.into_epoch(0, Timestamp::MIN), whole.clone());
            prop_assert_eq!(ba.into_epoch(0, Timestamp::MIN), whole);
        }
    }
}
