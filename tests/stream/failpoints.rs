//! The process dies at every step of taking over and of committing, by the failpoints that it is built with for tests.

use driftline_ingest::failpoints::Step;
use driftline_ingest::testing::broker;

use crate::instance::{Instance, Stream, asked_for, have_read_all, wait};

/// Few records a life, so that there are some for all of them; and transactions that nobody ends stay open.
const SLOWLY: &str = "[source.kafka.librdkafka]\nmax.partition.fetch.bytes = 20000\nqueued.max.messages.kbytes = 100\n\
                      transaction.timeout.ms = 600000\n";
const PAUSES: &str = "batch-read=sleep(100)";

/// Each step twice: first in lives that find nothing or commit for the first time, then in lives that find what others
/// have left and have committed before. A life that does not die where it should fails the test.
#[test]
fn whatever_step_it_dies_at_the_next_one_goes_on() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "steps");
    // DRIFTLINE_STEP_EVENTS makes it a larger one.
    let events = asked_for("DRIFTLINE_STEP_EVENTS", 200_000);
    let (agents, attacks) = ((events / 500).to_string(), (events / 2_000).to_string());
    stream.simulate(&["--agents", &agents, "--events", &events.to_string(), "--attacks", &attacks]);
    let mut deaths = 0;
    let mut dies = |step: Step, passed: u32| {
        let failpoints = format!("{PAUSES};{}={passed}*off->return", step.name());
        stream.run_failing("one", SLOWLY, &failpoints).dies(step);
        deaths += 1;
    };
    // Nothing is left open by others here, nor asked for: see below. There is nothing to be read before the first commit.
    let alone: Vec<Step> =
        Step::ALL.iter().copied().filter(|step| ![Step::LeftOpenEnded, Step::Revoked].contains(step)).collect();
    alone.iter().filter(|step| **step != Step::StatePartlyRead).for_each(|step| dies(*step, 0));
    for step in &alone {
        // A life has one start and one writer, but many partitions and commits.
        let once = matches!(step, Step::SessionBegun | Step::Assigned | Step::WriterOpened);
        dies(*step, if once { 0 } else { 2 });
    }
    let mut last = stream.run("one", "");
    last.wait("all records read", Instance::has_read_all);
    last.stop();
    stream.prove("killed at each step", deaths);
}

/// One dies in an open transaction, the next when it has ended that, and the third goes on.
#[test]
fn who_takes_over_ends_what_the_dead_one_has_left_open() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "heirs");
    stream.simulate(&["--agents", "200", "--events", "100000", "--attacks", "50"]);
    let mut deaths = 0;
    for (open, [first, second]) in [(Step::RecordsConfirmed, ["one", "two"]), (Step::PositionsSent, ["three", "four"])]
    {
        let failpoints = format!("{PAUSES};{}=2*off->return", open.name());
        stream.run_failing(first, SLOWLY, &failpoints).dies(open);
        let failpoints = format!("{PAUSES};{}=return", Step::LeftOpenEnded.name());
        stream.run_failing(second, SLOWLY, &failpoints).dies(Step::LeftOpenEnded);
        deaths += 2;
    }
    let mut last = stream.run("five", "");
    last.wait("all records read", Instance::has_read_all);
    last.stop();
    stream.prove("killed in a transaction, others end it", deaths);
}

/// It dies when it is asked for half of its partitions, and is back before the group has missed it: the group gives it the
/// other half again and leaves what it was asked for to nobody.
#[test]
fn what_it_was_to_give_up_when_it_died_is_read_by_somebody() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "orphans");
    stream.simulate(&["--agents", "200", "--events", "100000", "--attacks", "50"]);
    let one = stream.run_failing("one", SLOWLY, &format!("{PAUSES};{}=return", Step::Revoked.name()));
    wait("all partitions", || one.partitions() == 24);
    let two = stream.run("two", "");
    one.dies(Step::Revoked);
    let one = stream.run("one", "");
    wait("a share for each", || one.partitions() == 12 && two.partitions() == 12);
    wait("all records read", || have_read_all([&one, &two]));
    one.stop();
    two.stop();
    stream.prove("killed while asked for partitions", 1);
}
