//! kill -9, again and again: nothing is lost and nothing is said twice.

use std::time::Duration;

use driftline_ingest::testing::broker;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::instance::{Instance, Stream, asked_for};

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
        life.wait("some records", |it| it.metric("driftline_records_total") >= after || it.has_read_all());
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
    last.wait("all records read", Instance::has_read_all);
    last.stop();

    println!("{kills} kills, {in_commits} in commits");
    stream.prove("kill -9", kills);
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
    // Who has written stands beside the positions from the first commit on.
    let mut first = stream.run("zero", slow);
    first.wait("the first commit", |it| it.metric("driftline_commit_duration_seconds_count") > 0.0);
    first.stop();
    for kill in 0..4 {
        let mut life = stream.run(names[kill % 2], slow);
        life.wait("something to commit", |it| it.metric("driftline_records_total") > 0.0 || it.has_read_all());
        kill_in_commit(life, &mut chance);
    }
    let mut last = stream.run("three", slow);
    last.wait("all records read", Instance::has_read_all);
    last.stop();
    stream.prove("kill -9 in a commit, others take over", 4);
}

/// Kills at some moment of the few hundredths of a second that a commit takes.
fn kill_in_commit(mut life: Instance, chance: &mut ChaCha8Rng) {
    life.catch("a commit", |it| it.metric("driftline_commit_under_way") > 0.0 || it.has_read_all());
    std::thread::park_timeout(Duration::from_millis(chance.random_range(0..30)));
    life.kill();
}
