//! How improbable evidence must be for an alert, as commands are told.

use driftline_core::Settings;

use super::CommandError;
use crate::config::Rate;

/// Options of every command that judges.
#[derive(Debug, clap::Args)]
pub struct Strictness {
    /// How many false alerts of learned behaviour are acceptable in event time, as in 5/day, over all agents. Without it a
    /// fixed level decides that the detectors were measured at.
    #[arg(long, value_name = "RATE", conflicts_with = "level")]
    pub alert_budget: Option<Rate>,
    /// A fixed p-value level, 0 to 1, instead of a budget.
    #[arg(long)]
    pub level: Option<f64>,
}

impl Strictness {
    /// The settings that follow.
    ///
    /// # Errors
    ///
    /// [`CommandError::Usage`] where the level is no probability to judge by.
    pub fn settings(&self) -> Result<Settings, CommandError> {
        if self.level.is_some_and(|level| !(level > 0.0 && level <= 1.0)) {
            return Err(CommandError::Usage("--level: give a probability above 0 and up to 1".to_owned()));
        }
        let alert_budget = self.alert_budget.map(Rate::per_day);
        Ok(Settings { level: self.level, alert_budget, ..Settings::default() })
    }
}
