//! HTTP/1.1 responses out of a stream of bytes, one after the other: what pipelining needs and client libraries lack.
//!
//! Pure: bytes in, responses out.

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Bytes are not HTTP, or more than an answer of a hub has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadResponse {
    #[error("the answer is not HTTP/1.1: is this the address of a hub?")]
    NotHttp,
    #[error("the answer has a head of more than {} bytes", Responses::HEAD_LIMIT)]
    HeadTooLarge,
    #[error("the answer has a body of more than {} bytes", Responses::BODY_LIMIT)]
    BodyTooLarge,
}

/// Takes responses apart. Holds at most one head, one body and what came with them.
#[derive(Debug, Default)]
pub(super) struct Responses {
    buffer: Vec<u8>,
}

/// How long a body is.
enum Length {
    Bytes(usize),
    Chunked,
    UntilTheEnd,
}

impl Responses {
    const HEAD_LIMIT: usize = 64 * 1024;
    const BODY_LIMIT: usize = 16 * 1024 * 1024;

    /// Adds what was read from the socket.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next response, if it is whole. `ended`: no more bytes will come.
    pub(super) fn next(&mut self, ended: bool) -> Result<Option<Response>, BadResponse> {
        loop {
            let Some(head_end) = find(&self.buffer, b"\r\n\r\n") else {
                if self.buffer.len() > Self::HEAD_LIMIT {
                    return Err(BadResponse::HeadTooLarge);
                }
                // Tells a wrong address by the first bytes already.
                let start = &self.buffer[..self.buffer.len().min(7)];
                return if b"HTTP/1.".starts_with(start) { Ok(None) } else { Err(BadResponse::NotHttp) };
            };
            let (status, length) = head(&self.buffer[..head_end]).ok_or(BadResponse::NotHttp)?;
            let body_start = head_end + 4;
            if (100..200).contains(&status) {
                self.buffer.drain(..body_start);
                continue;
            }
            let rest = &self.buffer[body_start..];
            let (body, taken) = match length {
                Length::Bytes(bytes) if bytes > Self::BODY_LIMIT => return Err(BadResponse::BodyTooLarge),
                Length::Bytes(bytes) if rest.len() >= bytes => (rest[..bytes].to_vec(), bytes),
                Length::UntilTheEnd if ended => (rest.to_vec(), rest.len()),
                Length::Chunked => match chunks(rest)? {
                    Some(whole) => whole,
                    None => return Ok(None),
                },
                Length::Bytes(_) | Length::UntilTheEnd => {
                    return if rest.len() > Self::BODY_LIMIT { Err(BadResponse::BodyTooLarge) } else { Ok(None) };
                }
            };
            self.buffer.drain(..body_start + taken);
            return Ok(Some(Response { status, body }));
        }
    }
}

/// Status and body length of a head without its empty line.
fn head(bytes: &[u8]) -> Option<(u16, Length)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.splitn(3, ' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status: u16 = words.next()?.parse().ok().filter(|status| (100..600).contains(status))?;
    let mut length = if matches!(status, 204 | 304) { Length::Bytes(0) } else { Length::UntilTheEnd };
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            return Some((status, Length::Chunked));
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Length::Bytes(value.parse().ok()?);
        }
    }
    Some((status, length))
}

/// The body in `bytes` (RFC 9112 §7.1) and how long it is there, if its last chunk has come. Trailers are skipped.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, BadResponse> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(line_end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = std::str::from_utf8(&bytes[at..at + line_end]).map_err(|_| BadResponse::NotHttp)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| BadResponse::NotHttp)?;
        if size > Responses::BODY_LIMIT - body.len() {
            return Err(BadResponse::BodyTooLarge);
        }
        at += line_end + 2;
        if size == 0 {
            // Without trailers the next line is the empty one.
            loop {
                let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
                at += end + 2;
                if end == 0 {
                    return Ok(Some((body, at)));
                }
            }
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err(BadResponse::NotHttp);
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THREE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nt: r\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\n";

    fn all(responses: &mut Responses) -> Vec<(u16, Vec<u8>)> {
        std::iter::from_fn(|| responses.next(false).unwrap()).map(|one| (one.status, one.body)).collect()
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let mut responses = Responses::default();
        responses.feed(b"HTTP/1.0 400 Bad\r\n\r\nwhy");
        assert_eq!(responses.next(false), Ok(None));
        assert_eq!(responses.next(true), Ok(Some(Response { status: 400, body: b"why".to_vec() })));
    }

    #[test]
    fn something_that_is_not_http_is_told_by_its_first_bytes() {
        for bytes in [
            &b"SSH-2.0"[..],
            b"\x15\x03\x03",
            b"HTTP/2",
            b"HTTP/1.1 xyz\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            let mut responses = Responses::default();
            responses.feed(bytes);
            assert_eq!(responses.next(false), Err(BadResponse::NotHttp), "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_without_bounds_is_refused() {
        let mut responses = Responses::default();
        responses.feed(b"HTTP/1.1 200 OK\r\nx: ");
        responses.feed(&vec![b'y'; Responses::HEAD_LIMIT]);
        assert_eq!(responses.next(false), Err(BadResponse::HeadTooLarge));
        let mut responses = Responses::default();
        responses.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
        assert_eq!(responses.next(false), Err(BadResponse::BodyTooLarge));
        let mut responses = Responses::default();
        responses.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n");
        assert_eq!(responses.next(false), Err(BadResponse::BodyTooLarge));
    }

    proptest! {
        #[test]
        fn responses_are_the_same_however_they_are_cut(cut in 0..THREE.len(), second in 0..THREE.len()) {
            let (first, second) = (cut.min(second), cut.max(second));
            let mut responses = Responses::default();
            let mut found = Vec::new();
            for part in [&THREE[..first], &THREE[first..second], &THREE[second..]] {
                responses.feed(part);
                found.extend(all(&mut responses));
            }
            prop_assert_eq!(found, vec![(200, b"hello".to_vec()), (503, b"abcde".to_vec()), (204, vec![])]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), ended: bool) {
            let mut responses = Responses::default();
            responses.feed(b"HTTP/1.1 200 OK\r\n");
            responses.feed(&bytes);
            while let Ok(Some(_)) = responses.next(ended) {}
        }
    }
}
