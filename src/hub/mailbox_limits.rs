//! Tests of the mailbox at its limits. (Not in `mailbox.rs`, which is compiled a second time over loom.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::canary::Canary;
use super::mailbox::{Letter, Mailbox};
use super::room::{Reserved, Room, Tell};

fn mailbox(limit_bytes: usize) -> (Arc<Mailbox>, Arc<AtomicUsize>) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    let wake = Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (Arc::new(Mailbox::new(limit_bytes, wake)), wakes)
}

fn wakes(count: &AtomicUsize) -> usize {
    count.swap(0, Ordering::Relaxed)
}

#[test]
fn charges_fill_the_limit_to_the_last_byte() {
    let room = Room::new(1000, 100);
    assert_eq!(room.reserve(600), Reserved::Yes);
    assert_eq!(room.reserve(401), Reserved::No);
    assert_eq!(room.reserve(400), Reserved::Yes);
    assert_eq!(room.reserve(1), Reserved::No);
}

#[test]
fn a_letter_that_left_the_queue_is_charged_until_it_is_released() {
    let room = Room::new(1000, 100);
    assert_eq!(room.reserve(1000), Reserved::Yes);
    room.letter_left();
    assert_eq!(room.reserve(1), Reserved::No);
    assert_eq!(room.release(1000), Tell::Now);
    assert_eq!(room.reserve(1), Reserved::Yes);
}

#[test]
fn letters_are_limited_however_small_they_are() {
    let room = Room::new(1000, 2);
    assert_eq!(room.reserve(1), Reserved::Yes);
    assert_eq!(room.reserve(1), Reserved::Yes);
    assert_eq!(room.reserve(1), Reserved::No);
    room.letter_left();
    assert_eq!(room.release(1), Tell::Now);
    assert_eq!(room.reserve(1), Reserved::Yes);
}

#[test]
fn a_letter_larger_than_the_limit_fits_when_nothing_is_charged() {
    let room = Room::new(1000, 100);
    assert_eq!(room.reserve(1), Reserved::Yes);
    assert_eq!(room.reserve(5000), Reserved::No);
    assert_eq!(room.cancel(1), Tell::Now);
    assert_eq!(room.reserve(5000), Reserved::Yes);
    assert_eq!(room.reserve(1), Reserved::No);
    room.letter_left();
    assert_eq!(room.release(5000), Tell::Now);
    assert_eq!(room.reserve(1000), Reserved::Yes);
}

#[test]
fn those_who_wait_are_told_once_and_only_when_half_of_the_room_is_free() {
    let room = Room::new(1000, 100);
    for _ in 0..10 {
        assert_eq!(room.reserve(100), Reserved::Yes);
    }
    assert_eq!(room.reserve(100), Reserved::No);
    for _ in 0..4 {
        room.letter_left();
        assert_eq!(room.release(100), Tell::Nobody);
    }
    assert_eq!(room.cancel(100), Tell::Now);
    assert_eq!(room.cancel(100), Tell::Nobody);
}

#[test]
fn a_letter_that_needs_more_than_half_is_told_when_it_fits() {
    let room = Room::new(1000, 100);
    for _ in 0..6 {
        assert_eq!(room.reserve(100), Reserved::Yes);
    }
    assert_eq!(room.reserve(900), Reserved::No);
    for _ in 0..4 {
        assert_eq!(room.cancel(100), Tell::Nobody);
    }
    assert_eq!(room.wait(), Tell::Nobody);
    assert_eq!(room.cancel(100), Tell::Now);
    assert_eq!(room.reserve(900), Reserved::Yes);
}

#[test]
fn a_paused_worker_is_woken_once_however_often_it_asked() {
    let (full, _) = mailbox(1000);
    let (paused, woken) = mailbox(1000);
    assert_eq!(full.reserve(1000), Reserved::Yes);
    assert_eq!(full.reserve(1), Reserved::No);
    full.wake_when_roomy(&paused);
    full.wake_when_roomy(&paused);
    assert!(paused.park());
    full.cancel(1000);
    assert_eq!(wakes(&woken), 1);
    paused.unpark();
    assert!(paused.park());
    assert_eq!(full.reserve(1000), Reserved::Yes);
    full.cancel(1000);
    assert_eq!(wakes(&woken), 0);
}

#[test]
fn a_worker_that_asks_when_there_is_room_again_is_woken_at_once() {
    let (full, _) = mailbox(1000);
    let (paused, _) = mailbox(1000);
    assert_eq!(full.reserve(1000), Reserved::Yes);
    assert_eq!(full.reserve(1), Reserved::No);
    full.cancel(1000);
    full.wake_when_roomy(&paused);
    assert!(!paused.park());
    assert!(paused.park());
}

#[test]
fn a_worker_may_wait_for_its_own_mailbox_and_is_not_kept_alive_by_that() {
    let (own, _) = mailbox(1000);
    assert_eq!(own.reserve(1000), Reserved::Yes);
    assert_eq!(own.reserve(1), Reserved::No);
    own.wake_when_roomy(&own);
    assert_eq!((Arc::strong_count(&own), Arc::weak_count(&own)), (1, 1));
    own.cancel(1000);
    assert!(!own.park());
    assert_eq!(Arc::weak_count(&own), 0);
}

#[test]
fn an_http_publisher_is_told_when_room_was_made_after_it_enabled() {
    let (full, _) = mailbox(1000);
    assert_eq!(full.reserve(1000), Reserved::Yes);
    let mut told = std::pin::pin!(full.room().notified());
    let _ = told.as_mut().enable();
    assert_eq!(full.reserve(1), Reserved::No);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(told.as_mut().poll(&mut context), Poll::Pending);
    full.cancel(1000);
    assert_eq!(told.as_mut().poll(&mut context), Poll::Ready(()));
}

#[test]
fn a_sleeping_worker_is_woken_once_and_one_that_is_awake_never() {
    let (reader, woken) = mailbox(1000);
    reader.wake();
    assert_eq!(wakes(&woken), 0);
    // The wake stands: it may be about work that does not lie in the mailbox.
    assert!(!reader.park());
    assert!(reader.park());
    for _ in 0..3 {
        reader.wake();
    }
    assert_eq!(wakes(&woken), 1);
    reader.unpark();
    assert!(reader.park());
}

#[test]
fn canaries_fit_into_a_full_mailbox_up_to_their_own_limit() {
    let (full, woken) = mailbox(1);
    assert_eq!(full.reserve(1), Reserved::Yes);
    assert!(full.park());
    let canary = Arc::new(Canary::new(Mailbox::LIMIT_CANARIES + 1));
    for _ in 0..=Mailbox::LIMIT_CANARIES {
        full.push_canary(&canary);
    }
    assert_eq!(wakes(&woken), 1);
    assert_eq!(full.depth(), Mailbox::LIMIT_CANARIES);
    while let Some(Letter::Canary(canary)) = full.pop() {
        canary.seen();
    }
    // The one that was left out stays missing.
    assert_eq!(canary.missing.load(Ordering::Relaxed), 1);
    full.push_canary(&canary);
    assert_eq!(full.depth(), 1);
}

#[test]
fn a_canary_seen_by_all_is_done() {
    let canary = Canary::new(2);
    canary.seen();
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(std::pin::pin!(canary.done.notified()).poll(&mut context), Poll::Pending);
    canary.seen();
    assert_eq!(std::pin::pin!(canary.done.notified()).poll(&mut context), Poll::Ready(()));
}
