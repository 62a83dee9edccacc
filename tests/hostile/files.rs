//! Hostile records in files, through `driftline replay`.

use std::io::Write;
use std::path::Path;

use driftline_core::{Position, Timestamp};
use driftline_ingest::{Record, dump};
use serde_json::Value;

use crate::generator::{Expected, Generator, Hostile};
use crate::program::{driftline, lines};
use crate::records;

/// What a replay must come to: positions and reasons of the dead letters, with the bytes; ids of those scored.
#[derive(Default)]
struct Tally<'r> {
    dead: Vec<(String, &'static str, &'r [u8])>,
    scored: Vec<(&'r str, &'r str)>,
}

impl<'r> Tally<'r> {
    fn add(&mut self, record: &'r Hostile, position: String) {
        match record.expected {
            Expected::Scored => self.scored.push((&record.id, &record.agent)),
            Expected::DeadLetter(reason) => self.dead.push((position, reason, &record.bytes)),
        }
    }

    /// Replays a file, and compares.
    fn check(&self, folder: &Path, file: &Path) {
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (dead, scores, alerts) = (path("dead"), path("scores"), path("alerts"));
        let file = file.to_str().unwrap();
        let out = ["--dead-letters", &dead, "--scores", &scores, "--alerts", &alerts, "--partitions", "3"];
        let ended = driftline(folder, &[&["replay", file], &out[..]].concat());
        assert!(ended.status.success(), "{}", ended.said);
        let dead = lines(dead.as_ref());
        for (found, (position, reason, bytes)) in dead.iter().zip(&self.dead) {
            let place = (found["position"].as_str().unwrap(), found["reason"].as_str().unwrap());
            assert_eq!(place, (position.as_str(), *reason), "{found}");
            assert_eq!(found["bytes"], bytes.len(), "{found}");
            match found["record"].as_str() {
                Some(record) => {
                    // Of a line that was too long to be held there is only its start.
                    let kept = if *reason == "too_long" { record.len().max(4096) } else { bytes.len().min(960 << 10) };
                    assert_eq!(record.as_bytes(), &bytes[..kept], "{found}");
                }
                None => assert!(found["record_base64"].is_string(), "{found}"),
            }
        }
        assert_eq!(dead.len(), self.dead.len());
        let scores = lines(scores.as_ref());
        for (found, (id, agent)) in scores.iter().zip(&self.scored) {
            assert_eq!((found["id"].as_str(), found["agent"].as_str()), (Some(*id), Some(*agent)));
            assert!(found["score"].as_f64().is_some_and(f64::is_finite), "{found}");
        }
        assert_eq!(scores.len(), self.scored.len());
        assert!(!dead.is_empty() && !scores.is_empty());
    }
}

/// One record a line, as far as records can be lines; every so often there is a line without any.
fn ndjson<'r>(file: &Path, records: &'r [Hostile]) -> (Vec<u8>, Tally<'r>) {
    let (mut text, mut tally, mut line) = (Vec::new(), Tally::default(), 0);
    for (i, record) in records.iter().filter(|record| !record.bytes.contains(&b'\n')).enumerate() {
        if i % 100 == 99 {
            text.extend_from_slice([&b"\n"[..], b" \t \r\n", b"\r\n"][i / 100 % 3]);
            line += 1;
        }
        line += 1;
        tally.add(record, format!("{}:{line}", file.display()));
        text.extend_from_slice(&record.bytes);
        text.push(b'\n');
    }
    (text, tally)
}

#[test]
fn each_line_is_scored_or_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.ndjson");
    let records = Generator::records(2, records(20_000));
    let (text, tally) = ndjson(&file, &records);
    std::fs::write(&file, text).unwrap();
    tally.check(folder.path(), &file);
}

#[test]
fn compression_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let records = Generator::records(3, records(20_000) / 10);
    // Told by the first bytes, whatever the name says.
    for name in ["gzip.zst", "zstd.ndjson"] {
        let file = folder.path().join(name);
        let (text, tally) = ndjson(&file, &records);
        let compressed = if name.starts_with("gzip") {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&text).unwrap();
            gzip.finish().unwrap()
        } else {
            zstd::encode_all(&*text, 1).unwrap()
        };
        std::fs::write(&file, compressed).unwrap();
        tally.check(folder.path(), &file);
    }
}

#[test]
fn a_dump_holds_what_lines_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let generator = Generator::new(4);
    let mut records = Generator::records(4, records(20_000) / 10);
    for empty in [&b""[..], b"\n", b" \t\r\n "] {
        let reason = if empty.is_empty() { "empty" } else { "not_json" };
        records.push(generator.bytes("nothing", empty, Expected::DeadLetter(reason)));
    }
    let file = folder.path().join("dump");
    let (mut text, mut tally) = (Vec::new(), Tally::default());
    for (i, record) in records.iter().enumerate() {
        let offset = i64::try_from(i).unwrap();
        let position = Position::Kafka { topic: "events".into(), partition: 7, offset };
        let key = [None, Some(&b""[..]), Some(b"\xff\0key"), Some(b"agent")][i % 4];
        let read = Record {
            key,
            value: &record.bytes,
            offset,
            observed_at: Timestamp::from_millis(1_772_438_400_000).unwrap(),
            origin: None,
            oversize: None,
        };
        dump::write_line(&mut text, &read, &position).unwrap();
        tally.add(record, position.to_string());
    }
    std::fs::write(&file, text).unwrap();
    tally.check(folder.path(), &file);
}

#[test]
fn what_the_first_line_begins_with_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let good = br#"{"id":"e","time":0,"agent":{"id":"a"},"action":{"name":"t"}}"#;
    let far = [&[b' '; 7 << 20][..], b"x"].concat();
    // A byte order mark stands before text: before an event, before nothing, before more white space than is held.
    let cases: [(&[u8], &[Value]); 6] = [
        (good, &[]),
        (b"", &[]),
        (&far, &["too_long".into()]),
        (b"\xef\xbb\xbf", &["not_json".into()]),
        (b"\xbf", &["not_utf8".into()]),
        (b"{\"schema\":\"driftline.record/1\",", &["not_json".into()]),
    ];
    for (first, reasons) in cases {
        for mark in [&b"\xef\xbb\xbf"[..], b""] {
            let file = folder.path().join("marked");
            std::fs::write(&file, [mark, first, b"\r\n", good, b"\n"].concat()).unwrap();
            let (dead, scores) = (folder.path().join("dead"), folder.path().join("scores"));
            let arguments = [&file, &dead, &scores].map(|path| path.to_str().unwrap().to_owned());
            let [file, letters, scored] = &arguments;
            let ended = driftline(folder.path(), &["replay", file, "--dead-letters", letters, "--scores", scored]);
            assert!(ended.status.success(), "{}", ended.said);
            let what = first[..first.len().min(40)].escape_ascii();
            if mark.is_empty() && first == b"\xef\xbb\xbf" {
                assert!(lines(&dead).is_empty(), "{what}: the mark itself");
                continue;
            }
            let found: Vec<Value> = lines(&dead).into_iter().map(|letter| letter["reason"].clone()).collect();
            assert_eq!(found, reasons, "{what}");
            assert_eq!(lines(&scores).len(), if first == good { 2 } else { 1 }, "{what}");
        }
    }
}
