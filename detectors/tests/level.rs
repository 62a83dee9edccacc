//! The level that the engine alerts at, measured on simulated fleets: few false alerts without attacks, and at the same
//! level most attacks caught. `cargo test --release -p driftline-detectors --test level -- --nocapture` prints the table.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use driftline_core::{Alert, Change, Event, Limits, Settings};
use driftline_detectors::{Conductor, Engine};
use driftline_simulate::{Config, Simulation};

struct Run {
    alerts: Vec<Alert>,
    sessions: u64,
    /// By attack kind: malicious event ids of each attack session, with its agent and session.
    attacks: Vec<(String, String, String, BTreeSet<String>)>,
}

fn run(config: Config) -> Run {
    let mut simulation = Simulation::new(config).unwrap();
    let mut conductor = Conductor::default();
    let mut engine = Engine::default();
    let mut alerts = Vec::new();
    let mut changes = vec![Change::Settings { settings: Settings::default() }];
    changes.extend(simulation.identities().map(|document| Change::Identity { document: Box::new(document) }));
    for change in changes {
        let record = conductor.record(change);
        engine.apply(&conductor.fold(&record).unwrap().0);
    }
    let (limits, mut record, mut labels) = (Limits::default(), Vec::new(), Vec::new());
    while let Some(written) = simulation.write_next(&mut record) {
        let time = written.time;
        labels.extend(written.label);
        engine.observe(&Event::decode(&record, &limits).unwrap());
        if let Some(clock) = conductor.clock(time) {
            engine.apply(&conductor.fold(&clock).unwrap().0);
            if conductor.hour_is_over() {
                let epoch = conductor.epoch(engine.take_contribution());
                let (control, about_many) = conductor.fold(&epoch).unwrap();
                alerts.extend(about_many);
                engine.apply(&control);
            }
        }
    }
    labels.extend(simulation.unfinished());
    alerts.extend(engine.take_alerts());
    let attacks = labels
        .iter()
        .filter(|label| !label.malicious.is_empty())
        .map(|label| {
            let kind = label.kind.as_ref().map(|kind| serde_json::to_value(kind).unwrap());
            let kind = kind.and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
            (kind, label.agent.clone(), label.session.clone(), label.malicious.iter().cloned().collect())
        })
        .collect();
    Run { alerts, sessions: labels.len() as u64, attacks }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever measures may ask for more events, or to be shown the false alerts"
)]
fn few_false_alerts_and_most_attacks_caught_at_one_level() {
    let size = std::env::var("DRIFTLINE_LEVEL_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000u64);
    let (mut sessions, mut false_alerts) = (0, BTreeMap::<String, u64>::new());
    let mut caught = BTreeMap::<String, (u64, u64)>::new();
    for seed in 1..=10 {
        let null = run(Config { agents: 60, events: size, attacks: 0, seed, ..Config::default() });
        sessions += null.sessions;
        for alert in &null.alerts {
            *false_alerts.entry(alert.kind.clone()).or_default() += 1;
            if std::env::var_os("DRIFTLINE_LEVEL_SHOW").is_some() {
                println!(
                    "FALSE {} {} {:?}",
                    alert.time,
                    alert.title,
                    alert.evidence.iter().map(|e| (&e.feature, &e.observed, e.p_value, &e.peers)).collect::<Vec<_>>()
                );
            }
        }
        let attacked = run(Config { agents: 60, events: size, attacks: 24, seed, ..Config::default() });
        // A shadow agent and a drift are one attack however many sessions they take: caught when any of these is.
        let mut campaigns = BTreeMap::<(String, String), bool>::new();
        for (kind, agent, session, malicious) in &attacked.attacks {
            let found = attacked.alerts.iter().any(|alert| {
                let same_agent = alert.agent.as_ref().is_some_and(|a| a.id == *agent);
                let same_session = alert.session.as_ref().is_some_and(|s| s.id == *session);
                same_agent && (same_session || alert.events.iter().any(|event| malicious.contains(event)))
            });
            let lasts = matches!(kind.as_str(), "shadow_agent" | "slow_drift");
            let campaign = if lasts { agent.clone() } else { session.clone() };
            *campaigns.entry((kind.clone(), campaign)).or_default() |= found;
        }
        for ((kind, _), found) in campaigns {
            let entry = caught.entry(kind).or_default();
            entry.0 += u64::from(found);
            entry.1 += 1;
        }
    }
    let all: u64 = false_alerts.values().sum();
    println!("{sessions} honest sessions, {all} alerts: one in {}", sessions / all.max(1));
    false_alerts.iter().for_each(|(kind, n)| println!("  {kind:<24} {n}"));
    caught.iter().for_each(|(kind, (found, of))| println!("  {kind:<24} {found} of {of}"));
    assert!(all * 2_000 < sessions, "{all} alerts in {sessions} sessions");
    for kind in ["hijack", "escalation", "exfiltration", "shadow_agent"] {
        let (found, of) = caught[kind];
        assert!(found * 2 >= of && of > 0, "{kind}: {found} of {of}");
    }
}
