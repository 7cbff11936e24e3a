//! The application's backend, asked and told over HTTP, in the shape of Centrifugo's proxy.
//!
//! Reading order: [`Hook`] (the occasions), `request`, [`Answer`] and `answer_body` (what stands on the wire), [`Event`]
//! (what is only told), [`Hooks`] (the way there, for everyone), `courier` (the thread that makes the calls), `backend`
//! (the HTTP client). Pure, with time passed in: `desk` (what waits, what is under way, who shares an answer), `breaker`
//! (when a URL is left alone), `backlog` (events until they are confirmed), `passed` (headers of clients), `signature`,
//! `throttle`.
//!
//! Imports `config` and `tls`; knows no session and no worker.

mod answer;
mod answer_body;
mod backend;
mod backlog;
mod breaker;
mod counters;
mod courier;
mod desk;
mod event;
mod failure;
mod hook;
#[expect(clippy::module_inception, reason = "it is what this folder is for")]
mod hooks;
mod object;
mod passed;
mod payload;
mod request;
mod signature;
mod throttle;

pub use answer::{
    Answer, ConnectResult, Ended, Override, PublishResult, RefreshResult, Refused, RpcResult, SubRefreshResult,
    SubscribeResult,
};
pub use answer_body::Garbage;
pub use backend::BackendError;
pub use counters::HookCounters;
pub use event::{Event, Gone};
pub use failure::Failure;
pub use hook::Hook;
pub use hooks::{HookCensus, Hooks, HooksError};
pub use passed::Passed;
pub use payload::Payload;
pub use request::{
    Ask, Caller, ConnectRequest, PublishRequest, RefreshRequest, RpcRequest, SubRefreshRequest, SubscribeRequest,
};
