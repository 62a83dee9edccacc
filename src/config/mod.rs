//! The configuration file: what may stand in it, and what to say when something in it is wrong.
//!
//! A file is TOML; strings may name environment variables (`${NAME}`, `${NAME:-default}`). Each setting is documented on
//! its field, and `docs/configuration.md` is made from there.
//!
//! ```
//! use driftline::config::Config;
//!
//! let config = Config::parse(
//!     r#"
//!     [source.files]
//!     paths = ["events/*.ndjson"]
//!     [alerts.stdout]
//!     [dead_letters.file]
//!     path = "rejected.ndjson"
//!     [detection]
//!     allowed_lateness = "2m"
//!     "#,
//!     "driftline.toml".as_ref(),
//! )?;
//! assert_eq!(config.settings().allowed_lateness_ms, 120_000);
//! # Ok::<(), driftline::config::ConfigError>(())
//! ```

mod check;
mod detection;
mod document;
pub mod identities;
mod output;
mod problem;
mod rate;
mod service;
mod source;
mod substitute;

use std::path::Path;

use driftline_core::{Limits, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

pub use check::check;
pub use detection::Detection;
pub use output::{Alerts, DeadLetters, FilePath, KafkaTopic, Slack, Stdout};
pub use problem::{ConfigError, Gravity, Problem};
pub use rate::{ParseRateError, Rate};
pub use service::{Archive, Baseline, Http, Identities, Instance, Log, LogFormat, Metrics, Watchdog};
pub use source::{FileSource, KafkaSource, Key, Librdkafka, Partitioner, Source};

use document::Document;

/// Everything that `driftline run` is told. Relative paths are relative to the working directory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where events come from: `[source.kafka]` or `[source.files]`.
    pub source: Source,
    /// Where alerts are written: `[alerts.kafka]`, `[alerts.file]` or `[alerts.stdout]`.
    pub alerts: Alerts,
    /// Where records go that cannot be decoded: `[dead_letters.kafka]` or `[dead_letters.file]`.
    pub dead_letters: DeadLetters,
    /// What is alerted on, and how event time is kept.
    #[serde(default)]
    pub detection: Detection,
    /// Bounds on what comes from outside and on what is kept of it.
    #[serde(default)]
    pub limits: Limits,
    /// What agents are and may do.
    #[serde(default)]
    pub identities: Option<Identities>,
    /// What agents are known from before the stream tells of them.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// Where what is read is kept for later.
    #[serde(default)]
    pub archive: Option<Archive>,
    /// Channels that alerts are posted to, one table each.
    #[serde(default)]
    pub slack: Vec<Slack>,
    /// The listener for metrics and health.
    #[serde(default)]
    pub http: Http,
    /// What is logged, to standard error.
    #[serde(default)]
    pub log: Log,
    /// This process among those of its group.
    #[serde(default)]
    pub instance: Instance,
    /// What is counted for Prometheus beyond the fixed set.
    #[serde(default)]
    pub metrics: Metrics,
    /// How long something may stand still before it is told.
    #[serde(default)]
    pub watchdog: Watchdog,
}

impl Config {
    /// Reads and checks a configuration file; what is only questionable about it is logged as a warning.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every problem found that stands in the way of running, each with file, line and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::from(Problem::of_file(path, format!("the configuration cannot be read: {error}")))
        })?;
        Self::parse(&text, path)
    }

    /// As [`Config::load`], from the text of a file that is said to be `path`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document::parse(text, path)?;
        let config: Self = document.deserialize()?;
        let (errors, warnings): (Vec<_>, Vec<_>) =
            check::problems(&config, &document).into_iter().partition(|problem| problem.gravity == Gravity::Error);
        if !errors.is_empty() {
            return Err(ConfigError { problems: errors });
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }

    /// The part that decides which alerts are raised, as the control log carries it.
    pub fn settings(&self) -> Settings {
        self.detection.settings(self.limits.clone())
    }
}
