//! How a floor's bytes get to its sockets: in one way, or in several that take turns, so that they can be compared.
//!
//! On a shared machine two runs one after the other differ by more than two ways of sending do. So the ways take turns
//! from one fan-out to the next, by chance, within one server and one load; what they differ by is theirs.

use std::io::{self, IoSlice, Write as _};
use std::net::TcpStream;

use anyhow::{Result, bail, ensure};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use rustix::time::{ClockId, clock_gettime};

use crate::clock;
use crate::server::cpu::SoftIrqThread;
use crate::server::ring::Ring;
use crate::server::way::Way;

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// The ways of a floor.
pub(super) struct Egress {
    lanes: Vec<Lane>,
    softirqs: Option<SoftIrqThread>,
    /// Chooses whose turn it is.
    dice: u64,
}

/// One way, and what it has cost.
struct Lane {
    way: Way,
    ring: Option<Ring>,
    fan_outs: u64,
    /// Frames times sockets.
    deliveries: u64,
    spent: Spent,
}

/// In ns.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    /// Of this thread's CPU time.
    cpu: u64,
    /// Of the CPU time of the kernel's thread for deferred network work on this CPU.
    softirqs: u64,
    /// Of time.
    wall: u64,
}

impl Egress {
    /// Sends in turn by `ways`, of which there is at least one.
    ///
    /// Errors: no io_uring, if one of them needs it.
    pub(super) fn new(ways: &[Way]) -> Result<Self> {
        let lane = |&way: &Way| {
            let ring = match way {
                Way::Send | Way::SendMsg => None,
                Way::Uring(batch) => Some(Ring::new(batch)?),
            };
            Ok(Lane { way, ring, fan_outs: 0, deliveries: 0, spent: Spent::default() })
        };
        let lanes = ways.iter().map(lane).collect::<Result<Vec<Lane>>>()?;
        ensure!(!lanes.is_empty(), "no way to send");
        Ok(Self { lanes, softirqs: SoftIrqThread::of_this_cpu(), dice: clock::now_ns() | 1 })
    }

    /// A socket that is sent to from now on.
    pub(super) fn add(&self, socket: &TcpStream) -> Result<()> {
        self.rings().try_for_each(|ring| ring.add(socket))
    }

    /// A socket that is about to end.
    pub(super) fn remove(&self, socket: &TcpStream) -> Result<()> {
        self.rings().try_for_each(|ring| ring.remove(socket))
    }

    fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.lanes.iter().filter_map(|lane| lane.ring.as_ref())
    }

    /// Sends `frames`, which end at `ends` counted from the first byte, to all of `sockets`. `rest` gets what a socket
    /// did not take, and says how many writes that took; one whose peer is gone is passed over. Returns how many sends
    /// all of it took: with io_uring they are more than the system calls.
    ///
    /// Errors: the first one of `rest`; io_uring failed.
    pub(super) fn send<'a>(
        &mut self,
        sockets: impl Iterator<Item = &'a TcpStream> + Clone,
        frames: &[u8],
        ends: &[usize],
        rest: impl Fn(&TcpStream, &[u8]) -> Result<u64>,
    ) -> Result<u64> {
        if let [lane] = &mut self.lanes[..] {
            return lane.send(sockets, frames, ends, rest);
        }
        // xorshift64 (Marsaglia 2003).
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let lanes = self.lanes.len() as u64;
        let lane = &mut self.lanes[((self.dice >> 32) % lanes) as usize];
        let before = Spent::so_far(self.softirqs.as_ref());
        let writes = lane.send(sockets.clone(), frames, ends, rest)?;
        lane.spent.add(before, Spent::so_far(self.softirqs.as_ref()));
        lane.fan_outs += 1;
        lane.deliveries += sockets.count() as u64 * ends.len() as u64;
        Ok(writes)
    }

    /// Sends `frames` to the one socket that gets them.
    ///
    /// Errors: as [`Self::send`]; there are other ways than [`Way::Send`], which are for many sockets.
    pub(super) fn send_one<'a>(
        &mut self,
        socket: impl Iterator<Item = &'a TcpStream> + Clone,
        frames: &[u8],
        rest: impl Fn(&TcpStream, &[u8]) -> Result<u64>,
    ) -> Result<u64> {
        match &mut self.lanes[..] {
            [lane @ Lane { way: Way::Send, .. }] => lane.send(socket, frames, &[frames.len()], rest),
            _ => bail!("connections of several topics get bursts of their own, which only send can send"),
        }
    }

    /// Says on standard error what each way has cost, if there are several.
    pub(super) fn tell(&self) -> Result<()> {
        if self.lanes.len() < 2 {
            return Ok(());
        }
        let mut table =
            String::from("way           fan-outs    deliveries  ns per delivery: CPU  + ksoftirqd      time\n");
        for lane in &self.lanes {
            let per = |ns: u64| ns as f64 / lane.deliveries as f64;
            table.push_str(&format!(
                "{:<12} {:>9} {:>13} {:>21.1} {:>12.1} {:>9.1}\n",
                lane.way.to_string(),
                lane.fan_outs,
                lane.deliveries,
                per(lane.spent.cpu),
                per(lane.spent.softirqs),
                per(lane.spent.wall)
            ));
        }
        Ok(io::stderr().write_all(table.as_bytes())?)
    }
}

impl Lane {
    fn send<'a>(
        &mut self,
        sockets: impl Iterator<Item = &'a TcpStream> + Clone,
        frames: &[u8],
        ends: &[usize],
        rest: impl Fn(&TcpStream, &[u8]) -> Result<u64>,
    ) -> Result<u64> {
        let mut writes = 0;
        let mut settle = |socket: &TcpStream, taken: Result<usize, Errno>| {
            writes += match taken {
                Ok(count) if count == frames.len() => 0,
                Ok(count) => rest(socket, &frames[count..])?,
                Err(Errno::AGAIN) => rest(socket, frames)?,
                // Its end is read in a moment.
                Err(_) => 0,
            };
            Ok(())
        };
        if let Some(ring) = &mut self.ring {
            let sends = ring.send(sockets.clone(), frames, |place, taken| {
                sockets.clone().nth(place).map_or(Ok(()), |socket| settle(socket, taken))
            })?;
            return Ok(sends + writes);
        }
        let mut sends = 0;
        if self.way == Way::SendMsg {
            let mut start = 0;
            let slice = |&end: &usize| IoSlice::new(&frames[std::mem::replace(&mut start, end)..end]);
            let slices: Vec<IoSlice<'_>> = ends.iter().map(slice).collect();
            for socket in sockets {
                sends += 1;
                settle(socket, sendmsg(socket, &slices, &mut SendAncillaryBuffer::default(), FLAGS))?;
            }
        } else {
            for socket in sockets {
                sends += 1;
                settle(socket, send(socket, frames, FLAGS))?;
            }
        }
        Ok(sends + writes)
    }
}

impl Spent {
    fn so_far(softirqs: Option<&SoftIrqThread>) -> Self {
        let thread = clock_gettime(ClockId::ThreadCPUTime);
        Self {
            cpu: thread.tv_sec as u64 * 1_000_000_000 + thread.tv_nsec as u64,
            softirqs: softirqs.map_or(0, SoftIrqThread::run_time_ns),
            wall: clock::now_ns(),
        }
    }

    fn add(&mut self, before: Self, after: Self) {
        self.cpu += after.cpu - before.cpu;
        self.softirqs += after.softirqs.saturating_sub(before.softirqs);
        self.wall += after.wall - before.wall;
    }
}
