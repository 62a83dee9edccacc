//! Baselines of an archive.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use driftline_archive::{Archive, Range};
use driftline_core::{Event, Limits, Timestamp};

use support::{build, built};

fn record(i: i64) -> String {
    let session = i % 35;
    format!(
        r#"{{"time":{},"tenant":"t{}","agent":{{"id":"a{}"}},"session":{{"id":"s{session}"}},"action":{{"name":"t{}"}},"resource":{{"id":"r/{}"}}}}"#,
        1_772_400_000_000 + i * 20_000,
        i % 7 % 2,
        i % 7,
        i % 5,
        i % 40
    )
}

/// Archives records, those of an agent in one of three partitions, in ranges of so many offsets; after each the last record of
/// the partition is none.
fn archive(folder: &Path, records: &[String], size: usize) -> BTreeMap<String, i64> {
    let archive = Archive::at(folder.join("archive").to_str().unwrap()).unwrap();
    let mut ends = BTreeMap::new();
    for partition in 0..3 {
        let is_of = |i: &usize| i % 7 % 3 == partition;
        let own: Vec<_> = (0..records.len()).filter(is_of).map(|i| &records[i]).collect();
        let mut from = 0;
        for part in own.chunks(size) {
            let mut range = Range::new("events", partition as i32, from);
            for record in part {
                let event = Event::decode(record.as_bytes(), &Limits::default()).unwrap();
                range.push(&event, record.as_bytes(), from, Timestamp::MIN);
                from += 1;
            }
            range.read_to(from + 1);
            range.write(&archive).unwrap();
            from += 1;
        }
        ends.insert(format!("events/{partition}"), from);
    }
    ends
}

#[test]
fn an_archive_teaches_what_the_records_do_that_were_archived() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records: Vec<_> = (0..6_000).map(record).collect();
    fs::write(folder.join("events.ndjson"), records.join("\n")).unwrap();
    let ends = archive(folder, &records, 300);
    let (from_archive, from_file) = (built(folder, "a", &["archive"]), built(folder, "b", &["events.ndjson"]));
    assert_eq!(from_archive.content, from_file.content);
    assert_eq!(from_archive.events, 6_000);
    assert_eq!(from_archive.about.positions, ends);

    let range = ["--since", "2026-03-02T00:10:00Z", "--until", "2026-03-02T12:40:00Z"];
    let part = built(folder, "a", &[&["archive"], &range[..]].concat());
    assert_eq!(part.content, built(folder, "b", &[&["events.ndjson"], &range[..]].concat()).content);
    assert!(part.events > 0 && part.events < 6_000);
}

#[test]
fn what_is_missing_of_an_archive_is_told_and_nothing_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    archive(folder, &(0..200).map(record).collect::<Vec<_>>(), 50);
    let hour = folder.join("archive/tenant=t0/date=2026-03-01/hour=21");
    let path = fs::read_dir(&hour).unwrap().next().unwrap().unwrap().path();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = fs::read(&path).unwrap();
    let refused = || {
        let output = build(folder, &["archive", "--store", "store"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&name), "{told}");
        assert!(!folder.join("store").exists());
    };
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused();
    fs::remove_file(&path).unwrap();
    refused();
}
