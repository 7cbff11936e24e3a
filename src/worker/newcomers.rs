//! Subscribers that were promised deltas, and have no publication yet that they could differ from.

use rustc_hash::FxHashMap;

use crate::fanout::{ConnectionId, Fanout, LogId};
use crate::hub::Offset;

/// Newcomers by log. Few: each is one until the first publication after it came, or until it leaves.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// Each with the topic's last publication when it came.
    by_log: FxHashMap<LogId, FxHashMap<ConnectionId, Offset>>,
}

impl Newcomers {
    pub(super) fn add(&mut self, log: LogId, id: ConnectionId, top: Offset) {
        self.by_log.entry(log).or_default().insert(id, top);
    }

    /// It is no member of `log` any more. The log's number may soon be another one's, and it may come back to that: it
    /// would be taken for one that has got a publication since it came first.
    pub(super) fn remove(&mut self, log: LogId, id: ConnectionId) {
        if let Some(all) = self.by_log.get_mut(&log) {
            all.remove(&id);
            if all.is_empty() {
                self.by_log.remove(&log);
            }
        }
    }

    /// Whether there is none at all.
    pub(super) fn is_empty(&self) -> bool {
        self.by_log.is_empty()
    }

    /// Those of `log` that have got a publication, and all there is: they are newcomers no more. O(newcomers of the log):
    /// those who read slowly stay, and slow consumers are disconnected.
    pub(super) fn take_settled(&mut self, log: LogId, fanout: &Fanout) -> Vec<ConnectionId> {
        let Some(all) = self.by_log.get_mut(&log) else { return Vec::new() };
        let last = fanout.last(log);
        let mut settled = Vec::new();
        all.retain(|&id, &mut top| {
            let is_at_head = fanout.is_at_head(log, id);
            debug_assert!(is_at_head.is_some(), "who has left is no newcomer");
            let is_settled = is_at_head == Some(true) && last > top;
            if is_settled {
                settled.push(id);
            }
            !is_settled
        });
        if all.is_empty() {
            self.by_log.remove(&log);
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::{Join, LogRules, RulesId, Settings};

    #[test]
    fn nothing_is_left_of_who_leaves_without_a_publication() {
        let mut fanout = Fanout::new(Settings::default(), vec![LogRules::default()]);
        let mut newcomers = Newcomers::default();
        let id = fanout.connect();
        for top in 0..1000 {
            let log = fanout.open(RulesId(0), Offset(top));
            fanout.subscribe(log, id, Join::At(Offset(top)));
            newcomers.add(log, id, Offset(top));
            assert_eq!(newcomers.take_settled(log, &fanout), []);
            let _ = fanout.unsubscribe(log, id);
            newcomers.remove(log, id);
            fanout.close_log(log);
        }
        assert!(newcomers.is_empty());
    }
}
