//! kill -9, again and again: nothing is lost and nothing is said twice.

use std::collections::BTreeSet;
use std::time::Duration;

use driftline_ingest::testing::broker;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::instance::{Instance, Stream, asked_for, ids};

/// The same process is killed and started; every third kill is aimed into a commit. A last one reads to the end.
///
/// `DRIFTLINE_CRASHES=100 DRIFTLINE_CRASH_EVENTS=1000000` makes it a larger one.
#[test]
fn whatever_is_killed_goes_on_where_it_was() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "crashes");
    let (kills, events) = (asked_for("DRIFTLINE_CRASHES", 10), asked_for("DRIFTLINE_CRASH_EVENTS", 400_000));
    let (agents, attacks) = ((events / 500).to_string(), (events / 2_000).to_string());
    stream.simulate(&["--agents", &agents, "--events", &events.to_string(), "--attacks", &attacks]);

    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let (mut in_commits, mut restored) = (0, 0.0);
    for kill in 0..kills {
        let mut life = stream.run("one", "");
        // Later lives begin where the one before has committed: few records a life leave some for all of them.
        let after = f64::from(chance.random_range(1..events / kills));
        life.wait("some records", |it| it.metric("driftline_records_total") >= after || has_read_all(it));
        restored += life.metric("driftline_restored_agents_total");
        if kill % 3 == 2 {
            kill_in_commit(life, &mut chance);
            in_commits += 1;
        } else {
            life.kill();
        }
    }
    assert!(restored > 0.0, "no life has found what the one before had left");
    let mut last = stream.run("one", "");
    last.wait("all records read", has_read_all);
    last.stop();

    let alerts = ids(&stream.dump("alerts"));
    let expected = stream.replayed();
    let (told, due): (BTreeSet<_>, BTreeSet<_>) = (alerts.iter().collect(), expected.iter().collect());
    let (lost, repeated) = (due.difference(&told).count(), alerts.len() - told.len());
    println!("{kills} kills, {in_commits} in commits: {} alerts expected, {lost} lost, {repeated} repeated", due.len());
    assert_eq!((lost, repeated, told.difference(&due).count()), (0, 0, 0), "lost, repeated, invented");
}

/// Transactions that nobody ends stay open for ten minutes here: whoever takes over must end them.
#[test]
fn who_takes_over_ends_what_the_dead_one_has_left_open() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "heirs");
    let events = asked_for("DRIFTLINE_CRASH_EVENTS", 200_000);
    stream.simulate(&["--agents", "400", "--events", &events.to_string(), "--attacks", "100"]);
    let slow = "[source.kafka.librdkafka]\ntransaction.timeout.ms = 600000\n";
    let names = ["one", "two"];
    let mut chance = ChaCha8Rng::seed_from_u64(10);
    for kill in 0..4 {
        let mut life = stream.run(names[kill % 2], slow);
        life.wait("something to commit", |it| it.metric("driftline_records_total") > 0.0 || has_read_all(it));
        kill_in_commit(life, &mut chance);
    }
    let mut last = stream.run("three", slow);
    last.wait("all records read", has_read_all);
    last.stop();
    let alerts = ids(&stream.dump("alerts"));
    assert_eq!(alerts, stream.replayed());
}

/// Kills at some moment of the few hundredths of a second that a commit takes.
fn kill_in_commit(mut life: Instance, chance: &mut ChaCha8Rng) {
    life.catch("a commit", |it| it.metric("driftline_commit_under_way") > 0.0 || has_read_all(it));
    std::thread::park_timeout(Duration::from_millis(chance.random_range(0..30)));
    life.kill();
}

/// Whether all partitions are assigned, and their positions at the end.
fn has_read_all(it: &Instance) -> bool {
    let metrics = it.get("/metrics");
    let mut lags = metrics.lines().filter(|line| line.starts_with("driftline_lag_records{")).peekable();
    lags.peek().is_some() && lags.clone().count() == 24 && lags.all(|line| line.ends_with(" 0"))
}
