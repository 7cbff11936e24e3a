//! What a client sent, borrowed from where it lies.

/// One complete message or control frame from a client, unmasked and checked.
///
/// Borrows from the input if it lay there whole, else from the decoder; valid until the decoder is called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping, at most 125 bytes; to be answered by a pong with the same bytes.
    Ping(&'a [u8]),
    /// A pong, asked for or not, at most 125 bytes.
    Pong(&'a [u8]),
    /// The client's close frame: nothing, or a valid code and a reason of at most 123 bytes. Whatever the client
    /// sends after it is to be ignored (RFC 6455 §1.4).
    Close(Option<(u16, &'a str)>),
}

/// What one message of a client may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes over all its fragments, compressed or not.
    pub bytes: usize,
    /// Frames, at least 1. Those without payload cost bytes that no message has: 6 each, and the walk over them.
    pub fragments: u32,
}

impl MessageLimits {
    /// Only the bytes are limited.
    pub const fn of_bytes(bytes: usize) -> Self {
        Self { bytes, fragments: u32::MAX }
    }
}

/// How far one call of [`super::Decoder::next`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the input goes on behind `consumed`"]
pub struct Step<'a> {
    /// Bytes of the input that are done with; those behind them were not touched.
    pub consumed: usize,
    /// The next message; `None` says that the input is used up.
    pub message: Option<Message<'a>>,
}
