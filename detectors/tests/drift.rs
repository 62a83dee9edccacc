//! Drift on simulated sessions: changes planted in one dimension are found and that dimension is named; where nothing
//! changes, or only the mix of tasks does, nothing is found.

#![cfg(test)]

mod support;

use driftline_core::{Alert, Settings};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::Stage;

const TASKS: usize = 8;
const TOOLS: usize = 12;
/// Sessions before a change and after it.
const BEFORE: i64 = 400;
const AFTER: i64 = 200;
const START: i64 = 1_772_409_600_000;

/// What an agent does from some session on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Plant {
    Nothing,
    OtherMix,
    Tools,
    Resources,
    Errors,
    Writes,
    Length,
    Chain,
}

/// An agent with tasks of some steps each, not all of which it always takes, and which fail now and then.
struct Agent {
    chance: ChaCha8Rng,
    /// Whether a task's kind is told, or only its request.
    tells_kind: bool,
    tasks: Vec<Vec<usize>>,
}

impl Agent {
    fn new(seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut steps = || {
            let mut tools: Vec<usize> = (0..TOOLS).collect();
            (0..5).map(|_| tools.swap_remove(chance.random_range(0..tools.len()))).collect()
        };
        let tasks = (0..TASKS).map(|_| steps()).collect();
        Self { chance, tells_kind: seed.is_multiple_of(2), tasks }
    }

    fn is(&mut self, share: f64) -> bool {
        self.chance.random::<f64>() < share
    }

    fn session(&mut self, number: i64, plant: Plant) -> Vec<Value> {
        let mut task = self.chance.random_range(0..TASKS);
        if plant == Plant::OtherMix && self.is(0.8) {
            task %= 2;
        }
        let mut steps = self.tasks[task].clone();
        if plant == Plant::Chain {
            steps.reverse();
        }
        let mut events = Vec::new();
        for step in steps {
            // The first two steps are always taken.
            let is_first = self.tasks[task][..2].contains(&step);
            if !is_first && self.is(0.2) {
                continue;
            }
            let times = if plant == Plant::Length && self.is(0.7) { 2 } else { 1 };
            for _ in 0..times {
                let is_planted = is_first && step == self.tasks[task][1];
                let tool = if plant == Plant::Tools && is_planted { step + 100 } else { step };
                let store = if plant == Plant::Resources && is_planted { "archive" } else { "store" };
                let writes = if is_first { plant == Plant::Writes && is_planted } else { step % 3 == 0 };
                let fails = self.is(if plant == Plant::Errors { 0.4 } else { 0.05 });
                let item = self.chance.random_range(0..1_000);
                let mut about = json!({"intent": format!("Please do thing {} for me", ["a", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"][task])});
                if self.tells_kind {
                    about["kind"] = json!(format!("kind-{task}"));
                }
                events.push(json!({
                    "id": format!("{number}-{}", events.len()),
                    "time": START + (number * 120 + events.len() as i64) * 60_000,
                    "agent": {"id": "a", "version": "1"},
                    "session": {"id": format!("s-{number}")},
                    "task": about,
                    "action": {"name": format!("tool_{tool}"), "access": if writes { "write" } else { "read" }},
                    "resource": {"id": format!("{store}{step}/items/{item}")},
                    "outcome": if fails { "error" } else { "success" },
                }));
            }
        }
        events
    }
}

/// The drift alerts of an agent that does something else from [`BEFORE`] on, each with the number of its last session.
fn run(seed: u64, plant: impl Fn(i64, &mut ChaCha8Rng) -> Plant) -> Vec<(i64, Alert)> {
    let mut agent = Agent::new(seed);
    let mut lots = ChaCha8Rng::seed_from_u64(seed ^ 0xabcd);
    let mut stage = Stage::new(1, Settings::default(), []);
    for number in 0..BEFORE + AFTER {
        for event in agent.session(number, plant(number, &mut lots)) {
            stage.observe(event.to_string().as_bytes());
        }
    }
    let drift = stage.into_alerts().into_iter().filter(|alert| alert.detector == "drift");
    let number = |alert: &Alert| alert.events.last().unwrap().split('-').next().unwrap().parse().unwrap();
    drift.map(|alert| (number(&alert), alert)).collect()
}

fn from_then_on(plant: Plant) -> impl Fn(i64, &mut ChaCha8Rng) -> Plant {
    move |number, _| if number < BEFORE { Plant::Nothing } else { plant }
}

#[test]
fn a_planted_change_is_found_and_its_dimension_is_named() {
    let planted = [
        (Plant::Tools, "tools"),
        (Plant::Resources, "resources"),
        (Plant::Errors, "errors"),
        (Plant::Writes, "writes"),
        (Plant::Length, "length"),
        (Plant::Chain, "chain"),
    ];
    for (plant, dimension) in planted {
        for seed in 0..5 {
            let alerts = run(seed, from_then_on(plant));
            let (number, alert) = alerts.first().unwrap_or_else(|| panic!("{plant:?}, seed {seed}: not found"));
            let drift = alert.drift.as_ref().unwrap();
            println!("{plant:?} after {} sessions: {} {}", number - BEFORE, alert.title, alert.summary);
            assert_eq!(drift.dimension, dimension, "seed {seed}: {}", alert.summary);
            assert!((BEFORE..BEFORE + 100).contains(number), "{plant:?}, seed {seed}: session {number}");
            // Since when is told to within some sessions.
            let since = drift.since.millis().div_euclid(60_000) - START / 60_000;
            assert!((since / 120 - BEFORE).abs() <= 25, "{plant:?}, seed {seed}: since {}", drift.since);
        }
    }
}

#[test]
fn while_an_agent_changes_its_tools_are_told_that_move() {
    let mut agent = Agent::new(1);
    let mut stage = Stage::new(1, Settings::default(), []);
    let mut told = Vec::new();
    for number in 0..BEFORE + AFTER {
        let plant = if number < BEFORE { Plant::Nothing } else { Plant::Tools };
        for event in agent.session(number, plant) {
            stage.observe(event.to_string().as_bytes());
        }
        if number >= BEFORE {
            told.extend(stage.engines[0].moved_tools("", "a"));
        }
    }
    let planted = |tool: &str| tool.strip_prefix("tool_").unwrap().parse::<usize>().unwrap() >= 100;
    assert!(told.iter().any(|(tool, by)| planted(tool) && *by > 0.05), "what came: {told:?}");
    assert!(told.iter().any(|(tool, by)| !planted(tool) && *by < -0.05), "what went: {told:?}");
    assert!(told.iter().all(|(_, by)| (-1.0..=1.0).contains(by)), "{told:?}");
    assert!(stage.engines[0].moved_tools("", "nobody").is_empty());
}

#[test]
fn where_nothing_changes_or_only_the_mix_of_tasks_nothing_is_found() {
    for plant in [Plant::Nothing, Plant::OtherMix] {
        let found: Vec<u64> = (0..25).filter(|&seed| !run(100 + seed, from_then_on(plant)).is_empty()).collect();
        assert!(found.len() <= 1, "{plant:?}: {found:?}");
    }
}

#[test]
fn a_change_that_comes_little_by_little_is_found() {
    for seed in 0..3 {
        // From none to half of the sessions, so slowly that most of what is learned of late has changed too.
        let slowly = |number: i64, lots: &mut ChaCha8Rng| {
            let share = 0.6 * number.max(0) as f64 / (BEFORE + AFTER) as f64;
            if number > 150 && lots.random::<f64>() < share { Plant::Tools } else { Plant::Nothing }
        };
        assert!(!run(seed, slowly).is_empty(), "seed {seed}");
    }
}
