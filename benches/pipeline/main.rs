//! How fast bytes become findings on one core, beside the ceiling that parsing alone sets.
//!
//! `cargo bench --bench pipeline` takes half a minute once it is built. Stages are measured in turns, round after round, and each
//! one's best round is shown, so that a machine that is busy with something else disturbs the ratios little. What it does
//! not show: reading from Kafka and committing (`cargo bench --bench kafka`), and a fleet that does not fit the cache.

mod ceiling;
mod speed;

use std::error::Error;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    speed::report(&mut std::io::stdout().lock())
}
