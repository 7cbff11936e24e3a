//! What the tests of HTTP share: a surface over a real hub whose workers are played by the test.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::http::request::Builder;
use hyper::http::response::Parts;
use hyper::{Request, Response};
use serde_json::Value;

use super::surface::{Body, Surface};
use crate::accept::ListenerId;
use crate::admin::counters::Counters;
use crate::config::Config;
use crate::hub::{Hub, Letter, Mailbox, Start, Topic, TopicName, WorkerId};

/// A surface with two workers.
pub(crate) struct Rig {
    pub(crate) surface: Surface,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl Rig {
    pub(crate) const WORKERS: usize = 2;

    /// A surface of this configuration, in TOML.
    pub(crate) fn new(toml: &str) -> Self {
        Self::of(toml::from_str(toml).unwrap())
    }

    pub(crate) fn of(config: Config) -> Self {
        let mailbox = || Arc::new(Mailbox::new(config.limits.mailbox.bytes(), Box::new(|| {})));
        // Topics on disk are there, too, if the configuration has any.
        let hub = Hub::open(&config, (0..Self::WORKERS).map(|_| mailbox()).collect(), Instant::now()).unwrap();
        let counters = Arc::new(Counters::new(Self::WORKERS));
        let surface = Surface::new(hub, Arc::new(config), counters, Instant::now(), false).unwrap();
        Self { surface }
    }

    /// Serves one request.
    pub(crate) async fn call(&self, request: Builder, body: impl Into<Bytes>) -> Answered {
        let request = request.body(Full::new(body.into())).unwrap();
        self.serve(request).await
    }

    pub(crate) async fn serve<B>(&self, request: Request<B>) -> Answered
    where
        B: hyper::body::Body,
        B::Error: std::fmt::Display,
    {
        Self::read(super::serve(&self.surface, self.surface.reach(ListenerId(0)), request).await)
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.call(Request::get(path), "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &'static str) -> Answered {
        self.call(Request::post(path), body).await
    }

    /// The JSON of an answer.
    pub(crate) fn json(&self, response: Response<Body>) -> Value {
        Self::read(response).json()
    }

    fn read(response: Response<Body>) -> Answered {
        let (head, body) = response.into_parts();
        // A Full body is ready at once, so no runtime is needed.
        let body = ready(body.collect()).to_bytes();
        Answered { head, body }
    }

    /// Adds a subscriber of the topic on a worker.
    pub(crate) fn subscribe(&self, name: &str, worker: WorkerId) -> Arc<Topic> {
        let topic = self.surface.hub.topic(&TopicName::new(name).unwrap()).unwrap();
        let _ = self.surface.hub.subscribe(&topic, worker, Start::Now, Instant::now());
        topic
    }

    /// Reads one letter of a worker's mailbox as the worker would, and is done with it.
    pub(crate) fn work(&self, worker: WorkerId) -> Option<Letter> {
        let mailbox = self.surface.hub.mailbox(worker);
        let letter = mailbox.pop()?;
        match &letter {
            Letter::Publication(publication) => mailbox.release(publication.charge_bytes()),
            Letter::Matched(matched) => mailbox.release(matched.publication.charge_bytes()),
            Letter::Canary(canary) => canary.seen(),
        }
        Some(letter)
    }
}

fn ready<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => done.unwrap(),
        std::task::Poll::Pending => panic!("a whole body is ready at once"),
    }
}
