//! How well the detectors tell attacks from honest sessions: scores labelled events, and says what came of it.

mod judged;
mod page;
mod summary;
mod table;

pub use judged::{Judge, Judged};
pub use page::page;
pub use summary::{Summary, summarize};
pub use table::table;
