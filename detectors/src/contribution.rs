//! What an engine has to say about many agents: its part of the next epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftline_core::{Categories, Epoch, GroupCounts, KeyCount, TenantCounts, Timestamp};
use hashbrown::HashMap;

use crate::agent::AgentState;
use crate::observation::Dimension;

/// The dimensions in which an agent's peers are known. Single resources are too many to tell everybody of: they are known by
/// their families.
pub(crate) const SHARED: [Dimension; 4] = [Dimension::Tool, Dimension::Family, Dimension::Network, Dimension::Client];

/// Sums over agents since the last epoch. Merging is adding, so that engines may contribute in any order and grouping.
#[derive(Debug, Clone, Default)]
pub struct Contribution {
    groups: BTreeMap<(Arc<str>, Arc<str>), GroupPart>,
    tenants: BTreeMap<Arc<str>, TenantCounts>,
    /// Whether anything was added since it was last asked.
    changed: bool,
}

#[derive(Debug, Clone, Default)]
struct GroupPart {
    agents: u64,
    tests: u64,
    keys: HashMap<(u8, u64), u32>,
}

impl GroupPart {
    /// Its categories, in order.
    fn keys(&self) -> Vec<KeyCount> {
        let keys = self.keys.iter().map(|(&(dimension, key), &agents)| KeyCount { dimension, key, agents });
        let mut keys: Vec<KeyCount> = keys.collect();
        keys.sort_unstable_by_key(|count| (count.dimension, count.key));
        keys
    }
}

/// A part of a contribution that is kept by itself.
pub(crate) enum Part<'c> {
    /// What a peer group did.
    Group { tenant: &'c str, group: &'c str, agents: u64, tests: u64, keys: Vec<KeyCount> },
    /// What was counted of a tenant.
    Tenant(&'c TenantCounts),
}

impl Contribution {
    /// An agent of a group was learned from for the first time.
    pub(crate) fn agent_learned(&mut self, tenant: &Arc<str>, group: &Arc<str>) {
        self.group(tenant, group).agents += 1;
    }

    /// So much was learned of an agent that it is a peer to others.
    pub(crate) fn peer_learned(&mut self, agent: &AgentState) {
        self.agent_learned(&agent.tenant, &agent.group);
        for dimension in SHARED {
            for &key in agent.counts(dimension).into_iter().flat_map(Categories::keys) {
                self.category_learned(&agent.tenant, &agent.group, dimension, key);
            }
        }
    }

    /// So many judgements of an agent of a group have begun.
    pub(crate) fn tests_begun(&mut self, tenant: &Arc<str>, group: &Arc<str>, tests: u64) {
        self.group(tenant, group).tests += tests;
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
            let own = self.group(&tenant, &group);
            own.agents += part.agents;
            own.tests += part.tests;
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
        let (groups, tenants) = self.into_sums();
        Epoch { number, until, groups, tenants }
    }

    /// Its sums by peer group and by tenant, in order: how it travels to whoever closes the hour.
    pub fn into_sums(self) -> (Vec<GroupCounts>, Vec<TenantCounts>) {
        let groups = self.groups.into_iter().map(|((tenant, group), part)| {
            let (agents, tests, keys) = (part.agents, part.tests, part.keys());
            GroupCounts { tenant: tenant.to_string(), group: group.to_string(), agents, tests, keys }
        });
        (groups.collect(), self.tenants.into_values().collect())
    }

    /// The contribution that has these sums.
    pub fn from_sums(groups: Vec<GroupCounts>, tenants: Vec<TenantCounts>) -> Self {
        let mut contribution = Self::default();
        for GroupCounts { tenant, group, agents, tests, keys } in groups {
            contribution.put_group(&tenant, &group, agents, tests, keys);
        }
        tenants.into_iter().for_each(|counts| contribution.put_tenant(counts));
        contribution
    }

    /// How many parts it has: peer groups and tenants.
    pub fn len(&self) -> usize {
        self.groups.len() + self.tenants.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its parts: what is merged of them is the whole.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let groups = self.groups.iter().map(|((tenant, group), part)| Part::Group {
            tenant,
            group,
            agents: part.agents,
            tests: part.tests,
            keys: part.keys(),
        });
        groups.chain(self.tenants.values().map(Part::Tenant))
    }

    /// Puts back what a peer group did.
    pub(crate) fn put_group(&mut self, tenant: &str, group: &str, agents: u64, tests: u64, keys: Vec<KeyCount>) {
        let keys = keys.into_iter().map(|count| ((count.dimension, count.key), count.agents)).collect();
        *self.group(&tenant.into(), &group.into()) = GroupPart { agents, tests, keys };
    }

    /// Puts back what was counted of a tenant.
    pub(crate) fn put_tenant(&mut self, counts: TenantCounts) {
        let tenant: Arc<str> = counts.tenant.as_str().into();
        *self.tenant(&tenant) = counts;
    }

    /// Takes a peer group out.
    pub(crate) fn remove_group(&mut self, tenant: &str, group: &str) {
        self.groups.remove(&(tenant.into(), group.into()));
        self.changed = true;
    }

    /// Takes a tenant out.
    pub(crate) fn remove_tenant(&mut self, tenant: &str) {
        self.tenants.remove(tenant);
        self.changed = true;
    }

    /// Has it count as changed.
    pub(crate) fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Whether it has changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn group(&mut self, tenant: &Arc<str>, group: &Arc<str>) -> &mut GroupPart {
        self.changed = true;
        self.groups.entry((tenant.clone(), group.clone())).or_default()
    }

    fn tenant(&mut self, tenant: &Arc<str>) -> &mut TenantCounts {
        self.changed = true;
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
            match act % 5 {
                4 => contribution.tests_begun(&tenant, &group, 1 + key),
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
            a in prop::collection::vec((0u8..5, 0u8..3, 0u64..60), 0..60),
            b in prop::collection::vec((0u8..5, 0u8..3, 0u64..60), 0..60),
        ) {
            let whole = contribution(&[a.clone(), b.clone()].concat()).into_epoch(0, Timestamp::MIN);
            let mut ab = contribution(&a);
            ab.merge(contribution(&b));
            let mut ba = contribution(&b);
            ba.merge(contribution(&a));
            prop_assert_eq!(ab.into_epoch(0, Timestamp::MIN), whole.clone());
            prop_assert_eq!(ba.into_epoch(0, Timestamp::MIN), whole);
        }

        #[test]
        fn sums_are_all_there_is_to_it(acts in prop::collection::vec((0u8..5, 0u8..3, 0u64..60), 0..60)) {
            let (groups, tenants) = contribution(&acts).into_sums();
            let again = Contribution::from_sums(groups, tenants);
            prop_assert_eq!(again.is_empty(), acts.is_empty());
            prop_assert_eq!(again.into_epoch(0, Timestamp::MIN), contribution(&acts).into_epoch(0, Timestamp::MIN));
        }
    }
}
