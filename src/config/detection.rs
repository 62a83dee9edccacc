//! What is alerted on, and how event time is kept.

use std::time::Duration;

use driftline_core::{BudgetScope, Limits, Settings};
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rate;

/// What is alerted on, and how event time is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detection {
    /// How many false alerts of learned behaviour are acceptable in event time: `"5/day"`. How improbable evidence must be
    /// for an alert follows from it and from how much there is to judge in a day. Findings that need no probability, such as
    /// an undeclared tool, are not counted. Without a budget, a fixed level decides that the detectors were measured at.
    pub alert_budget: Option<Rate>,
    /// Whose false alerts the budget is about: `fleet` (all agents' together), `tenant` (each tenant's own) or `group` (each
    /// peer group's own).
    pub budget_scope: BudgetScope,
    /// Instead of a budget: sessions are alerted on whose evidence would come from an honest session with at most this
    /// probability, above 0 and below 1.
    pub level: Option<f64>,
    /// Whether baselines learn from what is scored.
    pub learn: bool,
    /// How far an event may lag behind the newest one before the clock passes it.
    #[serde(with = "friendly")]
    #[schemars(with = "String")]
    pub allowed_lateness: Duration,
    /// How far an event's time may run ahead of the time that it was read at; later times are held to that and counted.
    #[serde(with = "friendly")]
    #[schemars(with = "String")]
    pub allowed_earliness: Duration,
    /// Share of a tenant's agents, 0 to 1, that must have an identity document before an agent without one is alerted
    /// on by itself. Until then they are listed in one finding.
    pub registration_share: f64,
    /// Gateways whose word on an agent's identity (`verified.by`) is believed.
    pub gateways: Vec<String>,
}

impl Default for Detection {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            alert_budget: None,
            budget_scope: settings.budget_scope,
            level: settings.level,
            learn: settings.learn,
            allowed_lateness: Duration::from_millis(settings.allowed_lateness_ms.unsigned_abs()),
            allowed_earliness: Duration::from_millis(settings.allowed_earliness_ms.unsigned_abs()),
            registration_share: settings.registration_share,
            gateways: settings.gateways,
        }
    }
}

impl Detection {
    pub(super) fn settings(&self, limits: Limits) -> Settings {
        Settings {
            level: self.level,
            alert_budget: self.alert_budget.map(Rate::per_day),
            budget_scope: self.budget_scope,
            learn: self.learn,
            allowed_lateness_ms: millis(self.allowed_lateness),
            allowed_earliness_ms: millis(self.allowed_earliness),
            registration_share: self.registration_share,
            gateways: self.gateways.clone(),
            limits,
        }
    }
}

/// Whole milliseconds; what is longer than time itself is as good as for ever.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
