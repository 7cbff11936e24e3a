//! What happens in a story, at random.

use proptest::prelude::*;

use super::kinds::KINDS;
use super::payload::Shape;
use super::topic::{Claim, Rules, Wish};
use super::world::{CLIENTS, TOPICS};

/// One run of a hub, and what happens around it.
#[derive(Debug, Clone)]
pub(super) struct Story {
    /// `history.sync` of the topic on disk.
    pub(super) sync: &'static str,
    pub(super) topics: Vec<Rules>,
    pub(super) steps: Vec<Step>,
}

/// What happens next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A client wants a topic. One that is not connected connects first.
    Subscribe {
        client: usize,
        topic: usize,
        wish: Wish,
        claim: Claim,
    },
    /// The same while the server publishes: where it joins is for the hub to say.
    SubscribeInTheMidst {
        client: usize,
        topic: usize,
        wish: Wish,
        claim: Claim,
        count: usize,
    },
    /// The same in one frame with a publication of its own, which is then still on its way to others.
    PublishAndSubscribe {
        client: usize,
        topic: usize,
        wish: Wish,
        claim: Claim,
    },
    /// A client that was cut comes back as SDKs do: it connects and takes up all its subscriptions in one frame.
    Return {
        client: usize,
    },
    Unsubscribe {
        client: usize,
        topic: usize,
    },
    /// A client goes, whatever it is still owed.
    Cut {
        client: usize,
        politely: bool,
    },
    /// A client reads all that it is to get. Others lag.
    Read {
        client: usize,
    },
    Publish {
        topic: usize,
        shape: Shape,
        by: By,
    },
    RemoveHistory {
        topic: usize,
    },
    /// So much time passes that of this topic only the last `keep` publications are not too old.
    Expire {
        topic: usize,
        keep: usize,
    },
    /// The hub frees topics that nobody needs: the next one of this name is another. Perhaps all leave it before, and its
    /// history is removed.
    Free {
        topic: usize,
        is_abandoned: bool,
    },
    /// The hub ends and another begins, with what is on disk. Clients hear all they are owed first, or are gone before.
    Restart {
        politely: bool,
    },
}

/// Who publishes, and how.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Server,
    /// Under an idempotency key.
    Keyed(u8),
    /// With a version, of which one that is not newer is told to nobody.
    Versioned(u64),
    /// Without being kept.
    Passing,
    Client(usize),
}

pub(super) fn story() -> impl Strategy<Value = Story> {
    let sync = prop_oneof![Just("always"), Just("20ms")];
    let topics = proptest::sample::subsequence(KINDS.to_vec(), TOPICS);
    let steps = proptest::collection::vec(step(), 1..300);
    (sync, topics, steps).prop_map(|(sync, topics, steps)| Story { sync, topics, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let (client, topic) = (0..CLIENTS, 0..TOPICS);
    prop_oneof![
        12 => (client.clone(), topic.clone(), wish(), claim())
            .prop_map(|(client, topic, wish, claim)| Step::Subscribe { client, topic, wish, claim }),
        9 => (client.clone(), topic.clone(), wish(), claim(), 1..6_usize).prop_map(
            |(client, topic, wish, claim, count)| Step::SubscribeInTheMidst { client, topic, wish, claim, count }
        ),
        6 => (client.clone(), topic.clone(), wish(), claim())
            .prop_map(|(client, topic, wish, claim)| Step::PublishAndSubscribe { client, topic, wish, claim }),
        6 => client.clone().prop_map(|client| Step::Return { client }),
        8 => (client.clone(), topic.clone()).prop_map(|(client, topic)| Step::Unsubscribe { client, topic }),
        4 => (client.clone(), any::<bool>()).prop_map(|(client, politely)| Step::Cut { client, politely }),
        4 => client.prop_map(|client| Step::Read { client }),
        24 => (topic.clone(), shape(), by()).prop_map(|(topic, shape, by)| Step::Publish { topic, shape, by }),
        1 => topic.clone().prop_map(|topic| Step::RemoveHistory { topic }),
        1 => (topic.clone(), 0..3_usize).prop_map(|(topic, keep)| Step::Expire { topic, keep }),
        2 => (topic, proptest::bool::weighted(0.3)).prop_map(|(topic, is_abandoned)| Step::Free { topic, is_abandoned }),
        1 => any::<bool>().prop_map(|politely| Step::Restart { politely }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let one = proptest::bool::weighted;
    (one(0.7), one(0.5), one(0.6), one(0.1)).prop_map(|(recoverable, positioned, delta, refuses_unrecovered)| Wish {
        recoverable,
        positioned,
        delta,
        refuses_unrecovered,
    })
}

fn claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        3 => Just(Claim::None),
        8 => Just(Claim::Own),
        2 => (1..5_u64).prop_map(Claim::Behind),
        1 => (1..3_u64).prop_map(Claim::Ahead),
        1 => Just(Claim::PastEpoch),
        1 => Just(Claim::NoEpoch),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        3 => Just(Shape::Short),
        5 => Just(Shape::Long),
        1 => Just(Shape::Lined),
        1 => Just(Shape::Text),
        1 => Just(Shape::Bytes),
    ]
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![
        8 => Just(By::Server),
        1 => (0..2_u8).prop_map(By::Keyed),
        2 => (1..6_u64).prop_map(By::Versioned),
        2 => Just(By::Passing),
        6 => (0..CLIENTS).prop_map(By::Client),
    ]
}
