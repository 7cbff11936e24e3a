//! Plain HTTP/1.1 on one connection.

use std::net::SocketAddr;

use serde_json::Value;

use super::Socket;

/// A kept-alive HTTP connection.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) socket: Socket,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self { socket: Socket::connect(address) }
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], b"")
    }

    #[track_caller]
    pub(crate) fn post(&mut self, target: &str, body: impl AsRef<[u8]>) -> Response {
        self.request("POST", target, &[], body.as_ref())
    }

    /// Sends a request and reads its answer. The body of an answer to HEAD is not awaited.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.send(method, target, headers, body);
        if method == "HEAD" { head(&mut self.socket).expect("no answer") } else { self.response() }
    }

    /// Sends a request, also before the one before is answered.
    #[track_caller]
    pub(crate) fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.socket.send(&request(method, target, headers, body));
    }

    /// The next answer.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        response(&mut self.socket).expect("the hub closed instead of answering")
    }

    /// Calls a method of the server API with a key, and returns the JSON it answers with.
    #[track_caller]
    pub(crate) fn call(&mut self, key: &str, method: &str, parameters: &Value) -> Value {
        let body = parameters.to_string();
        let answer = self.request("POST", &format!("/api/{method}"), &[("X-API-Key", key)], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Publishes and asserts that it was acknowledged; returns the position, as `?since=` wants it.
    #[track_caller]
    pub(crate) fn publish(&mut self, topic: &str, body: impl AsRef<[u8]>) -> String {
        let answer = self.post(&format!("/topics/{topic}"), body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.position()
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// The next answer with its body; `None` if the hub closed instead.
#[track_caller]
pub(crate) fn response(socket: &mut Socket) -> Option<Response> {
    let mut response = head(socket)?;
    if let Some(length) = response.header("content-length") {
        let length = length.parse().unwrap();
        response.body = if length == 0 { Vec::new() } else { socket.read(length).expect("the body is missing") };
    }
    Some(response)
}

#[track_caller]
fn head(socket: &mut Socket) -> Option<Response> {
    let head = String::from_utf8(socket.read_through(b"\r\n\r\n")?).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap();
    let status = status.strip_prefix("HTTP/1.1 ").or(status.strip_prefix("HTTP/1.0 ")).unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(header).collect();
    Some(Response { status: status[..3].parse().unwrap(), headers, body: Vec::new() })
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The stable code of a refusal.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    /// `EPOCH:OFFSET` of an acknowledged publication.
    #[track_caller]
    pub(crate) fn position(&self) -> String {
        let json = self.json();
        format!("{}:{}", json["epoch"].as_str().unwrap(), json["offset"])
    }
}
