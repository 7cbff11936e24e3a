//! Who must have what: every delivery is compared with what was published, per subscriber and publisher. Pure.
//!
//! A *lane* is one publisher of one topic, numbered from 0 without gaps. A *stream* is a lane as one subscriber sees it.

use std::collections::BTreeSet;

use crate::seating::Seating;
use crate::wire::stamp::Stamp;

/// Sequence numbers one stream remembers as skipped, so that a late one is told from a duplicate. Beyond it the oldest
/// stay lost; a run that gets there has failed anyway.
const SKIPPED_LIMIT_COUNT: usize = 65_536;

/// Index of a subscriber; its first topic is `subscriber % topics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubscriberId(pub(crate) u32);

impl SubscriberId {
    /// As an index into tables of subscribers.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a lane: topic by topic, publisher by publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneId(pub(crate) u32);

impl LaneId {
    /// As an index into tables of lanes.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What one delivery was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Delivery {
    /// The next one, as it should be.
    InOrder,
    /// A later one than the next: this many are missing, and may still come.
    AfterGap(u64),
    /// One that was missing, behind one that should have followed it.
    Reordered,
    /// One that this subscriber had.
    Duplicate,
    /// One that nobody published: wrong topic, publisher, number or time.
    Invented,
}

/// Counts over the whole run. All but `in_order` are zero if the server keeps its promises.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Verdict {
    /// Deliveries that were the next of their stream, or the first after a gap.
    pub(crate) in_order: u64,
    /// Publications a connected subscriber never got.
    pub(crate) lost: u64,
    /// Deliveries of what a subscriber already had.
    pub(crate) duplicated: u64,
    /// Deliveries behind one that should have followed them.
    pub(crate) reordered: u64,
    /// Deliveries whose bytes are not those that were published.
    pub(crate) wrong: u64,
    /// Messages of other runs or other publishers on the same topics. They do not fail a run.
    pub(crate) foreign: u64,
    /// Connections that ended before the run did.
    pub(crate) closed: u64,
    /// Subscribers that saw the publications of several publishers in another order than the first of their topic.
    pub(crate) disagreeing: u64,
}

impl Verdict {
    /// Whether the server kept its promises.
    pub(crate) fn is_clean(&self) -> bool {
        let Self { in_order: _, lost, duplicated, reordered, wrong, foreign: _, closed, disagreeing } = *self;
        lost + duplicated + reordered + wrong + closed + disagreeing == 0
    }
}

/// The bookkeeping of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    seating: Seating,
    publishers_per_topic: u32,
    lanes: Vec<Lane>,
    /// `publishers_per_topic` for each topic of each subscriber.
    streams: Vec<Stream>,
    /// The order each subscriber saw on each of its topics, in one number; only kept where an order between publishers
    /// exists.
    orders: Vec<u64>,
    /// Publications of all lanes that are not completed.
    in_flight: u64,
    open: Vec<bool>,
    /// Lanes that completed something since the last call of [`Ledger::take_moved`].
    moved: Vec<LaneId>,
    verdict: Verdict,
}

#[derive(Debug)]
struct Lane {
    published: u64,
    completed: u64,
    /// Subscribers that are still connected.
    members: u32,
    moved: bool,
    /// One slot per publication that can be in flight; its number modulo their count.
    slots: Box<[Slot]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    intended_ns: u64,
    remaining: u32,
}

#[derive(Debug, Default)]
struct Stream {
    next: u64,
    /// Skipped numbers that may still come; boxed because almost no stream has any.
    #[expect(clippy::box_collection, reason = "8 bytes instead of 24 for each of 10,000 streams that never skip")]
    skipped: Option<Box<BTreeSet<u64>>>,
    /// Skipped numbers that were given up.
    forgotten: u64,
}

impl Ledger {
    /// A ledger for subscribers that sit on topics as `seating` says, with at most `in_flight_limit` publications of each
    /// lane in flight (rounded up to a power of two).
    ///
    /// Memory: 16 bytes per publication in flight and lane, 24 per stream.
    pub(crate) fn new(seating: Seating, publishers_per_topic: u32, in_flight_limit: usize) -> Self {
        let slots = in_flight_limit.max(1).next_power_of_two();
        let members = seating.members();
        let lanes = (0..seating.topic_count() * publishers_per_topic)
            .map(|lane| {
                let members = members[(lane / publishers_per_topic) as usize];
                let slots = vec![Slot::default(); slots].into_boxed_slice();
                Lane { published: 0, completed: 0, members, moved: false, slots }
            })
            .collect();
        let seats = seating.seat_count();
        let streams = (0..seats * publishers_per_topic as usize).map(|_| Stream::default());
        Self {
            publishers_per_topic,
            lanes,
            streams: streams.collect(),
            orders: vec![0; if publishers_per_topic > 1 { seats } else { 0 }],
            in_flight: 0,
            open: vec![true; seating.subscriber_count() as usize],
            moved: Vec::new(),
            verdict: Verdict::default(),
            seating,
        }
    }

    /// How many lanes there are.
    pub(crate) fn lane_count(&self) -> u32 {
        self.seating.topic_count() * self.publishers_per_topic
    }

    /// The topic and the publisher of `lane`.
    pub(crate) fn place_of(&self, lane: LaneId) -> (u32, u32) {
        (lane.0 / self.publishers_per_topic, lane.0 % self.publishers_per_topic)
    }

    /// The subscriber whose connection publishes on `lane`, when subscribers do: the first ones of each topic.
    pub(crate) fn publishing_subscriber(&self, lane: LaneId) -> SubscriberId {
        let (topic, publisher) = self.place_of(lane);
        SubscriberId(topic + publisher * self.seating.topic_count())
    }

    /// Publications of `lane` that not all of its subscribers have.
    pub(crate) fn in_flight(&self, lane: LaneId) -> u64 {
        let lane = &self.lanes[lane.index()];
        lane.published - lane.completed
    }

    /// Publications of all lanes together that not all of their subscribers have.
    pub(crate) fn all_in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Notes the next publication of `lane`, due at `intended_ns`, and returns its stamp.
    ///
    /// `None` if as many are in flight as the ledger has room for, or nobody is left to receive it.
    pub(crate) fn publish(&mut self, id: LaneId, intended_ns: u64) -> Option<Stamp> {
        let (topic, publisher) = self.place_of(id);
        let lane = &mut self.lanes[id.index()];
        if lane.published - lane.completed >= lane.slots.len() as u64 || lane.members == 0 {
            return None;
        }
        let sequence = lane.published;
        *lane.slot(sequence) = Slot { intended_ns, remaining: lane.members };
        lane.published += 1;
        self.in_flight += 1;
        Some(Stamp { topic, publisher, sequence, intended_ns })
    }

    /// Notes that `subscriber` received `stamp`.
    pub(crate) fn deliver(&mut self, subscriber: SubscriberId, stamp: &Stamp) -> Delivery {
        let delivery = self.judge(subscriber, stamp);
        match delivery {
            Delivery::InOrder | Delivery::AfterGap(_) => self.verdict.in_order += 1,
            Delivery::Reordered => self.verdict.reordered += 1,
            Delivery::Duplicate => self.verdict.duplicated += 1,
            Delivery::Invented => self.verdict.wrong += 1,
        }
        delivery
    }

    /// Notes a message whose bytes are wrong.
    pub(crate) fn note_wrong(&mut self) {
        self.verdict.wrong += 1;
    }

    /// Notes a message that is not of this run.
    pub(crate) fn note_foreign(&mut self) {
        self.verdict.foreign += 1;
    }

    /// Notes that the connection of `subscriber` ended. What was in flight to it is lost; the lanes go on without it.
    pub(crate) fn close(&mut self, subscriber: SubscriberId) {
        if !std::mem::replace(&mut self.open[subscriber.index()], false) {
            return;
        }
        self.verdict.closed += 1;
        for place in 0..self.seating.topics_each() {
            for publisher in 0..self.publishers_per_topic {
                let lane_id = self.lane_of(self.seating.topic_at(subscriber, place), publisher);
                let stream_index = self.stream_of(self.seating.seat(subscriber, place), publisher);
                let stream = &mut self.streams[stream_index];
                let lane = &mut self.lanes[lane_id.index()];
                self.verdict.lost += lane.published - stream.next;
                for sequence in stream.next..lane.published {
                    settle(lane, lane_id, sequence, &mut self.moved, &mut self.in_flight);
                }
                stream.next = lane.published;
                lane.members -= 1;
            }
        }
    }

    /// Deliveries that are due to connected subscribers and have not come. Cost: one step per stream.
    pub(crate) fn outstanding(&self) -> u64 {
        let mut outstanding = 0;
        for (index, stream) in self.streams.iter().enumerate() {
            let seat = index / self.publishers_per_topic as usize;
            let (subscriber, topic) = self.seating.at(seat);
            if self.open[subscriber.index()] {
                let lane = self.lane_of(topic, index as u32 % self.publishers_per_topic);
                outstanding += self.lanes[lane.index()].published - stream.next + stream.skipped_count();
            }
        }
        outstanding
    }

    /// Takes the lanes on which a publication was completed since the last call into `into`.
    pub(crate) fn take_moved(&mut self, into: &mut Vec<LaneId>) {
        into.append(&mut self.moved);
        for lane in into {
            self.lanes[lane.index()].moved = false;
        }
    }

    /// In-order deliveries so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.verdict.in_order + self.verdict.reordered
    }

    /// Publications so far.
    pub(crate) fn published(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.published).sum()
    }

    /// The counts at the end: what has not come is lost now.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut verdict = self.verdict;
        verdict.lost += self.outstanding();
        verdict.lost += self.streams.iter().map(|stream| stream.forgotten).sum::<u64>();
        let closed_skips = self.streams.iter().enumerate().filter_map(|(index, stream)| {
            let (subscriber, _) = self.seating.at(index / self.publishers_per_topic as usize);
            (!self.open[subscriber.index()]).then(|| stream.skipped_count())
        });
        verdict.lost += closed_skips.sum::<u64>();
        for (seat, order) in self.orders.iter().enumerate() {
            let (subscriber, topic) = self.seating.at(seat);
            // The first topic of the subscriber with the topic's own number is that topic.
            let first_of_topic = SubscriberId(topic);
            // An order with a hole in it differs for that reason; it is reported as lost or closed.
            if verdict.lost == 0 && self.open[subscriber.index()] && self.open[first_of_topic.index()] {
                verdict.disagreeing += u64::from(*order != self.orders[self.seating.seat(first_of_topic, 0)]);
            }
        }
        verdict
    }

    fn judge(&mut self, subscriber: SubscriberId, stamp: &Stamp) -> Delivery {
        let Some(seat) = self.seating.seat_on(subscriber, stamp.topic) else { return Delivery::Invented };
        if stamp.publisher >= self.publishers_per_topic {
            return Delivery::Invented;
        }
        let lane_id = self.lane_of(stamp.topic, stamp.publisher);
        let stream_index = self.stream_of(seat, stamp.publisher);
        let lane = &mut self.lanes[lane_id.index()];
        if stamp.sequence >= lane.published {
            return Delivery::Invented;
        }
        let stream = &mut self.streams[stream_index];
        if stamp.sequence < stream.next {
            let was_skipped = stream.skipped.as_mut().is_some_and(|skipped| skipped.remove(&stamp.sequence));
            return if was_skipped { Delivery::Reordered } else { Delivery::Duplicate };
        }
        if lane.slot(stamp.sequence).intended_ns != stamp.intended_ns {
            return Delivery::Invented;
        }
        let gap = stamp.sequence - stream.next;
        for sequence in stream.next..stamp.sequence {
            stream.skip(sequence);
            // A skipped publication must not hold the window open for ever; its loss is counted.
            settle(lane, lane_id, sequence, &mut self.moved, &mut self.in_flight);
        }
        stream.next = stamp.sequence + 1;
        settle(lane, lane_id, stamp.sequence, &mut self.moved, &mut self.in_flight);
        if let Some(order) = self.orders.get_mut(seat) {
            let entry = stamp.sequence.wrapping_mul(u64::from(self.publishers_per_topic)) + u64::from(stamp.publisher);
            *order = order.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(entry + 1);
        }
        if gap == 0 { Delivery::InOrder } else { Delivery::AfterGap(gap) }
    }

    fn lane_of(&self, topic: u32, publisher: u32) -> LaneId {
        LaneId(topic * self.publishers_per_topic + publisher)
    }

    fn stream_of(&self, seat: usize, publisher: u32) -> usize {
        seat * self.publishers_per_topic as usize + publisher as usize
    }
}

impl Lane {
    fn slot(&mut self, sequence: u64) -> &mut Slot {
        // Their count is a power of two.
        let index = sequence as usize & (self.slots.len() - 1);
        &mut self.slots[index]
    }
}

impl Stream {
    fn skip(&mut self, sequence: u64) {
        let skipped = self.skipped.get_or_insert_default();
        skipped.insert(sequence);
        if skipped.len() > SKIPPED_LIMIT_COUNT {
            skipped.pop_first();
            self.forgotten += 1;
        }
    }

    fn skipped_count(&self) -> u64 {
        self.skipped.as_ref().map_or(0, |skipped| skipped.len() as u64)
    }
}

/// One subscriber is done with a publication. A slot that reaches zero completes its publication: streams advance in
/// order, so the completed ones are always the oldest.
fn settle(lane: &mut Lane, id: LaneId, sequence: u64, moved: &mut Vec<LaneId>, in_flight: &mut u64) {
    let slot = lane.slot(sequence);
    slot.remaining -= 1;
    if slot.remaining == 0 {
        lane.completed += 1;
        *in_flight -= 1;
        if !std::mem::replace(&mut lane.moved, true) {
            moved.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: LaneId = LaneId(0);

    fn ledger(subscribers: u32) -> Ledger {
        Ledger::new(Seating::new(1, subscribers, 1), 1, 8)
    }

    fn publish(ledger: &mut Ledger, count: u64) -> Vec<Stamp> {
        (0..count).map(|at| ledger.publish(LANE, 1000 + at).unwrap()).collect()
    }

    #[test]
    fn deliveries_in_order_to_everybody_leave_a_clean_verdict() {
        let mut ledger = ledger(3);
        for stamp in publish(&mut ledger, 5) {
            for subscriber in 0..3 {
                assert_eq!(ledger.deliver(SubscriberId(subscriber), &stamp), Delivery::InOrder);
            }
        }
        assert_eq!(ledger.verdict(), Verdict { in_order: 15, ..Verdict::default() });
        assert!(ledger.verdict().is_clean());
    }

    #[test]
    fn what_never_comes_is_lost_in_the_middle_and_at_the_end() {
        let mut ledger = ledger(1);
        let stamps = publish(&mut ledger, 5);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[0]), Delivery::InOrder);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[3]), Delivery::AfterGap(2));
        assert_eq!(ledger.verdict().lost, 3);
        assert!(!ledger.verdict().is_clean());
    }

    #[test]
    fn a_late_delivery_is_reordered_once_and_then_a_duplicate() {
        let mut ledger = ledger(1);
        let stamps = publish(&mut ledger, 3);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[0]), Delivery::InOrder);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[2]), Delivery::AfterGap(1));
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[1]), Delivery::Reordered);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[1]), Delivery::Duplicate);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[2]), Delivery::Duplicate);
        let verdict = ledger.verdict();
        assert_eq!((verdict.lost, verdict.reordered, verdict.duplicated), (0, 1, 2));
    }

    #[test]
    fn what_nobody_published_is_invented() {
        let mut ledger = Ledger::new(Seating::new(2, 4, 1), 1, 8);
        let stamp = ledger.publish(LaneId(1), 77).unwrap();
        for (subscriber, stamp) in [
            (SubscriberId(0), stamp),
            (SubscriberId(1), Stamp { sequence: 1, ..stamp }),
            (SubscriberId(1), Stamp { intended_ns: 78, ..stamp }),
            (SubscriberId(1), Stamp { publisher: 1, ..stamp }),
        ] {
            assert_eq!(ledger.deliver(subscriber, &stamp), Delivery::Invented, "{stamp:?}");
        }
        assert_eq!(ledger.verdict().wrong, 4);
    }

    #[test]
    fn a_publication_is_done_when_its_last_subscriber_has_it() {
        let mut ledger = ledger(2);
        let stamps = publish(&mut ledger, 2);
        let mut moved = Vec::new();
        for stamp in &stamps {
            assert_eq!(ledger.deliver(SubscriberId(0), stamp), Delivery::InOrder);
        }
        ledger.take_moved(&mut moved);
        assert_eq!((ledger.in_flight(LANE), moved.len()), (2, 0));
        assert_eq!(ledger.deliver(SubscriberId(1), &stamps[0]), Delivery::InOrder);
        ledger.take_moved(&mut moved);
        assert_eq!((ledger.in_flight(LANE), moved.as_slice()), (1, [LANE].as_slice()));
    }

    #[test]
    fn no_more_than_the_limit_can_be_in_flight() {
        let mut ledger = ledger(1);
        let stamps = publish(&mut ledger, 8);
        assert_eq!(ledger.publish(LANE, 0), None);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[0]), Delivery::InOrder);
        assert_eq!(ledger.publish(LANE, 0).map(|stamp| stamp.sequence), Some(8));
    }

    #[test]
    fn a_gap_does_not_hold_the_window_open() {
        let mut ledger = ledger(1);
        let stamps = publish(&mut ledger, 8);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[7]), Delivery::AfterGap(7));
        assert_eq!(ledger.in_flight(LANE), 0);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[2]), Delivery::Reordered);
        assert_eq!(ledger.in_flight(LANE), 0);
    }

    #[test]
    fn a_closed_subscriber_loses_what_was_in_flight_and_is_not_waited_for() {
        let mut ledger = ledger(2);
        let stamps = publish(&mut ledger, 3);
        for stamp in &stamps {
            assert_eq!(ledger.deliver(SubscriberId(0), stamp), Delivery::InOrder);
        }
        assert_eq!(ledger.deliver(SubscriberId(1), &stamps[0]), Delivery::InOrder);
        ledger.close(SubscriberId(1));
        ledger.close(SubscriberId(1));
        assert_eq!((ledger.in_flight(LANE), ledger.outstanding()), (0, 0));
        let later = ledger.publish(LANE, 5).unwrap();
        assert_eq!(ledger.deliver(SubscriberId(0), &later), Delivery::InOrder);
        assert_eq!(ledger.in_flight(LANE), 0);
        assert_eq!((ledger.verdict().closed, ledger.verdict().lost), (1, 2));
        ledger.close(SubscriberId(0));
        assert_eq!(ledger.publish(LANE, 6), None);
    }

    #[test]
    fn skipped_numbers_are_remembered_up_to_a_limit_and_stay_lost_beyond_it() {
        let in_flight = SKIPPED_LIMIT_COUNT + 3;
        let mut ledger = Ledger::new(Seating::new(1, 1, 1), 1, in_flight);
        let stamps = publish(&mut ledger, in_flight as u64);
        assert_eq!(
            ledger.deliver(SubscriberId(0), &stamps[in_flight - 1]),
            Delivery::AfterGap(SKIPPED_LIMIT_COUNT as u64 + 2)
        );
        assert_eq!(ledger.verdict().lost, SKIPPED_LIMIT_COUNT as u64 + 2);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[0]), Delivery::Duplicate);
        assert_eq!(ledger.deliver(SubscriberId(0), &stamps[2]), Delivery::Reordered);
        assert_eq!(ledger.verdict().lost, SKIPPED_LIMIT_COUNT as u64 + 1);
    }

    #[test]
    fn two_publishers_must_be_seen_in_one_order_by_all() {
        let mut ledger = Ledger::new(Seating::new(1, 3, 1), 2, 8);
        let first = ledger.publish(LaneId(0), 1).unwrap();
        let second = ledger.publish(LaneId(1), 2).unwrap();
        for (subscriber, order) in [(0, [first, second]), (1, [first, second]), (2, [second, first])] {
            for stamp in order {
                assert_eq!(ledger.deliver(SubscriberId(subscriber), &stamp), Delivery::InOrder);
            }
        }
        assert_eq!(ledger.verdict(), Verdict { in_order: 6, disagreeing: 1, ..Verdict::default() });
    }

    #[test]
    fn subscribers_are_spread_over_topics_and_the_first_ones_publish() {
        let mut ledger = Ledger::new(Seating::new(3, 8, 1), 2, 1);
        assert_eq!(ledger.lane_count(), 6);
        // Topics 0 and 1 have three subscribers, topic 2 has two: 2, 5.
        assert_eq!(ledger.place_of(LaneId(5)), (2, 1));
        assert_eq!(ledger.publishing_subscriber(LaneId(5)), SubscriberId(5));
        let stamp = ledger.publish(LaneId(5), 1).unwrap();
        for subscriber in [2, 5] {
            assert_eq!(ledger.in_flight(LaneId(5)), 1);
            assert_eq!(ledger.deliver(SubscriberId(subscriber), &stamp), Delivery::InOrder);
        }
        assert_eq!(ledger.in_flight(LaneId(5)), 0);
    }

    #[test]
    fn a_subscriber_of_several_topics_is_owed_each_of_them_and_no_other() {
        // Subscriber 0 sits on topic 0 and one more.
        let seating = Seating::new(5, 5, 2);
        let topics: Vec<u32> = seating.topics_of(SubscriberId(0)).collect();
        let mut ledger = Ledger::new(seating.clone(), 1, 4);
        let stamps: Vec<Stamp> = (0..5).map(|topic| ledger.publish(LaneId(topic), 1).unwrap()).collect();
        for (topic, stamp) in stamps.iter().enumerate() {
            let expected = if topics.contains(&(topic as u32)) { Delivery::InOrder } else { Delivery::Invented };
            assert_eq!(ledger.deliver(SubscriberId(0), stamp), expected, "topic {topic}");
        }
        assert_eq!((ledger.verdict().in_order, ledger.verdict().wrong, ledger.outstanding()), (2, 3, 8));
        assert_eq!(ledger.all_in_flight(), 5);
        for subscriber in 1..5 {
            for topic in seating.topics_of(SubscriberId(subscriber)) {
                assert_eq!(ledger.deliver(SubscriberId(subscriber), &stamps[topic as usize]), Delivery::InOrder);
            }
        }
        assert_eq!((ledger.outstanding(), ledger.all_in_flight()), (0, 0));
    }

    #[test]
    fn one_end_loses_what_was_in_flight_on_every_topic_of_the_connection() {
        let mut ledger = Ledger::new(Seating::new(4, 4, 3), 1, 4);
        for topic in 0..4 {
            ledger.publish(LaneId(topic), 1).unwrap();
        }
        ledger.close(SubscriberId(2));
        assert_eq!((ledger.verdict().closed, ledger.outstanding()), (1, 9));
        assert_eq!(ledger.verdict().lost, 3 + 9);
    }
}
