//! A process that stands still for so long that the group gives it up, and then goes on; and two processes of one name.

use std::process::ExitStatus;

use driftline_ingest::testing::broker;

use crate::instance::{Instance, Stream, wait};
use crate::load::Load;

/// Once at any moment, and once in the middle of a commit, whose transaction the other one has to end.
#[test]
fn a_process_that_was_paused_comes_back_fenced_and_goes_on_as_a_member() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "paused");
    let load = Load::start(&stream, 200_000, 2_000);
    let dbg = "level = \"info,librdkafka=debug\"\n[source.kafka.librdkafka]\ndebug = \"cgrp\"\n";
    let (mut one, mut two) = (stream.run("one", dbg), stream.run("two", dbg));
    for in_commit in [false, true] {
        wait("a share for each", || one.partitions() == 12 && two.partitions() == 12);
        let restarts = one.metric("driftline_restarts_total");
        if in_commit {
            one.catch("a commit", |it| it.metric("driftline_commit_under_way") > 0.0);
        }
        one.signal("-STOP");
        two.wait("what the paused one had", |it| it.partitions() == 24);
        let scored = two.metric("driftline_events_total");
        two.wait("events", |it| it.metric("driftline_events_total") > scored + 2_000.0);
        one.signal("-CONT");
        one.wait("another session", |it| it.metric("driftline_restarts_total") > restarts);
    }
    wait("a share for each", || one.partitions() == 12 && two.partitions() == 12);
    let events = load.end();
    stream.await_commit(events);
    one.stop();
    two.stop();
    stream.account("paused past its time-out", 2, events);
}

/// On two machines nothing keeps one from being started under the name of another: the later one takes over, and the
/// earlier one ends and says why.
#[test]
fn of_two_processes_of_one_name_the_earlier_ends() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "namesakes");
    let load = Load::start(&stream, 100_000, 2_000);
    let mut first = stream.run("one", "");
    first.wait("something committed", |it| it.metric("driftline_commit_duration_seconds_count") > 0.0);
    // Another machine has a folder of its own, with the same name in it.
    std::fs::create_dir_all(stream.path("copy")).unwrap();
    std::fs::copy(stream.path("one/instance"), stream.path("copy/instance")).unwrap();
    let mut second = stream.run("copy", "");
    let ended = |it: &mut Instance| -> Option<ExitStatus> { it.child.try_wait().unwrap() };
    wait("the first one's end", || ended(&mut first).is_some());
    assert_eq!(ended(&mut first).unwrap().code(), Some(1));
    second.wait("all partitions", |it| it.partitions() == 24);
    stream.await_commit(load.end());
    second.stop();
    stream.prove("a second process under the same name", 1);
}
