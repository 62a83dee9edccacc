//! The engine's state leaves the process and comes back exactly, whatever has happened and wherever it is cut.
//!
//! `UPDATE_STATE=1 cargo test --release -p driftline-detectors --test state` writes `data/state-v2.bin` anew: for a new
//! version of the format, or to have it hold more.

#![cfg(test)]

#[path = "state/damage.rs"]
mod damage;
#[path = "state/golden.rs"]
mod golden;
#[path = "state/restart.rs"]
mod restart;
#[path = "support/store.rs"]
mod store;
#[path = "state/stream.rs"]
mod stream;
mod support;
