//! Bad input never crashes, never stalls the stream, and is never dropped without a dead letter, exactly counted.
//!
//! What is expected of a record is written down beside it, from the contract, and not found out by decoding it.

#![cfg(test)]

mod arbitrary;
mod bombs;
mod calendar;
mod faults;
mod files;
mod future;
mod generator;
mod kafka;
mod numbers;
mod program;
mod shapes;
#[path = "../../fuzz/targets.rs"]
mod targets;
mod texts;
mod times;

/// How many records a test has: `usual`, unless the environment asks for another number.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
fn records(usual: usize) -> usize {
    std::env::var("DRIFTLINE_HOSTILE_RECORDS").ok().and_then(|records| records.parse().ok()).unwrap_or(usual)
}
