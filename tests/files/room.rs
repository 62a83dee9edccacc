//! No room: it waits, says so, and goes on when there is.
//!
//! A limit on the size of files stands for the full disk: a write beyond fails, and the limit of a process that runs can be
//! raised.
#![cfg(target_os = "linux")]

use std::process::Command;

use crate::LEVEL;
use crate::site::{Instance, Site};

/// Runs with a limit of so many bytes a file, until `full` is full; then lifts the limit.
fn without_room(limit: u64, full: &str) {
    let site = Site::new(100_000);
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
        let tries = metrics.lines().find_map(|line| line.strip_prefix("driftline_outage_waits_total{condition=\"commit\"} "));
        tries.is_some_and(|tries| tries.parse::<u32>().unwrap() >= 4)
    });
    let pid = instance.child.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(raised.expect("prlimit is part of util-linux").success());
    let said = instance.end();
    let told = said.lines().filter(|line| line.contains("File too large")).count();
    assert!((1..=2).contains(&told), "it is told once, not at each try: {said}");
    assert!(said.contains("goes on after"), "{said}");
    assert_eq!((site.alerts("full"), site.dead("full")), (site.alerts("whole"), site.dead("whole")));
    assert_eq!(site.state("full"), site.state("whole"));
}

#[test]
fn no_room_for_the_state() {
    without_room(3 << 20, "run.redb");
}

#[test]
fn no_room_for_dead_letters() {
    // The database is larger than that from the start.
    without_room(3 << 20, "run.redb");
}
