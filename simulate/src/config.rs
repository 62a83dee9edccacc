//! What to simulate.

use driftline_core::Timestamp;

/// What to simulate; the same values give the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Registered agents, 1 to 10,000,000. Default 50.
    pub agents: u64,
    /// Events, exactly. Default 100,000.
    pub events: u64,
    /// Attacks staged, round-robin over the kinds; shadow agents and slow drifts are several sessions each. Default 20.
    pub attacks: u64,
    /// What everything is drawn from. Default 1.
    pub seed: u64,
    /// Share of events that carry no `id`, 0 to 1. Default 0.
    pub without_ids: f64,
    /// When the first agents start to work. Default 2026-03-02T00:00:00Z, a Monday.
    pub start: Timestamp,
    /// Organisations that the agents belong to, 1 or more. Default 1.
    pub tenants: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agents: 50,
            events: 100_000,
            attacks: 20,
            seed: 1,
            without_ids: 0.0,
            // 1,772,409,600 s is inside the range.
            start: Timestamp::MIN.plus_millis(1_772_409_600_000),
            tenants: 1,
        }
    }
}

/// A value that nothing can be simulated from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// There must be agents, and no more than their ids have room for.
    #[error("agents = {0}: give 1 to 10000000")]
    Agents(u64),
    /// A share is from 0 to 1.
    #[error("without_ids = {0}: give a share from 0 to 1")]
    WithoutIds(f64),
    /// Every agent belongs to an organisation, and there are not more of these than agents.
    #[error("tenants = {tenants}: give 1 to {agents}, the number of agents")]
    Tenants {
        /// What was given.
        tenants: u64,
        /// The most that can be.
        agents: u64,
    },
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=10_000_000).contains(&self.agents) {
            return Err(ConfigError::Agents(self.agents));
        }
        if !(0.0..=1.0).contains(&self.without_ids) {
            return Err(ConfigError::WithoutIds(self.without_ids));
        }
        if !(1..=self.agents).contains(&self.tenants) {
            return Err(ConfigError::Tenants { tenants: self.tenants, agents: self.agents });
        }
        Ok(())
    }
}
