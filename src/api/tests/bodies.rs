//! The limits of a request's body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body, Frame};

use super::RULES;
use crate::api::testing::Rig;

/// A body in pieces that does not say how long it is; it ends, or stops, after the last.
struct Pieces {
    left: Vec<&'static str>,
    ends: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return if self.ends { Poll::Ready(None) } else { Poll::Pending };
        }
        let piece = self.left.remove(0);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
    }
}

fn rig() -> Rig {
    Rig::new(&format!("{RULES}\n[limits]\nmessage = 8\nheader_timeout = \"20ms\""))
}

fn pieces(left: &[&'static str], ends: bool) -> Request<Pieces> {
    Request::post("/topics/open-kept").body(Pieces { left: left.to_vec(), ends }).unwrap()
}

#[tokio::test]
async fn a_body_at_the_limit_is_published_and_one_byte_more_is_refused() {
    let rig = rig();
    assert_eq!(rig.post("/topics/open-kept", "12345678").await.status(), 200);
    let refused = rig.post("/topics/open-kept", "123456789").await;
    assert_eq!((refused.status(), refused.code().as_str()), (413, "body-too-large"));
    assert_eq!(refused.header("connection"), "close");
    assert_eq!(rig.get("/topics/open-kept").await.json()["offset"], 1);
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_refused_before_anything_is_read() {
    let rig = rig();
    // It would never end: only the announcement can be what refuses it.
    let mut request = pieces(&[], false);
    request.headers_mut().insert("content-length", "9".parse().unwrap());
    assert_eq!(rig.serve(request).await.code(), "body-too-large");
}

#[tokio::test]
async fn a_body_in_pieces_is_joined_and_refused_when_it_gets_over_the_limit() {
    let rig = rig();
    assert_eq!(rig.serve(pieces(&["", "123", "", "45", "678"], true)).await.status(), 200);
    let kept = rig.get("/topics/open-kept").await.json();
    assert_eq!(kept["publications"][0]["data"], "12345678");
    assert_eq!(rig.serve(pieces(&["123", "456", "789"], false)).await.code(), "body-too-large");
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_given_up() {
    let refused = rig().serve(pieces(&["123"], false)).await;
    assert_eq!((refused.status(), refused.code().as_str()), (408, "body-timeout"));
    assert_eq!(refused.header("connection"), "close");
}
