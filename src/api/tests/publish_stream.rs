//! `publish_stream`: lines that are published as they come.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::RULES;
use super::server_api::call;
use crate::api::server_api::TOLD_LIMIT;
use crate::api::testing::{Answered, Rig};
use crate::hub::{Letter, WorkerId};

/// A body of pieces that the test sends.
struct Pieces(mpsc::UnboundedReceiver<&'static str>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
}

fn lines(answer: &Answered) -> Vec<Value> {
    assert_eq!((answer.status(), answer.header("content-type")), (200, "application/x-ndjson"), "{answer:?}");
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn payload(rig: &Rig) -> Option<Vec<u8>> {
    match rig.work(WorkerId(0))? {
        Letter::Publication(publication) => Some(publication.payload().to_vec()),
        letter @ (Letter::Matched(_) | Letter::Canary(_)) => panic!("{letter:?}"),
    }
}

#[tokio::test]
async fn each_line_is_published_or_told_of_with_its_number() {
    let rig = Rig::new(RULES);
    rig.subscribe("news", WorkerId(0));
    let body = "{\"channel\":\"news\",\"data\":1}\n\n{\"channel\":\"\",\"data\":2}\r\nnonsense\n{\"channel\":\"news\",\"data\": {\"a\" : 3}}";
    let answer = lines(&call(&rig, "publish_stream", body).await);
    assert_eq!(answer.len(), 3, "{answer:?}");
    assert_eq!((&answer[0]["line"], &answer[0]["error"]["code"]), (&json!(3), &json!(107)));
    assert_eq!((&answer[1]["line"], &answer[1]["error"]["code"]), (&json!(4), &json!(107)));
    assert_eq!(answer[2], json!({"lines": 5, "published": 2, "failed": 2}));
    assert_eq!(
        [payload(&rig), payload(&rig), payload(&rig)],
        [Some(b"1".to_vec()), Some(b"{\"a\" : 3}".to_vec()), None]
    );
    assert_eq!(rig.surface.counters.published_http.get(), 2);
    let nothing = lines(&call(&rig, "publish_stream", "").await);
    assert_eq!(nothing, [json!({"lines": 0, "published": 0, "failed": 0})]);
}

#[tokio::test]
async fn fields_of_a_publication_mean_what_they_mean_there() {
    let rig = Rig::new(RULES);
    let line = r#"{"channel":"kept","data":1,"idempotency_key":"k"}"#;
    let version = r#"{"channel":"kept","data":2,"version":7,"tags":{"a":"b"}}"#;
    let body = [line, line, version, version, r#"{"channel":"other","data":2,"version":7}"#].join("\n");
    let answer = lines(&call(&rig, "publish_stream", body).await);
    assert_eq!((&answer[0]["line"], &answer[1]["failed"]), (&json!(5), &json!(1)));
    assert_eq!(rig.surface.hub.census().history_publications, 2);
}

#[tokio::test]
async fn lines_are_published_before_the_body_has_ended_and_may_come_in_pieces() {
    let rig = Rig::new(RULES);
    rig.subscribe("news", WorkerId(0));
    let (pieces, body) = mpsc::unbounded_channel();
    let request = Request::post("/api/publish_stream").header("x-api-key", "k").body(Pieces(body)).unwrap();
    let mut answer = pin!(rig.serve(request));
    let mut context = Context::from_waker(Waker::noop());
    for (piece, published) in [
        ("{\"channel\":\"news\",", None),
        ("\"data\":1}", None),
        ("\n{\"chan", Some(b"1".to_vec())),
        ("nel\":\"news\",\"data\":2}\n", Some(b"2".to_vec())),
    ] {
        pieces.send(piece).unwrap();
        assert!(answer.as_mut().poll(&mut context).is_pending());
        assert_eq!(payload(&rig), published, "{piece}");
    }
    drop(pieces);
    assert_eq!(lines(&answer.await), [json!({"lines": 2, "published": 2, "failed": 0})]);
}

#[tokio::test]
async fn a_full_mailbox_makes_the_stream_wait_and_nothing_fails() {
    let rig = Rig::new(&format!("{RULES}\n[limits]\nmailbox = 1\npublish_wait = \"1ms\""));
    rig.subscribe("news", WorkerId(0));
    let body = "{\"channel\":\"news\",\"data\":1}\n".repeat(20);
    let mut answer = pin!(call(&rig, "publish_stream", body));
    let mut context = Context::from_waker(Waker::noop());
    let mut letters = 0;
    let answer = loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(answer) => break answer,
            // As many polls as there are letters, and no time passes: it waits for room and for nothing else.
            Poll::Pending => letters += usize::from(payload(&rig).is_some()),
        }
        assert!(letters <= 20);
    };
    letters += usize::from(payload(&rig).is_some());
    assert_eq!(lines(&answer), [json!({"lines": 20, "published": 20, "failed": 0})]);
    assert_eq!(letters, 20);
}

#[tokio::test]
async fn failed_lines_are_told_of_up_to_a_limit_and_all_are_counted() {
    let rig = Rig::new(RULES);
    let answer = lines(&call(&rig, "publish_stream", "{}\n".repeat(TOLD_LIMIT + 5)).await);
    assert_eq!(answer.len(), TOLD_LIMIT + 1);
    assert_eq!(answer[TOLD_LIMIT]["failed"], TOLD_LIMIT + 5);
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_stream_with_what_was_done_before() {
    let rig = Rig::new(&format!("{RULES}\n[limits]\nmessage = \"1KiB\""));
    let limit = 1024 / 3 * 4 + 64 * 1024;
    let line = r#"{"channel":"news","data":1}"#;
    let padded = |len: usize| format!("{line}{}\n", " ".repeat(len - line.len() - 1));
    let answer = call(&rig, "publish_stream", format!("{}{}", padded(limit), padded(limit + 1))).await;
    assert_eq!(answer.header("connection"), "close");
    let answer = lines(&answer);
    assert_eq!((&answer[0]["lines"], &answer[0]["published"]), (&json!(1), &json!(1)));
    assert!(answer[0]["aborted"]["message"].as_str().unwrap().starts_with("body-too-large"), "{answer:?}");
    let first = call(&rig, "publish_stream", padded(limit + 1)).await;
    assert_eq!((first.status(), first.code().as_str()), (413, "body-too-large"));
}

#[tokio::test]
async fn a_stream_that_says_nothing_for_too_long_is_ended() {
    let rig = Rig::new(&format!("{RULES}\n[limits]\nheader_timeout = \"20ms\""));
    let (pieces, body) = mpsc::unbounded_channel();
    pieces.send("{\"channel\":\"news\",\"data\":1}\n{").unwrap();
    let request = Request::post("/api/publish_stream").header("x-api-key", "k").body(Pieces(body)).unwrap();
    let answer = lines(&rig.serve(request).await);
    assert_eq!((&answer[0]["lines"], &answer[0]["published"]), (&json!(1), &json!(1)));
    assert!(answer[0]["aborted"]["message"].as_str().unwrap().starts_with("body-timeout"), "{answer:?}");
}

#[tokio::test]
async fn a_hub_that_drains_ends_the_stream_and_one_without_a_key_never_begins() {
    let rig = Rig::new(RULES);
    rig.surface.hub.drain();
    let answer = call(&rig, "publish_stream", "{\"channel\":\"news\",\"data\":1}\n").await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "draining"));
    assert_eq!(rig.post("/api/publish_stream", "{}").await.status(), 401);
}
