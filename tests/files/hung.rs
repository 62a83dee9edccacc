//! What hangs is seen, told and forgiven.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::LEVEL;
use crate::site::{Instance, Site};

const SOON: &str = "[watchdog]\nscoring = \"1s\"\ncommit = \"1s\"\nhung = \"2s\"\n";

fn fifo(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Starts a run over standard input, which stays open.
fn start(site: &Site) -> Instance {
    let mut command = site.command("hung");
    command.stdin(Stdio::piped());
    Instance::start(command)
}

#[test]
fn a_commit_that_does_not_end() {
    let site = Site::new(20_000);
    site.configure("hung", "[\"-\"]", &(LEVEL.to_owned() + SOON));
    // A pipe takes 64 KiB, and then nothing more until it is read.
    fifo(&site.path("hung.alerts"));
    let mut pipe = File::options().read(true).write(true).open(site.path("hung.alerts")).unwrap();
    let mut instance = start(&site);
    let mut stdin = instance.child.stdin.take().unwrap();
    let lines = site.lines(0..20_020);
    let feeding = std::thread::spawn(move || {
        stdin.write_all(lines.as_bytes()).unwrap();
        stdin
    });
    instance.wait("the commit to be seen", |it| it.get("/readyz").contains("stalled commit"));
    assert!(instance.get("/metrics").contains("driftline_stalled{what=\"commit\"} 1"));
    // It waits for others, and to start it anew would not help.
    assert!(instance.get("/healthz").contains("alive"));
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while pipe.read(&mut buffer).unwrap() > 0 {}
    });
    instance.wait("the commit to be forgiven", |it| {
        it.get("/readyz").contains("\"ready\":true")
            && it.get("/metrics").contains("driftline_stalled{what=\"commit\"} 0")
    });
    drop(feeding.join().unwrap());
    instance.end();
    // Its pipe never ends, for it is open at both ends.
    drop(reading);
}

/// Whoever writes to a log that nobody reads waits for ever; here, the scoring thread that has much to say of documents.
#[test]
fn a_scoring_thread_that_does_not_come_round() {
    let site = Site::new(1_000);
    site.configure("hung", "[\"-\"]", &(LEVEL.to_owned() + SOON));
    let mut command = site.command("hung");
    command.stdin(Stdio::piped());
    let (mut instance, log) = Instance::start_unread(command);
    instance.wait("the start", |it| it.get("/readyz").contains("\"ready\":true"));
    for i in 0..2_000 {
        fs::write(site.path(&format!("ids/bad-{i}.yaml")), "no: document\n").unwrap();
    }
    instance.wait("the scoring thread to be seen", |it| it.get("/readyz").contains("stalled scoring"));
    instance.wait("it to be given up", |it| it.get("/healthz").contains("503"));
    assert!(instance.get("/metrics").contains("driftline_stalled{what=\"scoring\"} 1"));
    instance.read(log);
    instance.wait("it to be forgiven", |it| {
        it.get("/readyz").contains("\"ready\":true") && it.get("/healthz").contains("alive")
    });
    let said = instance.end();
    assert!(said.contains("stalled scoring: the scoring thread has not come round for 1 s"), "it is logged, late");
}
