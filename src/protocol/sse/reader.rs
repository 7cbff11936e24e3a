//! An event stream reader for tests, after "Interpreting an event stream" of the WHATWG HTML standard.

/// What a browser would have dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::protocol) struct Dispatched {
    /// `message` unless the stream named it.
    pub(in crate::protocol) name: String,
    pub(in crate::protocol) data: String,
    /// The last id seen, which is what a browser comes back with.
    pub(in crate::protocol) last_id: String,
}

/// All that a stream holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) struct Read {
    pub(in crate::protocol) events: Vec<Dispatched>,
    pub(in crate::protocol) comments: Vec<String>,
    pub(in crate::protocol) retry_ms: Option<u64>,
}

/// Reads a whole stream.
pub(in crate::protocol) fn read(stream: &[u8]) -> Read {
    let stream = std::str::from_utf8(stream).unwrap().replace("\r\n", "\n").replace('\r', "\n");
    let mut read = Read::default();
    let (mut name, mut data, mut last_id) = (String::new(), String::new(), String::new());
    for line in stream.lines() {
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                let name = if name.is_empty() { "message" } else { &name };
                read.events.push(Dispatched { name: name.into(), data: data.into(), last_id: last_id.clone() });
            }
            (name, data) = (String::new(), String::new());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => read.comments.push(value.to_owned()),
            "event" => name = value.to_owned(),
            "data" => data = format!("{data}{value}\n"),
            "id" => last_id = value.to_owned(),
            "retry" => read.retry_ms = value.parse().ok(),
            other => panic!("unknown field {other:?}"),
        }
    }
    assert!(name.is_empty() && data.is_empty(), "the stream ends inside an event");
    read
}

/// Takes the chunks of an HTTP/1.1 body apart.
pub(in crate::protocol) fn dechunk(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while !body.is_empty() {
        let end = body.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        let (chunk, rest) = body[end + 2..].split_at(size);
        chunks.push(chunk.to_vec());
        body = rest.strip_prefix(b"\r\n").unwrap();
    }
    chunks
}
