//! kill -9, again and again: nothing is lost and nothing is said twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use driftline_ingest::testing::broker;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::instance::{Instance, Stream, asked_for};

/// Detectors that must have raised something.
const ALL: [&str; 5] = ["novelty", "rate", "identity", "escalation", "inventory"];

/// The same process is killed and started; every third kill is aimed into a commit. Meanwhile settings and identity
/// documents change. A last one reads to the end.
///
/// `DRIFTLINE_CRASHES=100 DRIFTLINE_CRASH_EVENTS=1000000` makes it a larger one.
#[test]
fn whatever_is_killed_goes_on_where_it_was() {
    let Some(broker) = broker() else { return };
    let mut stream = Stream::new(broker, "crashes");
    let (kills, events) = (asked_for("DRIFTLINE_CRASHES", 10), asked_for("DRIFTLINE_CRASH_EVENTS", 400_000));
    let (agents, attacks) = ((events / 500).to_string(), (events / 2_000).to_string());
    stream.simulate(&["--agents", &agents, "--events", &events.to_string(), "--attacks", &attacks]);

    // That most agents have no document is a finding of its own.
    take_documents(&stream, |i| i % 4 > 0);

    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let (mut in_commits, mut restored) = (0, 0.0);
    for kill in 0..kills {
        stream.level = if kill % 4 == 3 { 0.5 } else { 0.9 };
        let mut life = stream.run("one", "");
        take_documents(&stream, |i| i % 4 > 0 || i == 4 * kill as usize);
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
    let detectors = stream.prove("kill -9", kills);
    println!("alerts by detector: {detectors:?}");
    let raised: BTreeSet<&str> = detectors.keys().map(String::as_str).collect();
    assert!(raised.is_superset(&ALL.into()), "{raised:?}");
}

/// Gives identity documents back that were taken before, and takes others away. A life that is long enough hears of it in
/// its midst, the others at their start.
fn take_documents(stream: &Stream, which: impl Fn(usize) -> bool) {
    let (there, away) = (stream.path("identities"), stream.path("away"));
    std::fs::create_dir_all(&away).unwrap();
    let names = |folder: &Path| -> BTreeSet<_> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    names(&away).iter().for_each(|name| std::fs::rename(away.join(name), there.join(name)).unwrap());
    let taken = names(&there).into_iter().enumerate().filter(|(i, _)| which(*i));
    taken.for_each(|(_, name)| std::fs::rename(there.join(&name), away.join(&name)).unwrap());
}

/// Kills at some moment of the few hundredths of a second that a commit takes.
fn kill_in_commit(mut life: Instance, chance: &mut ChaCha8Rng) {
    life.catch("a commit", |it| it.metric("driftline_commit_under_way") > 0.0 || it.has_read_all());
    std::thread::park_timeout(Duration::from_millis(chance.random_range(0..30)));
    life.kill();
}
