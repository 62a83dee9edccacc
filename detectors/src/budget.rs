//! How improbable evidence must be for an alert, so that a day's false ones stay within what is acceptable.
//!
//! Every judgement that begins (of a session's novelty, of what a session does about its request, of an hour's pace) ends in
//! a false alert with at most the probability of the level. By adding these up, a day of `n` judgements has at most
//! `n` × level false alerts expected, whatever they have to do with each other: the level is the budget divided by the
//! judgements that a day brings. Epochs count these, so the level changes with epochs only, and is the same wherever the
//! same control log is read.

use std::collections::VecDeque;

use driftline_core::{BudgetScope, Epoch, Settings};
use hashbrown::HashMap;

use crate::agent::AgentState;
use crate::decision::DEFAULT_LEVEL;
use crate::neighbours::{FLEET, group_key};

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// Days that are remembered: a week has its rhythm, and its busiest day comes again.
const DAYS: usize = 8;
/// What comes in more than one of so many honest sessions is no news, however large the budget.
const LOOSEST: f64 = 1.0 / 100.0;
/// Most scopes that are kept, since events may name any peer group. Agents of further ones share their tenant's budget.
const SCOPES: usize = 16_384;
/// The key of the whole fleet's scope.
const ALL: u64 = 0;

/// Judgements by scope and day, as of the last epoch.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    /// Hours that epochs have closed.
    hours: u64,
    scopes: HashMap<u64, Days>,
}

/// Judgements of the last days on which there were any, the present one last.
#[derive(Debug, Clone, Default)]
struct Days {
    each: VecDeque<(i64, u64)>,
    /// The most in a day: asked for at each event, and changed by epochs only.
    busiest: u64,
}

impl Days {
    fn add(&mut self, day: i64, tests: u64) {
        match self.each.back_mut() {
            Some((last, sum)) if *last == day => *sum += tests,
            _ => self.each.push_back((day, tests)),
        }
        while self.each.front().is_some_and(|(first, _)| *first + DAYS as i64 <= day) {
            self.each.pop_front();
        }
        self.busiest = self.each.iter().map(|(_, tests)| *tests).max().unwrap_or(0);
    }
}

impl Budget {
    /// Adds an epoch's counts.
    pub(crate) fn fold(&mut self, epoch: &Epoch) {
        self.hours += 1;
        let day = epoch.until.plus_millis(-HOUR_MILLIS).millis().div_euclid(DAY_MILLIS);
        for counts in epoch.groups.iter().filter(|counts| counts.tests > 0) {
            let (tenant, group) = (group_key(&counts.tenant, FLEET), group_key(&counts.tenant, &counts.group));
            // A tenant's agents without a peer group are in no scope of their own.
            for key in [Some(ALL), Some(tenant), (group != tenant).then_some(group)].into_iter().flatten() {
                if self.scopes.len() < SCOPES || self.scopes.contains_key(&key) {
                    self.scopes.entry(key).or_default().add(day, counts.tests);
                }
            }
        }
    }

    /// The level that a session or an hour of this agent is judged at.
    pub fn level_of(&self, settings: &Settings, agent: &AgentState) -> f64 {
        self.level(settings, || match settings.budget_scope {
            BudgetScope::Fleet => ALL,
            BudgetScope::Group if self.scopes.contains_key(&agent.group_key) => agent.group_key,
            BudgetScope::Tenant | BudgetScope::Group => agent.fleet_key,
        })
    }

    /// The least level that any agent is judged at.
    pub fn least_level(&self, settings: &Settings) -> f64 {
        self.scopes.keys().map(|&key| self.level(settings, || key)).fold(self.level(settings, || ALL), f64::min)
    }

    fn level(&self, settings: &Settings, scope: impl Fn() -> u64) -> f64 {
        let Some(budget) = settings.alert_budget.filter(|_| settings.level.is_none()) else {
            return settings.level.unwrap_or(DEFAULT_LEVEL);
        };
        let a_day = self.scopes.get(&scope()).map_or(0, |days| days.busiest).max(1);
        let level = budget / a_day as f64;
        // Before a day has been seen whole, what it brings is not known.
        level.min(if self.hours < 24 { DEFAULT_LEVEL } else { LOOSEST })
    }
}

#[cfg(test)]
mod tests {
    use driftline_core::{GroupCounts, Timestamp};

    use super::*;

    fn settings(budget_scope: BudgetScope) -> Settings {
        Settings { alert_budget: Some(5.0), budget_scope, ..Settings::default() }
    }

    /// Hours of judgements: by hour since the epoch, for each tenant and group.
    fn budget(hours: impl IntoIterator<Item = (i64, Vec<(&'static str, &'static str, u64)>)>) -> Budget {
        let mut budget = Budget::default();
        for (hour, groups) in hours {
            let groups = groups.into_iter().map(|(tenant, group, tests)| GroupCounts {
                tenant: tenant.into(),
                group: group.into(),
                tests,
                ..GroupCounts::default()
            });
            let until = Timestamp::from_millis((hour + 1) * HOUR_MILLIS).unwrap();
            budget.fold(&Epoch { until, groups: groups.collect(), ..Epoch::default() });
        }
        budget
    }

    fn level(budget: &Budget, scope: BudgetScope, tenant: &str, group: &str) -> f64 {
        let mut agent = AgentState::blank(tenant.into(), "a");
        agent.group_key = group_key(tenant, group);
        budget.level_of(&settings(scope), &agent)
    }

    #[test]
    fn the_busiest_day_of_a_week_shares_the_budget_out() {
        // Weekdays bring 24 × 100 judgements, weekends 24 × 4. Day 0 was a Thursday.
        let fleet = |until: i64| {
            budget((0..until * 24).map(|hour| (hour, vec![("t", "g", if (hour / 24 + 3) % 7 < 5 { 100 } else { 4 })])))
        };
        for days in [3, 5, 8, 30] {
            assert_eq!(level(&fleet(days), BudgetScope::Fleet, "t", "g"), 5.0 / 2_400.0, "after {days} days");
        }
    }

    #[test]
    fn before_a_day_is_over_and_where_little_happens_the_level_is_bounded() {
        let quiet = |hours| budget((0..hours).map(|hour| (hour, vec![("t", "g", 1)])));
        assert_eq!(level(&quiet(0), BudgetScope::Fleet, "t", "g"), DEFAULT_LEVEL);
        assert_eq!(level(&quiet(23), BudgetScope::Fleet, "t", "g"), DEFAULT_LEVEL);
        assert_eq!(level(&quiet(24), BudgetScope::Fleet, "t", "g"), LOOSEST);
    }

    #[test]
    fn each_scope_has_its_own() {
        let day =
            budget((0..24).map(|hour| (hour, vec![("t", "g", 300), ("t", "h", 100), ("u", "g", 600), ("u", "", 50)])));
        let of = |scope, tenant, group| 5.0 / level(&day, scope, tenant, group) / 24.0;
        assert_eq!(of(BudgetScope::Fleet, "t", "g").round(), 1050.0);
        assert_eq!(of(BudgetScope::Tenant, "t", "h").round(), 400.0);
        assert_eq!(of(BudgetScope::Tenant, "u", "").round(), 650.0);
        assert_eq!(of(BudgetScope::Group, "t", "h").round(), 100.0);
        assert_eq!(of(BudgetScope::Group, "t", "unheard of").round(), 400.0, "the tenant's");
        assert_eq!(day.least_level(&settings(BudgetScope::Fleet)), 5.0 / (24.0 * 1050.0));
    }

    #[test]
    fn a_fixed_level_goes_before_the_budget() {
        let settings = Settings { level: Some(0.25), ..settings(BudgetScope::Fleet) };
        assert_eq!(Budget::default().level_of(&settings, &AgentState::blank("t".into(), "a")), 0.25);
    }
}
