//! `driftline evaluate` from the command line: figures, page, and what is said of bad input.
#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn driftline(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_driftline")).args(arguments).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap()
}

/// A folder with labelled events of a fleet that was attacked.
fn fleet() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let simulate = "simulate --agents 60 --events 60000 --attacks 60 --seed 5 --out events.ndjson --labels labels.ndjson --identities ids";
    let output = driftline(&simulate.split(' ').collect::<Vec<_>>(), folder.path());
    assert!(output.status.success(), "{}", said(&output));
    folder
}

fn evaluate(folder: &Path, more: &[&str]) -> Output {
    let arguments =
        ["evaluate", "--labels", "labels.ndjson", "--identities", "ids", "--output", "json", "events.ndjson"];
    driftline(&[&arguments, more].concat(), folder)
}

#[test]
fn attacks_are_told_from_honest_sessions_and_the_figures_hold_together() {
    let folder = fleet();
    let output = evaluate(folder.path(), &["--report", "report.html"]);
    assert!(output.status.success(), "{}", said(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let figure = |pointer: &str| summary.pointer(pointer).and_then(Value::as_f64).unwrap();
    assert_eq!(figure("/events"), 60_000.0);
    assert!(figure("/together/auroc") > 0.8, "{summary}");
    let caught = ["/together/caught/0", "/together/caught/1", "/together/caught/2"].map(figure);
    assert!(caught.is_sorted_by(|a, b| a >= b) && caught[2] > 0.3, "{caught:?}");
    assert!(figure("/intervals/0/low") <= figure("/together/auroc"));
    assert!(figure("/together/auroc") <= figure("/intervals/0/high"));
    let of_kinds = |field: &str| {
        summary["by_kind"].as_array().unwrap().iter().map(|kind| kind[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(of_kinds("sessions") as f64, figure("/attacks"));
    assert!(of_kinds("caught") > 0 && of_kinds("caught") <= of_kinds("sessions"));

    // Shuffled labels tell nothing: a figure that does not fall then is none.
    let labels = std::fs::read_to_string(folder.path().join("labels.ndjson")).unwrap();
    let session = |line: &str| serde_json::from_str::<Value>(line).unwrap()["session"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = labels.lines().map(session).collect();
    ids.rotate_left(labels.lines().count() / 2);
    let rotated: Vec<String> =
        labels.lines().zip(ids).map(|(line, id)| line.replacen(&session(line), &id, 1)).collect();
    std::fs::write(folder.path().join("labels.ndjson"), rotated.join("\n")).unwrap();
    let output = evaluate(folder.path(), &[]);
    let chance: Value = serde_json::from_slice(&output.stdout).unwrap();
    let auroc = chance.pointer("/together/auroc").and_then(Value::as_f64).unwrap();
    assert!((0.3..0.7).contains(&auroc), "{auroc}");

    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(!page.contains("http-equiv") && !page.contains("src="), "it needs nothing else");
}

#[test]
fn what_was_learned_from_history_is_not_new() {
    let folder = fleet();
    let novelty = |more: &[&str]| {
        let output = evaluate(folder.path(), more);
        assert!(output.status.success(), "{}", said(&output));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        summary.pointer("/alone/0/auroc").and_then(Value::as_f64).unwrap()
    };
    // The attacks themselves are in that history.
    let taught = novelty(&["--no-learn", "--history", "events.ndjson"]);
    assert!(taught < novelty(&[]), "{taught}");
}

#[test]
fn what_is_raised_on_honest_sessions_is_held_against_the_budget() {
    let folder = fleet();
    let summary = |more: &[&str]| -> Value {
        let output = evaluate(folder.path(), more);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let a_day =
        |summary: &Value| summary["false_alerts_of_learned"].as_f64().unwrap() / summary["days"].as_f64().unwrap();
    let kept = summary(&["--alert-budget", "5/day"]);
    assert_eq!(kept["alert_budget"], 5.0);
    assert!(a_day(&kept) <= 5.0, "{kept}");
    let loose = summary(&["--level", "1"]);
    assert_eq!(loose["alert_budget"], Value::Null);
    assert!(a_day(&loose) > 5.0, "the figure can say no: {loose}");

    let honesty = loose["honesty"].as_array().unwrap();
    let by_detector: u64 = honesty.iter().map(|row| row["false_alerts"].as_u64().unwrap()).sum();
    assert_eq!(Some(by_detector), loose["false_alerts"].as_u64(), "each is one detector's");
    for row in honesty {
        let [five, one] = [0, 1].map(|i| row["at_or_below"][i].as_f64().unwrap());
        assert!(one <= five && five <= 1.0, "{row}");
    }
    assert!(honesty.iter().any(|row| row["at_or_below"][0].as_f64().unwrap() > 0.0), "{honesty:?}");
}

#[test]
fn what_an_agent_calls_itself_is_text_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, lines: &[&str]| std::fs::write(folder.path().join(name), lines.join("\n")).unwrap();
    let event = |session: &str, id: &str| {
        format!(
            r#"{{"id":"{id}","time":"2026-03-02T08:11:24Z","agent":{{"id":"<script>x</script>"}},"session":{{"id":"{session}"}},"action":{{"name":"<img src=x>"}}}}"#
        )
    };
    write("events.ndjson", &[&event("a", "a-1"), &event("b", "b-1")]);
    write(
        "labels.ndjson",
        &[
            r#"{"session":"a","agent":"<script>x</script>","label":"attack","task":"<b>t","malicious":["a-1"]}"#,
            r#"{"session":"b","agent":"<script>x</script>","label":"benign","task":"t","malicious":[]}"#,
        ],
    );
    let arguments = ["evaluate", "--labels", "labels.ndjson", "events.ndjson", "--report", "report.html"];
    let output = driftline(&arguments, folder.path());
    assert!(output.status.success(), "{}", said(&output));
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>") && !page.contains("<img"));
}

#[test]
fn bad_input_is_named_with_exit_status_2() {
    let folder = fleet();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = driftline(arguments, folder.path());
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    let labels = ["evaluate", "--labels", "labels.ndjson"];
    refused(&["evaluate", "--labels", "none", "events.ndjson"], &["cannot read none"]);
    refused(&[&labels[..], &["none.ndjson"]].concat(), &["none.ndjson"]);
    refused(&[&labels[..], &["events.ndjson", "--positive", "attack"]].concat(), &["--positive", "FIELD=VALUE"]);
    refused(&[&labels[..], &["events.ndjson", "--positive", "label=hijacked"]].concat(), &["0 sessions are attacks"]);
    refused(&[&labels[..], &["events.ndjson", "--task", "no_field"]].concat(), &["line 1", "no_field"]);
    refused(&[&labels[..], &["labels.ndjson"]].concat(), &["no events of attacks", "session.id"]);
}
