//! Events made to harm: nothing panics, every score is a number, and what is kept stays bounded.

use driftline_core::{Limits, Settings, Timestamp};
use driftline_detectors::agent::AgentState;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::check;
use crate::story::{START, act};
use crate::support::Stage;

const SESSIONS: usize = 64;
const DENIALS: usize = 8;

fn stage() -> Stage {
    let documents =
        ["{id: a, tools: [{id: t}], data_access: [{resource: '*a*a*a*a*b', access: read}], canaries: ['']}"];
    let documents = documents.map(|yaml| driftline_core::IdentityDocument::parse(yaml).unwrap());
    let limits = Limits { record_bytes: 16 << 20, ..Limits::default() };
    Stage::new(1, Settings { level: Some(0.3), limits, ..Settings::default() }, documents)
}

fn is_bounded(agent: &AgentState) {
    let room = Limits::default().keys_per_agent;
    for counts in [&agent.tools, &agent.families, &agent.resources] {
        assert!(counts.distinct() <= room, "{} categories", counts.distinct());
    }
    assert!(agent.sessions.len() <= SESSIONS, "{} sessions", agent.sessions.len());
    assert!(agent.denials.len() <= DENIALS, "{} denials", agent.denials.len());
    assert!(agent.sessions.iter().all(|session| session.used().len() < 1024), "a session without end");
    // As cut, 256 characters and a hash.
    let longest = agent.sessions.iter().map(|session| session.first_event.len()).max().unwrap_or(0);
    assert!(longest <= 4 * 256 + 33, "an event's id of {longest} bytes is kept");
}

fn observe(stage: &mut Stage, event: &Value) {
    check(&stage.observe(event.to_string().as_bytes()));
    stage.engines[0].agents().for_each(is_bounded);
}

#[test]
fn odd_events_are_scored_like_any_other() {
    let long = "ä".repeat(30_000);
    let texts =
        ["", " ", "\u{0}", "\u{202e}evil\u{200b}", "🦀🦀", "a\nb\r\u{1b}[31m", "://", "@", "/", "-", "https://", &long];
    let mut stage = stage();
    for (i, text) in texts.iter().enumerate() {
        // Without an agent or an action's name it would be no event.
        let name = if text.is_empty() { "t" } else { text };
        let many: Vec<_> = (0..40).map(|n| json!({"id": format!("{text}{n}"), "role": text})).collect();
        for outcome in ["denied", "success", "error"] {
            let odd = json!({
                "id": text, "tenant": text, "outcome": outcome, "session": {"id": text},
                "action": {"name": name, "server": text, "kind": "permission_change"},
                "resource": {"id": text, "kind": text}, "resources": many,
                "credential": {"id": text, "scopes": [text, text]}, "permission": {"required": [text], "scopes": [text]},
                "grant": {"to": text, "permissions": [text]}, "delegation": [{}, {"agent": text}],
                "principal": {"id": text}, "task": {}, "approval": {}, "verified": {"by": text}, "network": {},
                "usage": {"bytes_out": u64::MAX, "records": u64::MAX, "cost_usd": 1e308},
            });
            observe(&mut stage, &act("a", i as i64, &odd));
            let empty = json!({"session": {"id": ""}, "resources": [], "permission": {}, "task": {}, "usage": {}});
            observe(&mut stage, &act("a", i as i64, &empty));
        }
    }
    let alerts = stage.into_alerts();
    assert!(!alerts.is_empty());
    for alert in alerts {
        assert!(alert.title.len() < 1_000, "{} bytes of title", alert.title.len());
        assert!(alert.risk <= 100.0);
    }
}

#[test]
fn time_may_jump_to_both_ends() {
    let mut stage = stage();
    let (first, last) = (Timestamp::MIN.millis(), Timestamp::MAX.millis());
    for (i, time) in
        [START, first, last, START, last, first, last - 1, START + 1].into_iter().cycle().take(400).enumerate()
    {
        let rest = json!({"time": time, "id": format!("e-{i}"), "session": {"id": format!("s-{}", i % 3)}});
        observe(&mut stage, &act("a", 0, &rest));
        observe(&mut stage, &act("b", 0, &json!({"time": time, "id": format!("e-{i}")})));
    }
}

#[test]
fn ten_thousand_of_everything_find_bounded_room() {
    let mut stage = stage();
    for n in 0..10_000i64 {
        let rest = json!({
            "session": {"id": format!("s-{n}")}, "outcome": if n % 2 == 0 { "denied" } else { "success" },
            "action": {"name": format!("tool-{n}")}, "resource": {"id": format!("family-{n}/resource-{n}")},
            "credential": {"id": format!("c-{n}")},
        });
        observe(&mut stage, &act("a", n / 50, &rest));
    }
    // They have ended by then, whatever they were: what is left is bounded and counted.
    for n in 0..3_000i64 {
        let rest = json!({"session": {"id": format!("t-{n}")}, "action": {"name": format!("tool-{n}")}});
        observe(&mut stage, &act("b", 400 + n * 70, &rest));
    }
    let counters = stage.engines[0].counters();
    assert!(counters.keys_turned_away > 0, "{counters:?}");
    let bytes = stage.engines[0].bytes();
    assert!(bytes < 16 << 20, "{bytes} bytes for two agents");
}

#[test]
fn one_session_without_end_is_judged_in_parts() {
    let mut stage = stage();
    for n in 0..5_000i64 {
        let resources: Vec<_> = (0..20).map(|i| json!({"id": format!("r-{n}-{i}/x")})).collect();
        let rest = json!({"session": {"id": "s"}, "action": {"name": format!("tool-{n}")}, "resources": resources});
        observe(&mut stage, &act("a", n / 100, &rest));
    }
    assert!(stage.engines[0].counters().sessions > 100);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_times_keeps_scores_and_state_in_bounds(
        acts in prop::collection::vec((0i64..40_000, 0u8..4, 0u8..6, "\\PC{1,12}", prop::sample::select(vec!["success", "denied", "error"])), 1..300),
    ) {
        let mut stage = stage();
        for (minute, agent, session, text, outcome) in acts {
            let rest = json!({
                "session": {"id": session.to_string()}, "action": {"name": text}, "resource": {"id": text},
                "outcome": outcome,
            });
            observe(&mut stage, &act(&format!("a{agent}"), minute, &rest));
        }
    }
}
