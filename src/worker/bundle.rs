//! Streams of several topics: one log for each set of topics.
//!
//! A browser that comes back brings one thing, the id of the last event. So on a stream of several topics each event's
//! id has to hold the stream's position in all of them, and that depends on the set, not only on the publication. Making
//! it per subscriber would undo "encode once"; instead all streams of the same topics on a worker share a log, whose
//! frames carry the positions of the whole set. A bundle's own offsets count its frames.

use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::catch_up::CatchUp;
use super::worker::Worker;
use crate::fanout::{Appended, ConnectionId, Entry, Join, LogId, RulesId, Tick};
use crate::hub::{Joined, Offset, Position, Publication, Recovery, Retained, Start, Topic, TopicId, TopicName};
use crate::protocol::{Encoding, sse};
use crate::refusal::Refusal;

/// A bundle's number on its worker; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BundleId(u32);

/// One set of topics, in the order of the URL, in one encoding.
#[derive(Debug)]
pub(super) struct Bundle {
    log: LogId,
    encoding: Encoding,
    topics: Vec<Arc<Topic>>,
    /// The last publication of each topic that is in the log, or was before it.
    positions: Vec<Position>,
    /// Frames appended so far.
    frame_count: u64,
}

/// The bundles of a worker. Few: one per set of topics that somebody streams.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    by_id: FxHashMap<BundleId, Bundle>,
    /// The newest bundle of each set.
    by_set: FxHashMap<(Vec<TopicId>, Encoding), BundleId>,
    next: u32,
}

impl Bundles {
    fn find(&self, topics: &[Arc<Topic>], encoding: Encoding) -> Option<BundleId> {
        self.by_set.get(&(ids(topics), encoding)).copied()
    }

    fn insert(&mut self, bundle: Bundle) -> BundleId {
        let id = BundleId(self.next);
        self.next += 1;
        self.by_set.insert((ids(&bundle.topics), bundle.encoding), id);
        self.by_id.insert(id, bundle);
        id
    }

    /// The topics of a bundle, which is forgotten.
    pub(super) fn remove(&mut self, id: BundleId) -> Vec<Arc<Topic>> {
        let Some(bundle) = self.by_id.remove(&id) else { return Vec::new() };
        let key = (ids(&bundle.topics), bundle.encoding);
        if self.by_set.get(&key) == Some(&id) {
            self.by_set.remove(&key);
        }
        bundle.topics
    }

    /// The topics of a bundle.
    pub(super) fn topics(&self, id: BundleId) -> &[Arc<Topic>] {
        self.by_id.get(&id).map_or(&[], |bundle| &bundle.topics)
    }
}

fn ids(topics: &[Arc<Topic>]) -> Vec<TopicId> {
    topics.iter().map(|topic| topic.id()).collect()
}

/// The id of a stream: its positions, in the order of its topics.
fn stream_id(positions: &[Position]) -> String {
    let texts: Vec<String> = positions.iter().map(Position::to_string).collect();
    texts.join(",")
}

impl Worker {
    /// Subscribes a stream to several topics: for each what it missed, then the log of their bundle.
    pub(super) fn join_bundle(
        &mut self,
        id: ConnectionId,
        wanted: Vec<(TopicName, Start)>,
        encoding: Encoding,
    ) -> Result<(), Refusal> {
        let all = self.subscribe_all(wanted)?;
        let (topics, joins): (Vec<Arc<Topic>>, Vec<(Start, Joined)>) =
            all.into_iter().map(|one| (one.topic, (one.start, one.joined))).unzip();
        let bundle = self.bundle_for(&topics, &joins, encoding);
        let (log, reached, frame_count) = {
            let bundle = &self.bundles.by_id[&bundle];
            (bundle.log, bundle.positions.clone(), bundle.frame_count)
        };
        for (topic, (start, joined)) in topics.iter().zip(&joins) {
            if !matches!(start, Start::Now) {
                self.tell_recovery(id, topic, encoding, *start, joined);
            }
        }
        let replay = Replay::new(topics, joins, reached, encoding);
        let delimiting = encoding.delimiting().expect("invariant: streams have an SSE encoding");
        self.fanout.reply(id, sse::position(delimiting, &stream_id(&replay.positions)));
        let top = Offset(frame_count);
        if replay.items.len() == 0 {
            self.fanout.subscribe(log, id, Join::At(top));
        } else {
            self.fanout.subscribe(log, id, Join::Held);
            self.catch_ups.insert(id.index, CatchUp::bundle(id, log, top, replay));
            self.feed_catch_up(id);
        }
        Ok(())
    }

    /// The bundle that a stream can join: the set's newest, unless the stream has seen more of a topic (on another
    /// worker, or before its letters were read here) than this bundle, which would then send that again.
    fn bundle_for(&mut self, topics: &[Arc<Topic>], joins: &[(Start, Joined)], encoding: Encoding) -> BundleId {
        if let Some(id) = self.bundles.find(topics, encoding) {
            let behind = |(position, (start, _)): (&Position, &(Start, Joined))| match start {
                Start::Since(seen) | Start::SinceWithin(seen, _) => {
                    seen.epoch == position.epoch && seen.offset > position.offset
                }
                Start::Now | Start::Last(_) => false,
            };
            if !self.bundles.by_id[&id].positions.iter().zip(joins).any(behind) {
                return id;
            }
        }
        let rules = RulesId(self.seat.surface.hub.rules().len() as u16);
        let log = self.fanout.open(rules, Offset(0));
        let positions = joins.iter().map(|(_, joined)| joined.top).collect();
        let id = self.bundles.insert(Bundle { log, encoding, topics: topics.to_vec(), positions, frame_count: 0 });
        self.memberships.bundled(log, id, topics.iter());
        id
    }

    /// Appends a publication to a bundle's log, with the positions of the whole set as its id.
    pub(super) fn append_to_bundle(&mut self, id: BundleId, publication: &Publication) -> Appended {
        let Some(bundle) = self.bundles.by_id.get_mut(&id) else { return Appended::Ok };
        let Some(at) = bundle.topics.iter().position(|topic| topic.id() == publication.topic.id()) else {
            return Appended::Ok;
        };
        let before = bundle.positions[at];
        if publication.position.epoch == before.epoch && publication.position.offset <= before.offset {
            // Published before the bundle was: its members have it from history, or did not ask for it.
            return Appended::Ok;
        }
        bundle.positions[at] = publication.position;
        let frame = stream_frame(
            bundle.encoding,
            &bundle.positions,
            &publication.topic,
            publication.position,
            &Retained {
                offset: publication.position.offset,
                kind: publication.kind(),
                payload: publication.payload(),
                accepted: publication.accepted,
                extras: None,
            },
        );
        let offset = Offset(bundle.frame_count + 1);
        let entry = Entry { offset, frame: &frame, key: 0, exclude: None, is_numbered: true };
        match self.fanout.append(bundle.log, entry, Tick(self.tick)) {
            Appended::Ok => {
                bundle.frame_count += 1;
                Appended::Ok
            }
            Appended::Full => {
                bundle.positions[at] = before;
                self.fanout.sweep_log_first(bundle.log);
                Appended::Full
            }
        }
    }
}

/// What a new member of a bundle is sent before its log: topic by topic, up to what the log has reached. What was
/// published after that is in the mailbox, and will come through the log.
///
/// Each entry is encoded when it is taken, with the stream's positions at that moment as its id: until then it is a
/// reference into its topic's history.
#[derive(Debug)]
pub(super) struct Replay {
    encoding: Encoding,
    topics: Vec<Arc<Topic>>,
    positions: Vec<Position>,
    reached: Vec<Position>,
    items: IntoIter<(usize, Retained)>,
}

impl Replay {
    fn new(topics: Vec<Arc<Topic>>, joins: Vec<(Start, Joined)>, reached: Vec<Position>, encoding: Encoding) -> Self {
        let positions = joins.iter().zip(&reached).map(|((start, joined), &reached)| begins(*start, joined, reached));
        let positions = positions.collect();
        let mut items = Vec::new();
        for (at, (_, joined)) in joins.into_iter().enumerate() {
            let wanted = joined.replay.into_iter().take_while(|item| item.offset <= reached[at].offset);
            items.extend(wanted.map(|item| (at, item)));
        }
        Self { encoding, topics, positions, reached, items: items.into_iter() }
    }
}

/// Where a topic of a stream begins: where the client was, as far as it can be continued from there.
fn begins(start: Start, joined: &Joined, reached: Position) -> Position {
    match joined.replay.first() {
        Some(first) => Position { epoch: reached.epoch, offset: Offset(first.offset.0 - 1).min(reached.offset) },
        None => match (start, joined.recovery) {
            (Start::Since(seen) | Start::SinceWithin(seen, _), Recovery::Complete) if seen.offset <= reached.offset => {
                seen
            }
            // After a gap it begins anew where the log is: with the old position each return would find the gap again.
            (
                Start::Since(_) | Start::SinceWithin(..) | Start::Now | Start::Last(_),
                Recovery::Complete | Recovery::Gap | Recovery::NotAsked,
            ) => reached,
        },
    }
}

impl Iterator for Replay {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (at, item) = self.items.next()?;
        // The topics before this one are through.
        self.positions[..at].copy_from_slice(&self.reached[..at]);
        self.positions[at].offset = item.offset;
        Some(stream_frame(self.encoding, &self.positions, &self.topics[at], self.positions[at], &item))
    }
}

fn stream_frame(
    encoding: Encoding,
    positions: &[Position],
    topic: &Topic,
    position: Position,
    item: &Retained,
) -> Bytes {
    let delimiting = encoding.delimiting().expect("invariant: streams have an SSE encoding");
    sse::topic_publication(
        delimiting,
        Some(&stream_id(positions)),
        topic.name().as_str(),
        position,
        item.kind,
        &item.payload,
    )
}
