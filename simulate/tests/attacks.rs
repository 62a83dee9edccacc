//! The attacks: all kinds occur, labels point at their events, and nothing else gives them away.
#![cfg(test)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Run;
use driftline_core::{Access, Event, Outcome};
use driftline_simulate::{AttackKind, Config, Label, SessionLabel};
use serde_json::Value;

fn run(seed: u64) -> Run {
    Run::of(Config { seed, events: 150_000, attacks: 48, without_ids: 0.2, ..Config::default() })
}

fn attacks(run: &Run) -> impl Iterator<Item = &SessionLabel> {
    run.labels.iter().filter(|label| label.label == Label::Attack)
}

#[test]
fn every_kind_is_staged_after_the_first_third() {
    for seed in 1..=3 {
        let run = run(seed);
        let mut sessions: BTreeMap<AttackKind, usize> = BTreeMap::new();
        for label in attacks(&run) {
            *sessions.entry(label.kind.unwrap()).or_default() += 1;
        }
        for kind in AttackKind::ALL {
            assert!(sessions.get(&kind).is_some_and(|&count| count >= 6), "{kind}: {sessions:?}");
        }
        let malicious: BTreeSet<&String> = attacks(&run).flat_map(|label| &label.malicious).collect();
        let first = run.events().position(|event| malicious.contains(&event.id.to_string())).unwrap();
        assert!(first >= run.records.len() / 3, "{first}");
    }
}

#[test]
fn labels_point_at_events_of_their_session() {
    let run = run(4);
    let sessions = run.by_session();
    let mut pending: BTreeSet<(String, String)> = BTreeSet::new();
    for label in &run.labels {
        assert_eq!(label.label == Label::Attack, !label.malicious.is_empty(), "{label:?}");
        assert_eq!(label.kind.is_some(), label.label == Label::Attack, "{label:?}");
        pending.extend(label.malicious.iter().map(|id| (label.session.clone(), id.clone())));
    }
    assert!(pending.iter().any(|(_, id)| id.starts_with("h-")), "no malicious event lacks an id");
    for event in run.events() {
        let session = event.session.as_ref().unwrap();
        pending.remove(&(session.id.to_string(), event.id.to_string()));
        let label = sessions[session.id.as_str()];
        assert_eq!(label.agent, *event.agent.id);
        assert_eq!(Some(label.task.as_str()), event.task.as_ref().and_then(|task| task.kind.as_deref()));
    }
    assert!(pending.is_empty(), "no such events: {pending:?}");
}

/// Most of a hijacked, drifting or escalating session is honest.
#[test]
fn malicious_acts_stand_among_honest_ones() {
    let run = run(5);
    let mut lengths: BTreeMap<String, usize> = BTreeMap::new();
    for event in run.events() {
        *lengths.entry(event.session.unwrap().id.to_string()).or_default() += 1;
    }
    let mixed = [AttackKind::Hijack, AttackKind::Escalation, AttackKind::Exfiltration, AttackKind::SlowDrift];
    let of_kinds: Vec<_> = attacks(&run).filter(|label| mixed.contains(&label.kind.unwrap())).collect();
    let malicious: usize = of_kinds.iter().map(|label| label.malicious.len()).sum();
    let all: usize = of_kinds.iter().map(|label| lengths[&label.session]).sum();
    assert!(malicious * 2 < all, "{malicious} of {all}");
}

/// Half of the hijacks keep to tools and kinds of resource that the honest sessions of the agent's peers use as well.
#[test]
fn half_of_the_hijacks_do_what_peers_do() {
    let kind_of = |agent: &str| agent.split('-').next().unwrap().to_owned();
    let use_of = |event: &Event<'_>| {
        let family = event.resource.as_ref().and_then(|resource| resource.kind.as_deref().map(str::to_owned));
        let to: Vec<_> = event.resources.iter().map(|r| r.id.split_once('@').map(|(_, at)| at.to_owned())).collect();
        (event.action.name.to_string(), family, to.is_empty())
    };
    let (mut all, mut as_peers) = (0, 0);
    for seed in 1..=4 {
        let run = run(seed);
        let sessions = run.by_session();
        let mut honest: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for event in run.events() {
            if sessions[event.session.as_ref().unwrap().id.as_str()].label == Label::Benign {
                honest.entry(kind_of(&event.agent.id)).or_default().insert(use_of(&event));
            }
        }
        let events: BTreeMap<(String, String), _> = run
            .events()
            .map(|event| ((event.session.as_ref().unwrap().id.to_string(), event.id.to_string()), use_of(&event)))
            .collect();
        for label in attacks(&run).filter(|label| label.kind == Some(AttackKind::Hijack)) {
            all += 1;
            let peers = &honest[&kind_of(&label.agent)];
            let is_as_peers =
                label.malicious.iter().all(|id| peers.contains(&events[&(label.session.clone(), id.clone())]));
            as_peers += usize::from(is_as_peers);
        }
    }
    assert!(all >= 24, "{all} hijacks");
    assert!((all * 4 / 10..=all * 8 / 10).contains(&as_peers), "{as_peers} of {all} do what peers do");
}

/// No field occurs in malicious events alone.
#[test]
fn nothing_in_the_form_of_an_event_gives_an_attack_away() {
    let run = run(6);
    let malicious: BTreeSet<&String> = attacks(&run).flat_map(|label| &label.malicious).collect();
    let (mut honest, mut suspect) = (BTreeSet::new(), BTreeSet::new());
    for (record, event) in run.records.iter().zip(run.events()) {
        let paths = if malicious.contains(&event.id.to_string()) { &mut suspect } else { &mut honest };
        collect_paths("", &serde_json::from_slice(record).unwrap(), paths);
    }
    let telling: Vec<_> = suspect.difference(&honest).collect();
    assert!(telling.is_empty(), "{telling:?}");
}

fn collect_paths(path: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                collect_paths(&format!("{path}.{name}"), value, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_paths(path, item, into)),
        _ => {
            into.insert(path.to_owned());
        }
    }
}

/// The malicious events of every session in which this kind was staged.
fn staged<'a>(run: &'a Run, kind: AttackKind) -> Vec<Vec<Event<'a>>> {
    let sessions = run.by_session();
    let mut staged: BTreeMap<String, Vec<Event<'a>>> = BTreeMap::new();
    for event in run.events() {
        let session = event.session.as_ref().map(|session| session.id.to_string()).unwrap_or_default();
        let label = sessions[session.as_str()];
        if label.kind == Some(kind) && label.malicious.contains(&event.id.to_string()) {
            staged.entry(session).or_default().push(event);
        }
    }
    staged.into_values().collect()
}

#[test]
fn each_attack_goes_as_it_is_told() {
    let run = run(7);
    for events in staged(&run, AttackKind::Escalation) {
        assert!(events.iter().any(|event| event.outcome == Outcome::Denied || event.grant.is_some()), "{events:?}");
        assert!(events.iter().any(|event| event.outcome == Outcome::Success), "{events:?}");
    }
    for events in staged(&run, AttackKind::Exfiltration) {
        let sent = |event: &Event<'_>| event.usage.and_then(|usage| usage.bytes_out).unwrap_or(0);
        assert_eq!(events[0].action.access, Some(Access::Read));
        assert!(events.iter().skip(1).any(|event| sent(event) > 100_000), "{events:?}");
    }
    for events in staged(&run, AttackKind::CredentialTheft) {
        let address = events[0].network.as_ref().and_then(|network| network.ip.as_deref()).unwrap();
        assert!(!address.starts_with("10."), "{address} is the agents' own network");
        assert!(events.len() > 9);
    }
    let honest: BTreeSet<String> = run
        .labels
        .iter()
        .filter(|label| label.kind != Some(AttackKind::ShadowAgent))
        .map(|label| label.agent.clone())
        .collect();
    for events in staged(&run, AttackKind::ShadowAgent) {
        assert!(!honest.contains(events[0].agent.id.as_str()));
    }
}

/// From its first to its last session, a drift turns a growing share of what the agent does.
#[test]
fn a_slow_drift_is_slow() {
    // Malicious events and all events, in the first and the last third of the drifts.
    let (mut early, mut late) = ((0, 0), (0, 0));
    for seed in 1..=5 {
        let run = Run::of(Config { events: 100_000, attacks: 6, seed, ..Config::default() });
        let drifts = run.labels.iter().filter(|label| label.kind == Some(AttackKind::SlowDrift));
        let malicious: BTreeSet<&String> = drifts.clone().flat_map(|label| &label.malicious).collect();
        let agent = &drifts.clone().next().unwrap().agent;
        let acts: Vec<bool> = run
            .events()
            .filter(|event| *event.agent.id == **agent)
            .map(|event| malicious.contains(&event.id.to_string()))
            .collect();
        let first = acts.iter().position(|&turned| turned).unwrap();
        let last = acts.iter().rposition(|&turned| turned).unwrap();
        let drift = &acts[first..=last];
        let third = drift.len() / 3;
        let count = |sum: &mut (usize, usize), acts: &[bool]| {
            sum.0 += acts.iter().filter(|&&turned| turned).count();
            sum.1 += acts.len();
        };
        count(&mut early, &drift[..third]);
        count(&mut late, &drift[drift.len() - third..]);
    }
    let share = |(malicious, all): (usize, usize)| malicious as f64 / all as f64;
    assert!(early.1 > 200, "{early:?}");
    assert!(share(early) < 0.25, "{early:?}");
    assert!(share(early) * 1.8 < share(late), "{early:?} {late:?}");
}
