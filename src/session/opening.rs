//! What a handshake decided: the beginning of a session.

use bytes::Bytes;

use crate::hooks::Passed;
use crate::hub::{Start, TopicName};
use crate::protocol::{Encoding, Shape};
use crate::ws::Agreement;

/// What a handshake decided: the beginning of a session. It crosses threads with its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// A WebSocket on `/topics/{topic}`.
    Topic {
        /// The topic of the path, which it joins first: what its client sends is published there.
        topic: TopicName,
        /// Where it starts.
        start: Start,
        /// The topics it joins besides, in the order of the URL. Only with [`Encoding::Json`], which tells one from the
        /// other. Empty for nearly all: apart from `topic`, so that they need no allocation.
        also: Vec<(TopicName, Start)>,
        /// [`Encoding::Plain`] or [`Encoding::Json`].
        encoding: Encoding,
        /// Whether what it sends is published.
        may_publish: bool,
        /// What was agreed on about compression.
        compression: Option<Agreement>,
    },
    /// A WebSocket on a path of `[[endpoints]]`.
    Endpoint {
        /// Its place in the configuration.
        index: u16,
        /// What was agreed on about compression.
        compression: Option<Agreement>,
    },
    /// A client of the Centrifuge protocol.
    Client {
        /// How what it gets looks.
        shape: Shape,
        /// Whether it is to be pinged by WebSocket, and not by the protocol.
        frame_pings: bool,
        /// Headers of its request that the application's backend is shown.
        passed: Passed,
        /// What it said with its request: commands, or who it is. `None` if it says that on its WebSocket.
        first: Option<Bytes>,
        /// What was agreed on about compression.
        compression: Option<Agreement>,
    },
    /// Server-Sent Events on `/topics/{topic}`.
    Stream {
        /// What it listens to.
        topics: StreamTopics,
        /// One of the SSE encodings.
        encoding: Encoding,
    },
}

impl Opening {
    /// What was agreed on about compression; on a stream that is nothing.
    pub fn compression(&self) -> Option<Agreement> {
        match self {
            Self::Topic { compression, .. } | Self::Endpoint { compression, .. } | Self::Client { compression, .. } => {
                *compression
            }
            Self::Stream { .. } => None,
        }
    }
}

/// The topics of one stream, each with its start, in the order of the URL. At least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTopics(pub Vec<(TopicName, Start)>);
