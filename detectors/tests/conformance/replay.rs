//! The same records give the same alerts, and one record one score.

use std::collections::BTreeSet;

use driftline_core::{Alert, Settings};
use driftline_simulate::{Config, Simulation};
use serde_json::json;

use crate::cases;
use crate::check;
use crate::story::{Story, act, ordinary, session};
use crate::support::Stage;

/// All that comes out of a simulated fleet with attacks: scores, and alerts as they are written.
fn run(seed: u64) -> (Vec<u64>, Vec<String>) {
    let config = Config { agents: 20, events: 30_000, attacks: 12, seed, without_ids: 0.2, ..Config::default() };
    let mut simulation = Simulation::new(config).unwrap();
    let settings = Settings { level: Some(0.05), ..Settings::default() };
    let mut stage = Stage::new(1, settings, simulation.identities());
    let (mut scores, mut record) = (Vec::new(), Vec::new());
    while simulation.write_next(&mut record).is_some() {
        let scored = stage.observe(&record);
        check(&scored);
        scores.push(scored.score.to_bits());
    }
    (scores, stage.into_alerts().iter().map(|alert| serde_json::to_string(alert).unwrap()).collect())
}

#[test]
fn the_same_records_give_the_same_scores_and_alerts_byte_for_byte() {
    let (scores, alerts) = run(3);
    assert!(alerts.len() > 50, "{} alerts are too few to show it", alerts.len());
    assert!((scores, alerts) == run(3));
}

#[test]
fn ids_of_alerts_are_unique_and_another_sessions_are_others() {
    for case in cases::all() {
        let ids = |alerts: &[Alert]| alerts.iter().map(|alert| alert.id).collect::<BTreeSet<_>>();
        let first = case.provoked.alerts();
        assert_eq!(ids(&first).len(), first.len(), "{}: two alerts with one id", case.kind);
        assert_eq!(ids(&first), ids(&case.provoked.alerts()), "{}: a replay", case.kind);
        // Two hours later it is another session, hour or deadline.
        let mut later = case.provoked;
        for act in &mut later.acts {
            act["time"] = json!(act["time"].as_i64().unwrap() + 2 * 3_600_000);
            if let Some(id) = act["id"].as_str() {
                act["id"] = json!(format!("later-{id}"));
            }
        }
        let later = later.alerts();
        assert!(!later.is_empty() && ids(&first).is_disjoint(&ids(&later)), "{}: another session", case.kind);
    }
}

#[test]
fn a_repeat_is_not_scored_and_changes_nothing() {
    for case in cases::all() {
        let once = case.provoked.alerts();
        let mut stage = case.provoked.stage();
        for act in &case.provoked.acts {
            let record = act.to_string();
            assert!(!stage.observe(record.as_bytes()).repeated);
            let again = stage.observe(record.as_bytes());
            check(&again);
            assert!(again.repeated && again.score == 0.0);
        }
        let engine = &stage.engines[0];
        let counters = engine.counters();
        assert_eq!((counters.scored, counters.repeated), (case.provoked.acts.len() as u64, counters.scored));
        let twice: Vec<_> = stage.into_alerts().into_iter().filter(|alert| alert.agent.is_some()).collect();
        assert!(once == twice, "{}: repeats changed what is raised", case.kind);
    }
}

#[test]
fn an_id_that_is_used_again_with_other_bytes_hides_nothing() {
    let story = Story { documents: vec!["{id: a, canaries: [export_all]}"], ..Story::default() };
    let mut stage = story.stage();
    stage.observe(act("a", 0, &json!({"id": "e-1"})).to_string().as_bytes());
    let canary = act("a", 1, &json!({"id": "e-1", "action": {"name": "export_all"}}));
    assert!(!stage.observe(canary.to_string().as_bytes()).repeated);
    assert_eq!(stage.engines[0].counters().reused_ids, 1);
    let alerts = stage.into_alerts();
    let [id] = &alerts[0].events[..] else { panic!("{:?}", alerts[0].events) };
    assert!(id.starts_with("e-1~"), "{id}");
}

#[test]
fn what_comes_after_the_clock_is_scored_and_reopens_nothing() {
    let mut stage = Story { documents: vec!["{id: a, canaries: [export_all]}"], ..Story::default() }.stage();
    for act in ordinary(30).iter().chain(&session(30 * 120, "now")) {
        stage.observe(act.to_string().as_bytes());
    }
    let before = stage.engines[0].agents().next().unwrap().clone();
    // A new session of yesterday, and one of then that has ended.
    let mut scored = 0;
    for id in ["s-3", "never heard of"] {
        for i in 0..20 {
            let rest = json!({"session": {"id": id}, "action": {"name": format!("late_tool_{i}")}});
            check(&stage.observe(act("a", 361 + i, &rest).to_string().as_bytes()));
            scored += 1;
        }
    }
    let late_canary = json!({"session": {"id": "s-3"}, "action": {"name": "export_all"}});
    stage.observe(act("a", 370, &late_canary).to_string().as_bytes());
    let engine = &stage.engines[0];
    assert_eq!(engine.counters().late, scored + 1);
    let after = engine.agents().next().unwrap();
    let keys = |sessions: &[driftline_detectors::agent::AgentState]| {
        sessions.iter().flat_map(|agent| &agent.sessions).map(|session| session.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(std::slice::from_ref(after)), keys(std::slice::from_ref(&before)));
    assert_eq!((&after.tools, &after.resources, &after.hours), (&before.tools, &before.resources, &before.hours));
    assert_eq!(after.sessions_learned, before.sessions_learned);
    let kinds: Vec<_> = stage.into_alerts().into_iter().map(|alert| alert.kind).collect();
    assert!(kinds.contains(&"canary_touched".to_owned()), "late is no way to hide: {kinds:?}");
}
