//! Messages that are written in both formats from one description, name beside number.

use super::super::json::push_string;
use super::payload::push_value;
use super::publication::{Publication, push_json, push_protobuf};
use super::transport::Format;
use crate::hub::Epoch;

const VARINT: u32 = 0;
const LENGTH: u32 = 2;

/// Appends one message: a JSON object, or a Protobuf message with its length before it.
pub(super) fn push_message(out: &mut Vec<u8>, format: Format, write: impl FnOnce(&mut MessageWriter<'_>)) {
    MessageWriter { out, format, is_empty: true }.body(write);
}

/// The fields of one message, in the order of their numbers. Zero values are left out, except where a method says
/// that it `keeps` them in JSON; Protobuf has no need to say a zero.
#[derive(Debug)]
pub(super) struct MessageWriter<'o> {
    out: &'o mut Vec<u8>,
    format: Format,
    is_empty: bool,
}

impl MessageWriter<'_> {
    pub(super) fn text(&mut self, name: &str, number: u32, text: &str) {
        if !text.is_empty() {
            self.keep_text(name, number, text);
        }
    }

    pub(super) fn keep_text(&mut self, name: &str, number: u32, text: &str) {
        match self.format {
            Format::Json => {
                self.name(name);
                push_string(self.out, text);
            }
            Format::Protobuf => push_bytes_field(self.out, number, text.as_bytes()),
        }
    }

    pub(super) fn number(&mut self, name: &str, number: u32, value: u64) {
        if value != 0 {
            self.keep_number(name, number, value);
        }
    }

    pub(super) fn keep_number(&mut self, name: &str, number: u32, value: u64) {
        match self.format {
            Format::Json => {
                self.name(name);
                self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            Format::Protobuf => push_number_field(self.out, number, value),
        }
    }

    pub(super) fn flag(&mut self, name: &str, number: u32, value: bool) {
        if value {
            match self.format {
                Format::Json => {
                    self.name(name);
                    self.out.extend_from_slice(b"true");
                }
                Format::Protobuf => push_number_field(self.out, number, 1),
            }
        }
    }

    /// Our epochs begin at 1, if they are random at all; there is none only where there is no stream.
    pub(super) fn epoch(&mut self, name: &str, number: u32, epoch: Option<Epoch>) {
        if let Some(Epoch(epoch)) = epoch {
            self.keep_text(name, number, itoa::Buffer::new().format(epoch));
        }
    }

    /// A payload, which as JSON may be anything that [`push_value`] makes of it.
    pub(super) fn payload(&mut self, name: &str, number: u32, payload: Option<&[u8]>) {
        if let Some(payload) = payload {
            match self.format {
                Format::Json => {
                    self.name(name);
                    push_value(self.out, payload);
                }
                Format::Protobuf => push_bytes_field(self.out, number, payload),
            }
        }
    }

    /// A message inside this one; stands there even if it has no fields.
    pub(super) fn message(&mut self, name: &str, number: u32, write: impl FnOnce(&mut MessageWriter<'_>)) {
        match self.format {
            Format::Json => self.name(name),
            Format::Protobuf => push_tag(self.out, number, LENGTH),
        }
        self.body(write);
    }

    /// Messages by key.
    pub(super) fn messages<'k, T: 'k>(
        &mut self,
        name: &str,
        number: u32,
        entries: impl IntoIterator<Item = (&'k str, &'k T)>,
        write: impl Fn(&T, &mut MessageWriter<'_>),
    ) {
        match self.format {
            Format::Json => self.message(name, number, |fields| {
                for (key, value) in entries {
                    fields.message(key, 0, |fields| write(value, fields));
                }
            }),
            Format::Protobuf => {
                for (key, value) in entries {
                    self.message(name, number, |entry| {
                        entry.keep_text("", 1, key);
                        entry.message("", 2, |fields| write(value, fields));
                    });
                }
            }
        }
    }

    pub(super) fn publication(&mut self, name: &str, number: u32, publication: &Publication<'_>) {
        match self.format {
            Format::Json => {
                self.name(name);
                push_json(self.out, publication);
            }
            Format::Protobuf => {
                push_tag(self.out, number, LENGTH);
                push_protobuf(self.out, publication);
            }
        }
    }

    /// Publications in their order; the empty list is kept.
    pub(super) fn keep_publications(&mut self, name: &str, number: u32, publications: &[Publication<'_>]) {
        match self.format {
            Format::Json => {
                self.name(name);
                self.out.push(b'[');
                for (place, publication) in publications.iter().enumerate() {
                    if place > 0 {
                        self.out.push(b',');
                    }
                    push_json(self.out, publication);
                }
                self.out.push(b']');
            }
            Format::Protobuf => {
                for publication in publications {
                    self.publication(name, number, publication);
                }
            }
        }
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        push_string(self.out, name);
        self.out.push(b':');
    }

    fn body(&mut self, write: impl FnOnce(&mut MessageWriter<'_>)) {
        let format = self.format;
        let mut inner = MessageWriter { out: self.out, format, is_empty: true };
        match format {
            Format::Json => {
                inner.out.push(b'{');
                write(&mut inner);
                self.out.push(b'}');
            }
            Format::Protobuf => {
                // A length of one byte is the usual; a longer one moves the body behind it.
                let start = inner.out.len();
                inner.out.push(0);
                write(&mut inner);
                let mut length = Vec::with_capacity(varint_bytes(u64::MAX));
                push_varint(&mut length, (self.out.len() - start - 1) as u64);
                self.out.splice(start..=start, length);
            }
        }
    }
}

/// The bytes of `number` as a varint.
pub(super) const fn varint_bytes(number: u64) -> usize {
    // Seven bits each, and one for zero.
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends `number` as a varint.
pub(super) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends the tag of a field that has its length before it.
pub(super) fn push_length_tag(out: &mut Vec<u8>, number: u32, length: usize) {
    push_tag(out, number, LENGTH);
    push_varint(out, length as u64);
}

/// Appends a field of bytes, empty or not.
pub(super) fn push_bytes_field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    push_length_tag(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a field of a number, zero or not.
pub(super) fn push_number_field(out: &mut Vec<u8>, number: u32, value: u64) {
    push_tag(out, number, VARINT);
    push_varint(out, value);
}

fn push_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    push_varint(out, u64::from(number << 3 | wire_type));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_as_long_as_it_is_said_to_be() {
        for bit in 0..64 {
            for number in [(1_u64 << bit) - 1, 1 << bit, u64::MAX >> bit] {
                let mut bytes = Vec::new();
                push_varint(&mut bytes, number);
                assert_eq!(bytes.len(), varint_bytes(number), "{number}");
            }
        }
    }

    #[test]
    fn a_message_of_any_length_stands_behind_it() {
        for length in [0, 1, 125, 126, 127, 128, 16_381, 16_382, 16_383, 16_384] {
            let mut message = vec![0xee];
            push_message(&mut message, Format::Protobuf, |fields| {
                fields.message("", 1, |fields| fields.payload("", 2, Some(&vec![7; length])));
            });
            let mut rest = &message[1..];
            let outer = super::super::field_reader::next_message(&mut rest).unwrap();
            assert_eq!((message[0], rest.len()), (0xee, 0));
            let (_, inner) = super::super::field_reader::fields(outer).next().unwrap().unwrap();
            let (_, bytes) = super::super::field_reader::fields(inner.bytes().unwrap()).next().unwrap().unwrap();
            assert_eq!(bytes.bytes().unwrap(), vec![7; length]);
        }
    }
}
