//! The loop that owns connections. One per shard; after placement a connection lives and dies on one worker.
//!
//! A worker's turn ([`turn`]): letters from the mailbox go into the topic logs; connections that a policy doomed are
//! closed; a sweep writes what connections are owed; then what the poller reports is read, accepted and timed. The
//! decisions are made by pure parts ([`crate::fanout`], [`crate::session`], [`liveness`]); here are the sockets.
//!
//! | file | what |
//! |---|---|
//! | `worker` | the worker's parts, and how it is made |
//! | `turn` | one turn, and the loop around it |
//! | `accepting` | from a listening socket to a place on a worker |
//! | `greeting` | from an accepted socket to a connection |
//! | `preface` | what stands before its request: a PROXY header, a TLS handshake |
//! | `http_task` | plain HTTP, in tasks of the worker's thread |
//! | `opening` | what a new connection is sent and subscribed to |
//! | `announcement`, `farewells` | what topics are told of those who come and go |
//! | `membership` | which logs carry which topics here |
//! | `bundle` | streams of several topics: one log per set of topics |
//! | `catch_up` | history on its way to those who joined with it |
//! | `replayed` | history that was compressed lately |
//! | `reading`, `writing`, `closing`, `drain` | the life of a connection |
//! | `held` | input that waits for room in a mailbox |
//! | `conversation` | clients of the Centrifuge protocol: commands in, replies out |
//! | `admission`, `subscription`, `request`, `expiry` | what their commands do |
//! | `judging`, `hooking` | their tokens, and what the application says of them |
//! | `beside` | clients whose connection is a stream: what they say by requests of their own |
//! | `asking`, `orders` | what others answer for them, or want of them |
//! | `newcomers`, `filtered` | subscribers with deltas or filters |
//! | `pacing`, `bucket` | how fast one connection may talk |
//! | `lifetime` | how long it may take for a message, be silent, and live |
//! | `restart` | what a worker that panicked leaves to the next one |
//! | `connection`, `slab`, `poller`, `liveness` | what they work on |

mod accepting;
mod admission;
mod announcement;
mod asking;
mod beside;
mod bucket;
mod bundle;
mod catch_up;
mod closing;
mod connection;
mod conversation;
mod drain;
mod expiry;
mod farewells;
mod filtered;
mod greeting;
mod held;
mod hooking;
mod http_task;
mod judging;
mod lifetime;
pub mod liveness;
mod membership;
mod newcomers;
mod opening;
mod orders;
mod pacing;
mod poller;
mod preface;
mod reading;
mod replayed;
mod request;
mod restart;
mod slab;
mod subscription;
mod turn;
#[expect(clippy::module_inception, reason = "the worker is the noun of this station")]
mod worker;
mod writing;

pub(crate) use drain::Quiet;
pub(crate) use orders::{Order, Orders, Prolonged, To};
pub(crate) use poller::Bell;
pub(crate) use restart::run;
pub(crate) use worker::{Arrival, Seat};
