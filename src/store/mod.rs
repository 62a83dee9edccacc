//! What a replay, or a run over files, has come to, kept in an embedded database (redb): where it stands in its input, its
//! engines' state, the control records that it has made, and what it has to say.
//!
//! **One transaction moves everything**, so whatever moment the process ends at, the database holds what was so at one
//! place in the input, and whoever starts from there says what one that was never interrupted says. Files that are written
//! beside it follow. Of a replay, scores and dead letters are on the disk before the commit that counts them, and are cut
//! back to it when the replay goes on; alerts are in the database, and their file is made to agree with it. A run may go
//! on for years, and its files are others' to rotate: what it says stands in an outbox from the commit until it is in its
//! file.
//!
//! # The folder
//!
//! `lock` is held for as long as the process lives. `replay.redb` or `run.redb` is the database; it comes into being under
//! another name, so that there is none without its first commit.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | version of all this, in decimal |
//! | | `arguments` | of a replay, the arguments that decide what comes out, as JSON |
//! | | `progress` | [`Progress`], as JSON |
//! | `input` | file | the line to go on at, and a hash of the records before it |
//! | `control` | number | the control record, as JSON |
//! | `state` | engine, key | a state record's value (`driftline_detectors::state`) |
//! | `alerts` | number, from 0 | of a replay, the alert, as its line in a file |
//! | `outbox` | `alerts`, `dead_letters` | of a run, the lines of the last commit |
//!
//! redb keeps a checksum of every page and all are verified when the database is opened: damage is an error, not another
//! state.

mod alerts_file;
mod arguments;
mod commit;
mod database;
mod error;
mod keeper;
mod outbox;
mod output;
mod passed;
mod resume;

pub use arguments::Arguments;
pub use commit::{Commit, Progress};
pub use database::Store;
pub use error::StoreError;
pub use keeper::{Come, Keeper};
pub use outbox::deliver;
pub use output::Output;
pub use passed::Passed;
pub use resume::Resumed;
