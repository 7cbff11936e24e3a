//! The fleet of subscribers: one thread, one epoll, one scratch buffer, no allocation per message.
//!
//! A subscriber can publish too: what a client sends on a topic's URL is published there. So the publisher of a run is
//! one of its subscribers, and every delivery the server makes is one that is verified.

use anyhow::Result;

use crate::client::connector::Connected;
use crate::client::poller::{Interest, Poller, Ready};
use crate::clock;
use crate::verify::SubscriberId;
use crate::wire::dialect::{Dialect, Event};
use crate::wire::frame::{self, Opcode, Writer};
use crate::wire::inbox::Inbox;
use crate::wire::inflated::{Inflated, Tally};
use crate::wire::line::{Flushed, Line, Received};
use crate::wire::outbox::Outbox;

/// Bytes asked of a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A constant key: masking hides bytes from proxies, and there are none here.
const KEY: [u8; 4] = [1, 2, 3, 4];

/// Bytes of a message that are shown to a person.
const EXCERPT_BYTES: usize = 200;

/// A control frame carries at most this (RFC 6455 §5.5), whatever the payload of the run.
const CONTROL_LIMIT_BYTES: usize = 125;

/// Tokens from here on belong to other descriptors on the same poller.
pub(crate) const FIRST_OTHER_TOKEN: u64 = 1 << 32;

/// A publication as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// The kind of message it came in.
    pub(crate) opcode: Opcode,
    /// The topic the server gave for it, if the language tells.
    pub(crate) topic: Option<&'a [u8]>,
    /// What was published, if nothing was changed.
    pub(crate) payload: &'a [u8],
    /// When its bytes were read.
    pub(crate) read_ns: u64,
}

/// Hears what comes to the subscribers.
pub(crate) trait Watch {
    /// A publication.
    fn message(&mut self, subscriber: SubscriberId, message: Message<'_>);
    /// The connection ended, for this reason.
    fn closed(&mut self, subscriber: SubscriberId, why: String);
    /// A ping came; it is answered.
    fn pinged(&mut self, _subscriber: SubscriberId) {}
}

/// All subscribers of a run.
pub(crate) struct Fleet {
    dialect: Dialect,
    poller: Poller,
    members: Vec<Member>,
    ready: Vec<Ready>,
    scratch: Vec<u8>,
    limit_bytes: usize,
    inflated: Inflated,
    /// Members whose handshake brought frames with it: no event will announce those.
    early: Vec<SubscriberId>,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
enum Reading {
    /// As much as there was room for: there may be more.
    Full,
    /// All there was.
    Short,
    /// Nothing, or the end.
    Nothing,
}

#[derive(Debug)]
struct Member {
    /// `None` once the connection has ended.
    line: Option<Line>,
    inbox: Inbox,
    outbox: Outbox,
    /// Whether the poller waits for room to write.
    blocked: bool,
    /// Whether what comes is left in the socket.
    held: bool,
    /// Whether messages may come compressed.
    compression: bool,
}

impl Fleet {
    /// Takes over `connections`, which speak `dialect`, number by number; payloads are at most `payload_limit_bytes` long.
    pub(crate) fn new(connections: Vec<Connected>, dialect: &Dialect, payload_limit_bytes: usize) -> Result<Self> {
        let limit_bytes = dialect.message_limit_bytes(payload_limit_bytes).max(CONTROL_LIMIT_BYTES);
        let mut fleet = Self {
            dialect: dialect.clone(),
            poller: Poller::new()?,
            members: Vec::with_capacity(connections.len()),
            ready: Vec::new(),
            scratch: vec![0; Inbox::scratch_bytes(limit_bytes, READ_BYTES)],
            limit_bytes,
            inflated: Inflated::new(limit_bytes),
            early: Vec::new(),
        };
        fleet.extend(connections)?;
        Ok(fleet)
    }

    /// Takes over more connections, numbered on.
    pub(crate) fn extend(&mut self, connections: Vec<Connected>) -> Result<()> {
        for Connected { line, early, compression } in connections {
            let subscriber = SubscriberId(self.members.len() as u32);
            self.poller.add(&line, u64::from(subscriber.0), Interest::ReadEdge)?;
            if !early.is_empty() {
                self.early.push(subscriber);
            }
            let inbox = Inbox::starting_with(early);
            self.members.push(Member {
                line: Some(line),
                inbox,
                outbox: Outbox::default(),
                blocked: false,
                held: false,
                compression,
            });
        }
        Ok(())
    }

    /// The poller, for descriptors with tokens from [`FIRST_OTHER_TOKEN`] on.
    pub(crate) fn poller(&mut self) -> &mut Poller {
        &mut self.poller
    }

    /// Where to append frames that `subscriber` sends; [`Fleet::flush`] sends them.
    pub(crate) fn outbox(&mut self, subscriber: SubscriberId) -> &mut Vec<u8> {
        self.members[subscriber.index()].outbox.bytes()
    }

    /// What came compressed so far.
    pub(crate) fn compressed(&self) -> Tally {
        self.inflated.tally()
    }

    /// How many subscribers there ever were.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the connection of `subscriber` is there.
    pub(crate) fn is_open(&self, subscriber: SubscriberId) -> bool {
        self.members[subscriber.index()].line.is_some()
    }

    /// Reads nothing more from `subscriber`, as a client does that hangs.
    pub(crate) fn hold(&mut self, subscriber: SubscriberId) {
        self.members[subscriber.index()].held = true;
    }

    /// Reads from `subscriber` again: now what has come meanwhile, later as from all.
    pub(crate) fn release(&mut self, subscriber: SubscriberId, watch: &mut impl Watch) -> Result<()> {
        self.members[subscriber.index()].held = false;
        // A short read may have the end behind it, which was announced while nobody listened.
        while self.read(subscriber, watch)? != Reading::Nothing {}
        Ok(())
    }

    /// Ends the connection of `subscriber` without a word: [`Watch::closed`] is not called.
    pub(crate) fn drop_connection(&mut self, subscriber: SubscriberId) {
        self.members[subscriber.index()].line = None;
    }

    /// Sends what waits for `subscriber`; the rest goes out during later turns.
    pub(crate) fn flush(&mut self, subscriber: SubscriberId, watch: &mut impl Watch) -> Result<()> {
        let member = &mut self.members[subscriber.index()];
        let Some(line) = &mut member.line else {
            member.outbox.bytes().clear();
            return Ok(());
        };
        match member.outbox.flush(line) {
            Ok(flushed) => {
                let blocked = flushed == Flushed::Blocked;
                if blocked != member.blocked {
                    let interest = if blocked { Interest::ReadAndWriteEdge } else { Interest::ReadEdge };
                    self.poller.change(line, u64::from(subscriber.0), interest)?;
                    member.blocked = blocked;
                }
            }
            Err(error) => {
                // What can still be read is read no more: a connection that cannot be written is over.
                member.line = None;
                watch.closed(subscriber, format!("write: {error}"));
            }
        }
        Ok(())
    }

    /// Waits up to `timeout_ms`, reads what everyone has, and hands foreign events to `others`.
    pub(crate) fn turn(&mut self, timeout_ms: u32, watch: &mut impl Watch, others: &mut Vec<Ready>) -> Result<()> {
        for subscriber in std::mem::take(&mut self.early) {
            let start = self.members[subscriber.index()].inbox.restore(&mut self.scratch);
            self.digest(subscriber, start, clock::now_ns(), None, watch)?;
        }
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(timeout_ms, &mut ready)?;
        for event in &ready {
            if event.token >= FIRST_OTHER_TOKEN {
                others.push(*event);
                continue;
            }
            let subscriber = SubscriberId(event.token as u32);
            if event.readable && !self.members[subscriber.index()].held {
                // Edge triggered: read until less came than was asked for, and to the end if there is one.
                loop {
                    match self.read(subscriber, watch)? {
                        Reading::Full => {}
                        Reading::Short if event.finished => {}
                        Reading::Short | Reading::Nothing => break,
                    }
                }
            }
            if event.writable && self.members[subscriber.index()].blocked {
                self.flush(subscriber, watch)?;
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn read(&mut self, subscriber: SubscriberId, watch: &mut impl Watch) -> Result<Reading> {
        let member = &mut self.members[subscriber.index()];
        let Some(line) = &mut member.line else { return Ok(Reading::Nothing) };
        let start = member.inbox.restore(&mut self.scratch);
        let outcome = line.recv(&mut self.scratch[start..]);
        let read_ns = clock::now_ns();
        // Nothing read is no reason to forget the beginning of a frame.
        let (filled, ending) = match outcome {
            Ok(Received::Bytes(count)) => (start + count, None),
            Ok(Received::Nothing) => (start, None),
            Ok(Received::End) => (start, Some("the server closed the connection without a close frame".to_owned())),
            Err(error) => (start, Some(format!("read: {error}"))),
        };
        let reading = match filled {
            filled if filled == start => Reading::Nothing,
            filled if filled == self.scratch.len() => Reading::Full,
            _ => Reading::Short,
        };
        self.digest(subscriber, filled, read_ns, ending, watch)?;
        Ok(reading)
    }

    /// Understands the first `filled` bytes of the scratch buffer as what `subscriber` received.
    fn digest(
        &mut self,
        subscriber: SubscriberId,
        filled: usize,
        read_ns: u64,
        mut ending: Option<String>,
        watch: &mut impl Watch,
    ) -> Result<()> {
        let Self { members, scratch, limit_bytes, dialect, inflated, .. } = self;
        let member = &mut members[subscriber.index()];
        let compression = member.compression;
        let outbox = member.outbox.bytes();
        let waiting = outbox.len();
        let drained =
            member.inbox.drain(&scratch[..filled], Writer::Server, *limit_bytes, |frame| match frame.opcode {
                Opcode::Text | Opcode::Binary => {
                    let opcode = frame.opcode;
                    let message = match frame.is_compressed {
                        false => frame.payload,
                        true => match inflated.message(frame.payload).filter(|_| compression) {
                            Some(message) => message,
                            None => {
                                ending = Some("a compressed frame that was not agreed on or not whole".to_owned());
                                return;
                            }
                        },
                    };
                    let read = dialect.read(message, |event| match event {
                        Event::Publication { topic, payload } => {
                            watch.message(subscriber, Message { opcode, topic, payload, read_ns });
                        }
                        Event::Ping(pong) => frame::write_masked(outbox, Opcode::Text, KEY, pong.len(), |out| {
                            out.extend_from_slice(pong.as_bytes());
                        }),
                        Event::Established | Event::Joined | Event::Other => {}
                        Event::Refused(words) => ending = Some(format!("refused: {}", excerpt(words))),
                    });
                    if read.is_err() {
                        ending = Some(format!("not understood: {}", excerpt(message)));
                    }
                }
                Opcode::Ping => {
                    watch.pinged(subscriber);
                    frame::write_masked(outbox, Opcode::Pong, KEY, frame.payload.len(), |out| {
                        out.extend_from_slice(frame.payload);
                    });
                }
                Opcode::Pong => {}
                Opcode::Close => ending = Some(close_text(frame.payload)),
            });
        if let Err(malformed) = drained {
            ending = Some(format!("malformed frame: {malformed:?}"));
        }
        let owes = outbox.len() > waiting || member.line.as_ref().is_some_and(Line::has_unsent);
        if let Some(why) = ending {
            member.line = None;
            watch.closed(subscriber, why);
        } else if owes {
            self.flush(subscriber, watch)?;
        }
        Ok(())
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT_BYTES)]).into_owned()
}

fn close_text(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            format!("close {} {}", u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason))
        }
        _ => "close without a code".to_owned(),
    }
}
