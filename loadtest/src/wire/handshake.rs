//! The opening handshake, both sides, in the few lines that loopback needs (RFC 6455 §4). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// The longest head read before giving up, in bytes.
pub(crate) const HEAD_LIMIT_BYTES: usize = 8 * 1024;

/// What a server said to an upgrade request.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Answer {
    /// Not the whole head yet.
    Incomplete,
    /// A WebSocket from the byte behind the head on.
    Accepted {
        /// Bytes of the head.
        head_bytes: usize,
        /// Whether messages may come compressed, each on its own.
        compression: bool,
    },
    /// Something else; the head says what.
    Refused(String),
}

/// A fresh-looking key for the connection `number` of the run `run`: unique is all that is needed here.
pub(crate) fn key(run: u64, number: u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&run.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    STANDARD.encode(bytes)
}

/// What a client offers that wants compression: like a browser, but nobody keeps a window for it.
const OFFER: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits\r\n";

/// The upgrade request for `path`, with an offer of permessage-deflate if `compress`.
pub(crate) fn request(authority: &str, path: &str, key: &str, compress: bool) -> Vec<u8> {
    let offer = if compress { OFFER } else { "" };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offer}\r\n"
    )
    .into_bytes()
}

/// Judges what the server answered to the request with `key`.
pub(crate) fn judge_answer(bytes: &[u8], key: &str) -> Answer {
    let Some((head, length)) = head_of(bytes) else {
        return if bytes.len() > HEAD_LIMIT_BYTES {
            Answer::Refused("an endless response head".into())
        } else {
            Answer::Incomplete
        };
    };
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        let body = String::from_utf8_lossy(&bytes[length..]);
        return Answer::Refused(format!("{status} {}", body.chars().take(300).collect::<String>()));
    }
    if header(head, "sec-websocket-accept") != Some(accept(key).as_str()) {
        return Answer::Refused("101 with a wrong Sec-WebSocket-Accept".into());
    }
    match header(head, "sec-websocket-extensions") {
        None => Answer::Accepted { head_bytes: length, compression: false },
        Some(agreed) if agreed.starts_with("permessage-deflate;") && agreed.contains("server_no_context_takeover") => {
            Answer::Accepted { head_bytes: length, compression: true }
        }
        Some(other) => Answer::Refused(format!("101 with the extension {other}, which was not offered like this")),
    }
}

/// What a client asked for, seen by the floor server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opening<'a> {
    /// The path of the request line.
    pub(crate) path: &'a str,
    /// The client's key.
    pub(crate) key: &'a str,
    /// Bytes of the head.
    pub(crate) length: usize,
}

/// Reads an upgrade request; `None` if it is not whole, or not one.
pub(crate) fn opening(bytes: &[u8]) -> Option<Opening<'_>> {
    let (head, length) = head_of(bytes)?;
    let path = head.split(' ').nth(1)?;
    Some(Opening { path, key: header(head, "sec-websocket-key")?, length })
}

/// The floor server's answer to `key`.
pub(crate) fn acceptance(key: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    )
    .into_bytes()
}

/// The text up to the empty line, and its length with it.
pub(crate) fn head_of(bytes: &[u8]) -> Option<(&str, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, end + 4))
}

/// The value of a header in a head; `name` in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// `Sec-WebSocket-Accept` for `key` (RFC 6455 §4.2.2).
fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        // RFC 6455 §1.3.
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn both_sides_agree_whole_and_at_every_prefix() {
        let key = key(3, 4);
        let request = request("127.0.0.1:8000", "/topics/load-0", &key, true);
        for cut in 0..request.len() {
            assert_eq!(opening(&request[..cut]), None, "at {cut}");
        }
        let opened = opening(&request).unwrap();
        assert_eq!((opened.path, opened.key, opened.length), ("/topics/load-0", key.as_str(), request.len()));

        let mut answer = acceptance(opened.key);
        for cut in 0..answer.len() {
            assert_eq!(judge_answer(&answer[..cut], &key), Answer::Incomplete, "at {cut}");
        }
        let length = answer.len();
        answer.extend_from_slice(b"\x82\x01x");
        assert_eq!(judge_answer(&answer, &key), Answer::Accepted { head_bytes: length, compression: false });
    }

    #[test]
    fn compression_is_agreed_on_only_as_it_was_offered() {
        let key = key(1, 1);
        let answered = |extension: &str| {
            let head = String::from_utf8(acceptance(&key)).unwrap();
            let line = format!("\r\nSec-WebSocket-Extensions: {extension}\r\n\r\n");
            judge_answer(head.replacen("\r\n\r\n", &line, 1).as_bytes(), &key)
        };
        let agreed = answered("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        assert!(matches!(agreed, Answer::Accepted { compression: true, .. }), "{agreed:?}");
        for other in ["permessage-deflate", "permessage-deflate; client_no_context_takeover", "x-other"] {
            assert!(matches!(answered(other), Answer::Refused(_)), "{other}");
        }
    }

    #[test]
    fn keys_differ_between_connections_and_runs() {
        assert_ne!(key(1, 2), key(1, 3));
        assert_ne!(key(1, 2), key(2, 2));
        assert_eq!(key(1, 2).len(), 24);
    }

    #[test]
    fn a_refusal_is_told_with_its_status_and_body() {
        let refused = judge_answer(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope", "k");
        assert_eq!(refused, Answer::Refused("HTTP/1.1 403 Forbidden nope".into()));
    }

    #[test]
    fn an_accept_for_another_key_is_refused() {
        let answer = acceptance(&key(1, 1));
        assert!(matches!(judge_answer(&answer, &key(1, 2)), Answer::Refused(_)));
    }

    #[test]
    fn an_endless_head_is_refused_at_its_limit() {
        assert_eq!(judge_answer(&vec![b'a'; HEAD_LIMIT_BYTES], "k"), Answer::Incomplete);
        assert!(matches!(judge_answer(&vec![b'a'; HEAD_LIMIT_BYTES + 1], "k"), Answer::Refused(_)));
    }
}
