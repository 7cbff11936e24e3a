//! The `fanfare` binary: picks the allocator and hands over to [`fanfare::cli`].

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // mimalloc asks for huge pages, which are resident whole: 20 MiB instead of 11 for a hub with few clients, and up to
    // 440 bytes instead of 210 per idle connection, at the same CPU per delivery (`fanfare-loadtest idle` and `compare`).
    // If they cannot be refused, nothing else changes.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    fanfare::cli::main(collect)
}

/// Gives the memory that this thread freed back to the system. mimalloc does that only when it is called, so after a
/// burst of connections hyper's handshake buffers would stay resident. Measure with
/// `fanfare-loadtest idle --connections 10000 --concurrency 1000`.
#[cfg(feature = "mimalloc")]
#[expect(unsafe_code, reason = "mimalloc has no safe binding for this call")]
fn collect() {
    // SAFETY: mi_collect takes no pointers, may be called from any thread at any time, and frees only what is free.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(not(feature = "mimalloc"))]
fn collect() {}
