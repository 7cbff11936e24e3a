//! What is counted, operation by operation.

use std::hint::black_box;

use fanfare::fanout::{Join, Policy, Sent, Writer};
use fanfare::hub::{Epoch, Kind, Offset, Position, TopicName, WorkerId};
use fanfare::protocol::{Content, Encoding, encode};
use fanfare::ws::{Decoder, OpCode};

use super::stage::{FanoutStage, HubStage, LINE, client_frame, decode};

/// Topics to find one among.
const NAMES: usize = 10_000;

/// An operation of the hot path.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Operations to count: enough that what happens every few hundred operations (a segment is full, a vector doubles)
    /// counts with its share, few enough for a second under valgrind.
    pub(crate) count: usize,
    /// Prepares what the operation acts on, and gives the operation.
    prepare: fn() -> Box<dyn FnMut()>,
}

impl Scenario {
    /// All of them, in the order of the walk of a publication.
    pub(crate) const ALL: &[Self] = &[
        Self { name: "decode/masked_128", count: 4_000, prepare: decode_masked },
        Self { name: "encode/plain_128", count: 4_000, prepare: || encoding(Encoding::Plain) },
        Self { name: "encode/json_128", count: 4_000, prepare: || encoding(Encoding::Json) },
        Self { name: "encode/sse_chunked_128", count: 4_000, prepare: || encoding(Encoding::SseChunked) },
        Self { name: "registry/find", count: NAMES, prepare: find },
        Self { name: "publish/nobody", count: 4_000, prepare: || publish("news", 0) },
        Self { name: "publish/1_worker", count: 4_000, prepare: || publish("news", 1) },
        Self { name: "publish/4_workers", count: 4_000, prepare: || publish("news", 4) },
        Self { name: "publish/history", count: 4_000, prepare: || publish("keep", 0) },
        Self { name: "publish/history_1_worker", count: 4_000, prepare: || publish("keep", 1) },
        Self { name: "mailbox/park_and_wake", count: 4_000, prepare: park_and_wake },
        Self { name: "history/read_100", count: 400, prepare: read_history },
        Self { name: "subscribe/hub", count: 4_000, prepare: subscribe_in_hub },
        Self { name: "subscribe/fanout", count: 4_000, prepare: subscribe_in_fanout },
        Self { name: "sweep/1_member", count: 4_000, prepare: || sweep(1, 1) },
        Self { name: "sweep/1000_members", count: 20, prepare: || sweep(1_000, 1) },
        Self { name: "sweep/1000_members_burst_16", count: 20, prepare: || sweep(1_000, 16) },
        Self { name: "sweep/gather_20_logs", count: 400, prepare: || gather(20) },
        Self { name: "visit/at_head", count: 4_000, prepare: visit_at_head },
        Self { name: "walk/1000_members", count: 20, prepare: || walk(1_000) },
    ];

    /// Prepares, warms up, and does `count` operations.
    pub(crate) fn run(&self, warm_up: usize, count: usize) {
        let mut operation = (self.prepare)();
        (0..warm_up + count).for_each(|_| operation());
    }
}

/// One client frame, whole in the read buffer.
fn decode_masked() -> Box<dyn FnMut()> {
    let (mut decoder, mut input) = (Decoder::new(), client_frame(OpCode::Text, 128));
    Box::new(move || assert_eq!(decode(&mut decoder, &mut input, usize::MAX), 128))
}

/// The frame of one publication, made and freed.
fn encoding(encoding: Encoding) -> Box<dyn FnMut()> {
    let position = Position { epoch: Epoch(1_763_700_000_000_000), offset: Offset(123_456) };
    Box::new(move || {
        drop(black_box(encode(encoding, &Content::plain("news", position, Kind::Text, black_box(LINE.as_bytes())))))
    })
}

/// A topic by its name, each of 10,000 in turn: the map's hasher is seeded anew in each process, so one name alone would be
/// found in the first place it is looked for today, and in the third tomorrow.
fn find() -> Box<dyn FnMut()> {
    let stage = HubStage::new(1);
    let names: Vec<_> = (0..NAMES).map(|one| TopicName::new(&format!("news{one}")).expect("a good name")).collect();
    let _held: Vec<_> = names.iter().map(|name| stage.topic(name.as_str())).collect();
    let mut next = (0..NAMES).cycle();
    Box::new(move || {
        let found = next.next().and_then(|at| stage.hub.find(&names[at]));
        assert!(black_box(found).is_some());
    })
}

/// A draft is made, published, and taken out of each interested mailbox; where there is history, it is full.
fn publish(topic: &'static str, workers: usize) -> Box<dyn FnMut()> {
    let stage = HubStage::new(4);
    let topic = stage.topic_on(topic, workers);
    let publish = move || {
        stage.publish(&topic);
        assert_eq!(stage.drain(workers), workers);
    };
    (0..HubStage::HISTORY).for_each(|_| publish());
    Box::new(publish)
}

/// A worker with nothing to do lies down and is woken.
fn park_and_wake() -> Box<dyn FnMut()> {
    let stage = HubStage::new(1);
    Box::new(move || {
        let mailbox = stage.hub.mailbox(WorkerId(0));
        assert!(mailbox.park());
        mailbox.wake();
        mailbox.unpark();
    })
}

/// The last 100 of a full history.
fn read_history() -> Box<dyn FnMut()> {
    let stage = HubStage::new(1);
    let topic = stage.topic("keep");
    (0..HubStage::HISTORY).for_each(|_| stage.publish(&topic));
    Box::new(move || assert_eq!(stage.read_last(&topic, 100).replay.len(), 100))
}

/// One subscriber more, and less, on a topic that has others.
fn subscribe_in_hub() -> Box<dyn FnMut()> {
    let stage = HubStage::new(1);
    let topic = stage.topic_on("news", 1);
    Box::new(move || {
        stage.subscribe(&topic, 0);
        stage.unsubscribe(&topic, 0);
    })
}

/// One member more, and less, in a log of 1,000.
fn subscribe_in_fanout() -> Box<dyn FnMut()> {
    let mut stage = FanoutStage::new(Policy::Disconnect);
    let (log, _) = stage.log(1_000);
    let other = stage.fanout.connect();
    Box::new(move || {
        stage.fanout.subscribe(log, other, Join::At(Offset(0)));
        stage.fanout.unsubscribe(log, other);
    })
}

/// `burst` frames are appended, and every member is visited once.
fn sweep(members: usize, burst: usize) -> Box<dyn FnMut()> {
    let mut stage = FanoutStage::new(Policy::Disconnect);
    let (log, _) = stage.log(members);
    Box::new(move || {
        (0..burst).for_each(|_| stage.append(log));
        stage.sweep();
    })
}

/// A frame in each log of one connection, which is visited once.
fn gather(logs: usize) -> Box<dyn FnMut()> {
    let mut stage = FanoutStage::new(Policy::Disconnect);
    let logs = stage.member_of(logs);
    Box::new(move || {
        logs.iter().for_each(|&log| stage.append(log));
        stage.sweep();
    })
}

/// A visit to a member that has everything.
fn visit_at_head() -> Box<dyn FnMut()> {
    let mut stage = FanoutStage::new(Policy::Disconnect);
    let (_, members) = stage.log(1);
    Box::new(move || assert_eq!(stage.visit(black_box(members[0]), Sent::Wrote), Writer::Open))
}

/// The whole walk: a client's frame is decoded, published, taken from the mailbox, and swept to every member.
fn walk(members: usize) -> Box<dyn FnMut()> {
    let (mut decode, mut publish, mut sweep) = (decode_masked(), publish("news", 1), sweep(members, 1));
    Box::new(move || {
        decode();
        publish();
        sweep();
    })
}
