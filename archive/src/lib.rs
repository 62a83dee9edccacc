//! The archive: the events that a stream has read, as Parquet files that a person can query and jobs learn from.
//!
//! # The folder
//!
//! | path | holds |
//! | --- | --- |
//! | `tenant=…/date=…/hour=…/TOPIC-PARTITION-OFFSET.parquet` | events of a tenant in an hour of event time (UTC) |
//! | `_listing/TOPIC-PARTITION-OFFSET.json` | that all records of a partition from this offset up to another are archived, and in which files ([`Listed`]) |
//!
//! **Complete and listed, or not there.** The files of a range of offsets are written under hidden names; then the range is
//! claimed by making its listing, which can be made once; then the files get their names. So of two writers that take themselves
//! for the partition's owner one has the range, and the other learns it; and whoever is killed leaves a range that is listed,
//! which the next one finishes, or nothing. Where a partition is to be read from stands in the listing: there is no other
//! position that would have to agree with it.
//!
//! A row holds the record's own bytes beside the columns, so that a job that reads the archive learns to the last bit what it
//! would learn from the topic.

mod error;
mod listing;
mod read;
mod rows;
mod write;

pub use error::ArchiveError;
pub use listing::{Archive, Listed, ListedFile};
pub use read::{Archived, Block};
pub use write::Range;
