//! How a publication looks to a client of the Centrifuge protocol: format, envelope, carrier, and what its data is.

use super::sse::Delimiting;

/// JSON or Protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Objects, separated by line feeds.
    Json,
    /// Messages, each behind its length as a varint.
    Protobuf,
}

/// Whether a push stands in a reply or alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// `{"push":{…}}`, where replies to commands come, too.
    Wrapped,
    /// The push itself: nothing else comes to a unidirectional client.
    Bare,
}

/// What carries pushes and replies to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// WebSocket messages: text for JSON, binary for Protobuf.
    Socket,
    /// A response body, one line (or one length-prefixed message) each.
    Lines(Delimiting),
    /// A response body of Server-Sent Events.
    Events(Delimiting),
}

/// What stands in the `data` of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Data {
    /// The payload.
    Payload,
    /// The payload, to one who was promised deltas: in JSON it is then a string.
    Whole,
    /// What differs from the publication before, if that is shorter than the payload.
    Delta,
}

/// All of it in one byte, since it stands in every session and every log: what shapes a subscriber's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape(u8);

impl Shape {
    const PROTOBUF: u8 = 1;
    const BARE: u8 = 1 << 1;
    const CARRIER_AT: u8 = 2;
    const CARRIER: u8 = 0b111 << Self::CARRIER_AT;
    const DATA_AT: u8 = 5;
    const DATA: u8 = 0b11 << Self::DATA_AT;
    const JOINS: u8 = 1 << 7;

    /// That of a client whose subscriptions have neither deltas nor joins and leaves.
    pub const fn new(format: Format, envelope: Envelope, carrier: Carrier) -> Self {
        let format = match format {
            Format::Json => 0,
            Format::Protobuf => Self::PROTOBUF,
        };
        let envelope = match envelope {
            Envelope::Wrapped => 0,
            Envelope::Bare => Self::BARE,
        };
        let carrier = match carrier {
            Carrier::Socket => 0,
            Carrier::Lines(Delimiting::UntilClose) => 1,
            Carrier::Lines(Delimiting::Chunked) => 2,
            Carrier::Events(Delimiting::UntilClose) => 3,
            Carrier::Events(Delimiting::Chunked) => 4,
        };
        Self(format | envelope | carrier << Self::CARRIER_AT)
    }

    /// The same with another kind of data.
    #[must_use]
    pub const fn with_data(self, data: Data) -> Self {
        let data = match data {
            Data::Payload => 0,
            Data::Whole => 1,
            Data::Delta => 2,
        };
        Self(self.0 & !Self::DATA | data << Self::DATA_AT)
    }

    /// The same for a subscriber that is told who joins and leaves, or is not.
    #[must_use]
    pub const fn with_joins(self, hears_joins: bool) -> Self {
        Self(self.0 & !Self::JOINS | if hears_joins { Self::JOINS } else { 0 })
    }

    /// JSON or Protobuf.
    pub const fn format(self) -> Format {
        if self.0 & Self::PROTOBUF == 0 { Format::Json } else { Format::Protobuf }
    }

    /// Wrapped or bare.
    pub const fn envelope(self) -> Envelope {
        if self.0 & Self::BARE == 0 { Envelope::Wrapped } else { Envelope::Bare }
    }

    /// What carries it.
    pub const fn carrier(self) -> Carrier {
        match (self.0 & Self::CARRIER) >> Self::CARRIER_AT {
            0 => Carrier::Socket,
            1 => Carrier::Lines(Delimiting::UntilClose),
            2 => Carrier::Lines(Delimiting::Chunked),
            3 => Carrier::Events(Delimiting::UntilClose),
            _ => Carrier::Events(Delimiting::Chunked),
        }
    }

    /// What its data is.
    pub const fn data(self) -> Data {
        match (self.0 & Self::DATA) >> Self::DATA_AT {
            0 => Data::Payload,
            1 => Data::Whole,
            _ => Data::Delta,
        }
    }

    /// Whether its subscriber is told who joins and leaves.
    pub const fn hears_joins(self) -> bool {
        self.0 & Self::JOINS != 0
    }

    /// How the body it goes into is delimited; `None` on a WebSocket.
    pub const fn delimiting(self) -> Option<Delimiting> {
        match self.carrier() {
            Carrier::Socket => None,
            Carrier::Lines(delimiting) | Carrier::Events(delimiting) => Some(delimiting),
        }
    }

    /// Every shape there is.
    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let carriers = [
            Carrier::Socket,
            Carrier::Lines(Delimiting::UntilClose),
            Carrier::Lines(Delimiting::Chunked),
            Carrier::Events(Delimiting::UntilClose),
            Carrier::Events(Delimiting::Chunked),
        ];
        let envelopes = [Envelope::Wrapped, Envelope::Bare];
        [Format::Json, Format::Protobuf].into_iter().flat_map(move |format| {
            envelopes.into_iter().flat_map(move |envelope| {
                carriers.into_iter().flat_map(move |carrier| {
                    [Data::Payload, Data::Whole, Data::Delta].into_iter().flat_map(move |data| {
                        let shape = Self::new(format, envelope, carrier).with_data(data);
                        [shape, shape.with_joins(true)]
                    })
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
        assert_eq!(all.len(), 2 * 2 * 5 * 3 * 2);
        for shape in all {
            let again = Shape::new(shape.format(), shape.envelope(), shape.carrier());
            assert_eq!(again.with_data(shape.data()).with_joins(shape.hears_joins()), shape);
        }
    }

    #[test]
    fn data_and_joins_are_taken_back() {
        let shape = Shape::new(Format::Json, Envelope::Wrapped, Carrier::Socket);
        let other = shape.with_data(Data::Delta).with_joins(true);
        assert_eq!(other.with_data(Data::Payload).with_joins(false), shape);
    }
}
