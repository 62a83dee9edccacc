//! A run that is cut into many equals one that is not.

use driftline_core::Timestamp;
use driftline_detectors::{Counters, Engine};
use proptest::prelude::*;

use crate::store::Store;
use crate::stream::{Step, Stream};

/// What is done between two steps.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Save,
    Restart,
}

/// All that a run shows.
#[derive(Debug, PartialEq)]
struct Shown {
    alerts: Vec<String>,
    scores: Vec<u64>,
    hash: u128,
    epoch: driftline_core::Epoch,
    counters: [u64; 8],
}

fn run(stream: &Stream, cuts: &[(usize, Cut)]) -> Shown {
    let mut stage = stream.stage();
    let (mut store, mut counters, mut scores) = (Store::default(), [0; 8], Vec::new());
    stage.engines[0].track_changes(!cuts.is_empty());
    for (number, step) in stream.steps.iter().enumerate() {
        match step {
            Step::Record(record) => scores.push(stage.observe(record).score.to_bits()),
            Step::Change(change) => stage.change((**change).clone()),
        }
        for (_, cut) in cuts.iter().filter(|(at, _)| at % stream.steps.len() == number) {
            store.save(&mut stage.engines[0]);
            if *cut == Cut::Restart {
                counters = sum(counters, &stage.engines[0]);
                let before = stage.engines[0].state_hash();
                stage.engines[0] = store.engine(stage.conductor.world().clone());
                assert_eq!(stage.engines[0].state_hash(), before);
            }
        }
    }
    let engine = &mut stage.engines[0];
    let (hash, counters) = (engine.state_hash(), sum(counters, engine));
    let epoch = engine.take_contribution().into_epoch(0, Timestamp::MIN);
    let alerts = stage.into_alerts().iter().map(|alert| serde_json::to_string(alert).unwrap()).collect();
    Shown { alerts, scores, hash, epoch, counters }
}

fn sum(before: [u64; 8], engine: &Engine) -> [u64; 8] {
    let Counters { scored, repeated, reused_ids, late, keys_turned_away, agents_turned_away, sessions, quarantined } =
        engine.counters();
    let now = [scored, repeated, reused_ids, late, keys_turned_away, agents_turned_away, sessions, quarantined];
    std::array::from_fn(|i| before[i] + now[i])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_is_cut_shows_what_one_that_is_not_does(
        seed in 0u64..1_000,
        tenants in 1u64..3,
        room in prop_oneof![Just(3usize), Just(1_000)],
        cuts in prop::collection::vec((any::<usize>(), prop_oneof![Just(Cut::Save), Just(Cut::Restart)]), 1..12),
    ) {
        let stream = Stream::new(seed, tenants, room);
        let (whole, cut) = (run(&stream, &[]), run(&stream, &cuts));
        // Compared one by one: all of it at once would fill pages.
        prop_assert_eq!(&cut.counters, &whole.counters);
        for (cut, whole) in cut.alerts.iter().zip(&whole.alerts) {
            prop_assert_eq!(cut, whole);
        }
        prop_assert_eq!(cut.alerts.len(), whole.alerts.len());
        prop_assert!(cut.scores == whole.scores);
        prop_assert_eq!(&cut.epoch, &whole.epoch);
        prop_assert_eq!(cut.hash, whole.hash);
    }
}

#[test]
fn the_streams_hold_all_that_an_engine_remembers() {
    let whole = run(&Stream::new(1, 2, 1_000), &[]);
    let [scored, repeated, reused, late, keys, agents, sessions, quarantined] = whole.counters;
    assert!(scored > 4_000 && repeated > 50 && reused > 50 && late > 20 && keys > 20, "{:?}", whole.counters);
    assert!(agents == 0 && sessions > 300 && quarantined > 50, "{:?}", whole.counters);
    assert!(whole.alerts.len() > 200, "{} alerts", whole.alerts.len());
    assert!(run(&Stream::new(1, 2, 3), &[]).counters[5] > 100, "agents find no room");
    for kind in [
        "denied_then_achieved",
        "self_grant",
        "suspended_agent",
        "unusual_tool",
        "unusual_resource",
        "undeclared_resource",
    ] {
        assert!(whole.alerts.iter().any(|alert| alert.contains(kind)), "no alert of {kind}");
    }
}

#[test]
fn an_engine_that_nobody_asks_keeps_no_list() {
    let stream = Stream::new(2, 1, 1_000);
    let mut stage = stream.stage();
    for step in &stream.steps[..1_000] {
        let Step::Record(record) = step else { continue };
        stage.observe(record);
    }
    let engine = &mut stage.engines[0];
    assert!(engine.take_changes().is_empty());
    // Once it is asked, all that it has counts as changed.
    engine.track_changes(true);
    let mut store = Store::default();
    store.save(engine);
    assert!(store.records.len() > 2 * engine.len());
    assert_eq!(store.engine(stage.conductor.world().clone()).state_hash(), stage.engines[0].state_hash());
}

#[test]
fn the_hash_is_of_what_is_held_and_not_of_how_it_came() {
    let stream = Stream::new(3, 2, 1_000);
    let mut stage = stream.stage();
    for step in &stream.steps {
        let Step::Record(record) = step else { continue };
        stage.observe(record);
    }
    let world = stage.conductor.world().clone();
    let hash = stage.engines[0].state_hash();
    let mut records: Vec<_> = stage.engines[0].records().map(|record| (record.key, record.value.unwrap())).collect();
    records.reverse();
    assert_eq!(Engine::from_records(world.clone(), records.clone()).unwrap().state_hash(), hash);
    records.sort();
    let mut other = Engine::from_records(world, records).unwrap();
    assert_eq!(other.state_hash(), hash);
    assert!(other.take_changes().is_empty(), "what was read counts as taken");
    let Step::Record(record) = &stream.steps[0] else { panic!("it begins with a record") };
    let text = String::from_utf8(record.clone()).unwrap().replacen("\"id\":\"", "\"id\":\"other-", 1);
    let event = driftline_core::Event::decode(text.as_bytes(), &driftline_core::Limits::default()).unwrap();
    assert!(!other.observe(&event).repeated);
    assert_ne!(other.state_hash(), hash);
}
