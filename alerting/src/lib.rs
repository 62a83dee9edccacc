//! From an alert to the person who acts on it: the alert log, routing, delivery and the sinks.
//!
//! ```text
//! engine ─► AlertLog ─► AlertSource ─► Delivery: route, silence, group, pace, retry ─► Sink ─► Slack, …
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`log`] | where alerts are written: a file, standard output, memory |
//! | [`source`], [`follow`] | how a worker reads the log from a position; the reader of an alert file |
//! | [`routing`] | which alerts go to which sink; silences |
//! | [`delivery`] | one worker a sink: at least once, in order, at the sink's pace |
//! | [`sinks`] | one file a sink: the form of a message and what its answers mean |
//! | [`terminal`] | an alert for a terminal |
//!
//! Everything here is synchronous; a sink has a thread of its own.

pub mod delivery;
mod facts;
pub mod follow;
pub mod group;
pub mod log;
pub mod routing;
pub mod sinks;
pub mod source;
pub mod terminal;

#[cfg(test)]
#[path = "../tests/support/samples.rs"]
mod samples;
