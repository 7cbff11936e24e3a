//! A connection that does nothing but ping: how long a pong takes while others are busy.
//!
//! On a thread of its own. In the generator's loop a pong would wait for thousands of reads of other sockets, and the
//! figure would be the generator's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;

use crate::client::dialer;
use crate::clock;
use crate::report::report;
use crate::server::place::Place;
use crate::wire::frame::{self, Opcode, Writer};
use crate::wire::handshake::{self, Answer};
use crate::wire::inbox::Inbox;

/// A pong that takes longer ends the probe.
const PATIENCE: Duration = Duration::from_secs(10);

const READ_BYTES: usize = 4096;

/// Better than the generator's, so that it runs as soon as its pong is there. Only root gets it; others probe without.
const NICENESS: i32 = -10;

/// A probe at work.
pub(crate) struct Probe {
    thread: Option<JoinHandle<Result<()>>>,
    is_over: Arc<AtomicBool>,
    times: Arc<Mutex<Histogram<u64>>>,
}

impl Probe {
    /// Connects to `path` and pings every `every_ms`, one ping at a time.
    pub(crate) fn start(place: &Place, path: &str, every_ms: u64) -> Result<Self> {
        let connection = Connection::open(place, path).context("the probe")?;
        let is_over = Arc::new(AtomicBool::new(false));
        let times = Arc::new(Mutex::new(report::latency_histogram()));
        let (told, shared) = (Arc::clone(&is_over), Arc::clone(&times));
        let thread = thread::Builder::new().name("probe".to_owned()).spawn(move || {
            // What cannot be had is done without.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            connection.ping_every(every_ms * 1_000_000, &told, &shared)
        });
        Ok(Self { thread: Some(thread.context("starting the probe")?), is_over, times })
    }

    /// The times of the pongs, in ns, since the last call.
    pub(crate) fn take(&self) -> Histogram<u64> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut times, report::latency_histogram())
    }

    /// Ends it. Errors if a pong did not come, or the connection ended.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome.context("the probe"),
            Some(Err(_)) => bail!("the probe panicked"),
            None => Ok(()),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

struct Connection {
    socket: TcpStream,
    inbox: Inbox,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

impl Connection {
    fn open(place: &Place, path: &str) -> Result<Self> {
        let mut socket = TcpStream::connect_timeout(&place.address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let key = dialer::the_key();
        socket.write_all(&handshake::request(&place.authority, path, &key, false))?;
        let mut answer = Vec::new();
        loop {
            let mut buffer = [0; READ_BYTES];
            let count = socket.read(&mut buffer)?;
            answer.extend_from_slice(&buffer[..count]);
            match handshake::judge_answer(&answer, &key) {
                Answer::Accepted { head_bytes, .. } => {
                    let inbox = Inbox::starting_with(answer.split_off(head_bytes));
                    let scratch = vec![0; Inbox::scratch_bytes(64 * 1024, READ_BYTES)];
                    return Ok(Self { socket, inbox, scratch, out: Vec::new() });
                }
                Answer::Refused(why) => bail!("handshake refused: {why}"),
                Answer::Incomplete if count == 0 => bail!("the server closed it during the handshake"),
                Answer::Incomplete => {}
            }
        }
    }

    fn ping_every(mut self, every_ns: u64, is_over: &AtomicBool, times: &Mutex<Histogram<u64>>) -> Result<()> {
        let start_ns = clock::now_ns();
        let mut came_ns = start_ns;
        for number in 1_u64.. {
            let due_ns = start_ns + number * every_ns;
            if let Some(wait_ns) = due_ns.checked_sub(clock::now_ns()) {
                thread::sleep(Duration::from_nanos(wait_ns));
            }
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            // A ping that was due while the one before was unanswered has waited since then. Otherwise it starts now:
            // that this thread woke up late is not the server's doing.
            let from_ns = if due_ns < came_ns { due_ns } else { clock::now_ns() };
            frame::write_masked(&mut self.out, Opcode::Ping, [1, 2, 3, 4], 8, |out| {
                out.extend_from_slice(&number.to_be_bytes());
            });
            self.flush()?;
            self.wait_for(number)?;
            came_ns = clock::now_ns();
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            times.saturating_record(came_ns - from_ns);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn wait_for(&mut self, number: u64) -> Result<()> {
        let mut has_come = false;
        while !has_come {
            let start = self.inbox.restore(&mut self.scratch);
            let count = match self.socket.read(&mut self.scratch[start..start + READ_BYTES]) {
                Ok(0) => bail!("the server closed it"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => return Err(error).context("no pong"),
            };
            let Self { inbox, scratch, out, .. } = self;
            let mut closed = false;
            let drained =
                inbox.drain(&scratch[..start + count], Writer::Server, 64 * 1024, |frame| match frame.opcode {
                    Opcode::Pong => has_come |= frame.payload == number.to_be_bytes(),
                    Opcode::Ping => frame::write_masked(out, Opcode::Pong, [1, 2, 3, 4], frame.payload.len(), |out| {
                        out.extend_from_slice(frame.payload);
                    }),
                    Opcode::Close => closed = true,
                    Opcode::Text | Opcode::Binary => {}
                });
            if drained.is_err() || closed {
                bail!("the server ended it");
            }
            if !self.out.is_empty() {
                self.flush()?;
            }
        }
        Ok(())
    }
}
