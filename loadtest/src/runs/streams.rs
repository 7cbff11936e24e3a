//! Streams of Server-Sent Events that are only held open: what comes is read and not understood.

use anyhow::{Result, bail};

use crate::client::dialer::{Dialer, Dialled};
use crate::client::poller::{Interest, Poller, Ready};
use crate::clock;
use crate::wire::line::{Line, Received};

const STEPS: usize = 256;

/// All streams of a run may take this long to open.
const DEADLINE_NS: u64 = 120_000_000_000;

/// Open streams.
#[derive(Default)]
pub(crate) struct Streams {
    poller: Option<Poller>,
    lines: Vec<Option<Line>>,
    ready: Vec<Ready>,
    closed: u64,
}

impl Streams {
    /// Opens a stream at each of `paths` and says how many seconds that took; `look` as in
    /// [`Crowd::gather`](crate::client::crowd::Crowd::gather).
    pub(crate) fn gather(
        &mut self,
        dialer: &mut Dialer,
        paths: impl Iterator<Item = String>,
        mut look: impl FnMut(u64, usize, usize) -> Result<()>,
    ) -> Result<f64> {
        let start_ns = clock::now_ns();
        for (number, path) in paths.enumerate() {
            dialer.order(number as u32, path);
        }
        let (mut done, mut open) = (Vec::new(), 0);
        while dialer.is_busy() {
            dialer.turn(STEPS, &mut done)?;
            for outcome in done.drain(..) {
                match outcome {
                    Dialled::Open { connected, .. } => {
                        let token = self.lines.len() as u64;
                        // Level-triggered: bytes that came before this are told as well.
                        self.poller()?.add(&connected.line, token, Interest::Read)?;
                        self.lines.push(Some(connected.line));
                        open += 1;
                    }
                    Dialled::Failed { number, why } => bail!("stream {number}: {why} ({open} are open)"),
                }
            }
            self.turn(0)?;
            look(clock::now_ns(), open, dialer.in_flight())?;
            if clock::now_ns() > start_ns + DEADLINE_NS {
                bail!("{open} streams open, then the deadline came: is the server accepting?");
            }
        }
        Ok((clock::now_ns() - start_ns) as f64 / 1e9)
    }

    /// Reads what comes for `seconds`.
    pub(crate) fn run_for(&mut self, seconds: f64) -> Result<()> {
        let end_ns = clock::now_ns() + clock::seconds_to_ns(seconds);
        while clock::now_ns() < end_ns {
            self.turn(20)?;
        }
        Ok(())
    }

    /// Streams that the server ended.
    pub(crate) fn closed(&self) -> u64 {
        self.closed
    }

    /// Ends all streams.
    pub(crate) fn drop_all(&mut self) {
        self.lines.clear();
    }

    fn poller(&mut self) -> Result<&mut Poller> {
        match &mut self.poller {
            Some(poller) => Ok(poller),
            none => Ok(none.insert(Poller::new()?)),
        }
    }

    fn turn(&mut self, timeout_ms: u32) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poller()?.wait(timeout_ms, &mut ready)?;
        let mut buffer = vec![0; 64 * 1024];
        for event in &ready {
            let slot = &mut self.lines[event.token as usize];
            let Some(line) = slot else { continue };
            match line.recv(&mut buffer) {
                Ok(Received::Bytes(_) | Received::Nothing) => {}
                Ok(Received::End) | Err(_) => {
                    *slot = None;
                    self.closed += 1;
                }
            }
        }
        self.ready = ready;
        Ok(())
    }
}
