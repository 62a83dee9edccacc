//! What the engine alerts on, measured on simulated fleets: without attacks no more than the budget allows, and at the same
//! setting most attacks caught. `cargo test --release -p driftline-detectors --test budget -- --nocapture` prints the table;
//! `DRIFTLINE_BUDGET_AGENTS`, `_DAYS`, `_SEEDS` and `_A_DAY` ask for larger fleets and another budget.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use driftline_core::{Alert, Change, Event, Limits, Settings, wire_name};
use driftline_detectors::{Conductor, Engine};
use driftline_simulate::{Config, Simulation};

struct Run {
    alerts: Vec<Alert>,
    sessions: u64,
    days: f64,
    /// By attack kind: malicious event ids of each attack session, with its agent and session.
    attacks: Vec<(String, String, String, BTreeSet<String>)>,
}

fn run(config: Config, settings: Settings) -> Run {
    let start = config.start;
    let mut simulation = Simulation::new(config).unwrap();
    let mut conductor = Conductor::default();
    let mut engine = Engine::default();
    let mut alerts = Vec::new();
    let mut changes = vec![Change::Settings { settings }];
    changes.extend(simulation.identities().map(|document| Change::Identity { document: Box::new(document) }));
    for change in changes {
        let record = conductor.record(change);
        engine.apply(&conductor.fold(&record).unwrap().0);
    }
    let (limits, mut record, mut labels, mut until) = (Limits::default(), Vec::new(), Vec::new(), start);
    while let Some(written) = simulation.write_next(&mut record) {
        let time = written.time;
        until = until.max(time);
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
            let kind = label.kind.as_ref().map(wire_name).unwrap_or_default();
            (kind, label.agent.clone(), label.session.clone(), label.malicious.iter().cloned().collect())
        })
        .collect();
    let days = until.since(start) as f64 / 86_400_000.0;
    Run { alerts, sessions: labels.len() as u64, days, attacks }
}

/// By attack kind: how many were caught, of how many.
fn caught(run: &Run) -> BTreeMap<String, (u64, u64)> {
    // A shadow agent and a drift are one attack however many sessions they take: caught when any of these is.
    let mut campaigns = BTreeMap::<(String, String), bool>::new();
    for (kind, agent, session, malicious) in &run.attacks {
        let found = run.alerts.iter().any(|alert| {
            let same_agent = alert.agent.as_ref().is_some_and(|a| a.id == *agent);
            let same_session = alert.session.as_ref().is_some_and(|s| s.id == *session);
            same_agent && (same_session || alert.events.iter().any(|event| malicious.contains(event)))
        });
        let lasts = matches!(kind.as_str(), "shadow_agent" | "slow_drift");
        let campaign = if lasts { agent.clone() } else { session.clone() };
        *campaigns.entry((kind.clone(), campaign)).or_default() |= found;
    }
    let mut caught = BTreeMap::<String, (u64, u64)>::new();
    for ((kind, _), found) in campaigns {
        let entry = caught.entry(kind).or_default();
        entry.0 += u64::from(found);
        entry.1 += 1;
    }
    caught
}

/// Adds what was caught in one fleet to what was in others.
fn add(all: &mut BTreeMap<String, (u64, u64)>, more: BTreeMap<String, (u64, u64)>) {
    for (kind, (caught, of)) in more {
        let entry = all.entry(kind).or_default();
        *entry = (entry.0 + caught, entry.1 + of);
    }
}

/// Alerts that are within the budget: of learned behaviour, which may be honest.
fn learned(run: &Run) -> impl Iterator<Item = &Alert> {
    run.alerts.iter().filter(|alert| alert.p_value.is_some())
}

#[expect(clippy::disallowed_methods, reason = "whoever measures may ask for more, or to be shown the false alerts")]
fn asked(name: &str, default: u64) -> u64 {
    std::env::var(format!("DRIFTLINE_BUDGET_{name}")).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn false_alerts_stay_within_the_budget_and_most_attacks_are_caught() {
    let (agents, days, seeds) = (asked("AGENTS", 60), asked("DAYS", 30), asked("SEEDS", 4));
    let budget = asked("A_DAY", 1) as f64;
    let settings = || Settings { alert_budget: Some(budget), ..Settings::default() };
    // An agent makes about 70 events a day.
    let config = |attacks, seed| Config { agents, events: agents * days * 70, attacks, seed, ..Config::default() };
    let (mut sessions, mut spent, mut within) = (0, 0.0, BTreeMap::<String, u64>::new());
    let (mut besides, mut found) = (0, BTreeMap::<String, (u64, u64)>::new());
    for seed in 1..=seeds {
        let null = run(config(0, seed), settings());
        (sessions, spent) = (sessions + null.sessions, spent + null.days);
        besides += null.alerts.len() - learned(&null).count();
        for alert in learned(&null) {
            *within.entry(alert.kind.clone()).or_default() += 1;
            if asked("SHOW", 0) > 0 {
                let evidence = alert.evidence.iter().map(|e| (&e.feature, &e.observed, e.p_value, &e.peers));
                println!("FALSE {} {} {:?}", alert.time, alert.title, evidence.collect::<Vec<_>>());
            }
        }
        add(&mut found, caught(&run(config(24, seed), settings())));
    }
    let alerts: u64 = within.values().sum();
    let (caught, of) = found.values().fold((0, 0), |sum, &(caught, of)| (sum.0 + caught, sum.1 + of));
    println!("{agents} agents, {seeds} fleets, {spent:.0} days, {sessions} honest sessions");
    println!(
        "  false alerts a day       {:.2} of {budget} (and {besides} findings that are not counted)",
        alerts as f64 / spent
    );
    within.iter().for_each(|(kind, n)| println!("    {kind:<22} {n}"));
    println!("  attacks caught           {caught} of {of}");
    found.iter().for_each(|(kind, (found, of))| println!("    {kind:<22} {found} of {of}"));
    assert!(spent > 0.5 * (days * seeds) as f64, "{spent} days are too few");
    assert!(alerts as f64 <= budget * spent, "{alerts} false alerts in {spent:.0} days");
    assert!(10 * caught >= 8 * of, "{caught} of {of} attacks");
}

/// Where no budget is given, the level that the detectors were measured at decides.
#[test]
fn few_false_alerts_and_most_attacks_caught_at_the_level_that_is_in_force_without_a_budget() {
    let config = |attacks, seed| Config { agents: 60, events: 200_000, attacks, seed, ..Config::default() };
    let (mut sessions, mut alerts) = (0, 0);
    let mut found = BTreeMap::<String, (u64, u64)>::new();
    for seed in 1..=10 {
        let null = run(config(0, seed), Settings::default());
        (sessions, alerts) = (sessions + null.sessions, alerts + null.alerts.len() as u64);
        add(&mut found, caught(&run(config(24, seed), Settings::default())));
    }
    println!("{sessions} honest sessions, {alerts} alerts: one in {}", sessions / alerts.max(1));
    found.iter().for_each(|(kind, (found, of))| println!("  {kind:<24} {found} of {of}"));
    assert!(alerts * 2_000 < sessions, "{alerts} alerts in {sessions} sessions");
    for kind in ["hijack", "escalation", "exfiltration", "shadow_agent"] {
        let (found, of) = found[kind];
        assert!(found * 2 >= of && of > 0, "{kind}: {found} of {of}");
    }
}
