//! What a replay has come to, kept in an embedded database (redb): where it stands in its input, its engines' state, the
//! control records that it has made, and its alerts.
//!
//! **One transaction moves everything**, so whatever moment the process ends at, the database holds what was so at one
//! place in the input, and a replay that starts from there says what one that was never interrupted says. Files that are
//! written beside it follow: scores and dead letters are on the disk before the commit that counts them, and are cut back
//! to it when the replay goes on; alerts are in the database, and their file is made to agree with it.
//!
//! # The folder
//!
//! `lock` is held for as long as the process lives. `replay.redb` is the database; it comes into being under another name,
//! so that there is none without its first commit.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | version of all this, in decimal |
//! | | `arguments` | the arguments that decide what comes out, as JSON |
//! | | `progress` | [`Progress`], as JSON |
//! | `input` | file | the line to go on at, and a hash of the records before it |
//! | `control` | number | the control record, as JSON |
//! | `state` | engine, key | a state record's value (`driftline_detectors::state`) |
//! | `alerts` | number, from 0 | the alert, as its line in a file |
//!
//! redb keeps a checksum of every page and all are verified when the database is opened: damage is an error, not another
//! state.

mod alerts_file;
mod arguments;
mod commit;
mod database;
mod error;
mod keeper;
mod output;
mod passed;
mod resume;

pub use arguments::Arguments;
pub use commit::Progress;
pub use keeper::{Come, Keeper};
pub use output::Output;
