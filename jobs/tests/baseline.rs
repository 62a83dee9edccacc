//! `driftline-baseline` as people call it.
#![cfg(test)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use driftline_baseline::{Entry, Store};
use driftline_core::baseline::{Act, Baseline, SessionLog, session_key};
use driftline_core::{Event, Limits};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_driftline-baseline")).args(arguments).current_dir(folder).output().unwrap()
}

/// What it prints, where it succeeds.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Events of three agents in some sessions each, interleaved; each session in two versions' turn.
fn events(count: u64) -> Vec<String> {
    let event = |i: u64| {
        let (agent, session) = (i % 3, i % 21);
        format!(
            r#"{{"time":{},"tenant":"t","agent":{{"id":"a{agent}","version":"{}"}},"session":{{"id":"s{session}"}},"task":{{"intent":"Look up order {session}"}},"action":{{"name":"tool{}","kind":"tool_call"}},"resource":{{"id":"orders/{}"}},"usage":{{"duration_ms":{i}}},"outcome":"{}"}}"#,
            1_772_400_000_000 + i * 60_000,
            session % 2,
            i % 5,
            i % 40,
            if i.is_multiple_of(7) { "denied" } else { "success" },
        )
    };
    (0..count).map(event).collect()
}

/// The baselines of these records, learned session by session without any job.
fn learned(records: &[String]) -> Vec<Entry> {
    let mut logs = std::collections::BTreeMap::<(String, String, u64), SessionLog>::new();
    for (order, record) in records.iter().enumerate() {
        let event = Event::decode(record.as_bytes(), &Limits::default()).unwrap();
        let version = event.agent.version.as_deref().unwrap_or("").to_owned();
        let log = logs.entry((event.agent.id.to_string(), version, session_key(&event))).or_default();
        log.push(&Act::of(&event, order as u64));
    }
    let mut entries = std::collections::BTreeMap::<(String, String), Baseline>::new();
    for ((agent, version, _), log) in logs {
        let baseline =
            entries.entry((agent, version)).or_insert_with(|| Baseline::new(Limits::default().keys_per_agent));
        log.lessons(|lesson| baseline.learn(lesson));
    }
    let entry = |((agent, version), baseline)| Entry { tenant: "t".into(), agent, version, baseline };
    entries.into_iter().map(entry).collect()
}

fn current(folder: &Path) -> Vec<Entry> {
    Store::new(folder.join("store")).read("current").unwrap()
}

#[test]
fn a_job_over_files_learns_what_the_sessions_teach_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records = events(5_000);
    let (early, late) = records.split_at(2_000);
    fs::create_dir(folder.join("logs")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(early.join("\n").as_bytes()).unwrap();
    fs::write(folder.join("logs/1.ndjson.gz"), gzip.finish().unwrap()).unwrap();
    // Some of it twice: repeats count once.
    fs::write(folder.join("logs/2.ndjson"), [late, &late[..100]].concat().join("\n")).unwrap();
    said(folder, &["build", "logs", "--store", "store", "--threads", "3"]);
    assert_eq!(current(folder), learned(&records));

    let manifest = Store::new(folder.join("store")).find("current").unwrap();
    assert_eq!((manifest.agents, manifest.versions, manifest.events), (3, 6, 5_000));
    assert_eq!(manifest.about.positions["logs/1.ndjson.gz"], 2_001, "the line to go on at");
    assert_eq!(manifest.about.positions["logs/2.ndjson"], 3_101);
    assert_eq!(manifest.about.parts.iter().map(|part| part.next).collect::<Vec<_>>(), [2_001, 3_101]);

    // One thread comes to the very same content.
    let again = ["build", "logs", "--store", "other", "--threads", "1"];
    said(folder, &again);
    assert_eq!(Store::new(folder.join("other")).find("current").unwrap().content, manifest.content);
}

#[test]
fn sessions_that_were_alerted_on_teach_only_when_the_agent_works() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records: Vec<_> =
        (0..).zip(events(600)).map(|(i, event)| event.replacen('{', &format!(r#"{{"id":"e{i}","#), 1)).collect();
    fs::write(folder.join("e.ndjson"), records.join("\n")).unwrap();
    let alert = |event: usize, session: usize, severity: &str, kind: &str| {
        let (agent, id) = (event % 3, "6f1c1a52-7a0e-5a3e-9a52-1d6a6a0b3c11");
        format!(
            r#"{{"schema":"driftline.alert/1","id":"{id}","fingerprint":"f","time":0,"detected_at":0,"status":"firing","entities":[],"tenant":"t","agent":{{"id":"a{agent}"}},"session":{{"id":"s{session}"}},"detector":"d","family":"f","kind":"{kind}","basis":[],"title":"","severity":"{severity}","risk":0.0,"evidence":[],"events":["e{event}","e0"],"summary":"","recommendation":"","config":"c","labels":{{}}}}"#
        )
    };
    // The session s5 of a2 was alerted on, s7 of a1 for its pace; what is told of s9 and of event 0 keeps nothing out.
    let alerts = [alert(5, 5, "high", "k"), alert(7, 7, "medium", "burst"), alert(9, 9, "low", "k")].join("\n");
    fs::write(folder.join("alerts.ndjson"), &alerts).unwrap();
    said(folder, &["build", "e.ndjson", "--store", "store", "--exclude-alerts", "alerts.ndjson"]);

    let other =
        |session: usize| move |record: &&String| !record.contains(&format!(r#""session":{{"id":"s{session}"}}"#));
    let all = learned(&records);
    let kept: Vec<_> = records.iter().filter(other(5)).filter(other(7)).cloned().collect();
    for (found, expected) in current(folder).iter().zip(&learned(&kept)) {
        let of = |baseline: &Baseline| (baseline.sessions, baseline.events, baseline.habits.clone());
        assert_eq!(of(&found.baseline), of(&expected.baseline));
        let before = all.iter().find(|entry| (&entry.agent, &entry.version) == (&found.agent, &found.version)).unwrap();
        let hours = |baseline: &Baseline| baseline.hours().collect::<Vec<_>>();
        match found.agent.as_str() {
            "a1" => assert_eq!(hours(&found.baseline), hours(&expected.baseline)),
            _ => assert_eq!(hours(&found.baseline), hours(&before.baseline)),
        }
    }
    let manifest = Store::new(folder.join("store")).find("current").unwrap();
    assert!(manifest.excluded >= 2, "{manifest:?}");

    fs::write(folder.join("alerts.ndjson"), format!("{alerts}\nnone\n")).unwrap();
    let refused = run(folder, &["build", "e.ndjson", "--store", "other", "--exclude-alerts", "alerts.ndjson"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("alerts.ndjson: line 4: not an alert"));
}

#[test]
fn a_range_leaves_out_what_is_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let records = events(300);
    fs::write(folder.join("e.ndjson"), records.join("\n")).unwrap();
    let (since, until) = ("2026-03-01T22:20:00Z", "2026-03-01T23:20:00Z");
    said(folder, &["build", "e.ndjson", "--store", "store", "--since", since, "--until", until]);
    // The first event is of 21:20.
    assert_eq!(current(folder), learned(&records[60..120]));
    let manifest = Store::new(folder.join("store")).find("current").unwrap();
    assert_eq!(manifest.about.outside, 240);
}

#[test]
fn what_is_published_is_listed_shown_and_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for count in [100, 200] {
        fs::write(folder.join("e.ndjson"), events(count).join("\n")).unwrap();
        said(folder, &["build", "e.ndjson", "--store", "store"]);
    }
    let listed = || -> serde_json::Value {
        serde_json::from_str(&said(folder, &["list", "--store", "store", "--output", "json"])).unwrap()
    };
    let versions = listed();
    assert_eq!(versions["current"], versions["versions"][0]["version"]);
    assert_eq!(versions["versions"][0]["events"], 200);
    said(folder, &["rollback", "--store", "store"]);
    assert_eq!(listed()["current"], versions["versions"][1]["version"]);
    let refused = run(folder, &["rollback", "--store", "store"]);
    assert_eq!(refused.status.code(), Some(2), "nothing was published before");

    let shown = said(folder, &["show", "a1", "--store", "store", "--output", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["events"], &shown["warm"]), (&33.into(), &false.into()));
    assert_eq!(shown["dimensions"]["tool"]["distinct"], 5);
    let text = said(folder, &["show", "a1", "--store", "store", "--version", "1"]);
    assert!(text.contains("version 1") && text.contains("tool0") && text.contains("tool after tool"), "{text}");
    let unknown = run(folder, &["show", "nobody", "--store", "store"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are 3: a0, a1, a2"));
}

#[test]
fn what_has_changed_is_told_by_weight() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("e.ndjson"), events(300).join("\n")).unwrap();
    said(folder, &["build", "e.ndjson", "--store", "store"]);
    let other: Vec<_> =
        events(300).iter().map(|record| record.replace(r#""name":"tool3""#, r#""name":"purge""#)).collect();
    fs::write(folder.join("e.ndjson"), other.join("\n")).unwrap();
    said(folder, &["build", "e.ndjson", "--store", "store"]);
    let versions = Store::new(folder.join("store")).list().unwrap();
    let diff = |arguments: &[&str]| -> serde_json::Value {
        let all = [&["diff", "--store", "store", "--output", "json"], arguments].concat();
        serde_json::from_str(&said(folder, &all)).unwrap()
    };
    let changed = diff(&[&versions[1].version, "current", "--agent", "a0"]);
    assert_eq!(changed.as_array().unwrap().len(), 1);
    let tools = |kind: &str| {
        let changes = changed[0]["changes"].as_array().unwrap().iter();
        let of_kind = changes.filter(|change| change["kind"] == kind && change["dimension"] == "tool");
        of_kind.map(|change| change["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((tools("new"), tools("vanished")), (vec!["purge".to_owned()], vec!["tool3".to_owned()]));
    assert!(changed[0]["drift"].as_f64().unwrap() > 0.1, "{changed}");
    let same = diff(&["current", "current"]);
    assert_eq!(same.as_array().unwrap().len(), 3);
    assert!(same.as_array().unwrap().iter().all(|one| one["drift"] == 0.0), "{same}");
    let releases = diff(&["--agent", "a0", "--versions", "0", "1"]);
    assert!(releases[0]["drift"].as_f64().unwrap() > 0.0);
    assert_eq!(run(folder, &["diff", "--store", "store", "current"]).status.code(), Some(2));
}

#[test]
fn input_that_is_none_is_told_and_nothing_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("empty")).unwrap();
    let good = events(50).join("\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(events(5_000).join("\n").as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    fs::write(folder.join("half.gz"), &gzip[..gzip.len() / 2]).unwrap();
    fs::write(folder.join("good.ndjson"), &good).unwrap();
    fs::write(folder.join("bad.ndjson"), format!("{good}\nnonsense\n{{}}\n")).unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["gone.ndjson"], "gone.ndjson: there is no such file or folder"),
        (&["empty"], "empty: no file matches"),
        (&["half.gz"], "the gzip file ends in the middle of its data"),
        (&["bad.ndjson", "--max-bad", "1"], "bad.ndjson:51"),
        (&["good.ndjson", "--since", "2027-01-01T00:00:00Z"], "50 events are outside the range"),
        (&["good.ndjson", "--since", "2027-01-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"], "no time in between"),
        (&["good.ndjson", "--format", "cvs"], "`cvs` is not a format"),
    ];
    for (arguments, says) in cases {
        let output = run(folder, &[&["build", "--store", "store"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
        assert!(!folder.join("store").exists(), "{arguments:?}: something was published");
    }
    // Within the bound they are counted, and told.
    let output = run(folder, &["build", "--store", "store", "bad.ndjson", "--max-bad", "2"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 records were no events"));
}
