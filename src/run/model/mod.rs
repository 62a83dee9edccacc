//! A model of the commit protocol: instances that die, stall and come back between any two steps, over a broker that
//! promises what Kafka does and no more. Each seed is another schedule of all that; what comes of it is held against a
//! replay. And so that it is known to find something: each safeguard is left out once, and some seed must tell.

mod broker;
mod check;
mod engine;
mod group;
mod instance;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use broker::{Broker, Id};
use check::check;
use instance::Instance;

const PLACES: usize = 3;
const EVENTS: u64 = 8;
const IDS: usize = 3;
/// Steps in which everything happens, and most that it may take afterwards until all is read.
const CHAOS: usize = 600;
const CALM: usize = 20_000;

/// A safeguard that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weakness {
    /// Positions and what came of them are in two transactions.
    PositionsApart,
    /// State is in a transaction of its own.
    StateApart,
    /// The broker takes positions from whoever sends them.
    GenerationsUnchecked,
    /// An older producer under the same id may go on.
    EpochsUnchecked,
    /// What is restored is read to where readers come now, not to what was written last.
    StableEnd,
    /// The group's position is taken although a transaction is about to move it.
    UnstablePosition,
    /// Who has read nothing commits no position, which the broker could refuse.
    UnreadWithoutPosition,
    /// Partitions are given back before what came of them is committed.
    ReleasedUncommitted,
    /// Events that the consumer was given again are scored again.
    RepeatsScored,
    /// The control log does not say from where a record holds in the partitions of others.
    Unnoted,
}

/// What is wrong after a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Alerts that a replay raises, and that are not on the topic.
    Lost(usize),
    /// Alerts that are there twice.
    Repeated(usize),
    /// Alerts that no replay raises.
    Invented(usize),
    /// State that is not a replay's.
    State(usize),
    /// The control log has a gap or a fork.
    Control(String),
    /// Events that no epoch has, or several.
    Epochs { counted: u64, were: u64 },
    /// An instance refuses to go on.
    Refused(String),
    /// Nobody comes to the end.
    Stuck,
}

/// Runs one schedule; returns how many alerts there were.
fn simulate(seed: u64, weakness: Option<Weakness>) -> Result<usize, Verdict> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut broker = Broker::new(PLACES);
    broker.checks_generations = weakness != Some(Weakness::GenerationsUnchecked);
    broker.checks_epochs = weakness != Some(Weakness::EpochsUnchecked);
    let mut processes: Vec<(Instance, bool)> = Vec::new();
    let mut fresh = 0;
    let start = |id, fresh: &mut u64| {
        *fresh += 1;
        (Instance::new(id, *fresh, weakness), true)
    };
    // Some topics are empty for a while.
    let filled = if seed.is_multiple_of(4) { CHAOS / 2 } else { 0 };
    for step in 0..CHAOS {
        broker.events = if step < filled { 0 } else { EVENTS };
        let chosen = chance.random_range(0..processes.len().max(1));
        match chance.random_range(0..100) {
            // kill -9
            0 if !processes.is_empty() => drop(processes.swap_remove(chosen)),
            // Stalled, if one can be had in a commit.
            1..3 if !processes.is_empty() => {
                let in_commit = processes.iter().position(|(process, is_awake)| *is_awake && process.is_committing());
                processes[in_commit.unwrap_or(chosen)].1 = false;
            }
            // On its way again, perhaps long after it was taken for dead.
            3 if !processes.is_empty() => processes[chosen].1 = true,
            // Started, perhaps beside one under the same id that is stalled.
            4..7 if processes.len() < 2 * IDS => {
                let id = chance.random_range(0..IDS);
                if !processes.iter().any(|(process, is_awake)| process.id == id && *is_awake) {
                    processes.push(start(id, &mut fresh));
                }
            }
            // Not heard of for too long.
            7..10 => {
                let is_heard = |id: Id| processes.iter().any(|(process, awake)| process.id == id && *awake);
                let silent: Vec<Id> = broker.group.ids().into_iter().filter(|id| !is_heard(*id)).collect();
                silent.into_iter().for_each(|id| broker.group.remove(id));
            }
            // A transaction has been open for too long.
            10 => broker.abort(chance.random_range(0..IDS)),
            11..15 => broker.group.balance(),
            15..35 => broker.write_marker(chance.random_range(0..64)),
            _ => {
                if let Some((process, true)) = processes.get_mut(chosen) {
                    process.step(&mut broker, &mut chance, &mut fresh)?;
                }
            }
        }
        processes.retain(|(process, _)| process.is_running());
    }
    if seed.is_multiple_of(3) {
        // All are gone, in the middle of it, and nobody comes.
        (0..IDS).for_each(|id| broker.abort(id));
        while !broker.is_settled() {
            broker.write_marker(chance.random_range(0..64));
        }
    } else {
        finish(&mut broker, &mut chance, &mut fresh, weakness)?;
        let read = |place| broker.stable_position(place).is_ok_and(|position| position.next == EVENTS);
        if !(0..PLACES).all(read) {
            return Err(Verdict::Stuck);
        }
    }
    check(&mut broker, PLACES)
}

/// One instance is left, and reads to the end.
fn finish(
    broker: &mut Broker,
    chance: &mut ChaCha8Rng,
    fresh: &mut u64,
    weakness: Option<Weakness>,
) -> Result<(), Verdict> {
    broker.group.ids().into_iter().for_each(|id| broker.group.remove(id));
    *fresh += 1;
    let mut last = Instance::new(0, *fresh, weakness);
    for step in 0..CALM {
        last.step(broker, chance, fresh)?;
        broker.group.balance();
        broker.write_marker(chance.random_range(0..64));
        if !last.is_running() {
            *fresh += 1;
            last = Instance::new(0, *fresh, weakness);
        }
        // Long after the others are gone, what they had open is aborted.
        if step == 200 {
            (1..IDS).for_each(|id| broker.abort(id));
        }
        if last.is_done(PLACES, broker) && broker.is_settled() {
            return Ok(());
        }
    }
    Err(Verdict::Stuck)
}

/// `DRIFTLINE_MODEL_SEEDS` asks for more of them.
#[test]
fn whatever_the_schedule_alerts_state_and_epochs_are_those_of_a_replay() {
    let seeds = asked_for("DRIFTLINE_MODEL_SEEDS", 20_000);
    let mut alerts = 0;
    for seed in 0..seeds {
        alerts += simulate(seed, None).unwrap_or_else(|verdict| panic!("seed {seed}: {verdict:?}"));
    }
    println!("{seeds} schedules, {alerts} alerts: none lost, none repeated");
    assert!(alerts as u64 > seeds, "there is something to lose");
}

#[test]
fn without_any_one_of_the_safeguards_some_schedule_goes_wrong() {
    let weaknesses = [
        Weakness::PositionsApart,
        Weakness::StateApart,
        Weakness::GenerationsUnchecked,
        Weakness::EpochsUnchecked,
        Weakness::StableEnd,
        Weakness::UnstablePosition,
        Weakness::UnreadWithoutPosition,
        Weakness::ReleasedUncommitted,
        Weakness::RepeatsScored,
        Weakness::Unnoted,
    ];
    for weakness in weaknesses {
        let found = (0..200_000).find_map(|seed| Some((seed, simulate(seed, Some(weakness)).err()?)));
        let (seed, verdict) = found.unwrap_or_else(|| panic!("{weakness:?} goes unnoticed"));
        println!("{weakness:?}: seed {seed} tells: {verdict:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
fn asked_for(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|size| size.parse().ok()).unwrap_or(usual)
}
