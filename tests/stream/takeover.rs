//! Taking partitions over: what goes on meanwhile, in which order things happen, and how long they take.

use std::time::Instant;

use driftline_ingest::kafka::partition_of;
use driftline_ingest::testing::{OpenTransaction, broker};

use crate::instance::{PARTITIONS, Stream, asked_for, wait};
use crate::load::Load;

/// A transaction that stays open holds up the restore of one partition for as long as the test likes.
#[test]
fn the_others_go_on_while_a_partition_is_restored_and_it_may_be_taken_away_again() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "others");
    let load = Load::start(&stream, 150_000, 2_000);
    // Who comes second is given the same half each time, so that what is held up goes back to it.
    let mut one = stream.run("one", "");
    one.wait("all partitions", |it| it.partitions() == 24);
    let two = stream.run("two", "");
    wait("a share for each", || one.partitions() == 12 && two.partitions() == 12);
    // Not partition 0: an instance that has just started waits for it, for who has it sees to the settings first.
    let metrics = two.get("/metrics");
    let read = metrics.lines().filter_map(|line| line.strip_prefix("driftline_lag_records{partition=\""));
    let numbers = read.map(|rest| rest.split('"').next().unwrap().parse::<i32>().unwrap());
    let held = numbers.max().unwrap();
    let open = OpenTransaction::begin(broker, &stream.topic("state"), held);

    two.kill();
    one.wait("all partitions but one", |it| it.partitions() == 22);
    assert_eq!(one.metric("driftline_restoring_partitions"), 1.0);
    assert!(one.get("/readyz").contains("the state of 1 partitions is being read back"));
    let (scored, commits) =
        (one.metric("driftline_events_total"), one.metric("driftline_commit_duration_seconds_count"));
    one.wait("events of the others, and commits", |it| {
        it.metric("driftline_events_total") > scored + 4_000.0
            && it.metric("driftline_commit_duration_seconds_count") > commits + 2.0
    });
    assert_eq!((one.partitions(), one.metric("driftline_restoring_partitions")), (22, 1.0));

    // It goes back to the one that had it, while it is being restored here.
    let two = stream.run("two", "");
    wait("a share for each", || one.partitions() + two.partitions() == 22 && two.partitions() >= 10);
    drop(open);
    wait("all partitions", || one.partitions() == 12 && two.partitions() == 12);
    assert_eq!(one.metric("driftline_restarts_total"), 0.0, "all that was one session");
    let events = load.end();
    stream.await_commit(events);
    one.stop();
    two.stop();
    stream.account("taken away while it is restored", 1, events);
}

/// How long it takes from kill -9 until another instance has the partitions, and until it has scored an event in each.
///
/// `DRIFTLINE_TAKEOVER_AGENTS=100000` makes it a larger one, and measures the other group protocol beside it, which takes
/// the broker's own time-out.
#[test]
fn how_long_a_take_over_lasts() {
    let Some(broker) = broker() else { return };
    let agents = asked_for("DRIFTLINE_TAKEOVER_AGENTS", 0);
    let consumer = "[source.kafka.librdkafka]\ngroup.protocol = \"consumer\"\n";
    let all = [("classic", ""), ("consumer", consumer)];
    for (protocol, more) in &all[..if agents > 0 { 2 } else { 1 }] {
        let stream = Stream::new(broker, "lasts");
        let agents = if agents > 0 { agents } else { 5_000 };
        fill(&stream, agents);
        let (mut one, mut two) = (stream.run("one", more), stream.run("two", more));
        wait("a share for each", || one.partitions() == 12 && two.partitions() == 12);
        // The first one may have committed all that there was before it shared.
        stream.write_events(one_in_each(2));
        let in_each = u32::try_from(PARTITIONS).unwrap();
        stream.await_commit(2 * agents + in_each);
        two.wait("a commit of it", |it| it.metric("driftline_commit_duration_seconds_count") > 0.0);
        let before = one.metric("driftline_events_total");
        two.kill();
        let killed = Instant::now();
        stream.write_events(one_in_each(4_000));
        one.wait("all partitions", |it| it.partitions() == 24);
        let had = killed.elapsed();
        one.wait("new events", |it| it.metric("driftline_events_total") >= before + PARTITIONS as f64);
        let scored = killed.elapsed();
        tell(&format!(
            "take-over after kill -9, {agents} agents, group.protocol={protocol}: partitions after {:.1} s, new events \
             scored after {:.1} s",
            had.as_secs_f64(),
            scored.as_secs_f64()
        ));
        one.stop();
        stream.account("kill -9, taken over", 1, 2 * (agents + in_each));
    }
}

/// How long it takes to read the state of many agents back. `DRIFTLINE_RESTORE_AGENTS=1000000` makes it a larger one.
#[test]
fn how_long_a_restore_lasts() {
    let Some(broker) = broker() else { return };
    let stream = Stream::new(broker, "restore");
    let agents = asked_for("DRIFTLINE_RESTORE_AGENTS", 20_000);
    fill(&stream, agents);
    // They all come within an hour, as no honest agents do.
    let unbounded = format!("[limits]\nnew_agents_per_hour = {agents}\n");
    let one = stream.run("one", &unbounded);
    stream.await_commit(2 * agents);
    one.stop();
    assert_eq!(stream.events(), 2 * agents);
    let mut one = stream.run("one", &unbounded);
    one.catch("the restore", |it| it.metric("driftline_restoring_partitions") > 0.0 || it.has_read_all());
    let began = Instant::now();
    one.wait("the state", |it| it.metric("driftline_restored_agents_total") >= f64::from(agents));
    let took = began.elapsed();
    assert_eq!(one.metric("driftline_restored_agents_total"), f64::from(agents));
    assert!(one.metric("driftline_restored_records_total") >= 2.0 * f64::from(agents));
    tell(&format!(
        "restore of {agents} agents: {:.1} s, {:.0} agents a second",
        took.as_secs_f64(),
        f64::from(agents) / took.as_secs_f64()
    ));
    one.stop();
}

/// Two events of each of so many agents.
fn fill(stream: &Stream, agents: u32) {
    stream.make_source();
    stream.write_events((0..agents).flat_map(|agent| [(format!("agent-{agent}"), 0), (format!("agent-{agent}"), 1)]));
}

/// An event in each partition.
fn one_in_each(number: u32) -> Vec<(String, u32)> {
    let partitions = i32::try_from(PARTITIONS).unwrap();
    let agent = |partition| {
        let mut names = (0..).map(|i| format!("agent-{i}"));
        names.find(|name| partition_of(name.as_bytes(), partitions) == partition).unwrap()
    };
    (0..partitions).map(|partition| (agent(partition), number)).collect()
}

/// Past the harness, which keeps what passing tests print to itself.
fn tell(line: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "\n{line}").unwrap();
}
