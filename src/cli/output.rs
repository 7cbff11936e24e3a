//! Stdout, where a reader may go away.

use std::io::{self, Write};

use super::exit::Failure;

/// Writes `bytes` to stdout and flushes.
pub(super) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::StdoutClosed,
        _ => Failure::Runtime(format!("stdout: {error}")),
    })
}
