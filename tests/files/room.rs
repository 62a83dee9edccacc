//! No room: it waits, says so, and goes on when there is.
//!
//! A limit on the size of files stands for the full disk: a write beyond fails, and the limit of a process that runs can be
//! raised.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use crate::LEVEL;
use crate::site::{Instance, Site};

/// Runs with a limit of so many bytes a file, until `full` is full; then lifts the limit. What was `prepared` stays.
fn without_room_but(events: u32, limit: u64, full: &str, prepare: impl Fn(&Site)) {
    let site = Site::new(events);
    prepare(&site);
    for name in ["whole", "full"] {
        site.configure(name, "[\"whole.ndjson\"]", LEVEL);
    }
    site.run("whole");
    let command = site.command("full");
    let mut limited = Command::new("sh");
    // The signal that would end the process is ignored, as it would not come from a disk. Blocks are of 512 bytes.
    limited.current_dir(command.get_current_dir().unwrap());
    limited.args(["-c", "trap '' XFSZ; ulimit -S -f \"$0\"; exec \"$@\"", &(limit / 512).to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    let mut instance = Instance::start(limited);
    instance.wait("the disk to be full", |it| it.get("/readyz").contains("\"condition\":\"commit\""));
    let ready = instance.get("/readyz");
    assert!(ready.contains(full) && ready.contains("File too large"), "{ready}");
    assert!(instance.get("/healthz").contains("alive"));
    instance.wait("some tries", |it| {
        let metrics = it.get("/metrics");
        let tries =
            metrics.lines().find_map(|line| line.strip_prefix("driftline_outage_waits_total{condition=\"commit\"} "));
        tries.is_some_and(|tries| tries.parse::<u32>().unwrap() >= 4)
    });
    let pid = instance.child.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(raised.expect("prlimit is part of util-linux").success());
    let said = instance.end();
    let told = said.lines().filter(|line| line.contains("File too large")).count();
    assert!((1..=2).contains(&told), "it is told once, not at each try: {said}");
    assert!(said.contains("goes on after"), "{said}");
    let new = |said: Vec<String>| said.into_iter().filter(|id| !id.starts_with("old-")).collect::<Vec<_>>();
    assert_eq!(new(site.alerts("full")), site.alerts("whole"));
    assert_eq!(new(site.dead("full")), site.dead("whole"));
    assert_eq!(site.state("full"), site.state("whole"));
}

#[test]
fn no_room_for_the_state() {
    without_room_but(100_000, 3 << 20, "run.redb", |_| {});
}

/// Has a file be nearly as large as a file may be, with lines that somebody wants to keep.
fn nearly_full(what: &str) {
    // Of 64 bytes.
    let line = |i: u32| format!("{{\"id\":\"old-{i:016}\",\"position\":\"old-{i:016}\"}}\n");
    // More than the state takes.
    without_room_but(20_000, (64 << 20) + 4096, what, |site| {
        fs::write(site.path(what), (0..1 << 20).map(line).collect::<String>()).unwrap();
        assert_eq!(site.size(what), 64 << 20);
    });
}

#[test]
fn no_room_for_alerts() {
    nearly_full("full.alerts");
}

#[test]
fn no_room_for_dead_letters() {
    nearly_full("full.dead");
}
