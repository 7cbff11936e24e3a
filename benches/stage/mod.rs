//! What the benches and the counted scenarios act on: a hub without sockets, a fan-out whose sink takes everything, and
//! what clients send. Shared, so that a time and a count of the same name are of the same work.

mod client_frame;
mod fanout_stage;
mod hub_stage;

pub(crate) use client_frame::{client_frame, decode};
pub(crate) use fanout_stage::FanoutStage;
pub(crate) use hub_stage::HubStage;

/// The payload of most scenarios: a chat line.
pub(crate) const LINE: &str = r#"{"user":"ada","room":"engines","text":"The engine might compose elaborate and scientific pieces of music of any degree of comp"}"#;

const _: () = assert!(LINE.len() == 128);
