//! What a client gets without having asked at that moment.

use super::super::json::push_string;
use super::message_writer::{
    MessageWriter, push_bytes_field, push_length_tag, push_message, push_varint, varint_bytes,
};
use super::publication::{ClientInfo, Measured, Publication, field_bytes, push_json};
use super::reply::{ConnectResult, write_expiry};
use super::transport::Format;
use crate::hub::{Epoch, Offset};

/// Whether a push stands in a reply without id, or by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// `{"push":{..}}`, where replies come too.
    Wrapped,
    /// Only the push: unidirectional transports.
    Bare,
}

/// What a client gets without having asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push<'a> {
    /// A publication of the channel.
    Publication(Publication<'a>),
    /// A client came into the channel.
    Join(ClientInfo<'a>),
    /// A client left the channel.
    Leave(ClientInfo<'a>),
    /// The server took the channel from the client; see [`UnsubscribeCode`](super::UnsubscribeCode).
    Unsubscribe {
        /// Says to the SDK if it is to subscribe again.
        code: u32,
        /// Says it to people.
        reason: &'a str,
    },
    /// The server gave the channel to the client.
    Subscribe {
        /// The client may recover later.
        recoverable: bool,
        /// The epoch of the stream.
        epoch: Option<Epoch>,
        /// Where the stream stands.
        offset: Offset,
        /// The server watches the client's position.
        positioned: bool,
        /// From the backend.
        data: Option<&'a [u8]>,
    },
    /// From the backend, in no channel.
    Message {
        /// The payload.
        data: &'a [u8],
    },
    /// The connection now expires at another time, or no more; in no channel.
    Refresh {
        /// Seconds until then; `None` for never.
        ttl_s: Option<u32>,
    },
    /// The end, on transports without close frames; in no channel. See [`DisconnectCode`](super::DisconnectCode).
    Disconnect {
        /// Says to the SDK if it is to connect again.
        code: u32,
        /// Says it to people.
        reason: &'a str,
    },
    /// The client is let in: the first push of a unidirectional transport; in no channel.
    Connect(ConnectResult<'a>),
}

/// Appends one push in `channel`, which is empty for the kinds that have none: a JSON object without a line break, or a
/// Protobuf message with its length before it.
pub fn push_push(out: &mut Vec<u8>, format: Format, envelope: Envelope, channel: &str, push: &Push<'_>) {
    // One publication may go to a hundred thousand clients; the other pushes are rare.
    if let Push::Publication(publication) = push {
        match format {
            Format::Json => push_publication_json(out, envelope, channel, publication),
            Format::Protobuf => push_publication_protobuf(out, envelope, channel, publication),
        }
        return;
    }
    push_described(out, format, envelope, channel, push);
}

fn push_described(out: &mut Vec<u8>, format: Format, envelope: Envelope, channel: &str, push: &Push<'_>) {
    push_message(out, format, |fields| match envelope {
        Envelope::Bare => write(push, channel, fields),
        Envelope::Wrapped => fields.message("push", 4, |fields| write(push, channel, fields)),
    });
}

fn push_publication_json(out: &mut Vec<u8>, envelope: Envelope, channel: &str, publication: &Publication<'_>) {
    let (head, tail): (&[u8], &[u8]) = match envelope {
        Envelope::Wrapped => (b"{\"push\":{\"channel\":", b"}}"),
        Envelope::Bare => (b"{\"channel\":", b"}"),
    };
    out.extend_from_slice(head);
    push_string(out, channel);
    out.extend_from_slice(b",\"pub\":");
    push_json(out, publication);
    out.extend_from_slice(tail);
}

fn push_publication_protobuf(out: &mut Vec<u8>, envelope: Envelope, channel: &str, publication: &Publication<'_>) {
    let mut epoch = itoa::Buffer::new();
    let measured = Measured::new(publication, publication.epoch.map(|Epoch(number)| epoch.format(number)));
    let push_bytes = field_bytes(channel.len()) + field_bytes(measured.bytes);
    match envelope {
        Envelope::Wrapped => {
            push_varint(out, (1 + varint_bytes(push_bytes as u64) + push_bytes) as u64);
            push_length_tag(out, 4, push_bytes);
        }
        Envelope::Bare => push_varint(out, push_bytes as u64),
    }
    let start = out.len();
    push_bytes_field(out, 2, channel.as_bytes());
    push_length_tag(out, 4, measured.bytes);
    measured.push(out);
    debug_assert_eq!(out.len() - start, push_bytes, "measured as it is written");
}

fn write(push: &Push<'_>, channel: &str, fields: &mut MessageWriter<'_>) {
    fields.text("channel", 2, channel);
    match push {
        Push::Publication(publication) => fields.publication("pub", 4, publication),
        Push::Join(info) => fields.message("join", 5, |fields| fields.message("info", 1, |fields| info.write(fields))),
        Push::Leave(info) => {
            fields.message("leave", 6, |fields| fields.message("info", 1, |fields| info.write(fields)))
        }
        Push::Unsubscribe { code, reason } => fields.message("unsubscribe", 7, |fields| {
            fields.keep_number("code", 2, (*code).into());
            fields.keep_text("reason", 3, reason);
        }),
        Push::Message { data } => fields.message("message", 8, |fields| fields.payload("data", 1, Some(data))),
        Push::Subscribe { recoverable, epoch, offset, positioned, data } => fields.message("subscribe", 9, |fields| {
            fields.flag("recoverable", 1, *recoverable);
            fields.epoch("epoch", 4, *epoch);
            fields.number("offset", 5, offset.0);
            fields.flag("positioned", 6, *positioned);
            fields.payload("data", 7, *data);
        }),
        Push::Connect(result) => fields.message("connect", 10, |fields| result.write_push(fields)),
        Push::Disconnect { code, reason } => fields.message("disconnect", 11, |fields| {
            fields.keep_number("code", 1, (*code).into());
            fields.keep_text("reason", 2, reason);
        }),
        Push::Refresh { ttl_s } => fields.message("refresh", 12, |fields| write_expiry(*ttl_s, 1, fields)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::centrifuge::Data;

    #[test]
    fn a_publication_by_hand_is_the_one_that_is_described() {
        let tags = [("k".into(), "v".into())];
        let info = ClientInfo { user: "u", client: "c", connection_info: Some(b"{}"), channel_info: Some(b"1") };
        let long = vec![b'7'; 20_000];
        for data in [Data::Value(b"{}"), Data::Full(b"[1]"), Data::Delta(b"1\n1:a1;"), Data::Value(&long)] {
            let bare = Publication::new(data);
            let told = Publication {
                info: Some(info),
                offset: Offset(7),
                tags: &tags,
                time_ms: 9,
                epoch: Some(Epoch(300)),
                ..Publication::new(data)
            };
            for (publication, channel) in [(bare, "news"), (told, "news"), (bare, &*"n".repeat(200))] {
                for (format, envelope) in [
                    (Format::Json, Envelope::Wrapped),
                    (Format::Json, Envelope::Bare),
                    (Format::Protobuf, Envelope::Wrapped),
                    (Format::Protobuf, Envelope::Bare),
                ] {
                    let push = Push::Publication(publication);
                    let (mut by_hand, mut described) = (Vec::new(), Vec::new());
                    push_push(&mut by_hand, format, envelope, channel, &push);
                    push_described(&mut described, format, envelope, channel, &push);
                    assert_eq!(by_hand, described, "{format:?} {envelope:?}");
                }
            }
        }
    }
}
