//! The sweep: what connections are owed goes to their sockets.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use super::connection::Reading;
use super::membership::Carried;
use super::opening::protocol_of;
use super::worker::Worker;
use crate::close_reason::CloseReason;
use crate::fanout::{LogId, Missed, Sent, Tick, Writer};
use crate::protocol::{self, Notice};

impl Worker {
    /// One sweep: writes to at most [`crate::fanout::Settings::sweep_visits`] connections what they are owed.
    pub(super) fn sweep(&mut self) {
        let mut writes = 0;
        while let Some(id) = self.fanout.next() {
            let Some(connection) = self.connections.get(id.index) else { continue };
            let (session, reading) = (connection.session, connection.reading);
            let memberships = &self.memberships;
            let mut notice = |log: LogId, missed: Missed| notice(memberships.carried(log), missed);
            let visited = self.fanout.visit(id, Tick(self.tick), &mut notice, |slices| {
                writes += 1;
                send(&connection.socket, slices)
            });
            if visited.publications > 0 {
                let counters = self.counters();
                let protocol = protocol_of(session).index();
                counters.deliveries[protocol].add(visited.publications);
                counters.delivered_bytes[protocol].add(visited.bytes);
            }
            match visited.writer {
                Writer::Open | Writer::Blocked => {}
                Writer::Finished => self.close_frame_is_out(id),
                Writer::Dead => {
                    self.drop_connection(id, CloseReason::Gone);
                    continue;
                }
            }
            if reading == Reading::OutboxFull {
                self.resume_reading(id);
            }
            if !self.catch_ups.is_empty() {
                self.feed_catch_up(id);
            }
        }
        self.counters().writes.add(writes);
    }
}

/// What a subscriber is told of publications that were skipped for it.
fn notice(carried: Option<Carried<'_>>, missed: Missed) -> bytes::Bytes {
    match carried {
        Some(Carried::Topic(topic, encoding)) => {
            let json =
                protocol::missed_json(topic.name().as_str(), topic.epoch(), missed.first, missed.last, missed.count);
            protocol::notice(encoding, Notice::Missed, &json)
        }
        // Their policy is to disconnect, so nothing is skipped in them; and a log without owner has no members.
        Some(Carried::Bundle(_)) | None => bytes::Bytes::new(),
    }
}

/// One system call: `send` for one slice, which is the cheaper of the two, `sendmsg` for several.
fn send(socket: &OwnedFd, slices: &[IoSlice<'_>]) -> Sent {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        let sent = match slices {
            [one] => rustix::net::send(socket, one, flags),
            several => rustix::net::sendmsg(socket, several, &mut SendAncillaryBuffer::default(), flags),
        };
        return match sent {
            Ok(bytes) => Sent::Wrote(bytes),
            Err(Errno::AGAIN) => Sent::Blocked,
            Err(Errno::INTR) => continue,
            Err(_) => Sent::Dead,
        };
    }
}
