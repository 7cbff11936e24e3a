//! Which filters the logs of this worker have.
//!
//! Subscribers that ask for the same publications in the same encoding share a log, whatever the topic: a publication is
//! looked at once per filter, never per subscriber.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hub::{Publication, Purpose};
use crate::protocol::Encoding;
use crate::protocol::centrifuge::Filter;

/// A filter in one encoding, by its place on this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FilteredId(u16);

/// The filters in use on a worker. At most 65,536 that differ, with their encodings.
#[derive(Debug, Default)]
pub(crate) struct FilteredTable {
    /// By place.
    entries: Vec<Option<Entry>>,
    free: Vec<u16>,
    /// The standard hasher: clients choose the keys.
    places: HashMap<(Arc<Filter>, Encoding), u16>,
}

#[derive(Debug)]
struct Entry {
    filter: Arc<Filter>,
    encoding: Encoding,
    /// Subscriptions that have it.
    uses: u32,
}

impl FilteredTable {
    /// The place of a filter in an encoding, which is used once more. `None` if all places are taken.
    pub(crate) fn enter(&mut self, filter: &Arc<Filter>, encoding: Encoding) -> Option<FilteredId> {
        let key = (Arc::clone(filter), encoding);
        if let Some(&place) = self.places.get(&key) {
            if let Some(entry) = &mut self.entries[usize::from(place)] {
                entry.uses += 1;
            }
            return Some(FilteredId(place));
        }
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = u16::try_from(self.entries.len()).ok()?;
                self.entries.push(None);
                place
            }
        };
        self.entries[usize::from(place)] = Some(Entry { filter: Arc::clone(filter), encoding, uses: 1 });
        self.places.insert(key, place);
        Some(FilteredId(place))
    }

    /// One subscription less has it.
    pub(crate) fn leave(&mut self, FilteredId(place): FilteredId) {
        let slot = &mut self.entries[usize::from(place)];
        let Some(entry) = slot else { return };
        entry.uses -= 1;
        if entry.uses == 0
            && let Some(Entry { filter, encoding, .. }) = slot.take()
        {
            self.places.remove(&(filter, encoding));
            self.free.push(place);
        }
    }

    /// How `publication` looks behind a filter; `None` if that does not let it through, or its subscribers are not told.
    pub(crate) fn encoding(&self, FilteredId(place): FilteredId, publication: &Publication) -> Option<Encoding> {
        let entry = self.entries[usize::from(place)].as_ref()?;
        let passes = match publication.purpose() {
            Purpose::Publication | Purpose::Passing => {
                entry.filter.matches(|name| publication.extras().and_then(|extras| extras.tag(name)))
            }
            Purpose::Join | Purpose::Leave => entry.encoding.shape().is_some_and(|shape| shape.hears_joins()),
        };
        passes.then_some(entry.encoding)
    }
}
