//! Sends through io_uring: many sockets in one system call.

use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, RawFd};

use anyhow::{Context as _, Result, ensure};
use io_uring::{IoUring, opcode, types};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::process::{Resource, getrlimit};

/// The largest ring of the kernel, in entries.
pub(super) const ENTRIES_LIMIT: u32 = 32_768;

/// Descriptors that are registered at most: a slot takes 8 bytes of the kernel's memory.
const SLOTS_LIMIT: u64 = 1 << 20;

/// An io_uring of the thread that made it.
///
/// With what the kernel offers to make it cheap: one issuer, completions posted by that thread itself, no array of
/// indices, the ring's own descriptor and those of the sockets registered, so that none is looked up or counted.
pub(super) struct Ring {
    ring: IoUring,
    /// Sends per system call.
    batch: usize,
    /// An entry may have stayed behind in the ring that names bytes which are gone.
    is_broken: bool,
}

impl Ring {
    /// A ring that submits up to `batch` sends at once.
    ///
    /// Errors: the kernel has no io_uring or one older than 6.6, or does not let this process use it.
    pub(super) fn new(batch: u32) -> Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_submit_all().setup_single_issuer().setup_defer_taskrun().setup_no_sqarray();
        let ring: IoUring = builder.build(batch.next_power_of_two()).context("io_uring_setup")?;
        ring.submitter().register_ring_fd().context("registering the ring's descriptor")?;
        // One for every descriptor this process can have, so that its number is the number of its slot.
        let slots = getrlimit(Resource::Nofile).current.unwrap_or(SLOTS_LIMIT).min(SLOTS_LIMIT);
        ring.submitter().register_files_sparse(slots as u32).context("registering descriptors")?;
        Ok(Self { ring, batch: batch as usize, is_broken: false })
    }

    /// Makes `socket` one that this can send to.
    pub(super) fn add(&self, socket: &TcpStream) -> Result<()> {
        self.set(socket, socket.as_raw_fd())
    }

    /// Takes it out again; it does not end before that.
    pub(super) fn remove(&self, socket: &TcpStream) -> Result<()> {
        self.set(socket, -1)
    }

    fn set(&self, slot_of: &TcpStream, descriptor: RawFd) -> Result<()> {
        let slot = slot_of.as_raw_fd() as u32;
        self.ring.submitter().register_files_update(slot, &[descriptor]).context("registering a descriptor")?;
        Ok(())
    }

    /// Sends `bytes` to all of `sockets`, as far as each takes them now. `short` is told of each that did not take all:
    /// its place among them, and the bytes it took, or why none. Returns how many sends it was.
    ///
    /// Errors: the first one of `short`; the kernel did not take the sends, after which this sends no more.
    #[expect(unsafe_code, reason = "the kernel is told by address where the bytes are")]
    pub(super) fn send<'a>(
        &mut self,
        sockets: impl Iterator<Item = &'a TcpStream>,
        bytes: &[u8],
        mut short: impl FnMut(usize, Result<usize, Errno>) -> Result<()>,
    ) -> Result<u64> {
        let mut sends = 0;
        ensure!(!self.is_broken, "the ring is broken");
        let flags = (SendFlags::DONTWAIT | SendFlags::NOSIGNAL).bits() as i32;
        let length = u32::try_from(bytes.len()).context("more than 4 GiB in one send")?;
        let mut sockets = sockets.enumerate();
        loop {
            let mut pushed = 0;
            self.is_broken = true;
            let mut queue = self.ring.submission();
            for (place, socket) in sockets.by_ref().take(self.batch) {
                let socket = types::Fixed(socket.as_raw_fd() as u32);
                let send = opcode::Send::new(socket, bytes.as_ptr(), length).flags(flags).build();
                // SAFETY: the kernel reads `length` bytes at `bytes` until the send has completed. `bytes` is borrowed
                // until this returns, and it returns only after as many completions as sends (`complete`), or with an
                // error, after which nothing is ever submitted from this ring: entries it still holds are not sends yet,
                // and those it has submitted are over, since a send with MSG_DONTWAIT ends inside its `enter`.
                unsafe { queue.push(&send.user_data(place as u64)) }.context("invariant: a batch has room")?;
                pushed += 1;
            }
            drop(queue);
            if pushed > 0 {
                self.complete(pushed)?;
            }
            self.is_broken = false;
            if pushed == 0 {
                return Ok(sends);
            }
            sends += pushed as u64;
            // All are read even if one of them is an error: the next batch must find an empty queue.
            let mut outcome = Ok(());
            for completion in self.ring.completion() {
                let taken = usize::try_from(completion.result());
                let taken = taken.map_err(|_| Errno::from_raw_os_error(-completion.result()));
                if taken != Ok(bytes.len()) && outcome.is_ok() {
                    outcome = short(completion.user_data() as usize, taken);
                }
            }
            outcome?;
        }
    }

    /// Submits what is in the ring, and returns when all of it has completed. One system call: with MSG_DONTWAIT none
    /// is waited for.
    fn complete(&mut self, pushed: usize) -> Result<()> {
        let submitted = self.ring.submit_and_wait(pushed).context("io_uring_enter")?;
        ensure!(submitted == pushed, "io_uring took {submitted} of {pushed} sends");
        let completed = self.ring.completion().len();
        ensure!(completed == pushed, "io_uring completed {completed} of {pushed} sends");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::TcpListener;

    fn pairs(count: usize) -> Vec<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (0..count).map(|_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0)).collect()
    }

    /// Containers often forbid io_uring: there, these have nothing to test.
    fn ring(batch: u32, pairs: &[(TcpStream, TcpStream)]) -> Option<Ring> {
        let ring = Ring::new(batch).ok()?;
        for (near, _) in pairs {
            ring.add(near).unwrap();
        }
        Some(ring)
    }

    #[test]
    fn everybody_gets_the_bytes_whatever_the_size_of_a_batch() {
        let mut pairs = pairs(5);
        for batch in [1, 2, 3, 5, 64] {
            let Some(mut ring) = ring(batch, &pairs) else { return };
            ring.send(pairs.iter().map(|(near, _)| near), b"hello", |_, taken| panic!("{taken:?}")).unwrap();
            for (near, far) in &mut pairs {
                let mut read = [0; 5];
                far.read_exact(&mut read).unwrap();
                assert_eq!(&read, b"hello");
                ring.remove(near).unwrap();
            }
        }
    }

    #[test]
    fn a_socket_without_room_says_how_much_it_took_and_then_none() {
        let mut pairs = pairs(2);
        let Some(mut ring) = ring(8, &pairs) else { return };
        let bytes = vec![7; 64 << 20];
        let mut first = Vec::new();
        let sockets =
            |pairs: &[(TcpStream, TcpStream)]| pairs.iter().map(|(near, _)| near.try_clone().unwrap()).collect();
        let near: Vec<TcpStream> = sockets(&pairs);
        for socket in &near {
            ring.add(socket).unwrap();
        }
        ring.send(near.iter(), &bytes, |place, taken| {
            first.push((place, taken.unwrap()));
            Ok(())
        })
        .unwrap();
        assert_eq!(first.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1]);
        assert!(first.iter().all(|(_, taken)| (1..bytes.len()).contains(taken)), "{first:?}");
        ring.send(near.iter().take(1), &bytes, |place, taken| {
            assert_eq!((place, taken), (0, Err(Errno::AGAIN)));
            Ok(())
        })
        .unwrap();
        // Exactly what it said it took has arrived, and nothing came twice.
        near[0].shutdown(std::net::Shutdown::Write).unwrap();
        let mut read = Vec::new();
        pairs[0].1.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), first[0].1);
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error_of_its_own_send_only() {
        let pairs = pairs(3);
        let Some(mut ring) = ring(8, &pairs) else { return };
        pairs[1].0.shutdown(std::net::Shutdown::Both).unwrap();
        let mut told = Vec::new();
        ring.send(pairs.iter().map(|(near, _)| near), b"x", |place, taken| {
            told.push((place, taken));
            Ok(())
        })
        .unwrap();
        assert_eq!(told, [(1, Err(Errno::PIPE))]);
    }
}
