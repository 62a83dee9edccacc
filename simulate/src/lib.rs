//! Simulated fleets: labelled action events of agents at work, with attacks staged among them.
//!
//! The simulator knows nothing of detectors, and nothing in an event says whether it is malicious: that stands in the
//! labels alone. What the agents of a company are like (their tools, tasks, requests, resources) is data, in
//! `src/catalogue`; how they work is code: `fleet` derives each agent from the seed, `rhythm` says when it works,
//! `session` what it does, `attack` what goes wrong, `write` how the events read.
//!
//! Several tens of thousands of sessions of a fleet of fifty are a few months; a million agents make a million events in an
//! hour. Memory is about 16 bytes an agent and what runs at a time, whatever the number of events.
//!
//! ```
//! use driftline_simulate::{Config, Simulation};
//!
//! let mut simulation = Simulation::new(Config { agents: 20, events: 1000, ..Config::default() })?;
//! assert_eq!(simulation.identities().count(), 20);
//! let mut record = Vec::new();
//! while let Some(written) = simulation.write_next(&mut record) {
//!     assert!(record.starts_with(b"{\"id\":"), "{}", written.key);
//! }
//! # Ok::<(), driftline_simulate::ConfigError>(())
//! ```

mod attack;
mod catalogue;
mod chance;
mod config;
mod fleet;
mod identity;
mod label;
mod pattern;
mod request;
mod rhythm;
mod session;
mod simulation;
mod write;

pub use config::{Config, ConfigError};
pub use label::{AttackKind, Label, SessionLabel};
pub use simulation::{Simulated, Simulation, Written};
