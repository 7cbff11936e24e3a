//! The negotiation of permessage-deflate (RFC 7692 §5, §7.1): what a client offers, and what the hub answers.

use std::borrow::Cow;

use super::window::Window;

/// What both sides agreed on for one connection.
///
/// Neither side keeps its window from message to message: so one compressed frame is good for every subscriber, and one
/// inflater for every connection. The client may use a window of any size, whatever it offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    window: Window,
    /// The client asked for a window, so the answer has to name one (RFC 7692 §7.1.2.1).
    names_window: bool,
}

impl Agreement {
    /// The window of what the hub sends.
    pub fn window(self) -> Window {
        self.window
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub fn answer(self) -> &'static str {
        macro_rules! answer {
            ($window:literal) => {
                concat!("permessage-deflate; server_no_context_takeover; client_no_context_takeover", $window)
            };
        }
        match (self.names_window, self.window) {
            (false, _) => answer!(""),
            (true, Window::Bits9) => answer!("; server_max_window_bits=9"),
            (true, Window::Bits12) => answer!("; server_max_window_bits=12"),
            (true, Window::Bits15) => answer!("; server_max_window_bits=15"),
        }
    }
}

/// The header is not a list of extensions (RFC 6455 §9.1): the handshake has to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Sec-WebSocket-Extensions is not a list of extensions with parameters")]
pub struct Malformed;

/// Agrees on the first offer of permessage-deflate that the hub can keep; `None` if there is none. `values` are the
/// header's lines, in order.
///
/// An offer is declined, and the next one looked at, if a parameter is unknown, stands twice, has a value that it must
/// not have or lacks one that it must have, or if it asks for a window of 8 bits. Other extensions are passed over.
///
/// # Errors
/// If a line does not follow the grammar, wherever that is.
pub fn negotiate<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Option<Agreement>, Malformed> {
    let mut agreed = None;
    for value in values {
        let mut list = List { rest: value };
        while let Some(offer) = list.next_extension()? {
            agreed = agreed.or_else(|| offer?.agreement());
        }
    }
    Ok(agreed)
}

/// The parameters of one offer (RFC 7692 §7.1).
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: bool,
    /// A parameter was wrong.
    is_invalid: bool,
}

impl Offer {
    fn take(&mut self, name: &[u8], value: Option<&[u8]>) {
        let is_valid = match (name, value) {
            (b"server_no_context_takeover", None) => !std::mem::replace(&mut self.server_no_context_takeover, true),
            (b"client_no_context_takeover", None) => !std::mem::replace(&mut self.client_no_context_takeover, true),
            (b"server_max_window_bits", Some(value)) => match window_bits(value) {
                Some(bits) => self.server_max_window_bits.replace(bits).is_none(),
                None => false,
            },
            (b"client_max_window_bits", value) => {
                let is_first = !std::mem::replace(&mut self.client_max_window_bits, true);
                is_first && value.is_none_or(|value| window_bits(value).is_some())
            }
            _ => false,
        };
        self.is_invalid |= !is_valid;
    }

    fn agreement(&self) -> Option<Agreement> {
        if self.is_invalid {
            return None;
        }
        match self.server_max_window_bits {
            None => Some(Agreement { window: Window::Bits15, names_window: false }),
            Some(bits) => Some(Agreement { window: Window::at_most(bits)?, names_window: true }),
        }
    }
}

/// 8 to 15, without leading zeros (RFC 7692 §7.1.2).
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ (b'8' | b'9')] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// What is left of a list of extensions.
#[derive(Debug)]
struct List<'v> {
    rest: &'v [u8],
}

impl<'v> List<'v> {
    /// The next extension: an offer, or `Some(None)` for an extension that the hub does not know.
    fn next_extension(&mut self) -> Result<Option<Option<Offer>>, Malformed> {
        // Empty elements do not count (RFC 9110 §5.6.1.2).
        self.skip_space();
        while self.eat(b',') {
            self.skip_space();
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut offer = (self.token()? == b"permessage-deflate").then(Offer::default);
        self.skip_space();
        while self.eat(b';') {
            self.skip_space();
            let name = self.token()?;
            self.skip_space();
            let value = if self.eat(b'=') {
                self.skip_space();
                Some(self.value()?)
            } else {
                None
            };
            self.skip_space();
            if let Some(offer) = &mut offer {
                offer.take(name, value.as_deref());
            }
        }
        if !self.rest.is_empty() && !self.eat(b',') {
            return Err(Malformed);
        }
        Ok(Some(offer))
    }

    /// A token, or a quoted string whose content is one (RFC 6455 §9.1).
    fn value(&mut self) -> Result<Cow<'v, [u8]>, Malformed> {
        if !self.eat(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = Vec::new();
        loop {
            let (&byte, behind) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = behind;
            match byte {
                b'"' => break,
                b'\\' => {
                    let (&escaped, behind) = self.rest.split_first().ok_or(Malformed)?;
                    self.rest = behind;
                    value.push(escaped);
                }
                _ => value.push(byte),
            }
        }
        if value.is_empty() || !value.iter().copied().all(is_token) {
            return Err(Malformed);
        }
        Ok(Cow::Owned(value))
    }

    fn token(&mut self) -> Result<&'v [u8], Malformed> {
        let end = self.rest.iter().position(|&byte| !is_token(byte)).unwrap_or(self.rest.len());
        let (token, behind) = self.rest.split_at(end);
        self.rest = behind;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, behind @ ..] if *first == byte => {
                self.rest = behind;
                true
            }
            _ => false,
        }
    }

    fn skip_space(&mut self) {
        while self.eat(b' ') || self.eat(b'\t') {}
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
