//! How far a file was read, and what all that was.

use driftline_core::record_hash;

use crate::Record;

/// A place in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The line after the last record, from 1.
    pub next: u64,
    /// A hash of the records before it and of the lines that they stood on.
    pub digest: u128,
}

impl Place {
    /// Goes past a record of the file.
    pub fn pass(&mut self, record: &Record<'_>) {
        let line = u64::try_from(record.offset).unwrap_or_default();
        let mut chain = [0; 48];
        let parts = [
            &self.digest.to_le_bytes()[..],
            &record_hash(record.value).to_le_bytes(),
            &line.to_le_bytes(),
            &record.oversize.unwrap_or_default().to_le_bytes(),
        ];
        chain.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        *self = Self { next: line + 1, digest: record_hash(&chain) };
    }

    /// The digest in hexadecimal.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.digest)
    }
}
