//! A full mailbox makes a publish wait, and no room that was made is missed.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Request;

use super::RULES;
use crate::accept::ListenerId;
use crate::api::serve;
use crate::api::testing::Rig;
use crate::hub::{Letter, WorkerId};
use crate::refusal::Refusal;

/// A mailbox that holds one publication: a second is let in only when the first is done.
fn rig(publish_wait: &str) -> Rig {
    let rig = Rig::new(&format!("{RULES}\n[limits]\nmailbox = 1\npublish_wait = \"{publish_wait}\""));
    rig.subscribe("open", WorkerId(0));
    rig
}

#[tokio::test]
async fn a_publish_waits_for_room_and_is_then_accepted() {
    let rig = rig("1h");
    assert_eq!(rig.post("/topics/open", "first").await.status(), 200);
    let request = Request::post("/topics/open").body(Full::new(bytes::Bytes::from("second"))).unwrap();
    let mut second = pin!(serve(&rig.surface, rig.surface.reach(ListenerId(0)), request));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(second.as_mut().poll(&mut context).is_pending(), "there is no room");
    }
    assert!(matches!(rig.work(WorkerId(0)), Some(Letter::Publication(first)) if first.payload() == "first"));
    let Poll::Ready(answer) = second.as_mut().poll(&mut context) else { panic!("there is room") };
    assert_eq!(answer.status(), 200);
    assert!(matches!(rig.work(WorkerId(0)), Some(Letter::Publication(second)) if second.payload() == "second"));
    assert!(rig.work(WorkerId(0)).is_none());
}

#[tokio::test]
async fn many_waiting_publishes_are_all_accepted_as_room_is_made() {
    let rig = rig("1h");
    let publishes = (0..20).map(|_| Box::pin(rig.post("/topics/open", "x")));
    let mut publishes: Vec<_> = publishes.collect();
    let mut context = Context::from_waker(Waker::noop());
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut letters = 0;
    while !publishes.is_empty() {
        assert!(Instant::now() < deadline, "{} publishes are stuck", publishes.len());
        publishes.retain_mut(|publish| match publish.as_mut().poll(&mut context) {
            Poll::Ready(answer) => {
                assert_eq!(answer.status(), 200);
                false
            }
            Poll::Pending => true,
        });
        tokio::task::yield_now().await;
        letters += usize::from(rig.work(WorkerId(0)).is_some());
    }
    while rig.work(WorkerId(0)).is_some() {
        letters += 1;
    }
    assert_eq!(letters, 20);
}

#[tokio::test]
async fn a_publish_that_gets_no_room_in_time_is_refused_and_not_published() {
    let rig = rig("20ms");
    assert_eq!(rig.post("/topics/open", "first").await.status(), 200);
    let refused = rig.post("/topics/open", "second").await;
    assert_eq!((refused.status(), refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(rig.surface.counters.rejected_http[Refusal::Overloaded.index()].get(), 1);
    assert_eq!(rig.surface.counters.published_http.get(), 1);
    assert!(rig.work(WorkerId(0)).is_some());
    assert!(rig.work(WorkerId(0)).is_none());
}
