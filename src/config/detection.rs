//! What is alerted on, and how event time is kept.

use std::time::Duration;

use driftline_core::{Limits, Settings};
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rate;

/// What is alerted on, and how event time is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detection {
    /// How many false alerts are acceptable, over all agents: `"5/day"`. Thresholds follow from it once baselines are
    /// calibrated; until then sessions are alerted on by the fixed level that the detectors were measured at.
    pub alert_budget: Option<Rate>,
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
