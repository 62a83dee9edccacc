//! A replay that begins with a published baseline goes on as one that has seen all that the baseline was built from.
#![cfg(test)]

#[path = "support/history.rs"]
mod history;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use driftline_baseline::{About, Part, Store};
use driftline_core::{Alert, Timestamp};
use driftline_ingest::{Place, Record};
use serde_json::Value;

use history::{baselines, decode};

fn driftline(folder: &Path, arguments: &str) -> Output {
    let arguments = arguments.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_driftline")).args(arguments).current_dir(folder).output().unwrap()
}

/// What it says, where it succeeds.
fn said(folder: &Path, arguments: &str) -> String {
    let output = driftline(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(folder: &Path, file: &str) -> Vec<String> {
    fs::read_to_string(folder.join(file)).unwrap().lines().map(str::to_owned).collect()
}

fn alerts(folder: &Path, file: &str) -> Vec<Alert> {
    lines(folder, file).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// But for those about drift and exfiltration: what was bet on an agent, and what it has sent, is in no baseline.
fn ids(alerts: &[Alert]) -> BTreeSet<String> {
    let of = |alert: &&Alert| !["drift", "exfiltration"].contains(&alert.kind.as_str());
    alerts.iter().filter(of).map(|alert| alert.id.to_string()).collect()
}

/// What the detectors say of each event, but for exfiltration.
fn scores(folder: &Path, file: &str) -> Vec<(Value, Value)> {
    let parse = |line: &String| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line["detectors"].as_object_mut().unwrap().remove("exfiltration").unwrap();
        (line["id"].take(), line["detectors"].take())
    };
    lines(folder, file).iter().map(parse).collect()
}

/// Simulated events: `early`, and `late` that begins when all sessions of those have ended; and both in `all`.
fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    said(path, "simulate --agents 30 --events 30000 --attacks 40 --seed 11 --identities ids --out whole.ndjson");
    let whole = lines(path, "whole.ndjson");
    let (early, rest) = whole.split_at(18_000);
    let end = early.iter().map(|record| decode(record).time).max().unwrap();
    let late: Vec<_> = rest.iter().filter(|record| decode(record).time.since(end) > 2 * 3_600_000).cloned().collect();
    assert!(late.len() > 10_000);
    let write = |name: &str, records: &[String]| fs::write(path.join(name), records.join("\n") + "\n").unwrap();
    write("early.ndjson", early);
    write("late.ndjson", &late);
    write("all.ndjson", &[early, &late].concat());
    folder
}

/// Publishes what a file's sessions teach, but for those that were alerted on.
fn publish(folder: &Path, file: &str, alerts: &[Alert]) -> String {
    let records = lines(folder, file);
    let (mut first, mut place) = (None, Place::default());
    for (line, record) in (1..).zip(&records) {
        let (value, none) = (record.as_bytes(), Timestamp::MIN);
        place.pass(&Record { key: None, value, offset: line, observed_at: none, origin: None, oversize: None });
        first.get_or_insert(place);
    }
    let part = Part { next: place.next, first: first.unwrap().hex(), all: place.hex() };
    let about = About { parts: vec![part], ..About::default() };
    Store::new(folder.join("store")).publish(baselines(&records, alerts), about).unwrap().version
}

#[test]
fn it_scores_and_alerts_as_one_that_has_seen_it_all() {
    let site = site();
    let folder = site.path();
    said(folder, "replay all.ndjson --identities ids --alerts all.alerts --scores all.scores");
    said(folder, "replay early.ndjson --identities ids --alerts early.alerts");
    let (all, early) = (alerts(folder, "all.alerts"), alerts(folder, "early.alerts"));
    publish(folder, "early.ndjson", &early);
    let expected: BTreeSet<_> = ids(&all).difference(&ids(&early)).cloned().collect();
    assert!(early.len() > 10 && expected.len() > 10, "{} and {}", early.len(), expected.len());
    let late = lines(folder, "late.ndjson").len();
    let expected_scores: Vec<_> = scores(folder, "all.scores").into_iter().skip(18_000).collect();

    let replay = "--identities ids --baseline store --alerts warm.alerts --scores warm.scores";
    for (input, more) in [("late.ndjson", ""), ("late.ndjson", "--partitions 3"), ("all.ndjson", "--partitions 2")] {
        let summary = said(folder, &format!("replay {input} {replay} {more}"));
        // What the baseline contains is not scored, nor learned again.
        let passed = if input == "all.ndjson" { 18_000 } else { 0 };
        assert!(summary.contains(&format!(" {passed} passed over")), "{summary}");
        assert_eq!(lines(folder, "warm.scores").len(), late);
        assert!(scores(folder, "warm.scores") == expected_scores, "{input} {more}: scores are not the same");
        assert_eq!(ids(&alerts(folder, "warm.alerts")), expected, "{input} {more}");
    }
    // Without it they are others.
    said(folder, "replay late.ndjson --identities ids --alerts cold.alerts --scores cold.scores");
    assert!(scores(folder, "cold.scores") != expected_scores);
    assert_ne!(ids(&alerts(folder, "cold.alerts")), expected);
}

#[test]
fn a_state_that_is_kept_begins_with_its_baseline_once_and_with_no_other() {
    let site = site();
    let folder = site.path();
    let version = publish(folder, "early.ndjson", &[]);
    said(folder, "replay late.ndjson --baseline store --alerts whole.alerts");
    let records = lines(folder, "late.ndjson");
    let grown = "replay growing.ndjson --state state --alerts grown.alerts --baseline";
    for records in [&records[..4_000], &records] {
        fs::write(folder.join("growing.ndjson"), records.join("\n") + "\n").unwrap();
        said(folder, &format!("{grown} store@{version}"));
    }
    assert_eq!(ids(&alerts(folder, "grown.alerts")), ids(&alerts(folder, "whole.alerts")));

    publish(folder, "late.ndjson", &[]);
    let cold = grown.trim_end_matches("--baseline");
    for (arguments, says) in [(format!("{grown} store"), "the baseline"), (cold.to_owned(), "is gone")] {
        let refused = driftline(folder, &arguments);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(says), "{told}");
    }
}

#[test]
fn what_cannot_be_begun_with_is_told() {
    let site = site();
    let folder = site.path();
    let refused = |arguments: &str, says: &str| {
        let output = driftline(folder, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {told}");
        assert!(told.contains(says), "{arguments}: {told}");
    };
    refused("replay late.ndjson --baseline nowhere", "there is no version `current`");
    let version = publish(folder, "early.ndjson", &[]);
    refused("replay late.ndjson --baseline store@abc", &version);
    // It begins like what the baseline was built from, and then is something else.
    let mut records = lines(folder, "early.ndjson");
    records.swap(1, 2);
    fs::write(folder.join("other.ndjson"), records.join("\n") + "\n").unwrap();
    refused("replay other.ndjson --baseline store", "other.ndjson: line 18000: it begins as a file that the baseline");
    said(folder, "replay other.ndjson --baseline store --no-learn --alerts a");

    let path = folder.join("store").join(&version).join("baselines.zst");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refused("replay late.ndjson --baseline store", "damaged");
}
