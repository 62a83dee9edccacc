//! How well drift is found when an agent's model is changed under the same version string, on recorded runs.
//!
//! `cargo run --release -p driftline-detectors --example drift -- FOLDER` reads `train.ndjson.gz` and `test.ndjson.gz`, events of
//! the v1 contract whose `agent.version` is the model, and `labels.ndjson.gz`, by which it takes honest sessions only: those `benign`, or `attack_resisted` by an agent that was not `exposed`. Of each two models of an agent it makes
//! a stream: 400 sessions of the one to learn from and 200 more, then 200 of the other. Sessions are drawn with replacement,
//! their requests evenly from those that both have. Beside these there are streams without a change, and streams in which
//! the requests come in another mix from the same moment on. Found is a drift alert in the last 200 sessions; false is one
//! before, or any in a stream without a swap. `--each` tells of every stream.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};

use driftline_core::{Event, Limits, Settings};
use driftline_detectors::Solo;
use flate2::read::MultiGzDecoder;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const BASELINE: usize = 400;
const BEFORE: usize = 200;
const AFTER: usize = 200;
/// Minutes between the beginnings of two sessions, and between two events of one.
const BETWEEN: i64 = 120;
const START: i64 = 1_772_409_600_000;
/// From this Jensen–Shannon divergence between the tools of two models on, in bits, a swap should be found.
const APART: f64 = 0.15;

/// Runs of one model of one agent, by request.
type Runs = BTreeMap<String, Vec<Vec<Value>>>;
type Models = BTreeMap<(String, String), Runs>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: drift FOLDER [--each]")?;
    let is_verbose = args.next().is_some_and(|arg| arg == "--each");
    report(&read(&folder)?, is_verbose, &mut std::io::stdout().lock())
}

fn lines(path: &str) -> Result<impl Iterator<Item = Result<Value, Box<dyn Error>>>, Box<dyn Error>> {
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn read(folder: &str) -> Result<Models, Box<dyn Error>> {
    let mut honest = BTreeSet::new();
    for label in lines(&format!("{folder}/labels.ndjson.gz"))? {
        let label = label?;
        let is_honest = match text(&label, "/label") {
            "benign" => true,
            "attack_resisted" => label["exposed"] == json!(false),
            _ => false,
        };
        if is_honest {
            honest.insert(text(&label, "/session").to_owned());
        }
    }
    let mut sessions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for file in ["train.ndjson.gz", "test.ndjson.gz"] {
        for event in lines(&format!("{folder}/{file}"))? {
            let event = event?;
            let session = text(&event, "/session/id").to_owned();
            if honest.contains(&session) {
                sessions.entry(session).or_default().push(event);
            }
        }
    }
    let mut models = Models::new();
    for mut run in sessions.into_values() {
        run.sort_by_key(|event| text(event, "/time").to_owned());
        let model = (text(&run[0], "/agent/id").to_owned(), text(&run[0], "/agent/version").to_owned());
        let request = text(&run[0], "/task/intent").to_owned();
        models.entry(model).or_default().entry(request).or_default().push(run);
    }
    Ok(models)
}

/// A share for each request of both: even, or any.
fn mix(requests: &[&String], even: bool, chance: &mut ChaCha8Rng) -> Vec<f64> {
    let share = |_| if even { 1.0 } else { (3.0 * (chance.random::<f64>() - 0.5)).exp().powi(2) };
    requests.iter().map(share).collect()
}

fn draw<'r>(runs: &'r Runs, requests: &[&String], shares: &[f64], chance: &mut ChaCha8Rng) -> &'r [Value] {
    let mut at = chance.random::<f64>() * shares.iter().sum::<f64>();
    let i = shares.iter().position(|share| {
        at -= share;
        at < 0.0
    });
    let runs = &runs[requests[i.unwrap_or(0)]];
    &runs[chance.random_range(0..runs.len())]
}

/// What came of a stream.
struct Told {
    /// The session in which drift was first told of, counted from the change; with its dimension.
    first: Option<(i64, String)>,
    /// Whether it was told of before.
    before: bool,
    /// How often in all.
    alerts: usize,
    title: String,
}

/// A stream in which so large a `share` of the sessions after the change are of the other model.
fn stream(
    before: &Runs,
    after: &Runs,
    share: f64,
    even: bool,
    seed: u64,
    settings: &Settings,
) -> Result<Told, Box<dyn Error>> {
    let chance = &mut ChaCha8Rng::seed_from_u64(seed);
    let requests: Vec<&String> = before.keys().filter(|request| after.contains_key(*request)).collect();
    let (one, other) = (mix(&requests, even, chance), mix(&requests, even, chance));
    let mut solo = Solo::new(settings.clone(), [])?;
    let mut told = Told { first: None, before: false, alerts: 0, title: String::new() };
    let change = (BASELINE + BEFORE) as i64;
    for number in 0..change + AFTER as i64 {
        let has_changed = number >= change;
        let shares = if has_changed { &other } else { &one };
        let runs = if has_changed && chance.random::<f64>() < share { after } else { before };
        // One more session, that the last one may end.
        for (i, event) in draw(runs, &requests, shares, chance).iter().enumerate() {
            let mut event = event.clone();
            event["time"] = json!(START + (number * BETWEEN + i as i64) * 60_000);
            event["agent"]["version"] = json!("1");
            event["session"]["id"] = json!(format!("s{number}"));
            event["id"] = json!(format!("{seed}-{number}-{i}"));
            let record = serde_json::to_vec(&event)?;
            let (_, alerts) = solo.observe(&Event::decode(&record, &Limits::default())?)?;
            for alert in alerts.iter().filter(|alert| alert.detector == "drift") {
                told.alerts += 1;
                // The session that tipped it ended before this one.
                let after = number - change;
                told.before |= after <= 0;
                if after > 0 && told.first.is_none() {
                    let drift = alert.drift.as_ref().ok_or("a drift alert without drift")?;
                    told.first = Some((after, drift.dimension.clone()));
                    told.title = format!("{}: {}", alert.title, alert.summary);
                }
            }
        }
    }
    Ok(told)
}

/// Between the calls of both, each request weighing the same; in bits.
fn jensen_shannon(one: &Runs, other: &Runs) -> f64 {
    let shares = |runs: &Runs| {
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        let calls = || runs.values().flatten().flatten();
        let all = calls().count() as f64;
        calls().for_each(|event| *shares.entry(text(event, "/action/name").to_owned()).or_default() += 1.0 / all);
        shares
    };
    let (p, q) = (shares(one), shares(other));
    let tools: BTreeSet<&String> = p.keys().chain(q.keys()).collect();
    let part = |p: f64, m: f64| if p > 0.0 { p * (p / m).log2() } else { 0.0 };
    tools
        .into_iter()
        .map(|tool| {
            let (p, q) = (p.get(tool).copied().unwrap_or(0.0), q.get(tool).copied().unwrap_or(0.0));
            let m = (p + q) / 2.0;
            (part(p, m) + part(q, m)) / 2.0
        })
        .sum()
}

fn quantile(sorted: &[i64], q: f64) -> i64 {
    sorted.get(((sorted.len() as f64 * q).ceil() as usize).max(1) - 1).copied().unwrap_or(0)
}

fn report(models: &Models, is_verbose: bool, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let settings = Settings::default();
    let mut seed = ChaCha8Rng::seed_from_u64(1);
    let mut rows: BTreeMap<&str, (usize, usize, Vec<i64>, usize, usize)> = BTreeMap::new();
    let mut dimensions: BTreeMap<String, usize> = BTreeMap::new();
    for ((agent, model), runs) in models {
        for ((its_agent, other), its_runs) in models.iter().filter(|((its_agent, _), _)| its_agent == agent) {
            let apart = jensen_shannon(runs, its_runs);
            let names: &[(&str, f64)] = match apart {
                _ if other == model => continue,
                apart if apart >= APART => &[
                    ("swap, tools apart by 0.15 and more", 1.0),
                    ("the same for half of the sessions", 0.5),
                    ("the same for a quarter", 0.25),
                ],
                _ => &[("swap, tools apart by less", 1.0)],
            };
            for &(name, share) in names {
                let told = stream(runs, its_runs, share, true, seed.next_u64(), &settings)?;
                let row = rows.entry(name).or_default();
                row.0 += 1;
                row.3 += usize::from(told.before);
                row.4 += told.alerts;
                if let Some((delay, dimension)) = &told.first {
                    row.2.push(*delay);
                    row.1 += usize::from(*delay <= 100);
                    *dimensions.entry(dimension.clone()).or_default() += 1;
                }
                if is_verbose {
                    let (first, alerts, title) = (&told.first, told.alerts, &told.title);
                    writeln!(out, "{its_agent} {model} -> {other} {share} {apart:.3} {first:?} {alerts} {title}")?;
                }
            }
        }
        for (name, even) in [("no change", true), ("another mix of requests", false)] {
            for _ in 0..8 {
                let told = stream(runs, runs, 1.0, even, seed.next_u64(), &settings)?;
                let row = rows.entry(name).or_default();
                row.0 += 1;
                row.3 += usize::from(told.alerts > 0);
                row.4 += told.alerts;
                if is_verbose && told.alerts > 0 {
                    writeln!(out, "FALSE {name} {agent} {model} {:?} {}", told.first, told.title)?;
                }
            }
        }
    }
    writeln!(
        out,
        "{:36} {:>7} {:>14} {:>13} {:>6} {:>7}",
        "", "streams", "found in 100", "median / p90", "false", "alerts"
    )?;
    for (name, (streams, found, mut delays, false_ones, alerts)) in rows {
        delays.sort_unstable();
        let (median, p90) = (quantile(&delays, 0.5), quantile(&delays, 0.9));
        writeln!(out, "{name:36} {streams:>7} {found:>14} {median:>7} / {p90:>3} {false_ones:>6} {alerts:>7}")?;
    }
    writeln!(out, "dimension named: {dimensions:?}")?;
    Ok(())
}
