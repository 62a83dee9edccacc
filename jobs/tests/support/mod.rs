//! Building baselines by the program.

use std::path::Path;
use std::process::{Command, Output};

use driftline_baseline::{Manifest, Store};

/// `driftline-baseline build` in a folder.
pub fn build(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftline-baseline"));
    command.arg("build").args(arguments).current_dir(folder).output().unwrap()
}

/// What it has published to a store.
pub fn built(folder: &Path, store: &str, arguments: &[&str]) -> Manifest {
    let output = build(folder, &[arguments, &["--store", store]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Store::new(folder.join(store)).find("current").unwrap()
}
