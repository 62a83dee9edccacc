//! How well scores tell attacks from honest sessions: what is asked of the labels, and the figures that answer it.
//!
//! A crate of its own, like the simulator: what judges the detectors knows nothing of how they work, and they know nothing
//! of it.
//!
//! The unit is a session, and its score the largest of its events'. Sessions of one task are alike, so that a task with many
//! runs would decide everything: **each task weighs the same**, on either side. How far a figure can be trusted hangs on how
//! many tasks there are, so its interval is found by drawing whole tasks anew ([`bootstrap`]).

mod label;
mod roc;
mod sample;

pub use label::{LabelError, Labelled, Labels, Question, Side};
pub use roc::{FALSE_ALARM_RATES, Figures, Point, Roc};
pub use sample::{Interval, Sample, bootstrap};
