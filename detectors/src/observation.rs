//! From an event to the feature values that detectors read: those of [`driftline_core::observation`], so that jobs over
//! history count the very same categories.

pub use driftline_core::observation::*;
