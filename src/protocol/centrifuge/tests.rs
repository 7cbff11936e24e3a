//! The recorded exchanges of Centrifugo and its SDKs, and what must hold for any other.

mod commands;
mod frames;
mod properties;
mod recorded;
mod schema;

use super::*;
use crate::hub::{Epoch, Offset};

fn json(frame: &str) -> Vec<Result<Command<'_>, Malformed>> {
    Commands::new(Format::Json, frame.as_bytes()).collect()
}

fn only(frame: &str) -> Command<'_> {
    let mut commands = json(frame);
    assert_eq!(commands.len(), 1, "{frame}");
    commands.remove(0).unwrap()
}

fn reply_json(id: u32, reply: &Reply<'_>) -> String {
    let mut json = Vec::new();
    push_reply(&mut json, Format::Json, id, reply);
    String::from_utf8(json).unwrap()
}

fn push_json(channel: &str, push: &Push<'_>) -> String {
    let mut json = Vec::new();
    push_push(&mut json, Format::Json, Envelope::Wrapped, channel, push);
    String::from_utf8(json).unwrap()
}
