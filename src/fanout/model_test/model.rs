//! The naive rival: a queue of offsets per connection and log, and the byte stream checked against it.

use std::collections::{BTreeMap, VecDeque};

use super::super::{ConnectionId, LogId, Missed, Policy};
use super::frames::{self, Said};
use crate::hub::Offset;

/// A publication as a queue has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queued {
    pub(super) offset: u64,
    pub(super) key: u64,
}

/// A membership: all that was published for it and has not been seen.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) policy: Policy,
    pub(super) queue: VecDeque<Queued>,
    pub(super) is_held: bool,
    pub(super) after: u64,
    /// Nothing published from now on is for it.
    pub(super) has_ended: bool,
    /// The reply that must be seen before its first publication.
    pub(super) ack: u64,
    /// Its losses have been counted.
    pub(super) is_settled: bool,
}

/// A connection, as its client sees it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ConnectionId,
    pub(super) is_blocked: bool,
    pub(super) is_finishing: bool,
    /// Publications that were waiting have been dropped.
    pub(super) is_cut_short: bool,
    pub(super) is_doomed: bool,
    pub(super) has_close: bool,
    is_closed: bool,
    pub(super) replies_sent: u64,
    pub(super) replies_seen: u64,
    /// Bytes that must come next, alone: what the sink has made of what it took.
    pub(super) sealed: Vec<u8>,
    /// Bytes that must come next: the rest of a frame that was cut.
    pub(super) tail: Vec<u8>,
    /// The publication that `tail` belongs to, and its length.
    pub(super) cut: Option<(LogId, u64, usize)>,
    pub(super) memberships: BTreeMap<u32, Membership>,
}

/// What the naive rival says a visit did.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) struct Seen {
    pub(super) publications: u64,
    pub(super) bytes: u64,
    /// Publications that were passed over: told in a notice, or conflated.
    pub(super) lost: u64,
}

impl Client {
    pub(super) fn new(id: ConnectionId) -> Self {
        Self {
            id,
            is_blocked: false,
            is_finishing: false,
            is_cut_short: false,
            is_doomed: false,
            has_close: false,
            is_closed: false,
            replies_sent: 0,
            replies_seen: 0,
            sealed: Vec::new(),
            tail: Vec::new(),
            cut: None,
            memberships: BTreeMap::new(),
        }
    }

    /// A publication was accepted on a log it may be a member of.
    pub(super) fn published(&mut self, log: LogId, queued: Queued, exclude: Option<ConnectionId>) {
        if let Some(membership) = self.memberships.get_mut(&log.0)
            && !membership.has_ended
            && exclude != Some(self.id)
            && queued.offset > membership.after
        {
            membership.queue.push_back(queued);
        }
    }

    /// `offered` bytes were planned and the first `taken` of them went out.
    pub(super) fn take(&mut self, offered: &[u8], taken: usize) -> Seen {
        let mut seen = Seen::default();
        if !self.sealed.is_empty() {
            assert_eq!(offered, self.sealed, "what is sealed comes first, alone and as it is");
            self.sealed.drain(..taken);
            return seen;
        }
        assert!(offered.starts_with(&self.tail), "the rest of a cut frame comes first, as it is");
        let tail = self.tail.len();
        if taken < tail {
            self.tail.drain(..taken);
            return seen;
        }
        if tail > 0
            && let Some((_, _, len)) = self.cut.take()
        {
            seen.publications += 1;
            seen.bytes += len as u64;
        }
        self.tail.clear();
        let mut at = tail;
        while at < offered.len() {
            let len = frames::len(&offered[at..]);
            let frame = &offered[at..at + len];
            if at >= taken {
                // Planned and not taken: whole frames all the same.
                frames::read(frame);
                at += len;
                continue;
            }
            let said = frames::read(frame);
            self.hear(said, &mut seen);
            let publication = match said {
                Said::Publication { log, offset } => Some((log, offset, len)),
                Said::Reply(_) | Said::Notice(..) | Said::Close => None,
            };
            if at + len > taken {
                self.tail = offered[taken..at + len].to_vec();
                self.cut = publication;
            } else if publication.is_some() {
                seen.publications += 1;
                seen.bytes += len as u64;
            }
            at += len;
        }
        seen
    }

    fn hear(&mut self, said: Said, seen: &mut Seen) {
        assert!(!self.is_closed, "{said:?} behind the close frame");
        match said {
            Said::Reply(number) => {
                assert_eq!(number, self.replies_seen, "replies come in order, none is missing");
                self.replies_seen += 1;
            }
            Said::Publication { log, offset } => self.hear_publication(log, offset, seen),
            Said::Notice(log, missed) => {
                let membership = self.memberships.get_mut(&log.0).expect("a notice of a log it is a member of");
                assert_eq!(membership.policy, Policy::Skip);
                let told: Vec<u64> = membership.queue.drain(..missed.count as usize).map(|one| one.offset).collect();
                assert_eq!((told[0], told[told.len() - 1]), (missed.first.0, missed.last.0));
                seen.lost += missed.count;
            }
            Said::Close => {
                assert!(self.is_finishing && self.has_close);
                assert_eq!(self.replies_seen, self.replies_sent, "replies come before the close frame");
                for membership in self.memberships.values().filter(|one| one.policy == Policy::Disconnect) {
                    assert!(membership.queue.is_empty() || self.is_cut_short || self.is_doomed);
                }
                self.is_closed = true;
            }
        }
    }

    fn hear_publication(&mut self, log: LogId, offset: u64, seen: &mut Seen) {
        assert_eq!(self.replies_seen, self.replies_sent, "replies come before publications");
        let membership = self.memberships.get_mut(&log.0).expect("a publication of a log it is a member of");
        assert!(!membership.is_held, "a held member gets nothing");
        assert!(self.replies_seen > membership.ack, "the subscribe reply comes before the first publication");
        let place = membership.queue.iter().position(|one| one.offset == offset);
        let place = place.unwrap_or_else(|| panic!("{offset} of {log:?} was not expected, or came twice"));
        if membership.policy != Policy::Latest {
            assert_eq!(place, 0, "{offset} of {log:?} came before {:?}", membership.queue[0]);
        }
        for (index, passed) in membership.queue.iter().enumerate().take(place) {
            let newer = membership.queue.iter().skip(index + 1).any(|one| one.key == passed.key);
            assert!(newer, "{passed:?} was conflated without a newer one of its key");
        }
        seen.lost += place as u64;
        membership.queue.drain(..=place);
    }

    /// What a membership has not seen, as one range; with the publication that was cut, if `with_cut`.
    pub(super) fn unseen(&self, log: LogId, with_cut: bool) -> Option<Missed> {
        let membership = &self.memberships[&log.0];
        let cut = self.cut.filter(|&(of, _, _)| with_cut && of == log).map(|(_, offset, _)| Offset(offset));
        let waiting = membership.queue.iter().filter(|_| !membership.is_held).map(|one| Offset(one.offset));
        cut.into_iter()
            .chain(waiting)
            .fold(None, |all, offset| Missed::join(all, Some(Missed { first: offset, last: offset, count: 1 })))
    }
}
