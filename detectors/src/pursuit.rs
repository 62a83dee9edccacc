//! What a session was asked for, and what it has done about it: [`driftline_core::pursuit`], so that jobs over history learn
//! the very same from it.

pub use driftline_core::pursuit::*;
