//! A publication as a client sees it, without its channel. Made for each publication and format, so by hand and in one pass.

use super::super::json::push_string;
use super::message_writer::{
    MessageWriter, push_bytes_field, push_length_tag, push_number_field, push_varint, varint_bytes,
};
use super::payload::{push_delta, push_text_as_string, push_value, value_bytes};
use crate::hub::{Epoch, Offset};

/// Names and values that a publisher put on a publication; no name twice.
pub type Tags<'a> = &'a [(Box<str>, Box<str>)];

/// One publication of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication<'a> {
    /// The payload.
    pub data: Data<'a>,
    /// Who published it, if that was a client.
    pub info: Option<ClientInfo<'a>>,
    /// Its number; 0, which is not told, in a channel that keeps none.
    pub offset: Offset,
    /// Its tags.
    pub tags: Tags<'a>,
    /// When it was published, in milliseconds since 1970; 0 is not told.
    pub time_ms: u64,
    /// Its epoch, which Centrifugo tells with the first of a stream; SDKs do without.
    pub epoch: Option<Epoch>,
    /// The channel it was published on, if the client subscribes to it by a wildcard.
    pub topic: Option<&'a str>,
}

impl<'a> Publication<'a> {
    /// A publication with nothing but its payload.
    pub const fn new(data: Data<'a>) -> Self {
        Self { data, info: None, offset: Offset(0), tags: &[], time_ms: 0, epoch: None, topic: None }
    }
}

/// The payload of a publication, as the subscription has it.
///
/// In Protobuf it is always the bytes. In JSON the bytes are embedded if they are JSON, are a JSON string if they are
/// text, and a JSON string in base64 if they are not even that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// The payload.
    Value(&'a [u8]),
    /// The payload, in a channel with deltas: in JSON a string that holds the [`json_text`](super::json_text) of it, which is
    /// then the base of the next delta.
    Full(&'a [u8]),
    /// What changed since the publication before, in a channel with deltas. In JSON a string, so it must be UTF-8, as a
    /// delta between two JSON texts is.
    Delta(&'a [u8]),
}

impl<'a> Data<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Value(bytes) | Self::Full(bytes) | Self::Delta(bytes) => bytes,
        }
    }

    fn is_delta(self) -> bool {
        match self {
            Self::Value(_) | Self::Full(_) => false,
            Self::Delta(_) => true,
        }
    }
}

/// Who a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientInfo<'a> {
    /// The user; empty for an anonymous one.
    pub user: &'a str,
    /// The id of the connection.
    pub client: &'a str,
    /// What the token of the connection, or the backend, says of it.
    pub connection_info: Option<&'a [u8]>,
    /// What the token of the subscription, or the backend, says of it.
    pub channel_info: Option<&'a [u8]>,
}

impl ClientInfo<'_> {
    /// SDKs take the user and the client for granted.
    pub(super) fn write(&self, fields: &mut MessageWriter<'_>) {
        fields.keep_text("user", 1, self.user);
        fields.keep_text("client", 2, self.client);
        fields.payload("conn_info", 3, self.connection_info);
        fields.payload("chan_info", 4, self.channel_info);
    }

    fn protobuf_bytes(&self) -> usize {
        let info_bytes = |info: Option<&[u8]>| info.map_or(0, |info| field_bytes(info.len()));
        field_bytes(self.user.len())
            + field_bytes(self.client.len())
            + info_bytes(self.connection_info)
            + info_bytes(self.channel_info)
    }
}

/// About the bytes of `publication` in either format, without its channel.
pub(super) fn publication_bytes(publication: &Publication<'_>) -> usize {
    /// More than the keys, the numbers and the epoch take.
    const ENVELOPE_BYTES: usize = 160;
    let info_bytes = publication.info.map_or(0, |info| info.protobuf_bytes() + 64);
    let tags_bytes: usize = publication.tags.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let topic_bytes = publication.topic.map_or(0, str::len);
    ENVELOPE_BYTES + value_bytes(publication.data.bytes()) + info_bytes + tags_bytes + topic_bytes
}

/// Appends `publication` as a JSON object.
pub(super) fn push_json(out: &mut Vec<u8>, publication: &Publication<'_>) {
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b"{\"data\":");
    match publication.data {
        Data::Value(payload) => push_value(out, payload),
        Data::Full(payload) => push_text_as_string(out, payload),
        Data::Delta(delta) => push_delta(out, delta),
    }
    if let Some(info) = &publication.info {
        out.extend_from_slice(b",\"info\":");
        push_info_json(out, info);
    }
    if publication.offset.0 != 0 {
        out.extend_from_slice(b",\"offset\":");
        out.extend_from_slice(number.format(publication.offset.0).as_bytes());
    }
    for (place, (name, value)) in publication.tags.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b",\"tags\":{" } else { b"," });
        push_string(out, name);
        out.push(b':');
        push_string(out, value);
    }
    if !publication.tags.is_empty() {
        out.push(b'}');
    }
    if publication.data.is_delta() {
        out.extend_from_slice(b",\"delta\":true");
    }
    if publication.time_ms != 0 {
        out.extend_from_slice(b",\"time\":");
        out.extend_from_slice(number.format(publication.time_ms).as_bytes());
    }
    if let Some(topic) = publication.topic {
        out.extend_from_slice(b",\"channel\":");
        push_string(out, topic);
    }
    if let Some(Epoch(epoch)) = publication.epoch {
        out.extend_from_slice(b",\"epoch\":\"");
        out.extend_from_slice(number.format(epoch).as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

fn push_info_json(out: &mut Vec<u8>, info: &ClientInfo<'_>) {
    out.extend_from_slice(b"{\"user\":");
    push_string(out, info.user);
    out.extend_from_slice(b",\"client\":");
    push_string(out, info.client);
    if let Some(info) = info.connection_info {
        out.extend_from_slice(b",\"conn_info\":");
        push_value(out, info);
    }
    if let Some(info) = info.channel_info {
        out.extend_from_slice(b",\"chan_info\":");
        push_value(out, info);
    }
    out.push(b'}');
}

/// Appends `publication` as a Protobuf message with its length before it. Measured first, so that the payload is copied
/// once and never moved.
pub(super) fn push_protobuf(out: &mut Vec<u8>, publication: &Publication<'_>) {
    let mut epoch = itoa::Buffer::new();
    let measured = Measured::new(publication, publication.epoch.map(|Epoch(number)| epoch.format(number)));
    push_varint(out, measured.bytes as u64);
    let start = out.len();
    measured.push(out);
    debug_assert_eq!(out.len() - start, measured.bytes, "measured as it is written");
}

/// A publication and how long it is in Protobuf.
pub(super) struct Measured<'a> {
    publication: &'a Publication<'a>,
    epoch: Option<&'a str>,
    info_bytes: usize,
    /// Without a length before it.
    pub(super) bytes: usize,
}

impl<'a> Measured<'a> {
    pub(super) fn new(publication: &'a Publication<'a>, epoch: Option<&'a str>) -> Self {
        let info_bytes = publication.info.map_or(0, |info| info.protobuf_bytes());
        let number_bytes = |number: u64| if number == 0 { 0 } else { 1 + varint_bytes(number) };
        let bytes = field_bytes(publication.data.bytes().len())
            + publication.info.map_or(0, |_| field_bytes(info_bytes))
            + number_bytes(publication.offset.0)
            + publication.tags.iter().map(|tag| field_bytes(tag_bytes(tag))).sum::<usize>()
            + if publication.data.is_delta() { 2 } else { 0 }
            + number_bytes(publication.time_ms)
            + publication.topic.map_or(0, |topic| field_bytes(topic.len()))
            + epoch.map_or(0, |epoch| field_bytes(epoch.len()));
        Self { publication, epoch, info_bytes, bytes }
    }

    pub(super) fn push(&self, out: &mut Vec<u8>) {
        let Publication { data, info, offset, tags, time_ms, topic, epoch: _ } = self.publication;
        push_bytes_field(out, 4, data.bytes());
        if let Some(info) = info {
            push_length_tag(out, 5, self.info_bytes);
            push_bytes_field(out, 1, info.user.as_bytes());
            push_bytes_field(out, 2, info.client.as_bytes());
            for (number, info) in [(3, info.connection_info), (4, info.channel_info)] {
                if let Some(info) = info {
                    push_bytes_field(out, number, info);
                }
            }
        }
        if offset.0 != 0 {
            push_number_field(out, 6, offset.0);
        }
        for tag in *tags {
            push_length_tag(out, 7, tag_bytes(tag));
            push_bytes_field(out, 1, tag.0.as_bytes());
            push_bytes_field(out, 2, tag.1.as_bytes());
        }
        if data.is_delta() {
            push_number_field(out, 8, 1);
        }
        if *time_ms != 0 {
            push_number_field(out, 9, *time_ms);
        }
        if let Some(topic) = topic {
            push_bytes_field(out, 10, topic.as_bytes());
        }
        if let Some(epoch) = self.epoch {
            push_bytes_field(out, 14, epoch.as_bytes());
        }
    }
}

fn tag_bytes((name, value): &(Box<str>, Box<str>)) -> usize {
    field_bytes(name.len()) + field_bytes(value.len())
}

/// A field of so many bytes: its tag, which is one byte below number 16, and its length before it.
pub(super) const fn field_bytes(length: usize) -> usize {
    1 + varint_bytes(length as u64) + length
}
