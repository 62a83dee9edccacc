//! From records to events: one file a format.

mod native;

use driftline_core::{DecodeError, Event, Limits, truncate};

pub use native::Native;

use crate::source::Record;

/// A format that records come in.
pub trait Decoder: Send + Sync {
    /// Its name, as `--format` and `source.format` take it.
    fn name(&self) -> &'static str;

    /// Hands the events of one record to `emit`, in order; a record may hold several. What cannot be decoded is handed
    /// over as an error, once for the record or once for each part that is at fault: never nothing at all.
    ///
    /// Events borrow from the record, and are lent because they are large. Nothing that a record holds makes this panic, and `limits` hold before any parser
    /// sees it.
    fn decode<'a>(&self, record: &'a [u8], limits: &Limits, emit: &mut dyn FnMut(Result<&mut Event<'a>, DecodeError>));
}

/// Every format there is.
static DECODERS: &[&dyn Decoder] = &[&Native];

/// A format that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a format: give one of {}", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownFormat {
    /// The name as it was given.
    pub given: String,
}

/// The names of all formats.
pub fn names() -> impl Iterator<Item = &'static str> {
    DECODERS.iter().map(|decoder| decoder.name())
}

/// The decoder of a format.
///
/// # Errors
///
/// [`UnknownFormat`], which lists those that there are.
///
/// ```
/// assert_eq!(driftline_ingest::decoder::by_name("native")?.name(), "native");
/// let error = driftline_ingest::decoder::by_name("cvs").map(|_| ()).unwrap_err();
/// assert_eq!(error.to_string(), "`cvs` is not a format: give one of native");
/// # Ok::<(), driftline_ingest::decoder::UnknownFormat>(())
/// ```
pub fn by_name(name: &str) -> Result<&'static dyn Decoder, UnknownFormat> {
    let decoder = DECODERS.iter().copied().find(|decoder| decoder.name() == name);
    decoder.ok_or_else(|| UnknownFormat { given: truncate(name, 40).into_owned() })
}

/// Decodes a record as it came from a source: as [`Decoder::decode`], and a record that was too long to be held is
/// [`DecodeError::TooLong`].
pub fn decode<'a>(
    decoder: &dyn Decoder,
    record: &Record<'a>,
    limits: &Limits,
    emit: &mut dyn FnMut(Result<&mut Event<'a>, DecodeError>),
) {
    match record.oversize {
        Some(bytes) => emit(Err(DecodeError::TooLong {
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            limit: limits.record_bytes,
        })),
        None => decoder.decode(record.value, limits, emit),
    }
}

#[cfg(test)]
mod tests {
    use driftline_core::Timestamp;

    use super::*;

    #[test]
    fn a_record_that_was_cut_is_too_long_and_never_parsed() {
        let value = br#"{"time":0,"agent":{"id":"a"},"action":{"name":"t"}}"#;
        let record = Record {
            key: None,
            value,
            offset: 1,
            observed_at: Timestamp::MIN,
            origin: None,
            oversize: Some(9_000_000),
        };
        let mut results = Vec::new();
        decode(&Native, &record, &Limits::default(), &mut |result| results.push(result.map(|_| ())));
        assert_eq!(results, [Err(DecodeError::TooLong { bytes: 9_000_000, limit: 1 << 20 })]);
    }
}
