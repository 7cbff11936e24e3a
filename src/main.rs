//! The `fanfare` binary: picks the allocator and hands over to [`fanfare::cli`].

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fanfare::cli::main(collect)
}

/// Gives freed memory back to the system. A no-op until it is joined with the allocator's own.
fn collect() {}
