//! The stream: the same for the same seed, exact in number, in order, and like that of a fleet at work.
#![cfg(test)]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::Run;
use driftline_core::{Event, Limits};
use driftline_simulate::{Config, ConfigError, Label, Simulation};

fn config(seed: u64) -> Config {
    Config { seed, events: 60_000, attacks: 24, ..Config::default() }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_labels_and_another_gives_others() {
    let (first, again, other) = (Run::of(config(1)), Run::of(config(1)), Run::of(config(2)));
    assert!(first.records == again.records && first.labels == again.labels);
    let differ = first.records.iter().zip(&other.records).filter(|(a, b)| a != b).count();
    assert_eq!(differ, first.records.len());
}

#[test]
fn the_owned_and_the_borrowed_way_give_the_same() {
    let mut borrowed = Simulation::new(config(3)).unwrap();
    let mut record = Vec::new();
    for owned in Simulation::new(config(3)).unwrap().take(2000) {
        let written = borrowed.write_next(&mut record).unwrap();
        assert_eq!((written.key, written.time, &written.label), (owned.key.as_str(), owned.time, &owned.label));
        assert_eq!(record, owned.record);
    }
}

#[test]
fn counts_are_exact_ids_unique_times_in_order() {
    let run = Run::of(Config { without_ids: 0.3, ..config(4) });
    assert_eq!(run.records.len(), 60_000);
    let mut last = Config::default().start;
    let mut ids = BTreeSet::new();
    let mut hashed = 0;
    for event in run.events() {
        assert!(event.time >= last, "{} after {last}", event.time);
        last = event.time;
        assert_eq!(event.unknown_fields, 0);
        hashed += usize::from(event.id.starts_with("h-"));
        assert!(ids.insert((event.agent.id.to_string(), event.id.to_string())), "{} twice", event.id.as_str());
    }
    assert!((17_000..19_000).contains(&hashed), "{hashed} of 60,000 without an id");
}

#[test]
fn every_session_has_one_label() {
    let run = Run::of(config(5));
    let sessions: BTreeSet<_> = run.events().map(|event| event.session.unwrap().id.to_string()).collect();
    let labelled = run.by_session();
    assert_eq!(labelled.len(), run.labels.len(), "a session is labelled twice");
    assert_eq!(labelled.keys().copied().collect::<BTreeSet<_>>(), sessions.iter().map(String::as_str).collect());
}

#[test]
fn small_and_odd_fleets_work_too() {
    for (agents, events, attacks, tenants) in [(1, 3000, 12, 1), (1, 1, 0, 1), (3, 10, 10, 3), (40, 5000, 500, 12)] {
        let run = Run::of(Config { agents, events, attacks, tenants, ..Config::default() });
        assert_eq!(run.events().count() as u64, events);
    }
    assert_eq!(Run::of(Config { events: 0, ..Config::default() }).records.len(), 0);
    let refused = |config: Config| Simulation::new(config).unwrap_err();
    assert_eq!(refused(Config { agents: 0, ..Config::default() }), ConfigError::Agents(0));
    assert_eq!(refused(Config { without_ids: 1.5, ..Config::default() }), ConfigError::WithoutIds(1.5));
    assert_eq!(refused(Config { tenants: 51, ..Config::default() }), ConfigError::Tenants { tenants: 51, agents: 50 });
}

#[test]
fn tenants_share_the_agents_among_them() {
    let run = Run::of(Config { agents: 200, tenants: 3, events: 20_000, ..Config::default() });
    let tenants: BTreeMap<String, usize> = run.events().fold(BTreeMap::new(), |mut counts, event| {
        *counts.entry(event.tenant.to_string()).or_default() += 1;
        counts
    });
    assert_eq!(tenants.len(), 3);
    assert!(tenants.values().all(|&events| events > 3000), "{tenants:?}");
}

#[test]
fn records_are_as_long_as_real_ones() {
    let run = Run::of(config(6));
    let mean = run.records.iter().map(Vec::len).sum::<usize>() / run.records.len();
    assert!((500..=620).contains(&mean), "{mean} bytes");
}

#[test]
fn requests_are_rarely_repeated_word_for_word() {
    let run = Run::of(config(7));
    let mut seen: BTreeMap<String, (BTreeSet<String>, usize)> = BTreeMap::new();
    let mut sessions = BTreeSet::new();
    for event in run.events() {
        let Some(intent) = event.task.and_then(|task| task.intent) else { continue };
        if sessions.insert(event.session.unwrap().id.to_string()) {
            let (intents, repeats) = seen.entry(event.agent.id.to_string()).or_default();
            *repeats += usize::from(!intents.insert(intent.to_string()));
        }
    }
    for (agent, (intents, repeats)) in seen.iter().filter(|(_, (intents, _))| intents.len() > 50) {
        assert!(repeats * 20 < intents.len(), "{agent} repeats {repeats} of {}", intents.len());
    }
}

/// Sessions of honest agents by local hour: those that keep office hours start next to nothing at night, batch jobs next
/// to nothing by day, others work round the clock.
#[test]
fn agents_keep_their_hours() {
    let run = Run::of(Config { events: 150_000, attacks: 0, ..config(8) });
    let offset = |agent: &str| match agent {
        _ if agent.contains("emea") => 60,
        _ if agent.contains("us-east") => -300,
        _ if agent.contains("us-west") => -480,
        _ if agent.contains("apac") => 480,
        _ if agent.contains("india") => 330,
        _ if agent.contains("latam") => -180,
        _ => 0,
    };
    let mut started: HashMap<String, ([usize; 24], [usize; 7])> = HashMap::new();
    let mut sessions = BTreeSet::new();
    for event in run.events().filter(|event| event.delegation.is_empty()) {
        if sessions.insert(event.session.as_ref().unwrap().id.to_string()) {
            let local = event.time.plus_millis(offset(&event.agent.id) * 60_000);
            let kind = event.agent.id.split('-').next().unwrap().to_owned();
            let (hours, days) = started.entry(kind).or_default();
            hours[local.hour_of_week() % 24] += 1;
            days[local.hour_of_week() / 24] += 1;
        }
    }
    let share = |kind: &str, hours: std::ops::Range<usize>| {
        let (by_hour, _) = started[kind];
        by_hour[hours].iter().sum::<usize>() as f64 / by_hour.iter().sum::<usize>() as f64
    };
    assert!(share("billing", 0..6) < 0.005);
    assert!(share("coding", 9..18) > 0.8);
    assert!(share("batch", 9..20) < 0.01);
    assert!(share("sre", 0..6) > 0.1);
    let (_, days) = started["hr"];
    assert!(days[5] + days[6] < days[0] / 20, "{days:?}");
}

#[test]
fn there_are_many_kinds_of_agent_and_much_goes_wrong_honestly() {
    let run = Run::of(Config { attacks: 0, ..config(9) });
    let kinds: BTreeSet<_> = run.events().map(|event| event.agent.id.split('-').next().unwrap().to_owned()).collect();
    assert!(kinds.len() >= 8, "{kinds:?}");
    assert!(run.labels.iter().all(|label| label.label == Label::Benign && label.malicious.is_empty()));
    let count = |wanted: fn(&Event<'_>) -> bool| run.events().filter(|event| wanted(event)).count();
    assert!(count(|event| event.outcome == driftline_core::Outcome::Denied) > 100);
    assert!(count(|event| event.outcome == driftline_core::Outcome::Error) > 500);
    assert!(count(|event| event.grant.is_some()) > 100);
    assert!(count(|event| !event.delegation.is_empty()) > 500);
    let versions: BTreeSet<_> =
        run.events().map(|e| (e.agent.id.to_string(), e.agent.version.unwrap().to_string())).collect();
    let agents: BTreeSet<_> = versions.iter().map(|(agent, _)| agent).collect();
    assert!(versions.len() > agents.len() + 5, "hardly any release");
}

#[test]
fn state_does_not_grow_with_events() {
    let config = Config { events: 1_000_000, attacks: 50, ..Config::default() };
    let mut simulation = Simulation::new(config).unwrap();
    let mut record = Vec::new();
    // Fleets are busier at some times than at others: the most that was kept in each fifth of the stream.
    let mut most = [0; 5];
    for i in 0..1_000_000 {
        simulation.write_next(&mut record).unwrap();
        if i % 1000 == 0 {
            let fifth = &mut most[i / 200_000];
            *fifth = simulation.state_bytes().max(*fifth);
        }
    }
    assert!(most[4] < most[0] * 2, "{most:?}");
}

#[test]
fn an_agent_takes_little_memory() {
    let config = Config { agents: 100_000, events: 1_000_000, attacks: 50, ..Config::default() };
    let mut simulation = Simulation::new(config).unwrap();
    let mut record = Vec::new();
    while simulation.write_next(&mut record).is_some() {}
    let bytes = simulation.state_bytes();
    assert!(bytes < 100_000 * 200, "{bytes} for 100,000 agents");
}

#[test]
fn the_first_events_of_seed_1() {
    let run = Run::of(Config { events: 8, ..Config::default() });
    let text: Vec<_> = run.records.iter().map(|record| str::from_utf8(record).unwrap()).collect();
    for record in &run.records {
        Event::decode(record, &Limits::default()).unwrap();
    }
    insta::assert_snapshot!(text.join("\n"));
}
