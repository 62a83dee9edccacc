//! What an agent weighs: `cargo bench --bench memory`, ten seconds. It counts every byte that is allocated, which would
//! slow down what the other benchmarks time.

mod allocator;
mod fleet;

use std::error::Error;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> Result<(), Box<dyn Error>> {
    fleet::report(&mut std::io::stdout().lock())
}
