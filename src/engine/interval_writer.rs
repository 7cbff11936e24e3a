//! `sync = "100ms"`: the thread that writes what was delivered already.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::cleaning::Cleaning;
use super::disk::{QUEUE_BYTES, lock};
use super::sequencer::{Batch, Known, RETRY, ShutOnPanic, end};
use crate::hub::{Hub, Topic};
use crate::store::{Entry, Store};

/// What was delivered and acknowledged, and is not on disk.
#[derive(Debug, Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<(Arc<Topic>, Entry)>,
    bytes: usize,
    is_closing: bool,
}

impl Pending {
    /// Waits until there is room; `false` if there is none and the disk fails.
    pub(super) fn wait_for_room(&self, is_failing: impl Fn() -> bool) -> bool {
        let mut state = lock(&self.state);
        while state.bytes > QUEUE_BYTES {
            if is_failing() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, Duration::from_millis(100));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// A publication and its key, if it has one: they go into the same commit. What is outdated has a key alone.
    pub(super) fn push(&self, topic: &Arc<Topic>, publication: Option<Entry>, key: Option<Entry>) {
        let mut state = lock(&self.state);
        for entry in publication.into_iter().chain(key) {
            state.bytes += charge_bytes(&entry);
            state.entries.push((Arc::clone(topic), entry));
        }
    }

    pub(super) fn close(&self) {
        lock(&self.state).is_closing = true;
        self.changed.notify_all();
    }

    /// What has come, after `interval` or at the end; `true`: nothing more will.
    fn next(&self, interval: Duration) -> (Vec<(Arc<Topic>, Entry)>, bool) {
        let mut state = lock(&self.state);
        if !state.is_closing {
            let waited = self.changed.wait_timeout_while(state, interval, |state| !state.is_closing);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.bytes = 0;
        let entries = std::mem::take(&mut state.entries);
        let is_closing = state.is_closing;
        drop(state);
        self.changed.notify_all();
        (entries, is_closing)
    }

    fn is_closing(&self) -> bool {
        lock(&self.state).is_closing
    }

    fn pause(&self, time: Duration) {
        let state = lock(&self.state);
        drop(self.changed.wait_timeout_while(state, time, |state| !state.is_closing));
    }
}

fn charge_bytes(entry: &Entry) -> usize {
    let content = match entry {
        Entry::Publication(record) => record.payload.len() + record.extras.len(),
        Entry::Key(key) => key.key.len(),
    };
    content + size_of::<(Arc<Topic>, Entry)>()
}

/// Writes what comes, each `interval`.
pub(super) fn write(hub: &Arc<Hub>, mut store: Store, mut known: Known, interval: Duration) {
    let Some(disk) = hub.disk() else { return };
    let _shut = ShutOnPanic(disk);
    let mut cleaning = Cleaning::default();
    loop {
        let (entries, is_last) = disk.pending.next(interval);
        let mut batch = Batch::default();
        for (topic, entry) in entries {
            batch.add(&topic, entry, &mut known);
        }
        let mut written = batch.append(&mut store, disk);
        if written.is_ok() {
            batch = Batch::default();
            written = disk.take_away(&mut store).and_then(|()| cleaning.go_on(&mut store, &mut known, hub));
        }
        if let Err(failure) = written {
            disk.figures.failed();
            disk.set_failing(true);
            tracing::error!(
                %failure,
                "history cannot be written: publishes on topics on disk are refused until it can, and what was \
                 acknowledged waits in memory"
            );
            while let Err(failure) = store.recover().and_then(|()| batch.append(&mut store, disk)) {
                disk.figures.failed();
                tracing::debug!(%failure, "history still cannot be written");
                if disk.pending.is_closing() {
                    tracing::error!(
                        "history ends with publications that are not on disk; the next start begins new epochs"
                    );
                    return;
                }
                disk.pending.pause(RETRY);
            }
            disk.set_failing(false);
            tracing::info!("history can be written again; nothing that was acknowledged is missing");
        } else if is_last {
            break;
        }
    }
    end(store);
}
