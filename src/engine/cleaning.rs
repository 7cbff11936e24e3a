//! When the store is cleaned of what history has let go.

use std::sync::Weak;

use super::sequencer::Known;
use crate::hub::{Epoch, Hub, Topic, wall_micros};
use crate::store::{Failure, Store};

/// The store may have this many bytes that nobody needs, besides as many as are kept.
const SLACK_BYTES: u64 = 16 * 1024 * 1024;
/// What is gone through between two groups of publications: they wait for it.
const STEP_BYTES: u64 = 4 * 1024 * 1024;
/// What a publication has on disk besides its payload and extras; see `store/chunk`.
const RECORD_BYTES: u64 = 34;

/// The store is cleaned when more than half of it, and of [`SLACK_BYTES`], was let go: in steps, from the oldest end, until
/// that is a third. So each byte is written about twice, and again for each time that it outlives twice its share.
#[derive(Debug)]
pub(super) struct Cleaning {
    /// Nothing is done below.
    begins_at_bytes: u64,
    /// While it goes on.
    round: Option<Round>,
}

#[derive(Debug)]
struct Round {
    until_bytes: u64,
    /// It has been everywhere when this is used up.
    left_bytes: u64,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { begins_at_bytes: SLACK_BYTES, round: None }
    }
}

impl Cleaning {
    /// One step, if one is due.
    pub(super) fn go_on(&mut self, store: &mut Store, known: &mut Known, hub: &Hub) -> Result<(), Failure> {
        if self.round.is_none() && store.bytes() > self.begins_at_bytes {
            self.begin(store, known, hub)?;
        }
        let Some(round) = &mut self.round else { return Ok(()) };
        let low = |epoch: Epoch| known.get(&epoch).and_then(Weak::upgrade).map(|topic| topic.kept().0);
        let cleaned = store.clean(STEP_BYTES, wall_micros(), low, |key| hub.idempotency().knows(&key.key))?;
        round.left_bytes = round.left_bytes.saturating_sub(cleaned.taken_bytes);
        if store.bytes() <= round.until_bytes || round.left_bytes == 0 || cleaned.taken_bytes == 0 {
            self.round = None;
        }
        if let Some(figures) = hub.disk_figures() {
            figures.set_used(store.bytes());
        }
        Ok(())
    }

    /// Looks at all topics: some 50 ns for each.
    fn begin(&mut self, store: &mut Store, known: &mut Known, hub: &Hub) -> Result<(), Failure> {
        let content = |topic: &Weak<Topic>| {
            topic.upgrade().map_or(0, |topic| {
                let weight = topic.kept().1;
                weight.content_bytes() as u64 + weight.publications as u64 * RECORD_BYTES
            })
        };
        let keys = hub.idempotency().disk_bytes() as u64;
        let kept = known.values().map(content).sum::<u64>() + keys;
        let gone = |epoch: &Epoch| known.get(epoch).is_none_or(|topic| topic.strong_count() == 0);
        let gone: Vec<Epoch> = store.topics().filter(gone).collect();
        store.forget(&gone)?;
        known.retain(|_, topic| topic.strong_count() > 0);
        self.begins_at_bytes = SLACK_BYTES + 2 * kept;
        if store.bytes() > self.begins_at_bytes {
            self.round = Some(Round { until_bytes: SLACK_BYTES / 2 + kept * 3 / 2, left_bytes: store.bytes() });
        }
        Ok(())
    }
}
