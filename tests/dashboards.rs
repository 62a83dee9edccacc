//! What is in `dashboards/` is whole: rules hold in their tests, panels say what to do, and no metric is shown nowhere.
//!
//! That every query gives something is seen in `tests/stream/watched.rs`, over a run.
#![cfg(test)]

#[path = "support/dashboards.rs"]
#[expect(dead_code, reason = "what is asked of Prometheus is for the test of a run")]
mod dashboards;
#[path = "support/prometheus.rs"]
#[expect(dead_code, reason = "other tests ask more of it")]
mod prometheus;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};

use driftline::metrics::Metrics;
use driftline_detectors::DETECTORS;
use serde_json::Value;

use dashboards::{annotations, panels, repository, rules, selectors};
use prometheus::{Prometheus, is_installed};

#[test]
fn rules_hold_in_their_tests() {
    if !is_installed("promtool") {
        return;
    }
    for arguments in
        [&["check", "rules", "recording.yml", "alerts.yml"][..], &["test", "rules", "tests.yml", "tests-days.yml"]]
    {
        let output =
            Command::new("promtool").args(arguments).current_dir(repository("dashboards/rules")).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "promtool {arguments:?}:\n{said}");
    }
}

#[test]
fn each_alert_has_a_runbook_and_is_tested_both_ways() {
    let mut cases = Vec::new();
    for file in ["tests.yml", "tests-days.yml"] {
        let text = fs::read_to_string(repository("dashboards/rules").join(file)).unwrap();
        let tests: Value = serde_saphyr::from_str(&text).unwrap();
        for case in
            tests["tests"].as_array().unwrap().iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap())
        {
            let fires = !case["exp_alerts"].as_array().unwrap().is_empty();
            cases.push((case["alertname"].as_str().unwrap().to_owned(), fires));
        }
    }
    let index = fs::read_to_string(repository("docs/runbooks/README.md")).unwrap();
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for alert in rules("alerts.yml") {
        let page = format!("{}.md", alert.name);
        let url = alert.annotations["runbook_url"].as_str().unwrap();
        assert!(url.ends_with(&format!("/docs/runbooks/{page}")), "{url}");
        let text = fs::read_to_string(repository("docs/runbooks").join(&page)).unwrap_or_default();
        assert!(text.contains("\n## Look\n") && text.contains("\n## Do\n"), "{page} says where to look and what to do");
        assert!(index.contains(&format!("]({page})")), "docs/runbooks/README.md lists {page}");
        for fires in [true, false] {
            assert!(cases.contains(&(alert.name.clone(), fires)), "{}: no case where it fires: {fires}", alert.name);
        }
        pages.insert(page);
    }
    let there = fs::read_dir(repository("docs/runbooks")).unwrap();
    let there: BTreeSet<String> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, pages, "pages of alerts that are there, and no others");
}

#[test]
fn panels_say_what_to_do() {
    let mut titles = BTreeSet::new();
    for panel in panels() {
        let name = format!("{} / {}", panel.board, panel.title);
        assert!(panel.description.split_whitespace().count() >= 8, "{name}: {:?}", panel.description);
        let kind = panel.queries.first().cloned();
        assert!(titles.insert((panel.board, panel.title, kind)), "{name} is there twice");
    }
}

#[test]
fn each_metric_is_shown_or_alerted_on() {
    let shown = panels().into_iter().chain(annotations()).flat_map(|panel| panel.queries);
    let alerted = ["recording.yml", "alerts.yml"].into_iter().flat_map(rules).map(|rule| rule.expr);
    let named: BTreeSet<String> = shown
        .chain(alerted)
        .flat_map(|expr| selectors(&expr))
        .map(|selector| selector.split('{').next().unwrap_or_default().to_owned())
        .collect();
    let metrics = Metrics::new(1);
    let nowhere: Vec<&str> = metrics
        .descriptions()
        .iter()
        .map(|metric| metric.name.as_str())
        .filter(|name| !["", "_bucket", "_count", "_sum"].iter().any(|part| named.contains(&format!("{name}{part}"))))
        .collect();
    assert!(nowhere.is_empty(), "in no dashboard and no rule: {nowhere:?}");
}

#[test]
fn selectors_are_found_with_what_narrows_them_down() {
    let expr =
        r#"sum(rate(driftline_a_total{x="y"}[1h])) / on (job) driftline:b:rate5m > 0 or up{job="d"} and setup == 1"#;
    assert_eq!(selectors(expr), [r#"driftline_a_total{x="y"}"#, "driftline:b:rate5m", r#"up{job="d"}"#]);
}

/// A fleet of 100,000 agents in 1,000,000 sessions, by Prometheus' own count.
#[test]
fn series_do_not_become_more_with_agents_and_sessions() {
    const AGENTS: u64 = 100_000;
    const SESSIONS: u64 = 1_000_000;
    const FIRST: u64 = 10_000;
    const TOP: u64 = 20;
    if !is_installed("prometheus") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[source.files]\npaths = [\"-\"]\n[alerts.file]\npath = \"alerts.ndjson\"\n[dead_letters.file]\npath = \"dead.ndjson\"\n\
         [instance]\nstate = \"state\"\n[limits]\nnew_agents_per_hour = {AGENTS}\n[metrics]\ntop_agents = {TOP}\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n"
    );
    fs::write(folder.path().join("driftline.toml"), config).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_driftline"));
    program
        .args(["run", "-c", "driftline.toml"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = log
        .by_ref()
        .find_map(|line| {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            line.pointer("/fields/address").or(line.pointer("/address"))?.as_str().map(ToOwned::to_owned)
        })
        .expect("it says where it listens");
    // The rest is kept from filling the pipe.
    let rest = std::thread::spawn(move || log.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
    let mut prometheus = Prometheus::start(folder.path(), &address);

    let mut input = BufWriter::new(child.stdin.take().unwrap());
    let mut write = |sessions: std::ops::Range<u64>| {
        for n in sessions {
            let (time, agent) = (1_772_409_600_000 + n * 500, n % AGENTS);
            writeln!(
                input,
                r#"{{"time":{time},"tenant":"t-{}","agent":{{"id":"a-{agent}"}},"session":{{"id":"s-{n}"}},"principal":{{"id":"p-{n}","kind":"user"}},"action":{{"name":"tool-{}"}},"resource":{{"id":"r-{n}"}}}}"#,
                agent % 7,
                n % 13,
            )
            .unwrap();
        }
        input.flush().unwrap();
    };
    let scored = |it: &Prometheus| it.value("sum(driftline_events_total)").unwrap_or(0.0);
    let count = |it: &Prometheus, of: &str| {
        it.value(&format!("count(last_over_time({{__name__=~\"driftline_.+\"{of}}}[1m]))")).unwrap_or(0.0)
    };
    // More than an hour of event time, so that all kinds of control records have been there.
    write(0..FIRST);
    prometheus.wait("some events", |it| scored(it) >= FIRST as f64 && count(it, ", agent!=\"\"") > 3.0);
    let before = count(&prometheus, ", agent=\"\"");
    write(FIRST..SESSIONS);
    prometheus.wait("all events", |it| scored(it) >= SESSIONS as f64);
    let agents = prometheus.value("last_over_time(driftline_agents[1m])").unwrap();
    let (after, by_agent) = (count(&prometheus, ", agent=\"\""), count(&prometheus, ", agent!=\"\""));
    println!(
        "{agents} agents, {SESSIONS} sessions: {after} series, and {by_agent} by agent; with {FIRST} sessions {before}"
    );
    assert_eq!(agents, AGENTS as f64);
    assert_eq!(after, before, "series that are no agent's");
    // Risk, events and alerts, drift and changes in six dimensions, the last alert of each kind, and five tools; of the others
    // risk, events, alerts and drift.
    let kinds: usize = DETECTORS.iter().map(|detector| detector.kinds().len()).sum();
    let bound = 2 * TOP * (3 + 2 * 6 + kinds as u64 + 5) + 3 + 6;
    assert!(by_agent <= bound as f64, "{by_agent} series of agents, and {bound} allowed for");
    for label in ["session", "principal", "resource", "event"] {
        assert_eq!(count(&prometheus, &format!(", {label}!=\"\"")), 0.0, "{label}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    rest.join().unwrap();
}
