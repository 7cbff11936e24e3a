//! Ctrl-C: the run ends early, and still says what it saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;

/// Whether somebody wants the run to end.
#[derive(Debug, Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on SIGINT is noted here and ends nothing by itself. What is started should be in a process group of its own:
    /// a terminal sends the signal to all of ours.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let interrupt = Self(Arc::new(AtomicBool::new(false)));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().build().context("waiting for SIGINT")?;
        let told = interrupt.clone();
        thread::spawn(move || {
            // Without a handler SIGINT ends the process, as it always did.
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                told.0.store(true, Ordering::Relaxed);
            }
        });
        Ok(interrupt)
    }

    /// Whether it came.
    pub(super) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
