//! The plain upgrade: a request head as client libraries send it, read and answered in memory.
//!
//! It knows one answer, yes. Whatever is unusual, wrong or refused is `None`; then hyper reads the head again, and
//! [`decision`] finds the words. So each rule here may only be stricter than theirs, and `tests` hold both to the same
//! answers. It exists because hyper's way through a head (a connection, a header map, a response) was most of what a
//! handshake cost besides its system calls: see "What was tried" in `docs/performance.md`.

use std::mem::MaybeUninit;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use httparse::{Header, ParserConfig, Request, Status};
use sha1::{Digest as _, Sha1};

use super::decision;
use super::handshake::{Caller, InPlace};
use super::origin::Origins;
use crate::api::{Route, Surface, Wanted};
use crate::hooks::Passed;
use crate::session::Opening;
use crate::ws::Agreement;

#[cfg(test)]
mod tests;

/// Headers looked at. A request with more goes the ordinary way.
const HEADERS: usize = 32;

/// What is hashed behind a client's key (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ";

/// Base64 of the 20 bytes of a SHA-1, and the end of the head.
const ACCEPT_BYTES: usize = 28;
const EXTENSIONS: &[u8] = b"\r\nsec-websocket-extensions: ";
const END: &[u8] = b"\r\n\r\n";

/// Answers the upgrade in `head` if it is a plain one and allowed. O(`head`); allocates the answer and the opening.
pub(super) fn read(surface: &Surface, caller: Caller, head: &[u8]) -> Option<InPlace> {
    let reach = surface.reach(caller.listener);
    if caller.is_trusted_proxy(reach) {
        return None;
    }
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut request = Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut request, head, &mut headers);
    let Ok(Status::Complete(head_bytes)) = parsed else { return None };
    if request.method != Some("GET") || request.version != Some(1) || surface.hub.is_draining() {
        return None;
    }
    let target = request.path.filter(|target| is_plain(target))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = reach.below_base(path)?;
    let upgrade = Upgrade::of(request.headers)?;
    let compression = decision::compression(reach, upgrade.extensions).ok()?;
    let opening = match reach.route(&surface.routes, path, Wanted::Connection).ok()? {
        Route::Topic(topic) if upgrade.is_from(&reach.origins) => {
            decision::topic_socket(surface, query, topic, compression).ok()?
        }
        Route::Endpoint(index) if upgrade.is_from(surface.endpoint_origins(reach, index)) => {
            Opening::Endpoint { index: index as u16, compression }
        }
        Route::Centrifuge(envelope)
            if upgrade.is_from(&reach.origins) && !upgrade.has_protocols && !surface.hooks.passes_headers() =>
        {
            decision::client_socket(envelope, query, false, Passed::default(), compression).ok()?
        }
        _ => return None,
    };
    Some(InPlace {
        response: answer(upgrade.key, compression),
        opening,
        rest: head[head_bytes..].to_vec(),
        client: caller.peer,
    })
}

/// Whether hyper would read the target as a path and a query, as they stand: no authority, no fragment, and no character
/// that it knows better than we do.
fn is_plain(target: &str) -> bool {
    const LONGEST: usize = 4096;
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%?=&,:;+@!$'()*".contains(&b);
    target.starts_with('/') && target.len() <= LONGEST && target.bytes().all(known)
}

/// The headers of a plain upgrade.
#[derive(Debug)]
struct Upgrade<'h> {
    key: &'h [u8],
    host: Option<&'h str>,
    origin: Option<&'h str>,
    extensions: Option<&'h [u8]>,
    /// Whether it offers subprotocols.
    has_protocols: bool,
}

impl<'h> Upgrade<'h> {
    /// `None` if one that counts is missing, stands twice, or has anything but the usual value; or if a body follows.
    fn of(headers: &'h [Header<'h>]) -> Option<Self> {
        let (mut host, mut origin, mut key, mut version) = (None, None, None, None);
        let (mut connection, mut upgrade, mut extensions, mut protocols) = (None, None, None, None);
        for Header { name, value } in headers {
            let slot = match name.len() {
                4 if name.eq_ignore_ascii_case("host") => &mut host,
                6 if name.eq_ignore_ascii_case("origin") => &mut origin,
                7 if name.eq_ignore_ascii_case("upgrade") => &mut upgrade,
                10 if name.eq_ignore_ascii_case("connection") => &mut connection,
                17 if name.eq_ignore_ascii_case("sec-websocket-key") => &mut key,
                21 if name.eq_ignore_ascii_case("sec-websocket-version") => &mut version,
                22 if name.eq_ignore_ascii_case("sec-websocket-protocol") => &mut protocols,
                24 if name.eq_ignore_ascii_case("sec-websocket-extensions") => &mut extensions,
                6 if name.eq_ignore_ascii_case("expect") => return None,
                14 if name.eq_ignore_ascii_case("content-length") => return None,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => return None,
                _ => continue,
            };
            if slot.replace(*value).is_some() {
                return None;
            }
        }
        let is_upgrade = upgrade?.eq_ignore_ascii_case(b"websocket") && asks_to_upgrade(connection?);
        if !is_upgrade || version != Some(b"13") {
            return None;
        }
        let host = host.map(text).map_or(Some(None), |host| host.map(Some))?;
        let origin = origin.map(text).map_or(Some(None), |origin| origin.map(Some))?;
        let key = key.filter(|key| decision::is_key(key))?;
        Some(Self { key, host, origin, extensions, has_protocols: protocols.is_some() })
    }

    fn is_from(&self, origins: &Origins) -> bool {
        origins.check(self.origin, self.host).is_allowed()
    }
}

/// `Upgrade`, alone or beside `keep-alive`: all that browsers and libraries write there.
fn asks_to_upgrade(connection: &[u8]) -> bool {
    let mut asks = false;
    for token in connection.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        if token.eq_ignore_ascii_case(b"upgrade") {
            asks = true;
        } else if !token.eq_ignore_ascii_case(b"keep-alive") {
            return false;
        }
    }
    asks
}

/// A value of visible characters.
fn text(value: &[u8]) -> Option<&str> {
    let visible = value.iter().all(|b| (b' '..=b'~').contains(b));
    std::str::from_utf8(value).ok().filter(|_| visible)
}

/// The answer to `key`.
fn answer(key: &[u8], compression: Option<Agreement>) -> Vec<u8> {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; ACCEPT_BYTES];
    let length = BASE64.encode_slice(hash, &mut accept).expect("invariant: 20 bytes are 28 in base64");
    let agreed = compression.map_or("", Agreement::answer).as_bytes();
    let mut answer = Vec::with_capacity(ANSWER.len() + length + EXTENSIONS.len() + agreed.len() + END.len());
    answer.extend_from_slice(ANSWER);
    answer.extend_from_slice(&accept[..length]);
    if !agreed.is_empty() {
        answer.extend_from_slice(EXTENSIONS);
        answer.extend_from_slice(agreed);
    }
    answer.extend_from_slice(END);
    answer
}
