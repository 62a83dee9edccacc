//! One table of what the tests of the stream have come to: each adds its row when it is done.
//!
//! A row is told at once, past the harness that keeps what passing tests print to itself; the whole table is in
//! `stream.txt` in cargo's folder for test files, from where `scripts/prove` and `.ci/run` print it at their end.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

const FILE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/stream.txt");
const COLUMNS: [&str; 6] = ["test", "repetitions", "alerts expected", "lost", "repeated", "longest stall"];

/// What a test has come to.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What was done to the stream.
    pub test: &'static str,
    /// How often.
    pub repetitions: u32,
    /// Alerts that an uninterrupted replay raises.
    pub expected: usize,
    /// Those of them that no reader of the alerts topic sees.
    pub lost: usize,
    /// Those that a reader sees again.
    pub repeated: usize,
    /// Longest time in which there was something to read and nothing was committed.
    pub longest_stall: Duration,
}

impl Row {
    /// Adds it to the table.
    pub fn add(self) {
        static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());
        let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push(self);
        std::fs::write(FILE, format!("{}\n", table(&rows))).unwrap();
        writeln!(std::io::stderr(), "\n{}", table(&[self])).unwrap();
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(COLUMNS);
    for row in rows {
        let Row { test, repetitions, expected, lost, repeated, longest_stall } = row;
        let numbers = [*repetitions as usize, *expected, *lost, *repeated].map(|number| number.to_string());
        let stall = format!("{:.1} s", longest_stall.as_secs_f64());
        table.add_row([(*test).to_owned()].into_iter().chain(numbers).chain([stall]));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
