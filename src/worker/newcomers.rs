//! Subscribers that were promised deltas, and have no publication yet that they could differ from.

use rustc_hash::FxHashMap;

use crate::fanout::{ConnectionId, Fanout, LogId};
use crate::hub::Offset;

/// Newcomers by log. Few: each is one until the first publication after it came.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    by_log: FxHashMap<LogId, Vec<Newcomer>>,
}

#[derive(Debug, Clone, Copy)]
struct Newcomer {
    id: ConnectionId,
    /// The topic's last publication when it came.
    top: Offset,
}

impl Newcomers {
    pub(super) fn add(&mut self, log: LogId, id: ConnectionId, top: Offset) {
        self.by_log.entry(log).or_default().push(Newcomer { id, top });
    }

    /// Whether there is none at all.
    pub(super) fn is_empty(&self) -> bool {
        self.by_log.is_empty()
    }

    /// Those of `log` that have got a publication, and all there is: they are newcomers no more. Who is gone is forgotten.
    /// O(newcomers of the log): those who read slowly stay, and slow consumers are disconnected.
    pub(super) fn take_settled(&mut self, log: LogId, fanout: &Fanout) -> Vec<ConnectionId> {
        let Some(all) = self.by_log.get_mut(&log) else { return Vec::new() };
        let last = fanout.last(log);
        let mut settled = Vec::new();
        all.retain(|one| {
            let Some(is_at_head) = fanout.is_at_head(log, one.id) else { return false };
            let is_settled = is_at_head && last > one.top;
            if is_settled {
                settled.push(one.id);
            }
            !is_settled
        });
        if all.is_empty() {
            self.by_log.remove(&log);
        }
        settled
    }
}
