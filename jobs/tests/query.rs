//! `driftline-baseline query` as people call it.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_driftline-baseline");
    Command::new(program).arg("query").args(arguments).current_dir(folder).output().unwrap()
}

/// What it prints, where it succeeds.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Events of two agents, and an alert on one of them; the name of one tool plays tricks on terminals.
fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let event = |i: u64| {
        let tool = if i == 0 { "\\u001b[31mred" } else { "look" };
        format!(
            r#"{{"id":"e{i}","time":{},"tenant":"t","agent":{{"id":"a{}"}},"session":{{"id":"s{}"}},"action":{{"name":"{tool}","access":"read"}},"usage":{{"duration_ms":{i}.5}}}}"#,
            1_772_400_000_000 + i * 60_000,
            i % 2,
            i % 4,
        )
    };
    fs::write(folder.path().join("e.ndjson"), (0..40).map(event).collect::<Vec<_>>().join("\n")).unwrap();
    let alert = r#"{"schema":"driftline.alert/1","id":"6f1c1a52-7a0e-5a3e-9a52-1d6a6a0b3c11","fingerprint":"f","time":"2026-03-02T00:00:00Z","detected_at":0,"status":"firing","entities":[],"tenant":"t","agent":{"id":"a1"},"detector":"novelty","family":"deviation","kind":"unusual_tool","basis":[],"title":"strange","severity":"high","risk":12.5,"evidence":[],"events":["e3","e5"],"summary":"","recommendation":"","config":"c","labels":{}}"#;
    fs::write(folder.path().join("alerts.ndjson"), alert).unwrap();
    folder
}

#[test]
fn events_alerts_and_baselines_are_tables() {
    let site = site();
    let folder = site.path();
    let counted = "SELECT agent, access, count(*) AS events, max(duration_ms) AS ms, min(time) AS first FROM events GROUP BY 1, 2 ORDER BY 1";
    let csv = said(folder, &[counted, "--events", "e.ndjson", "--output", "csv"]);
    assert_eq!(
        csv,
        "agent,access,events,ms,first\na0,read,20,38.5,2026-03-01T21:20:00Z\na1,read,20,39.5,2026-03-01T21:21:00Z\n"
    );
    let joined = "SELECT a.kind, a.severity, a.risk, a.events, e.session FROM alerts a JOIN events e ON e.id = a.event";
    let both = [joined, "--events", "e.ndjson", "--alerts", "alerts.ndjson", "--output", "json"];
    let rows: serde_json::Value = serde_json::from_str(&said(folder, &both)).unwrap();
    let expected = serde_json::json!([
        {"kind": "unusual_tool", "severity": "high", "risk": 12.5, "events": 2, "session": "s3"}
    ]);
    assert_eq!(rows, expected);

    let build = ["build", "e.ndjson", "--store", "store"];
    let built = Command::new(env!("CARGO_BIN_EXE_driftline-baseline")).args(build).current_dir(folder).output();
    assert!(built.unwrap().status.success());
    let shares = "SELECT c.agent, c.name, c.sessions, a.events FROM counts c JOIN agents a USING (tenant, agent, version) WHERE dimension = 'tool' AND c.agent = 'a1'";
    let csv = said(folder, &[shares, "--baseline", "store", "--output", "csv"]);
    assert_eq!(csv, "agent,name,sessions,events\na1,look,2,20\n");
}

#[test]
fn a_table_for_people_plays_no_tricks_on_their_terminal() {
    let site = site();
    let table = said(site.path(), &["SELECT tool FROM events WHERE id = 'e0'", "--events", "e.ndjson"]);
    assert!(table.contains("[31mred") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn no_rows_are_told_as_such() {
    let site = site();
    let none = |form| {
        said(site.path(), &["SELECT id FROM alerts WHERE risk > 90", "--alerts", "alerts.ndjson", "--output", form])
    };
    assert_eq!(none("csv"), "id\n");
    assert_eq!(none("json"), "[]\n");
    assert!(none("table").contains("id"));
}

#[test]
fn a_query_that_makes_no_sense_is_refused_and_none_writes() {
    let site = site();
    let folder = site.path();
    fs::write(folder.join("bad.ndjson"), "{}\n").unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["SELECT * FROM events"], "--events"),
        (&["SELEC 1"], "SELEC"),
        (&["SELECT nothing FROM alerts", "--alerts", "alerts.ndjson"], "alerts.title"),
        (&["COPY (SELECT 1) TO 'x.csv'"], "not supported"),
        (&["CREATE TABLE x AS SELECT 1"], "not supported"),
        (&["SELECT 1", "--events", "gone.ndjson"], "gone.ndjson: there is no such file"),
        (&["SELECT 1", "--alerts", "bad.ndjson"], "bad.ndjson: line 1: not an alert"),
    ];
    for (arguments, says) in cases {
        let output = run(folder, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
    assert!(!folder.join("x.csv").exists());
}
