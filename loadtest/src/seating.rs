//! Who sits where: which subscriber is on which topics. Pure.
//!
//! The first topic of subscriber `n` is `n % topics`; the others stand at fixed distances from it, the same for everybody.
//! So every topic gets the same number of subscribers, and a look-up is one place in a table.

use crate::verify::SubscriberId;

/// A topic that no subscriber has at this distance from its first.
const NO_PLACE: u32 = u32::MAX;

/// The topics of all subscribers.
#[derive(Debug, Clone)]
pub(crate) struct Seating {
    topic_count: u32,
    subscriber_count: u32,
    /// The distance of each topic of a subscriber from its first one: 0, and then others.
    distances: Box<[u32]>,
    /// Backwards: which of its topics stands at a distance, or [`NO_PLACE`].
    places: Box<[u32]>,
}

impl Seating {
    /// `subscriber_count` subscribers on `topics_each` of `topic_count` topics. Memory: 4 bytes per topic.
    ///
    /// Panics unless `topics_each` is 1 to `topic_count`.
    pub(crate) fn new(topic_count: u32, subscriber_count: u32, topics_each: u32) -> Self {
        assert!((1..=topic_count).contains(&topics_each), "{topics_each} of {topic_count} topics each");
        let mut places = vec![NO_PLACE; topic_count as usize];
        let mut distances = Vec::with_capacity(topics_each as usize);
        // Steps that look random, so that neighbours do not share their topics; a taken place gives way to the next.
        let mut state = 0_u64;
        let mut distance = 0;
        while distances.len() < topics_each as usize {
            while places[distance as usize] != NO_PLACE {
                distance = (distance + 1) % topic_count;
            }
            places[distance as usize] = distances.len() as u32;
            distances.push(distance);
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            distance = ((state >> 33) % u64::from(topic_count)) as u32;
        }
        Self {
            topic_count,
            subscriber_count,
            distances: distances.into_boxed_slice(),
            places: places.into_boxed_slice(),
        }
    }

    /// How many topics there are.
    pub(crate) fn topic_count(&self) -> u32 {
        self.topic_count
    }

    /// How many subscribers there are.
    pub(crate) fn subscriber_count(&self) -> u32 {
        self.subscriber_count
    }

    /// On how many topics each subscriber is.
    pub(crate) fn topics_each(&self) -> u32 {
        self.distances.len() as u32
    }

    /// How many pairs of a subscriber and one of its topics there are.
    pub(crate) fn seat_count(&self) -> usize {
        self.subscriber_count as usize * self.distances.len()
    }

    /// The topics of `subscriber`, the first one first.
    pub(crate) fn topics_of(&self, subscriber: SubscriberId) -> impl Iterator<Item = u32> {
        (0..self.topics_each()).map(move |place| self.topic_at(subscriber, place))
    }

    /// Topic number `place` of `subscriber`.
    pub(crate) fn topic_at(&self, subscriber: SubscriberId, place: u32) -> u32 {
        (subscriber.0 % self.topic_count + self.distances[place as usize]) % self.topic_count
    }

    /// The seat of `subscriber` at its topic number `place`: a number below [`Seating::seat_count`].
    pub(crate) fn seat(&self, subscriber: SubscriberId, place: u32) -> usize {
        subscriber.index() * self.distances.len() + place as usize
    }

    /// The seat of `subscriber` on `topic`, if it has one. Cost: a division and a place in a table.
    pub(crate) fn seat_on(&self, subscriber: SubscriberId, topic: u32) -> Option<usize> {
        let first = subscriber.0 % self.topic_count;
        let distance = if topic >= first { topic - first } else { topic + self.topic_count - first };
        let place = *self.places.get(distance as usize)?;
        (place != NO_PLACE && topic < self.topic_count).then(|| self.seat(subscriber, place))
    }

    /// The subscriber and the topic of a seat.
    pub(crate) fn at(&self, seat: usize) -> (SubscriberId, u32) {
        let subscriber = SubscriberId((seat / self.distances.len()) as u32);
        (subscriber, self.topic_at(subscriber, (seat % self.distances.len()) as u32))
    }

    /// How many subscribers each topic has.
    pub(crate) fn members(&self) -> Vec<u32> {
        let mut members = vec![0; self.topic_count as usize];
        for subscriber in 0..self.subscriber_count {
            for topic in self.topics_of(SubscriberId(subscriber)) {
                members[topic as usize] += 1;
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_the_same_number_of_subscribers_and_no_subscriber_has_a_topic_twice() {
        for (topics, subscribers, each) in [(1, 7, 1), (1000, 1000, 20), (20, 40, 20), (7, 21, 3)] {
            let seating = Seating::new(topics, subscribers, each);
            assert!(seating.members().iter().all(|&members| members == subscribers * each / topics), "{topics} topics");
            for subscriber in (0..subscribers).map(SubscriberId) {
                let mut own: Vec<u32> = seating.topics_of(subscriber).collect();
                assert_eq!(own[0], subscriber.0 % topics);
                own.sort_unstable();
                own.dedup();
                assert_eq!(own.len(), each as usize);
            }
        }
    }

    #[test]
    fn seats_are_found_from_both_sides() {
        let seating = Seating::new(11, 25, 4);
        let mut found = vec![false; seating.seat_count()];
        for subscriber in (0..25).map(SubscriberId) {
            let topics: Vec<u32> = seating.topics_of(subscriber).collect();
            for topic in 0..30 {
                let seat = seating.seat_on(subscriber, topic);
                assert_eq!(seat.is_some(), topics.contains(&topic), "{subscriber:?} on {topic}");
                if let Some(seat) = seat {
                    assert_eq!(seating.at(seat), (subscriber, topic));
                    assert!(!std::mem::replace(&mut found[seat], true));
                }
            }
        }
        assert!(found.into_iter().all(|found| found));
    }

    #[test]
    fn neighbours_share_few_topics() {
        let seating = Seating::new(1000, 1000, 20);
        let own = |subscriber| seating.topics_of(SubscriberId(subscriber)).collect::<Vec<u32>>();
        let shared = own(1).iter().filter(|topic| own(0).contains(topic)).count();
        assert!(shared <= 3, "{shared}");
    }
}
