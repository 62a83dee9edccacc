//! An archive as those see it who write to it at a time, and who read it.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use driftline_archive::{Archive, ArchiveError, Range};
use driftline_core::{Event, Limits, Timestamp};

const HOUR: i64 = 3_600_000;

fn record(offset: i64) -> String {
    let tenant = ["acme", "", "../up", "."][offset as usize % 4];
    let time = 1_772_409_600_000 + offset * HOUR / 3;
    format!(r#"{{"id":"e{offset}","time":{time},"tenant":"{tenant}","agent":{{"id":"a"}},"action":{{"name":"look"}}}}"#)
}

fn range(from: i64, until: i64) -> Range {
    let mut range = Range::new("agent.events", 3, from);
    // Every fifth record is no event.
    for offset in (from..until).filter(|offset| offset % 5 > 0) {
        let record = record(offset);
        let event = Event::decode(record.as_bytes(), &Limits::default()).unwrap();
        range.push(&event, record.as_bytes(), offset, Timestamp::from_millis(offset).unwrap());
    }
    range.read_to(until);
    range
}

/// Offsets of what can be read, by the listing.
fn read(archive: &Archive) -> Vec<i64> {
    let mut offsets = Vec::new();
    for listed in archive.list().unwrap() {
        for file in archive.files(&listed, None, None) {
            for block in archive.open(file).unwrap() {
                let block = block.unwrap();
                for archived in block.records() {
                    assert_eq!(archived.record, record(archived.offset).as_bytes());
                    assert_eq!(archived.observed_at.millis(), archived.offset);
                    offsets.push(archived.offset);
                }
            }
        }
    }
    offsets.sort_unstable();
    offsets
}

fn events(until: i64) -> Vec<i64> {
    (0..until).filter(|offset| offset % 5 > 0).collect()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false => drop(found.insert(entry.path().to_str().unwrap().to_owned())),
        }
    }
    found
}

#[test]
fn what_was_written_is_read_back_and_only_inside_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("archive");
    let archive = Archive::at(folder.to_str().unwrap()).unwrap();
    assert!(!Archive::is_at(&folder));
    assert_eq!(archive.resume("agent.events", 3).unwrap(), None);
    for (from, until) in [(0, 40), (40, 41), (41, 100)] {
        range(from, until).write(&archive).unwrap();
    }
    assert!(Archive::is_at(&folder));
    assert_eq!(archive.resume("agent.events", 3).unwrap(), Some(100));
    assert_eq!(archive.resume("agent.events", 30).unwrap(), None);
    assert_eq!(archive.resume("agent", 3).unwrap(), None);
    assert_eq!(read(&archive), events(100));
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1, "no tenant's name leads out of it");
    assert!(folder.join("tenant=acme/date=2026-03-02/hour=01").is_dir());
}

#[test]
fn hours_outside_the_range_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path().to_str().unwrap()).unwrap();
    let listed = range(0, 60).write(&archive).unwrap();
    let hours: BTreeSet<_> = archive
        .files(&listed, Some("2026-03-02/05"), Some("2026-03-02/07"))
        .into_iter()
        .map(|file| file.folder.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(hours, ["hour=05", "hour=06", "hour=07"].map(str::to_owned).into());
}

#[test]
fn of_two_writers_one_has_the_range_and_the_other_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path().to_str().unwrap()).unwrap();
    range(0, 20).write(&archive).unwrap();
    let before = files(folder.path());
    // One that was paused, and has read further or less.
    for until in [10, 20, 30] {
        let late = range(0, until).write(&archive);
        assert!(matches!(late, Err(ArchiveError::Claimed { from: 0, .. })), "{late:?}");
        assert_eq!(files(folder.path()), before);
    }
    assert_eq!(read(&archive), events(20));
}

#[test]
fn a_writer_that_ends_before_its_files_have_their_names_leaves_them_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path().to_str().unwrap()).unwrap();
    let listed = range(0, 20).write(&archive).unwrap();
    for file in &listed.files {
        let at = folder.path().join(&file.folder);
        fs::rename(at.join(&file.name), at.join(&file.hidden)).unwrap();
    }
    assert_eq!(archive.resume("agent.events", 3).unwrap(), Some(20));
    assert!(listed.files.iter().all(|file| folder.path().join(&file.folder).join(&file.name).is_file()));
    assert_eq!(read(&archive), events(20));
}

#[test]
fn what_is_no_archive_is_told() {
    assert!(matches!(Archive::at("s3://bucket/events"), Err(ArchiveError::NoFolder(_))));
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path().to_str().unwrap()).unwrap();
    let listed = range(0, 20).write(&archive).unwrap();
    let path = folder.path().join("_listing/agent%2Eevents-3-00000000000000000000.json");
    let text = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("driftline.archive/1", "driftline.archive/9"),
        ("\"from\": 0", "\"from\": 1"),
        ("tenant=acme/", "../tenant=acme/"),
    ] {
        fs::write(&path, text.replace(from, to)).unwrap();
        let error = archive.list().unwrap_err().to_string();
        assert!(error.contains("00000.json"), "{error}");
    }
    fs::write(&path, &text).unwrap();
    let file = &listed.files[0];
    let path = folder.path().join(&file.folder).join(&file.name);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let opened = archive.open(file).map(drop);
    assert!(opened.unwrap_err().to_string().contains(&file.name));
    fs::remove_file(&path).unwrap();
    assert!(archive.open(file).is_err());
}
