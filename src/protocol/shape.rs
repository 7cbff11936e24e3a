//! How a publication looks to a client of the Centrifuge protocol.

use super::centrifuge::{Envelope, Format, Transport};
use super::sse::Delimiting;

/// Whether a subscriber gets what differs from the publication before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deltas {
    /// No: it gets payloads.
    Off,
    /// Not yet: it was promised deltas, and has no publication that they could differ from.
    Fresh,
    /// Yes, where that is shorter.
    Going,
}

/// How a publication looks to a client of the Centrifuge protocol: on which transport, in which envelope, as a delta or
/// not, and whether it is told who joins and leaves. One byte, since it stands in every session and every log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape(u8);

impl Shape {
    const TRANSPORT: u8 = 0b111;
    const BARE: u8 = 1 << 3;
    const DELTAS_AT: u8 = 4;
    const DELTAS: u8 = 0b11 << Self::DELTAS_AT;
    const JOINS: u8 = 1 << 6;

    /// Every transport, in the order of their numbers.
    const TRANSPORTS: [Transport; 8] = [
        Transport::WebSocket(Format::Json),
        Transport::WebSocket(Format::Protobuf),
        Transport::HttpStream(Format::Json, Delimiting::UntilClose),
        Transport::HttpStream(Format::Json, Delimiting::Chunked),
        Transport::HttpStream(Format::Protobuf, Delimiting::UntilClose),
        Transport::HttpStream(Format::Protobuf, Delimiting::Chunked),
        Transport::EventStream(Delimiting::UntilClose),
        Transport::EventStream(Delimiting::Chunked),
    ];

    /// That of a client whose subscriptions have neither deltas nor joins and leaves.
    pub const fn new(transport: Transport, envelope: Envelope) -> Self {
        let transport = match transport {
            Transport::WebSocket(Format::Json) => 0,
            Transport::WebSocket(Format::Protobuf) => 1,
            Transport::HttpStream(Format::Json, Delimiting::UntilClose) => 2,
            Transport::HttpStream(Format::Json, Delimiting::Chunked) => 3,
            Transport::HttpStream(Format::Protobuf, Delimiting::UntilClose) => 4,
            Transport::HttpStream(Format::Protobuf, Delimiting::Chunked) => 5,
            Transport::EventStream(Delimiting::UntilClose) => 6,
            Transport::EventStream(Delimiting::Chunked) => 7,
        };
        let envelope = match envelope {
            Envelope::Wrapped => 0,
            Envelope::Bare => Self::BARE,
        };
        Self(transport | envelope)
    }

    /// The same with other deltas.
    #[must_use]
    pub const fn with_deltas(self, deltas: Deltas) -> Self {
        let deltas = match deltas {
            Deltas::Off => 0,
            Deltas::Fresh => 1,
            Deltas::Going => 2,
        };
        Self(self.0 & !Self::DELTAS | deltas << Self::DELTAS_AT)
    }

    /// The same for a subscriber that is told who joins and leaves, or is not.
    #[must_use]
    pub const fn with_joins(self, hears_joins: bool) -> Self {
        Self(self.0 & !Self::JOINS | if hears_joins { Self::JOINS } else { 0 })
    }

    /// What carries it.
    pub const fn transport(self) -> Transport {
        Self::TRANSPORTS[(self.0 & Self::TRANSPORT) as usize]
    }

    /// JSON or Protobuf.
    pub const fn format(self) -> Format {
        self.transport().format()
    }

    /// Whether it stands in a reply's place or alone.
    pub const fn envelope(self) -> Envelope {
        if self.0 & Self::BARE == 0 { Envelope::Wrapped } else { Envelope::Bare }
    }

    /// Whether it is a delta.
    pub const fn deltas(self) -> Deltas {
        match (self.0 & Self::DELTAS) >> Self::DELTAS_AT {
            0 => Deltas::Off,
            1 => Deltas::Fresh,
            _ => Deltas::Going,
        }
    }

    /// Whether its subscriber is told who joins and leaves.
    pub const fn hears_joins(self) -> bool {
        self.0 & Self::JOINS != 0
    }

    /// How the body it goes into is delimited; `None` on a WebSocket.
    pub const fn delimiting(self) -> Option<Delimiting> {
        match self.transport() {
            Transport::WebSocket(_) => None,
            Transport::HttpStream(_, delimiting) | Transport::EventStream(delimiting) => Some(delimiting),
        }
    }

    /// Every shape there is.
    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::TRANSPORTS.into_iter().flat_map(|transport| {
            [Envelope::Wrapped, Envelope::Bare].into_iter().flat_map(move |envelope| {
                [Deltas::Off, Deltas::Fresh, Deltas::Going].into_iter().flat_map(move |deltas| {
                    let shape = Self::new(transport, envelope).with_deltas(deltas);
                    [shape, shape.with_joins(true)]
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_shape_is_what_it_was_made_of_and_like_no_other() {
        let all: HashSet<Shape> = Shape::all().collect();
        assert_eq!(all.len(), 8 * 2 * 3 * 2);
        for shape in all {
            let again = Shape::new(shape.transport(), shape.envelope());
            assert_eq!(again.with_deltas(shape.deltas()).with_joins(shape.hears_joins()), shape);
        }
    }

    #[test]
    fn deltas_and_joins_are_taken_back() {
        let shape = Shape::new(Transport::WebSocket(Format::Json), Envelope::Wrapped);
        let other = shape.with_deltas(Deltas::Going).with_joins(true);
        assert_eq!(other.with_deltas(Deltas::Off).with_joins(false), shape);
    }
}
