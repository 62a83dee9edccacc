//! The stream processor over files and standard input: killed, fed more, given changed files, without room on the disk, and
//! with something that hangs. All by the program itself.

#![cfg(test)]

mod hung;
mod room;
mod site;

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use site::{Instance, PATIENCE, Site};

const LEVEL: &str = "[detection]\nlevel = 0.9\n";

/// Each life is given a file more than the one before, and is killed somewhere in it: after a file was written to, which is
/// right after a commit, or a moment after the database was. `DRIFTLINE_FILES_KILLS=100` makes it a longer one.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
fn killed_again_and_again_it_says_what_an_uninterrupted_run_says() {
    let kills: usize = std::env::var("DRIFTLINE_FILES_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let site = Site::new(400_000);
    let share = 400_400 / kills + 1;
    for name in ["whole", "killed"] {
        // Standard input keeps a life from ending before it is killed.
        site.configure(name, "[\"all\", \"-\"]", LEVEL);
    }
    fs::create_dir(site.path("all")).unwrap();
    for file in 0..kills {
        let lines = site.lines(file * share..(file + 1) * share);
        fs::write(site.path(&format!("all/{file:03}.ndjson")), lines).unwrap();
    }
    site.run("whole");
    let state = site.state("whole");
    let (alerts, dead) = (site.alerts("whole"), site.dead("whole"));
    assert!(alerts.len() > 100 && dead.len() == 400, "{} alerts, {} dead letters", alerts.len(), dead.len());

    fs::rename(site.path("all"), site.path("later")).unwrap();
    fs::create_dir(site.path("all")).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(20);
    for kill in 0..kills {
        let name = format!("{kill:03}.ndjson");
        fs::rename(site.path(&format!("later/{name}")), site.path(&format!("all/{name}"))).unwrap();
        let file = ["killed.alerts", "killed.dead", "killed.state/run.redb"][kill % 3];
        let (size, written) = (site.size(file), site.written(file));
        let further = random.random_range(0..site.size("whole.dead") / (3 * kills as u64));
        let mut child = site.command("killed").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while match kill % 3 {
            0 => site.size(file) <= size,
            1 => site.size(file) <= size + further,
            _ => site.written(file) == written,
        } {
            assert!(began.elapsed() < PATIENCE, "{file} is not written to");
            std::hint::spin_loop();
        }
        std::thread::park_timeout(Duration::from_millis(random.random_range(0..[2, 20, 200][kill % 3])));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        // SIGKILL: nothing is flushed, closed or told.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    site.run("killed");
    assert_eq!((site.alerts("killed"), site.dead("killed")), (alerts, dead));
    assert_eq!(site.state("killed"), state);
    assert_eq!(site.control("killed"), site.control("whole"));
}

#[test]
fn what_is_done_is_not_done_twice_and_what_is_added_is() {
    let site = Site::new(30_000);
    site.configure("grown", "[\"events-*.ndjson\"]", LEVEL);
    fs::write(site.path("events-1.ndjson"), site.lines(0..20_000)).unwrap();
    site.run("grown");
    let (state, alerts, dead) = (site.state("grown"), site.alerts("grown"), site.dead("grown"));
    site.run("grown");
    assert_eq!((site.state("grown"), site.alerts("grown"), site.dead("grown").len()), (state, alerts.clone(), 20));
    // A file has grown, and there is another.
    fs::write(site.path("events-1.ndjson"), site.lines(0..25_000)).unwrap();
    fs::write(site.path("events-2.ndjson"), site.lines(25_000..30_030)).unwrap();
    site.run("grown");
    let (more, letters) = (site.alerts("grown"), site.dead("grown"));
    assert!(more.starts_with(&alerts) && more.len() > alerts.len());
    assert!(letters.starts_with(&dead) && letters.len() == 30);
    // What was written may be taken away, and is not written again.
    fs::remove_file(site.path("grown.alerts")).unwrap();
    site.run("grown");
    assert!(site.alerts("grown").is_empty());
}

#[test]
fn settings_and_documents_of_the_past_are_kept() {
    let site = Site::new(10_000);
    site.configure("kept", "[\"events.ndjson\"]", LEVEL);
    fs::write(site.path("events.ndjson"), site.lines(0..5_000)).unwrap();
    site.run("kept");
    let begun = site.control("kept");
    let documents = fs::read_dir(site.path("ids")).unwrap().count();
    assert_eq!(begun[0], "settings");
    assert_eq!(begun.iter().filter(|kind| *kind == "identity").count(), documents);
    // Nothing has changed, so nothing is said again.
    site.run("kept");
    assert_eq!(site.control("kept"), begun);
    let document = fs::read_dir(site.path("ids")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(document).unwrap();
    site.configure("kept", "[\"events.ndjson\"]", "[detection]\nlevel = 0.5\n");
    site.run("kept");
    assert_eq!(site.control("kept")[begun.len()..], ["settings", "identity_removed"]);
}

#[test]
fn changed_files_are_refused_by_name_and_gone_ones_are_not_missed() {
    let site = Site::new(5_000);
    site.configure("kept", "[\"events-*.ndjson\"]", LEVEL);
    fs::write(site.path("events-1.ndjson"), site.lines(0..2_000)).unwrap();
    fs::write(site.path("events-2.ndjson"), site.lines(2_000..4_000)).unwrap();
    site.run("kept");
    let state = site.state("kept");
    fs::write(site.path("events-2.ndjson"), site.lines(2_000..3_000)).unwrap();
    let refusal = site.refused("kept", 2);
    assert!(refusal.contains("events-2.ndjson") && refusal.contains("ends before"), "{refusal}");
    fs::write(site.path("events-2.ndjson"), site.lines(2_001..4_001)).unwrap();
    let refusal = site.refused("kept", 2);
    assert!(refusal.contains("events-2.ndjson") && refusal.contains("not those"), "{refusal}");
    fs::write(site.path("events-2.ndjson"), site.lines(2_000..4_000)).unwrap();
    fs::remove_file(site.path("events-1.ndjson")).unwrap();
    let said = site.run("kept");
    assert!(said.contains("events-1.ndjson is gone; it was read up to line 2000"), "{said}");
    assert_eq!(site.state("kept"), state);
}

#[test]
fn standard_input_is_gone_on_with_and_nothing_is_told_twice() {
    let site = Site::new(10_000);
    site.configure("piped", "[\"-\"]", LEVEL);
    let text = fs::read_to_string(site.path("piped.toml")).unwrap();
    fs::write(site.path("piped.toml"), text.replace("[alerts.file]\npath = \"piped.alerts\"", "[alerts.stdout]"))
        .unwrap();
    let mut told = String::new();
    for part in [0..5_000, 5_000..10_010] {
        let mut command = site.command("piped");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (mut stdin, lines) = (child.stdin.take().unwrap(), site.lines(part));
        let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        assert!(output.status.success());
        assert!(!output.stdout.is_empty());
        told += &String::from_utf8(output.stdout).unwrap();
    }
    fs::write(site.path("piped.alerts"), told).unwrap();
    site.alerts("piped");
    assert_eq!(site.dead("piped").len(), 10);
    assert_eq!(site.control("piped").iter().filter(|kind| *kind == "settings").count(), 1);
}

#[test]
fn a_stop_in_between_loses_and_repeats_nothing() {
    let site = Site::new(200_000);
    for name in ["whole", "stopped"] {
        site.configure(name, "[\"whole.ndjson\"]", LEVEL);
    }
    site.run("whole");
    let mut instance = Instance::start(site.command("stopped"));
    instance.wait("an alert", |_| site.size("stopped.alerts") > 0);
    let pid = instance.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let began = Instant::now();
    instance.end();
    assert!(began.elapsed() < PATIENCE);
    site.run("stopped");
    assert_eq!(site.alerts("stopped"), site.alerts("whole"));
    assert_eq!((site.dead("stopped"), site.state("stopped")), (site.dead("whole"), site.state("whole")));
}
