//! The engine: one synchronous value with two inputs, [`Engine::observe`] for events and [`Engine::apply`] for control
//! records. It does no I/O, reads no clock but event time, and draws no random number, so that the same records and
//! the same control log give the same alerts, live and replayed, for any number of partitions.
//!
//! ```
//! use driftline_core::{Event, Limits};
//! use driftline_detectors::{Engine, World};
//!
//! let mut engine = Engine::new(World::default());
//! let record = br#"{"time": 0, "agent": {"id": "a"}, "action": {"name": "read_file"}}"#;
//! let scored = engine.observe(&Event::decode(record, &Limits::default())?);
//! assert!(!scored.repeated);
//! assert!(engine.take_alerts().is_empty());
//! # Ok::<(), driftline_core::DecodeError>(())
//! ```

pub mod agent;
mod arrivals;
mod budget;
mod conductor;
mod context;
mod contribution;
pub mod decision;
mod detector;
pub mod drift;
mod engine;
mod escalation;
mod evicted;
pub mod evidence;
mod exfiltration;
mod explain;
mod finding;
mod gamma_poisson;
mod identity;
mod inventory;
mod lexicon;
pub mod neighbours;
mod network;
mod novelty;
pub mod observation;
mod pitman_yor;
mod pursuit;
mod rate;
mod registry;
mod repeats;
mod session;
mod solo;
pub mod state;
mod target;
mod tool_names;
mod unasked;
mod warm;
mod world;

pub use budget::Budget;
pub use conductor::{Conductor, Control};
pub use contribution::Contribution;
pub use detector::{DETECTORS, Detector, Scene};
pub use engine::{Counters, Engine, Scored};
pub use escalation::WARM_SESSIONS;
pub use evicted::{BackingError, BackingStore, Traffic};
pub use finding::{DEVIATION, Finding, Techniques};
pub use inventory::undecodable;
pub use registry::{Registered, Registry};
pub use solo::Solo;
pub use warm::{History, TakenUp};
pub use world::{Coverage, Flood, Known, OutOfOrder, World};
