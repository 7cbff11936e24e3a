//! A publication's frames, whoever asks for them in whatever order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::config::Config;
use crate::hub::{Draft, Hub, Kind, Offset, Position, Publication, Topic, TopicName};
use crate::protocol::{Encoding, Shape};
use crate::ws::frame::payload;
use crate::ws::{Deflater, Deflation, ThresholdId, Thresholds, Window};

const LEVEL: u8 = 3;

/// What listeners may have; the last one is for none of the payloads below.
const SIZES: [usize; 4] = [1, 100, 400, 10_000];

fn topic() -> Arc<Topic> {
    Hub::new(&Config::default(), Vec::new()).topic(&TopicName::new("news").unwrap()).unwrap()
}

fn publication(topic: &Arc<Topic>, payload: &[u8]) -> Publication {
    let position = Position { epoch: topic.epoch(), offset: Offset(1) };
    Publication::new(Arc::clone(topic), position, Draft::new(Kind::Binary, payload), Instant::now())
}

fn thresholds() -> (Thresholds, [ThresholdId; SIZES.len()]) {
    let mut thresholds = Thresholds::default();
    let ids = SIZES.map(|bytes| thresholds.enter(bytes).unwrap());
    (thresholds, ids)
}

fn encodings() -> Vec<Encoding> {
    let shape = Shape::all().find(|shape| shape.delimiting().is_none()).expect("a WebSocket");
    vec![Encoding::Plain, Encoding::Json, Encoding::Centrifuge(shape)]
}

/// Who asks: on which worker, for which encoding and window, with which threshold.
#[derive(Debug, Clone, Copy)]
struct Ask {
    worker: usize,
    encoding: Encoding,
    window: Option<Window>,
    /// In [`SIZES`].
    threshold: usize,
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let windows = [None, Some(Window::Bits9), Some(Window::Bits12), Some(Window::Bits15)];
    let ask = (0..2_usize, select(encodings()), select(windows.to_vec()), 0..SIZES.len());
    vec(ask.prop_map(|(worker, encoding, window, threshold)| Ask { worker, encoding, window, threshold }), 1..60)
}

/// Some that become smaller, and some that do not.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (any::<u8>(), 0..600_usize).prop_map(|(byte, count)| vec![byte; count]),
        vec(any::<u8>(), 0..600),
        select(vec![99, 100, 399, 400]).prop_map(|count| vec![b'a'; count]),
    ]
}

proptest! {
    #[test]
    fn everyone_gets_it_compressed_from_his_own_size_on_and_it_is_compressed_once_per_window(
        bytes in payloads(),
        asks in asks(),
    ) {
        let (thresholds, ids) = thresholds();
        let topic = topic();
        let (publication, uncompressed) = (publication(&topic, &bytes), publication(&topic, &bytes));
        let mut workers = [LEVEL; 2].map(|level| Deflater::new(level, thresholds.clone()));
        let mut compressed = HashSet::new();
        let mut expected_bytes = 0;
        for Ask { worker, encoding, window, threshold } in asks {
            let wanted = match window {
                Some(window) => encoding.deflated(Deflation { window, threshold: ids[threshold] }),
                None => encoding,
            };
            let mut fresh = Deflater::new(LEVEL, Thresholds::default());
            let plain = uncompressed.frame(encoding, &mut fresh).clone();
            let bytes = payload(&plain).len();
            let expected = match window.filter(|_| bytes >= SIZES[threshold]) {
                Some(window) => {
                    if compressed.insert((encoding, window)) {
                        expected_bytes += bytes as u64;
                    }
                    fresh.deflate(window, &plain).unwrap_or(plain)
                }
                None => plain,
            };
            prop_assert_eq!(publication.frame(wanted, &mut workers[worker]), &expected);
        }
        let in_bytes: u64 = workers.iter_mut().map(|worker| worker.take_tally().in_bytes).sum();
        prop_assert_eq!(in_bytes, expected_bytes);
    }
}

#[test]
fn subscribers_of_listeners_that_differ_share_the_same_bytes() {
    let (thresholds, [low, high, ..]) = thresholds();
    let mut deflater = Deflater::new(LEVEL, thresholds);
    let publication = publication(&topic(), &[b'a'; 200]);
    let frames = [low, high].map(|threshold| {
        let encoding = Encoding::Plain.deflated(Deflation { window: Window::Bits15, threshold });
        publication.frame(encoding, &mut deflater).as_ptr()
    });
    assert_eq!(frames[0], frames[1]);
}
