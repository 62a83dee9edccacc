//! A run that is cut into many equals one that is not.

use driftline_core::Timestamp;
use driftline_detectors::{Counters, Engine};
use proptest::prelude::*;

use crate::store::{Backing, Store};
use crate::stream::{Step, Stream};

/// What is done between two steps.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Save,
    Restart,
    /// All but so many agents go out.
    Evict(usize),
    /// A restart that has no room for more than so many.
    RestartInto(usize),
}

/// All that a run shows.
#[derive(Debug, PartialEq)]
struct Shown {
    alerts: Vec<String>,
    scores: Vec<u64>,
    hash: u128,
    epoch: driftline_core::Epoch,
    counters: [u64; 11],
    evicted: usize,
}

fn run(stream: &Stream, cuts: &[(usize, Cut)]) -> Shown {
    let mut stage = stream.stage();
    let (mut store, mut counters, mut scores) = (Store::default(), [0; 11], Vec::new());
    stage.engines[0].track_changes(!cuts.is_empty());
    stage.engines[0].set_backing_store(Box::new(Backing::default()));
    let mut evicted = 0;
    for (number, step) in stream.steps.iter().enumerate() {
        match step {
            Step::Record(record) => scores.push(stage.observe(record).score.to_bits()),
            Step::Change(change) => stage.change((**change).clone()),
        }
        for (_, cut) in cuts.iter().filter(|(at, _)| at % stream.steps.len() == number) {
            store.save(&mut stage.engines[0]);
            let (hash, agents) = (stage.engines[0].state_hash(), stage.engines[0].len());
            let world = stage.conductor.world().clone();
            match *cut {
                Cut::Save => {}
                Cut::Evict(keep) => {
                    evicted += stage.engines[0].evict(keep).unwrap();
                    assert!(stage.engines[0].resident() <= keep, "all was saved, so all may go");
                }
                Cut::Restart | Cut::RestartInto(_) => {
                    counters = sum(counters, &stage.engines[0]);
                    let room = if let Cut::RestartInto(room) = *cut { room } else { usize::MAX };
                    stage.engines[0] = store.engine_of(world, room);
                    evicted += agents - stage.engines[0].resident();
                }
            }
            assert_eq!((stage.engines[0].state_hash(), stage.engines[0].len()), (hash, agents));
        }
    }
    let engine = &mut stage.engines[0];
    assert!(engine.failure().is_none());
    let (hash, counters) = (engine.state_hash(), sum(counters, engine));
    let epoch = engine.take_contribution().into_epoch(0, Timestamp::MIN);
    let alerts = stage.into_alerts().iter().map(|alert| serde_json::to_string(alert).unwrap()).collect();
    Shown { alerts, scores, hash, epoch, counters, evicted }
}

fn sum(before: [u64; 11], engine: &Engine) -> [u64; 11] {
    let Counters {
        scored,
        repeated,
        reused_ids,
        late,
        keys_turned_away,
        agents_turned_away,
        new_agents_turned_away,
        tenants_turned_away,
        names_turned_away,
        sessions,
        quarantined,
    } = engine.counters();
    let now = [
        scored,
        repeated,
        reused_ids,
        late,
        keys_turned_away,
        agents_turned_away,
        sessions,
        quarantined,
        new_agents_turned_away,
        tenants_turned_away,
        names_turned_away,
    ];
    std::array::from_fn(|i| before[i] + now[i])
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        Just(Cut::Save),
        Just(Cut::Restart),
        (0usize..6).prop_map(Cut::Evict),
        (0usize..6).prop_map(Cut::RestartInto),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_is_cut_shows_what_one_that_is_not_does(
        seed in 0u64..1_000,
        tenants in 1u64..3,
        room in prop_oneof![Just(3usize), Just(30), Just(1_000)],
        cuts in prop::collection::vec((any::<usize>(), cut()), 1..24),
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
    let [scored, repeated, reused, late, keys, agents, sessions, quarantined, ..] = whole.counters;
    assert!(scored > 4_000 && repeated > 50 && reused > 50 && late > 20 && keys > 20, "{:?}", whole.counters);
    assert!(agents == 0 && sessions > 300 && quarantined > 50, "{:?}", whole.counters);
    assert!(whole.alerts.len() > 200, "{} alerts", whole.alerts.len());
    assert!(run(&Stream::new(1, 2, 3), &[]).counters[5] > 100, "agents find no room");
    assert!(run(&Stream::new(1, 2, 30), &[]).counters[8] > 5, "too many are new in an hour");
    let other = run(&Stream::new(3, 2, 1_000), &[]);
    for kind in [
        "exfiltration",
        "denied_then_achieved",
        "self_grant",
        "suspended_agent",
        "unusual_tool",
        "unusual_resource",
        "undeclared_resource",
    ] {
        assert!(whole.alerts.iter().chain(&other.alerts).any(|alert| alert.contains(kind)), "no alert of {kind}");
    }
}

#[test]
fn agents_may_go_out_at_every_step() {
    let stream = Stream::new(6, 2, 1_000);
    let cuts: Vec<_> = (0..stream.steps.len()).map(|at| (at, Cut::Evict(at % 3))).collect();
    let (whole, cut) = (run(&stream, &[]), run(&stream, &cuts));
    assert!(cut.evicted > 1_000, "{} went out", cut.evicted);
    assert_eq!((&cut.counters, cut.hash), (&whole.counters, whole.hash));
    assert!(cut.alerts == whole.alerts && cut.scores == whole.scores && cut.epoch == whole.epoch);
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
    assert_eq!(
        store.engine_of(stage.conductor.world().clone(), usize::MAX).state_hash(),
        stage.engines[0].state_hash()
    );
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
