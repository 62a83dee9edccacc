//! The `driftline` program's parts: commands, the stream processor, configuration, metrics, HTTP, logging.

pub mod commands;
pub mod config;
pub mod demo;
mod evaluation;
pub mod http;
mod intake;
pub mod logging;
pub mod metrics;
mod progress;
mod run;
mod store;
