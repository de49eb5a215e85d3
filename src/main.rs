//! The `tollgate` binary.

use std::process::ExitCode;

/// Memory per stream counts as much as speed: jemalloc halves glibc's per-request cost without mimalloc's footprint.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tollgate::cli::main()
}
