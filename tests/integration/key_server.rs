//! A server of key sets that does what a test wants.
//!
//! Imports nothing of the project: the unit tests of `src/identity` use this file, too.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server on a free port, for as long as the test runs.
#[derive(Debug)]
pub(crate) struct KeyServer {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    /// Connections that the other side has ended.
    ended: Arc<AtomicUsize>,
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// 200 with this body.
    Body(String),
    /// A head, as it is.
    Head(&'static str),
    /// Nothing, ever.
    Silence,
    /// 200, and a body without end.
    Endless,
    /// The connection is closed.
    Close,
}

impl KeyServer {
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
            ended: Arc::default(),
        };
        let (answer, asked, ended) = (Arc::clone(&server.answer), Arc::clone(&server.asked), Arc::clone(&server.ended));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                let ended = Arc::clone(&ended);
                thread::spawn(move || {
                    serve(stream, &answer);
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Connections so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Connections that are over.
    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answer: &Answer) {
    let mut head = [0; 4096];
    let mut length = 0;
    while !head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[length..]) {
            Ok(0) | Err(_) => return,
            Ok(more) => length += more,
        }
    }
    match answer {
        Answer::Body(body) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
        Answer::Head(head) => {
            let _ = write!(stream, "{head}\r\n\r\n");
        }
        Answer::Silence => {
            let _ = stream.read_to_end(&mut Vec::new());
        }
        Answer::Endless => {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b' '; 16 * 1024]).is_ok() {}
        }
        Answer::Close => {}
    }
}
