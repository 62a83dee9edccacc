//! Instances that come and go under load, gently and by kill -9.

use driftline_ingest::testing::broker;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::instance::{Instance, Stream, asked_for, wait, wait_or_tell};
use crate::load::Load;

const NAMES: [&str; 3] = ["one", "two", "three"];

/// One to three instances. `DRIFTLINE_REBALANCES=30` makes it a longer one.
#[test]
fn instances_that_come_and_go_lose_and_repeat_nothing() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "rebalances");
    let changes = asked_for("DRIFTLINE_REBALANCES", 6);
    let load = Load::start(&stream, changes * 60_000, 2_000);
    let mut chance = ChaCha8Rng::seed_from_u64(11);
    let mut running = [Some(stream.run(NAMES[0], "")), None, None];
    let mut kills = 0;
    for change in 0..changes {
        let i = chance.random_range(0..NAMES.len());
        let others = running.iter().enumerate().filter(|(j, other)| *j != i && other.is_some()).count();
        match running[i].take() {
            Some(instance) if others > 0 && chance.random_bool(0.5) => {
                instance.kill();
                kills += 1;
            }
            Some(instance) if others > 0 => instance.stop(),
            Some(instance) => {
                // The last one stays, and another comes.
                running[i] = Some(instance);
                running[(i + 1) % NAMES.len()] = Some(stream.run(NAMES[(i + 1) % NAMES.len()], ""));
            }
            None => running[i] = Some(stream.run(NAMES[i], "")),
        }
        // Every other change comes before the one before it has been dealt with.
        if change % 2 == 0 {
            let all_read = || running.iter().flatten().map(Instance::partitions).sum::<usize>() == 24;
            wait_or_tell("all partitions to be read by somebody", all_read, || {
                running.iter().flatten().map(Instance::standing).collect()
            });
        }
    }
    let events = load.end();
    stream.await_commit(events);
    running.into_iter().flatten().for_each(Instance::stop);
    println!("{changes} joins and leaves, {kills} of them kills");
    stream.account("joins and leaves", changes, events);
}

/// The group protocol of KIP-848. Members that have gone are missed only after the broker's own time-out, 45 s as it comes,
/// so those that go here come back under their names.
#[test]
fn the_consumer_group_protocol_serves_as_well() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "consumer");
    let load = Load::start(&stream, 100_000, 2_000);
    let protocol = "[source.kafka.librdkafka]\ngroup.protocol = \"consumer\"\n";
    let mut one = stream.run("one", protocol);
    one.wait("all partitions", |it| it.partitions() == 24);
    let two = stream.run("two", protocol);
    wait("a share for each", || one.partitions() == 12 && two.partitions() == 12);
    two.stop();
    let two = stream.run("two", protocol);
    wait("the share to be read again", || one.partitions() == 12 && two.partitions() == 12);
    let events = load.end();
    stream.await_commit(events);
    one.stop();
    two.stop();
    stream.account("join and return, group.protocol=consumer", 2, events);
}
