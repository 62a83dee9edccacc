//! What an agent was found to do over a stretch of history, as a value that merges.
//!
//! ```text
//! events ──► Act, in a SessionLog ──► Lesson, one a session ──► Baseline
//! ```
//!
//! An [`Act`] is what is kept of an event. A [`SessionLog`] gathers those of one session, in whatever order and pieces they
//! come, and tells what was done as [`Lesson`]s: where the session paused for an hour it was two, as in the stream. A
//! [`Baseline`] learns lessons. Everything in it is a whole number, and what bounds it is a bound that merging keeps, so
//! that merging the baselines of two sets of lessons gives the baseline of both, to the last bit, in any order and grouping.

mod act;
mod counts;
mod entry;
mod lesson;
mod session_log;
mod sizes;
mod value;

pub use act::{Act, Exclusion};
pub use counts::{Count, Counts};
pub use entry::Entry;
pub use lesson::{Lesson, Name, Taught};
pub use session_log::{SessionLog, session_key};
pub use sizes::{Size, Sizes};
pub use value::{Baseline, Unreadable};
