//! A way to stop one worker for as long as a test wants.
//!
//! The hub calls a function on a worker's thread about a second after a burst of handshakes, to give memory back. A test
//! hands in one that waits here: the worker stands still, deterministically, while the others go on.

use std::sync::{Condvar, Mutex};

/// A gate that holds the first worker that comes by.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Whoever comes first is held.
    Set,
    /// Somebody is held.
    Holding,
    /// Nobody is held any more.
    Open,
}

impl Gate {
    pub(crate) const fn new() -> Self {
        Self { state: Mutex::new(State::Set), changed: Condvar::new() }
    }

    /// Holds the caller until the gate opens, if it is the first.
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        if *state != State::Set {
            return;
        }
        *state = State::Holding;
        while *state == State::Holding {
            state = self.changed.wait(state).unwrap();
        }
    }

    pub(crate) fn holds_somebody(&self) -> bool {
        *self.state.lock().unwrap() == State::Holding
    }

    /// Opens it. Who was held goes on.
    pub(crate) fn open(&self) {
        *self.state.lock().unwrap() = State::Open;
        self.changed.notify_all();
    }
}

/// Opens the gate also when a test fails, so that its hub can end.
#[derive(Debug)]
pub(crate) struct OpenAtEnd(pub(crate) &'static Gate);

impl Drop for OpenAtEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}
