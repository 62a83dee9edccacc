//! The list of metrics in `docs/` is that of the code.
//!
//! `UPDATE_DOCS=1 cargo test --release --test metrics` writes `docs/metrics.md` anew.
#![cfg(test)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use driftline::metrics::{Description, Kind, Metrics};

const INTRODUCTION: &str = "\
# Metrics

<!-- Made from src/metrics.rs by tests/metrics.rs (UPDATE_DOCS=1); do not edit. -->

`GET /metrics` on the address of `[http] listen` answers in Prometheus' text format. Counters end in `_total`, durations
are in seconds. No metric is labelled by session, principal, resource or event. By agent only the riskiest are labelled, as
many as `[metrics] top_agents` says: an agent gets its series when it comes among them, keeps it until it has been below
for ten minutes, and `tenant=\"*\", agent=\"other\"` stands for the rest. So does a tool of an agent, of five at the same time.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
";

fn reference() -> String {
    let metrics = Metrics::new(1);
    let mut descriptions: Vec<_> = metrics.descriptions().iter().collect();
    descriptions.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = INTRODUCTION.to_owned();
    for Description { name, kind, help, labels } in descriptions {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whether to write or to compare is for who runs the test to say")]
fn the_list_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let current = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == current, "docs/metrics.md is not what the code says; run with UPDATE_DOCS=1");
}
