//! The process dies at every step of taking over and of committing, by the failpoints that it is built with for tests.

use driftline_ingest::failpoints::Step;
use driftline_ingest::testing::broker;

use crate::instance::{Instance, Stream, asked_for};

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
    // There is nothing to be read before the first commit, and nothing left open by others here: see below.
    let not_at_first = [Step::StatePartlyRead, Step::LeftOpenEnded];
    Step::ALL.iter().filter(|step| !not_at_first.contains(step)).for_each(|step| dies(*step, 0));
    for step in Step::ALL.iter().filter(|step| **step != Step::LeftOpenEnded) {
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
