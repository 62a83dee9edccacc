//! A replay with `--state` is killed, resumed, given other arguments and damaged files: it says what an uninterrupted one
//! says, or it says why it cannot. All by the program itself.

#![cfg(test)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftline");
/// Nothing here takes so long unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// Simulated events and a folder to replay them in.
struct Site(tempfile::TempDir);

impl Site {
    fn new(events: u32) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let events = events.to_string();
        let simulated = Command::new(PROGRAM)
            .current_dir(site.0.path())
            .args(["simulate", "--agents", "40", "--events", &events, "--attacks", "24", "--seed", "7"])
            .args(["--identities", "ids", "--out", "whole.ndjson"])
            .status();
        assert!(simulated.unwrap().success());
        // A record that is none, so that dead letters are compared as well.
        let text = fs::read_to_string(site.path("whole.ndjson")).unwrap();
        let middle = text.lines().count() / 2;
        let spoilt = text.lines().enumerate().flat_map(|(i, line)| {
            let broken = if i == middle { "no event\n" } else { "" };
            [broken.to_owned(), line.to_owned() + "\n"]
        });
        fs::write(site.path("whole.ndjson"), spoilt.collect::<String>()).unwrap();
        site.take("whole.ndjson", "events.ndjson", usize::MAX);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the first lines of a file to another.
    fn take(&self, from: &str, to: &str, lines: usize) {
        let text = fs::read_to_string(self.path(from)).unwrap();
        let first: String = text.split_inclusive('\n').take(lines).collect();
        fs::write(self.path(to), first).unwrap();
    }

    /// A replay of `events.ndjson` whose files begin with `name`.
    fn replay(&self, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.0.path()).args(["replay", "events.ndjson", "--identities", "ids"]);
        for what in ["alerts", "scores", "dead-letters"] {
            command.arg(format!("--{what}")).arg(format!("{name}.{what}"));
        }
        command.args(["--partitions", "3"]).args(more);
        command
    }

    /// As [`Site::replay`], with a state that is committed every few records.
    fn kept(&self, name: &str) -> Command {
        self.replay(name, &["--state", &format!("{name}.state"), "--commit-every", "500"])
    }

    /// The lines of an output; a dead letter without when it was read, which is the machine's time.
    fn lines(&self, name: &str, what: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(&format!("{name}.{what}"))).unwrap();
        assert!(text.ends_with('\n'), "{name}.{what} is empty, or cut");
        let whole = |line: &str| match what {
            "dead-letters" => {
                let mut letter: serde_json::Value = serde_json::from_str(line).unwrap();
                letter.as_object_mut().unwrap().remove("time").unwrap();
                letter.to_string()
            }
            _ => line.to_owned(),
        };
        text.lines().map(whole).collect()
    }

    fn same_files(&self, one: &str, other: &str) {
        for what in ["alerts", "scores", "dead-letters"] {
            let (one, other) = (self.lines(one, what), self.lines(other, what));
            assert!(one == other, "{what} are not the same: {} and {} lines", one.len(), other.len());
        }
    }

    fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |data| data.len())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs it to its end, which must be good; returns its last line, which tells the state's hash.
fn done(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output).lines().last().unwrap().to_owned()
}

/// Runs it to its end, which must be this exit status; returns what it said.
fn refused(mut command: Command, status: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", said(&output));
    said(&output)
}

/// Kills a replay once a file is larger than so many bytes; says whether it ended by itself before.
fn killed(mut child: Child, path: &Path, past: u64) -> bool {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return false;
        }
        if fs::metadata(path).is_ok_and(|data| data.len() > past) {
            // SIGKILL: nothing is flushed, closed or told.
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        assert!(started.elapsed() < PATIENCE, "it is stuck");
        std::hint::spin_loop();
    }
}

#[test]
fn killed_again_and_again_it_says_what_an_uninterrupted_replay_says() {
    let site = Site::new(60_000);
    let state = done(site.kept("whole"));
    assert!(state.starts_with("state "), "{state}");
    // And what one says that keeps nothing.
    done(site.replay("plain", &[]));
    site.same_files("plain", "whole");

    let mut random = ChaCha8Rng::seed_from_u64(20);
    let mut kills = 0;
    loop {
        // Alerts grow right after a commit, scores in between; the database while it is made.
        let (file, of_all) = match kills % 3 {
            _ if kills == 0 => ("killed.state/replay.redb", 0),
            0 => ("killed.scores", site.size("whole.scores")),
            _ => ("killed.alerts", site.size("whole.alerts")),
        };
        let past = match of_all {
            0 => 0,
            of_all => site.size(file) + random.random_range(0..of_all / 12),
        };
        let child = site.kept("killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if !killed(child, &site.path(file), past) {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 8, "it was killed {kills} times only");
    assert_eq!(done(site.kept("killed")), state);
    site.same_files("whole", "killed");
}

#[test]
fn what_is_done_is_not_done_twice_and_what_is_added_is() {
    let site = Site::new(20_000);
    let whole = done(site.kept("whole"));
    assert_eq!(done(site.kept("whole")), whole);
    done(site.replay("plain", &[]));
    site.same_files("plain", "whole");

    site.take("whole.ndjson", "events.ndjson", 12_345);
    assert_ne!(done(site.kept("grown")), whole);
    site.take("whole.ndjson", "events.ndjson", usize::MAX);
    assert_eq!(done(site.kept("grown")), whole);
    site.same_files("plain", "grown");
}

#[test]
fn alerts_that_were_committed_and_not_written_are_written() {
    let site = Site::new(20_000);
    let state = done(site.kept("whole"));
    done(site.replay("plain", &[]));
    let alerts = fs::read(site.path("plain.alerts")).unwrap();
    for left in [0, 1, alerts.len() / 2, alerts.len() - 1] {
        fs::write(site.path("whole.alerts"), &alerts[..left]).unwrap();
        assert_eq!(done(site.kept("whole")), state);
        site.same_files("plain", "whole");
    }
    // What is no alert of this replay goes, and standard output gets all there are.
    fs::write(site.path("whole.alerts"), [&alerts[..], b"{}\n"].concat()).unwrap();
    done(site.kept("whole"));
    site.same_files("plain", "whole");
    let told = |run: &str| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(site.0.path()).args(["replay", "events.ndjson", "--identities", "ids"]);
        let output = command.args(["--partitions", "3", "--state", "told.state"]).output().unwrap();
        assert!(output.stdout == alerts, "{run}: {} bytes", output.stdout.len());
    };
    told("the first");
    told("the second");
}

#[test]
fn other_arguments_and_other_input_are_refused_by_name() {
    let site = Site::new(5_000);
    let state = done(site.kept("kept"));
    let again = |more: &[&str]| {
        let mut command = site.kept("kept");
        command.args(more);
        command
    };
    let refusal = refused(again(&["--level", "0.01"]), 2);
    assert!(refusal.contains("--level 0.01") && refusal.contains("another state folder"), "{refusal}");
    let refusal = refused(again(&["--no-learn"]), 2);
    assert!(refusal.contains("--no-learn"), "{refusal}");
    let refusal = refused(again(&["whole.ndjson"]), 2);
    assert!(refusal.contains("events.ndjson whole.ndjson"), "{refusal}");

    let identity = fs::read_dir(site.path("ids")).unwrap().next().unwrap().unwrap().path();
    let hidden = site.path("hidden");
    fs::rename(&identity, &hidden).unwrap();
    let refusal = refused(again(&[]), 2);
    assert!(refusal.contains("identity document"), "{refusal}");
    fs::rename(&hidden, &identity).unwrap();

    site.take("whole.ndjson", "events.ndjson", 4_000);
    let refusal = refused(again(&[]), 2);
    assert!(refusal.contains("events.ndjson") && refusal.contains("ends before"), "{refusal}");
    let text = fs::read_to_string(site.path("whole.ndjson")).unwrap();
    fs::write(site.path("events.ndjson"), text.replacen("\"time\":\"2026", "\"time\":\"2025", 1)).unwrap();
    let refusal = refused(again(&[]), 2);
    assert!(refusal.contains("events.ndjson") && refusal.contains("not those"), "{refusal}");

    site.take("whole.ndjson", "events.ndjson", usize::MAX);
    fs::rename(site.path("kept.scores"), site.path("moved")).unwrap();
    assert!(refused(again(&[]), 2).contains("kept.scores"));
    fs::rename(site.path("moved"), site.path("kept.scores")).unwrap();
    // None of this has changed anything.
    assert_eq!(done(again(&[])), state);
}

#[test]
fn a_damaged_database_is_an_error_and_never_another_state() {
    let site = Site::new(5_000);
    let state = done(site.kept("kept"));
    let path = site.path("kept.state/replay.redb");
    let good = fs::read(&path).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let (mut errors, mut unused) = (0, 0);
    for _ in 0..60 {
        let mut bad = good.clone();
        let at = random.random_range(0..bad.len());
        bad[at] ^= 1 << random.random_range(0..8);
        fs::write(&path, &bad).unwrap();
        let output = site.kept("kept").output().unwrap();
        match output.status.code() {
            Some(0) => {
                // A page that nothing is in, or that the last commit but one does without.
                assert_eq!(said(&output).lines().last().unwrap(), state, "byte {at}");
                unused += 1;
            }
            Some(1) => {
                assert!(said(&output).contains("damaged"), "byte {at}: {}", said(&output));
                errors += 1;
            }
            other => panic!("byte {at}: {other:?}: {}", said(&output)),
        }
    }
    assert!(errors >= 10, "{errors} errors, {unused} without effect");
    for cut in [1, 4096, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..cut]).unwrap();
        assert!(refused(site.kept("kept"), 1).contains("remove that file"), "cut at {cut}");
    }
    fs::write(&path, "no database at all").unwrap();
    assert!(refused(site.kept("kept"), 1).contains("remove that file"));
}

#[test]
fn a_state_in_use_or_that_cannot_be_written_is_told() {
    let site = Site::new(5_000);
    // Standard input stays open, so the first holds its state.
    let waits = |site: &Site| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(site.0.path()).args(["replay", "-", "--state", "piped", "--alerts", "piped.alerts"]);
        command
    };
    let mut first = waits(&site).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !site.path("piped/replay.redb").exists() {
        assert!(started.elapsed() < PATIENCE, "it is stuck");
        std::thread::yield_now();
    }
    assert!(refused(waits(&site), 2).contains("another process"));
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());

    File::create(site.path("file")).unwrap().write_all(b"no folder").unwrap();
    assert!(refused(site.replay("kept", &["--state", "file"]), 1).contains("file"));
    let refusal = refused(site.replay("kept", &["--state", "new", "--control", "x"]), 2);
    assert!(refusal.contains("--control"), "{refusal}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_replay_and_what_was_committed_holds() {
    let site = Site::new(20_000);
    let state = done(site.kept("whole"));
    let kept = site.kept("full");
    // No file may grow past so many blocks of 512 bytes; a write beyond fails, as on a full disk.
    let mut limited = Command::new("sh");
    limited.current_dir(site.0.path()).args(["-c", "trap '' XFSZ; ulimit -f 700; exec \"$0\" \"$@\""]);
    limited.arg(kept.get_program()).args(kept.get_args());
    let refusal = refused(limited, 1);
    assert!(refusal.contains("what was committed holds"), "{refusal}");
    assert_eq!(done(site.kept("full")), state);
    site.same_files("whole", "full");
}
