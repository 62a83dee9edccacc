//! What the tests share: sample alerts, and the other side of a sink.

pub mod samples;
pub mod server;
