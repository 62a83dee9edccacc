//! Files as a source, through its public interface: whatever way the lines are stored, the same records come out.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is how a failure is reported")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use driftline_core::{Position, Timestamp};
use driftline_ingest::{FileError, FileOptions, FileSource, OwnedRecord, Polled, Record, Source, SourceError, dump};
use proptest::prelude::*;

/// Everything that the files hold: each record with the position that it is given.
fn read_all(source: &mut FileSource) -> Result<Vec<(Position, OwnedRecord)>, SourceError> {
    let mut records = Vec::new();
    loop {
        match source.poll(Duration::from_secs(10))? {
            Polled::Records(batches) => {
                for batch in &batches {
                    let positions = (0..batch.records.len()).map(|i| batch.records.position(i));
                    records.extend(positions.zip(batch.iter().map(OwnedRecord::from)));
                }
            }
            Polled::Finished => return Ok(records),
            other => panic!("a file gave {other:?}"),
        }
    }
}

fn options(record_bytes: usize, block_bytes: usize) -> FileOptions {
    FileOptions { record_bytes, block_bytes }
}

fn read_file(path: &Path, options: FileOptions) -> Result<Vec<(Position, OwnedRecord)>, SourceError> {
    read_all(&mut FileSource::open(&[path.display().to_string()], options)?)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// What the lines of `text` are, written the slow and obvious way.
fn lines(text: &[u8], limit: usize) -> Vec<(i64, Vec<u8>, Option<u64>)> {
    let numbered = text.split(|&byte| byte == b'\n').zip(1..);
    let numbered = numbered.map(|(line, number)| (line.strip_suffix(b"\r").unwrap_or(line), number));
    let solid = numbered.filter(|(line, _)| !line.trim_ascii().is_empty());
    solid
        .map(|(line, number)| match line.len() > limit {
            true => (number, line[..limit.min(4096)].to_vec(), Some(line.len() as u64)),
            false => (number, line.to_vec(), None),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_once_whatever_it_is_split_into(
        parts in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"ab{} \t\r\n\n\n"[..]), 0..60), 1..5),
        limit in 1usize..20,
        block in 1usize..64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let text = parts.concat();
        let stored = [
            text.clone(),
            parts.iter().flat_map(|part| gzip(part)).collect(),
            parts.iter().flat_map(|part| zstandard(part)).collect(),
        ];
        for stored in stored {
            fs::write(&path, stored).unwrap();
            let read = read_file(&path, options(limit, block)).unwrap();
            let read: Vec<_> = read.into_iter().map(|(_, r)| (r.offset, r.value, r.oversize)).collect();
            prop_assert_eq!(read, lines(&text, limit));
        }
    }

    #[test]
    fn a_dump_gives_back_what_was_dumped(
        records in prop::collection::vec(
            (prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), prop::collection::vec(any::<u8>(), 0..200), any::<i64>(), 0i64..4_000_000_000_000),
            1..20,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump");
        let mut file = Vec::new();
        let mut dumped = Vec::new();
        for (key, value, offset, millis) in &records {
            let position = Position::Kafka { topic: "agent-events".into(), partition: 3, offset: *offset };
            let observed_at = Timestamp::from_millis(*millis).unwrap();
            let record = Record { key: key.as_deref(), value, offset: *offset, observed_at, origin: None, oversize: None };
            dump::write_line(&mut file, &record, &position).unwrap();
            dumped.push((position, key.clone(), value.clone(), observed_at));
        }
        fs::write(&path, zstandard(&file)).unwrap();
        let read = read_file(&path, options(200, 300)).unwrap();
        let read: Vec<_> = read.into_iter().map(|(position, r)| (position, r.key, r.value, r.observed_at)).collect();
        prop_assert_eq!(read, dumped);
    }
}

#[test]
fn a_line_of_a_dump_that_is_none_comes_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    let record =
        Record { key: None, value: b"{}", offset: 7, observed_at: Timestamp::MIN, origin: None, oversize: None };
    let mut file = Vec::new();
    dump::write_line(&mut file, &record, &"t/0/7".parse().unwrap()).unwrap();
    file.extend_from_slice(b"{\"schema\":\"driftline.record/1\",\"topic\":");
    fs::write(&path, file).unwrap();
    let read = read_file(&path, FileOptions::default()).unwrap();
    assert_eq!((read[0].0.to_string().as_str(), &read[0].1.value[..]), ("t/0/7", &b"{}"[..]));
    assert_eq!(read[1].0, Position::File { path: path.display().to_string().into(), line: 2 });
    assert!(read[1].1.value.starts_with(b"{\"schema\""));
}

#[test]
fn a_line_without_an_end_is_read_in_bounded_memory_and_counted_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.gz");
    let bomb = vec![b'a'; 64 << 20];
    fs::write(&path, gzip(&[&bomb, &b"\n{}\n"[..]].concat())).unwrap();
    let read = read_file(&path, FileOptions::default()).unwrap();
    assert_eq!((read[0].1.oversize, read[0].1.value.len()), (Some(64 << 20), 4096));
    assert_eq!((read[1].1.offset, &read[1].1.value[..]), (2, &b"{}"[..]));
}

#[test]
fn what_is_cut_or_damaged_is_an_error_with_file_and_line_after_what_could_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let name = path.display().to_string();
    // Random enough not to shrink, so that half of the file holds about half of the lines.
    let text: String = (0..20_000u64).map(|i| format!("{:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for (whole, compression) in [(gzip(text.as_bytes()), "gzip"), (zstandard(text.as_bytes()), "zstd")] {
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let mut source = FileSource::open(&[&name], FileOptions::default()).unwrap();
        let mut lines = 0;
        let error = loop {
            match source.poll(Duration::from_secs(10)) {
                Ok(Polled::Records(batches)) => lines += batches[0].records.len() as u64,
                Ok(other) => panic!("{other:?} instead of an error"),
                Err(error) => break error,
            }
        };
        assert!(lines > 100, "{lines} lines of {compression}");
        match error {
            SourceError::File(FileError::Truncated { path, line, compression: c }) => {
                assert_eq!((path, line, c), (name.clone(), lines + 1, compression));
            }
            other => panic!("{other}"),
        }

        let mut damaged = whole.clone();
        damaged.truncate(6);
        damaged.extend_from_slice(&[0xff; 500]);
        fs::write(&path, damaged).unwrap();
        match read_file(&path, FileOptions::default()) {
            Err(SourceError::File(FileError::Corrupt { line: 1, compression: c, .. })) => assert_eq!(c, compression),
            other => panic!("{other:?}"),
        }
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(FileSource::open(&[&name], FileOptions::default()), Err(FileError::NotFound { .. })));
}

#[test]
fn a_source_goes_on_where_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| folder.path().join(name).display().to_string());
    fs::write(&paths[0], "\u{feff}1\n\n3\n4\n").unwrap();
    fs::write(&paths[1], "5\n6").unwrap();
    let mut source = FileSource::open(&paths, options(100, 1)).unwrap();
    let values = |records: Vec<(Position, OwnedRecord)>| {
        records.into_iter().map(|(_, record)| String::from_utf8(record.value).unwrap()).collect::<String>()
    };
    assert_eq!(values(read_all(&mut source).unwrap()), "13456");
    let progress = source.progress().unwrap();
    assert_eq!((progress.bytes, progress.total), (13, 13));

    let at = |path: &String, line| (driftline_ingest::TopicPartition::new(path.as_str(), 0), line);
    source.seek(&[at(&paths[0], 3)]).unwrap();
    assert_eq!(values(read_all(&mut source).unwrap()), "34", "the other file stays at its end");
    source.seek(&[at(&paths[0], 4), at(&paths[1], 2)]).unwrap();
    assert_eq!(values(read_all(&mut source).unwrap()), "46");
    assert!(matches!(source.seek(&[at(&"c".to_owned(), 1)]), Err(SourceError::Seek { .. })));
}
