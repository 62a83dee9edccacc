//! Scoring comes before learning, and learning can be switched off.

use driftline_core::{Categories, Change, HourCounts, Settings};
use driftline_simulate::{Config, Simulation};
use serde_json::json;

use crate::check;
use crate::story::{Story, act, ordinary};
use crate::support::Stage;

/// What is learned of each agent.
fn baselines(stage: &Stage) -> Vec<(Categories, Categories, Categories, HourCounts, u32)> {
    let agents = stage.engines.iter().flat_map(|engine| engine.agents());
    let baseline = agents.map(|agent| {
        let counts = (agent.tools.clone(), agent.families.clone(), agent.resources.clone());
        (counts.0, counts.1, counts.2, agent.hours.clone(), agent.sessions_learned)
    });
    baseline.collect()
}

#[test]
fn without_learning_baselines_stand_still_while_scoring_goes_on() {
    let config = Config { agents: 15, events: 20_000, attacks: 4, seed: 5, ..Config::default() };
    let mut simulation = Simulation::new(config).unwrap();
    let mut stage = Stage::new(1, Settings::default(), simulation.identities());
    let mut record = Vec::new();
    let mut feed = |stage: &mut Stage, events: usize| {
        let mut strange = 0;
        for _ in 0..events {
            simulation.write_next(&mut record).unwrap();
            let scored = stage.observe(&record);
            check(&scored);
            strange += u64::from(scored.score > 1.0);
        }
        strange
    };
    feed(&mut stage, 10_000);
    let learned = baselines(&stage);
    assert!(learned.iter().all(|(tools, .., sessions)| tools.distinct() > 0 && *sessions > 0));
    stage.change(Change::Settings { settings: Settings { learn: false, ..Settings::default() } });
    let (scored, sessions) = (stage.engines[0].counters().scored, stage.engines[0].counters().sessions);
    let strange = feed(&mut stage, 5_000);
    assert!(strange > 0, "nothing is strange: is it scored?");
    let counters = stage.engines[0].counters();
    assert!(counters.scored >= scored + 4_900 && counters.sessions > sessions + 100);
    let still = baselines(&stage);
    assert!(learned == still[..learned.len()], "a baseline moved");
    assert!(still[learned.len()..].iter().all(|(.., sessions)| *sessions == 0), "a new agent was learned from");
    stage.change(Change::Settings { settings: Settings::default() });
    feed(&mut stage, 5_000);
    assert!(learned != baselines(&stage)[..learned.len()], "learning did not go on");
}

#[test]
fn a_session_is_scored_against_what_was_learned_before_it() {
    let mut stage = Story::default().stage();
    for act in ordinary(20) {
        stage.observe(act.to_string().as_bytes());
    }
    let new = |minute, session: &str| {
        act("a", minute, &json!({"session": {"id": session}, "action": {"name": "export"}})).to_string()
    };
    let tools = |stage: &Stage| stage.engines[0].agents().next().unwrap().tools.distinct();
    // The first act ends the session before it; what it does itself is not learned while its session runs.
    let first = stage.observe(new(20 * 120, "x").as_bytes());
    let before = tools(&stage);
    stage.observe(new(20 * 120 + 1, "x").as_bytes());
    assert_eq!(tools(&stage), before);
    let second = stage.observe(new(20 * 120 + 240, "y").as_bytes());
    assert_eq!(tools(&stage), before + 1);
    assert!(first.p[0] < 0.1 && second.p[0] > first.p[0], "{first:?} {second:?}");
}

#[test]
fn what_raised_an_alert_is_not_learned() {
    let story = Story { documents: vec!["{id: a, canaries: [export_all]}"], ..Story::default() };
    let mut stage = story.stage();
    for act in ordinary(20) {
        stage.observe(act.to_string().as_bytes());
    }
    let canary = json!({"session": {"id": "x"}, "action": {"name": "export_all"}});
    stage.observe(act("a", 20 * 120, &canary).to_string().as_bytes());
    let before = stage.engines[0].agents().next().unwrap().clone();
    stage.observe(act("a", 22 * 120, &json!({})).to_string().as_bytes());
    let after = stage.engines[0].agents().next().unwrap();
    assert_eq!(after.tools, before.tools);
    assert_eq!(stage.engines[0].counters().quarantined, 1);
}
