//! Baselines as one compact file: what is read of a version.
//!
//! A mark with the format's number, then a Zstandard stream of entries, each as its length (4 bytes, little-endian) and
//! [postcard](https://postcard.jamesmunns.com/wire-format) of what serde derives for [`Entry`]. Postcard writes fields in the
//! order of their declaration, without names: to move, add, remove or retype one takes a new number, and versions of another
//! number are to be published again.

#[cfg(feature = "publish")]
use std::io::Write;
use std::io::{self, Read};

use driftline_core::baseline::Entry;

/// Ends with the format's number.
const MARK: &[u8; 8] = b"DRIFTBL2";
/// Higher levels take many times as long and save a tenth.
#[cfg(feature = "publish")]
const LEVEL: i32 = 1;

/// Writes entries as they come.
#[cfg(feature = "publish")]
pub(crate) struct Writer(zstd::Encoder<'static, Vec<u8>>);

#[cfg(feature = "publish")]
impl Writer {
    pub fn new() -> io::Result<Self> {
        Ok(Self(zstd::Encoder::new(MARK.to_vec(), LEVEL)?))
    }

    pub fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let bytes = postcard::to_allocvec(entry).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(&bytes)
    }

    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.0.finish()
    }
}

/// Reads the file; says what of it is not as it was written.
pub(crate) fn read(file: &[u8]) -> Result<Vec<Entry>, String> {
    let Some((MARK, stream)) = file.split_first_chunk() else {
        return Err("it does not begin as this version of the program writes it".to_owned());
    };
    let broken = |error: io::Error| error.to_string();
    let mut stream = zstd::Decoder::with_buffer(stream).map_err(broken)?;
    let (mut entries, mut length, mut bytes) = (Vec::new(), [0; 4], Vec::new());
    while stream.read(&mut length[..1]).map_err(broken)? > 0 {
        stream.read_exact(&mut length[1..]).map_err(broken)?;
        let length = u32::from_le_bytes(length);
        bytes.clear();
        stream.by_ref().take(u64::from(length)).read_to_end(&mut bytes).map_err(broken)?;
        entries.push(postcard::from_bytes(&bytes).map_err(|error| format!("entry {}: {error}", entries.len()))?);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use driftline_core::baseline::{Act, Baseline, SessionLog};
    use driftline_core::{Event, Limits, record_hash};

    use super::*;

    fn entry() -> Entry {
        let record = br#"{"time":3600000,"agent":{"id":"a","platform":"p"},"action":{"name":"send","server":"s","access":"write"},
            "task":{"intent":"Send it to bob"},"resource":{"id":"bob"},"usage":{"duration_ms":41.5}}"#;
        let mut log = SessionLog::default();
        log.push(&Act::of(&Event::decode(record, &Limits::default()).unwrap(), 0));
        let mut baseline = Baseline::new(3);
        log.lessons(|lesson| baseline.learn(lesson));
        Entry { tenant: "t".into(), agent: "a".into(), version: "1".into(), baseline }
    }

    #[test]
    fn the_format_is_the_one_that_its_number_says() {
        let bytes = postcard::to_allocvec(&entry()).unwrap();
        // Where this fails, fields have changed: give `MARK` a new number, then put the new hash here.
        assert_eq!(
            (MARK, format!("{:032x}", record_hash(&bytes)).as_str()),
            (b"DRIFTBL2", "5e6d2985f0c868c6f679001e3b3b685a")
        );
    }

    #[test]
    fn what_is_cut_or_of_another_number_is_refused() {
        let mut writer = Writer::new().unwrap();
        writer.push(&entry()).unwrap();
        let whole = writer.finish().unwrap();
        assert_eq!(read(&whole).unwrap(), [entry()]);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        assert!(read(&[b"DRIFTBL9", &whole[8..]].concat()).unwrap_err().contains("does not begin"));
    }
}
