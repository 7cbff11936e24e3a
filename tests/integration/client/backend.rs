//! An application's backend that does exactly what a test tells it: plain HTTP/1.1 with a thread per connection.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// A backend on a free port. Its threads end with their connections.
#[derive(Debug)]
pub(crate) struct Backend {
    address: SocketAddr,
    tls: bool,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What is done about it.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// 200, and this.
    Ok(String),
    /// This status, and this page.
    Status(u16, String),
    /// These bytes, whatever they are, and then the end of the connection.
    Raw(Vec<u8>),
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Backend {
    /// `answer` may block: only its own connection waits.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_any(None, answer)
    }

    /// The same over TLS.
    pub(crate) fn start_tls(config: ServerConfig, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_any(Some(Arc::new(config)), answer)
    }

    fn start_any(tls: Option<Arc<ServerConfig>>, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state: Arc<State> = Arc::default();
        let backend = Self { address: listener.local_addr().unwrap(), tls: tls.is_some(), state: Arc::clone(&state) };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, answer, tls) = (Arc::clone(&state), Arc::clone(&answer), tls.clone());
                state.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let stream: TcpStream = stream.unwrap();
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(stream),
                        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
                    };
                    // Ends when the hub hangs up, in whatever way.
                    let _ = serve(BufReader::new(stream), &state, &*answer);
                });
            }
        });
        backend
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        let (scheme, host) = if self.tls { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}{path}", self.address.port())
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

fn serve(
    mut stream: BufReader<Box<dyn Stream>>,
    state: &State,
    answer: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    while let Some(asked) = request(&mut stream)? {
        state.asked.lock().unwrap().push(asked.clone());
        let (status, page) = match answer(&asked) {
            Reply::Ok(page) => (200, page),
            Reply::Status(status, page) => (status, page),
            Reply::Raw(bytes) => {
                stream.get_mut().write_all(&bytes)?;
                return stream.get_mut().flush();
            }
        };
        let head = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n", page.len());
        stream.get_mut().write_all(&[head.as_bytes(), page.as_bytes()].concat())?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

/// The next request; `None` if the hub closed instead.
fn request(stream: &mut impl std::io::BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap().to_owned();
    assert!(line.starts_with("POST "), "{line}");
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut asked = Asked { path, headers, body: Vec::new() };
    let length = asked.header("content-length").expect("a body has a length").parse().unwrap();
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body)?;
    Ok(Some(asked))
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Reply {
    /// 200, and this.
    pub(crate) fn ok(page: &str) -> Self {
        Self::Ok(page.to_owned())
    }
}
