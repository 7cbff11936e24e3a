//! One epoll, with an alarm finer than its milliseconds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::clock;

/// Events taken per wait. Enough that the wait itself is negligible per event.
const EVENTS_PER_WAIT: usize = 1024;

/// The token of the alarm; callers use smaller ones.
const ALARM: u64 = u64::MAX;

/// What a descriptor is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes to read, or the end.
    Read,
    /// That, and room to write.
    ReadAndWrite,
    /// Bytes to read, told once per arrival: whoever reads must read all. Saves the kernel a second look at every
    /// socket that was read, which is a noticeable part of a small delivery.
    ReadEdge,
    /// That, and room to write.
    ReadAndWriteEdge,
}

impl Interest {
    fn flags(self) -> EventFlags {
        let read = EventFlags::IN | EventFlags::RDHUP;
        match self {
            Self::Read => read,
            Self::ReadAndWrite => read | EventFlags::OUT,
            Self::ReadEdge => read | EventFlags::ET,
            Self::ReadAndWriteEdge => read | EventFlags::OUT | EventFlags::ET,
        }
    }
}

/// A descriptor that is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    /// The token it was added with.
    pub(crate) token: u64,
    /// There is something to read, an end, or an error (which a read tells).
    pub(crate) readable: bool,
    /// There is room to write, or an error (which a write tells).
    pub(crate) writable: bool,
    /// The other side has finished: behind what is there to read comes the end.
    pub(crate) finished: bool,
}

/// Waits for many descriptors.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
    alarm: OwnedFd,
    alarm_ns: u64,
}

impl Poller {
    /// A poller that watches nothing yet. Takes two descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let alarm = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &alarm, EventData::new_u64(ALARM), EventFlags::IN)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_PER_WAIT), alarm, alarm_ns: 0 })
    }

    /// Watches `socket` under `token`.
    pub(crate) fn add(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token), interest.flags())?)
    }

    /// Changes what `socket` is watched for.
    pub(crate) fn change(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token), interest.flags())?)
    }

    /// Watches `socket` no more.
    pub(crate) fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Makes the next waits end at `at_ns` of the monotonic clock, to the microsecond.
    pub(crate) fn wake_at(&mut self, at_ns: u64) -> io::Result<()> {
        if self.alarm_ns == at_ns {
            return Ok(());
        }
        self.alarm_ns = at_ns;
        let it_value =
            Timespec { tv_sec: (at_ns / 1_000_000_000).cast_signed(), tv_nsec: (at_ns % 1_000_000_000).cast_signed() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // Setting it also clears an alarm that went off.
        timerfd_settime(&self.alarm, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    /// Waits for at most `timeout_ms`, or until the alarm, and replaces `ready` by what is ready.
    pub(crate) fn wait(&mut self, timeout_ms: u32, ready: &mut Vec<Ready>) -> io::Result<()> {
        // The alarm bounds the wait, not a timeout of epoll's: that is a timer to arm and cancel for every sleep.
        let now_ns = clock::now_ns();
        let latest_ns = now_ns + u64::from(timeout_ms) * 1_000_000;
        if self.alarm_ns <= now_ns || self.alarm_ns > latest_ns {
            self.wake_at(latest_ns)?;
        }
        self.collect(None, ready)
    }

    /// Replaces `ready` by what is ready now. Leaves the alarm alone: a poller that is only looked at can itself be
    /// watched by another one.
    pub(crate) fn look(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.collect(Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }), ready)
    }

    fn collect(&mut self, timeout: Option<&rustix::event::Timespec>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let Event { flags, data, .. } = *event;
            if data.u64() != ALARM {
                let broken = EventFlags::ERR | EventFlags::HUP;
                ready.push(Ready {
                    token: data.u64(),
                    readable: flags.intersects(EventFlags::IN | EventFlags::RDHUP | broken),
                    writable: flags.intersects(EventFlags::OUT | broken),
                    finished: flags.intersects(EventFlags::RDHUP | broken),
                });
            }
        }
        Ok(())
    }
}

impl AsFd for Poller {
    /// Readable while something that is watched is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
