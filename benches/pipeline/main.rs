//! How fast bytes become findings on one core, beside the ceiling that parsing alone sets, and what an agent weighs.
//!
//! `cargo bench --bench pipeline` takes about two minutes. Stages are measured in turns, round after round, and each
//! one's best round is shown, so that a machine that is busy with something else disturbs the ratios little. What it does
//! not show: reading from Kafka and committing (`cargo bench --bench kafka`), and a fleet that does not fit the cache.

mod allocator;
mod ceiling;
mod memory;
mod speed;

use std::error::Error;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    speed::report(&mut out)?;
    memory::report(&mut out)
}
