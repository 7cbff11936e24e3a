//! The push of a publication, or of a join or leave, as clients of the Centrifuge protocol get it.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::centrifuge::{Batch, ClientInfo, Data, Format, Publication, Push, fossil, json_text};
use super::content::{About, Content};
use super::shape::{Deltas, Shape};
use crate::hub::{Member, Offset};

/// The bytes of one push, made once for all subscribers of a shape.
pub(super) fn frame(shape: Shape, content: &Content<'_>) -> Bytes {
    let mut room = Uuid::encode_buffer();
    let channel = content.wildcard.unwrap_or(content.topic);
    let make = |push: &Push<'_>| Batch::of_push(shape.transport(), shape.envelope(), channel, push);
    match content.about {
        About::Joined(member) => make(&Push::Join(info(member, &mut room))),
        About::Left(member) => make(&Push::Leave(info(member, &mut room))),
        About::Publication { payload, previous, publisher, is_numbered, .. } => {
            let delta = previous
                .filter(|_| shape.deltas() == Deltas::Going)
                .and_then(|previous| delta(shape.format(), previous, payload));
            let data = match (&delta, shape.deltas()) {
                (Some(delta), _) => Data::Delta(delta),
                (None, Deltas::Off) => Data::Value(payload),
                (None, Deltas::Fresh | Deltas::Going) => Data::Full(payload),
            };
            // The numbers of many topics would make no sense in one stream.
            let offset = if is_numbered && content.wildcard.is_none() { content.position.offset } else { Offset(0) };
            let topic = content.wildcard.map(|_| content.topic);
            let info = publisher.map(|member| info(member, &mut room));
            make(&Push::Publication(Publication { info, offset, tags: content.tags, topic, ..Publication::new(data) }))
        }
    }
}

/// What makes `payload` of `previous`, as a client of this format has it, if that is shorter.
fn delta(format: Format, previous: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let (base, target) = match format {
        Format::Json => (json_text(previous), json_text(payload)),
        Format::Protobuf => (Cow::Borrowed(previous), Cow::Borrowed(payload)),
    };
    fossil::delta(&base, &target)
}

/// A member as the protocol shows it.
fn info<'a>(member: &'a Member, room: &'a mut [u8]) -> ClientInfo<'a> {
    let shown = |info: &'a Bytes| (!info.is_empty()).then_some(&info[..]);
    ClientInfo {
        user: &member.user,
        client: member.client.0.hyphenated().encode_lower(room),
        connection_info: shown(&member.connection_info),
        channel_info: shown(&member.topic_info),
    }
}
