//! Idempotency keys of topics on disk: the turn goes with the publication, not with who asked for it.

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::server_api::{call, ok};
use crate::api::testing::Rig;
use crate::hub::{Claim, Draft, Queue, WorkerId};

const UNDER_X: &str = r#"{"channel":"disk","data":"x","idempotency_key":"x"}"#;

/// A mailbox takes one publication, however small: the next one stays with the thread that delivers, those after it in its
/// queue.
fn rig(directory: &Path, sync: &str) -> Rig {
    let path = directory.join("history.redb");
    Rig::new(&format!(
        "[api]\nkeys = [\"k\"]\n[limits]\nmailbox = 1\npublish_wait = \"20s\"\n[history]\npath = {path:?}\nsync = \"{sync}\"\n\
         [[topics]]\npattern = \"disk*\"\nhistory = {{ size = 20000, store = \"disk\" }}\n",
    ))
}

/// Takes what a worker gets until `count` have come; then nothing more comes.
async fn work(rig: &Rig, count: usize) {
    let mut come = 0;
    let done = timeout(Duration::from_secs(30), async {
        while come < count {
            come += usize::from(rig.work(WorkerId(0)).is_some());
            tokio::task::yield_now().await;
        }
    });
    done.await.unwrap_or_else(|_| panic!("{come} of {count} came"));
    assert!(rig.work(WorkerId(0)).is_none(), "one more than {count}");
}

#[tokio::test]
async fn a_publication_whose_caller_has_gone_keeps_its_key() {
    for sync in ["always", "10ms"] {
        let directory = tempfile::tempdir().unwrap();
        let rig = rig(directory.path(), sync);
        rig.subscribe("disk", WorkerId(0));
        assert_eq!(
            ok(&rig, "publish", r#"{"channel":"disk","data":"fills the mailbox"}"#).await["result"]["offset"],
            1
        );
        let mut context = Context::from_waker(Waker::noop());
        let mut gone = Box::pin(ok(&rig, "publish", UNDER_X));
        assert!(gone.as_mut().poll(&mut context).is_pending(), "there is no room");
        drop(gone);
        let mut again = pin!(ok(&rig, "publish", UNDER_X));
        assert!(again.as_mut().poll(&mut context).is_pending(), "it is under way");
        assert_eq!(rig.surface.hub.idempotency().len(), 1);
        let (answer, ()) = tokio::join!(again, work(&rig, 2));
        assert_eq!(answer["result"]["offset"], 2);
        assert_eq!(ok(&rig, "publish", UNDER_X).await, answer, "{sync}");
        let history = ok(&rig, "history", r#"{"channel":"disk","limit":-1}"#).await;
        assert_eq!(history["result"]["publications"].as_array().unwrap().len(), 2, "published once");
        rig.surface.hub.close();
    }
}

#[tokio::test]
async fn a_publication_for_which_there_was_no_room_leaves_its_key_free() {
    let directory = tempfile::tempdir().unwrap();
    let rig = rig(directory.path(), "always");
    let hub = &rig.surface.hub;
    let topic = rig.subscribe("disk", WorkerId(0));
    ok(&rig, "publish", r#"{"channel":"disk","data":"fills the mailbox"}"#).await;
    let offer = || hub.publish(&topic, Draft::text(""), Instant::now(), || Box::new(|_| {}));
    // The thread takes one, and stays with it: what comes from now on stays in its queue.
    let mut taken = pin!(hub.room(Queue::Disk).notified());
    taken.as_mut().enable();
    assert!(offer().is_none());
    timeout(Duration::from_secs(30), taken).await.expect("it is taken");
    let waiting = std::iter::repeat_with(offer).take_while(Option::is_none).count();
    let mut context = Context::from_waker(Waker::noop());
    let mut gone = Box::pin(ok(&rig, "publish", UNDER_X));
    assert!(gone.as_mut().poll(&mut context).is_pending(), "there is no room");
    assert!(matches!(hub.idempotency().claim(topic.name(), "x", Instant::now()), Claim::UnderWay(_)));
    drop(gone);
    // It was in no queue: nobody will ever publish it, and whoever comes next has the turn.
    assert!(hub.idempotency().is_empty());
    let (answer, ()) = tokio::join!(ok(&rig, "publish", UNDER_X), work(&rig, waiting + 3));
    assert_eq!(answer["result"]["offset"], waiting + 3);
    hub.close();
}

#[tokio::test]
async fn what_is_refused_leaves_its_key_free() {
    let directory = tempfile::tempdir().unwrap();
    let rig = rig(directory.path(), "always");
    let hub = &rig.surface.hub;
    hub.disk().unwrap().set_failing(true);
    let refused = call(&rig, "publish", UNDER_X).await;
    assert_eq!((refused.status(), refused.code().as_str()), (503, "history-unavailable"));
    assert!(hub.idempotency().is_empty());
    hub.disk().unwrap().set_failing(false);
    assert_eq!(ok(&rig, "publish", UNDER_X).await["result"]["offset"], 1);
    hub.drain();
    let late = call(&rig, "publish", UNDER_X.replace("\"x\"}", "\"late\"}")).await;
    assert_eq!((late.status(), late.code().as_str()), (503, "draining"));
    assert_eq!(hub.idempotency().len(), 1);
    hub.close();
}
