//! Reads action events, one JSON object a line, from standard input, and says of each what the engine would see of it.
//!
//! ```text
//! jq -c . testdata/contract/event.json | cargo run --release -p driftline-core --example decode
//! ```

use std::io::{BufRead, Write};

use driftline_core::{Event, Limits, terminal};

fn main() -> std::io::Result<()> {
    let limits = Limits::default();
    let mut out = std::io::stdout().lock();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        match Event::decode(line.as_bytes(), &limits) {
            Ok(event) => {
                writeln!(out, "{}: {} did {}", event.time, terminal(&event.agent.id), terminal(&event.action.name))?;
            }
            Err(error) => writeln!(out, "line {}: {error} (reason: {})", number + 1, error.reason())?,
        }
    }
    Ok(())
}
