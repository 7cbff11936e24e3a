//! 500 connects per second beside a steady topic.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::Process;
use crate::client::WebSocket;
use crate::level::Level;
use crate::steady::{TOPIC, alone, beside};

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[liveness]\nping_interval = \"300d\"\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

/// Connects in all, and how many each second.
const CONNECTS: u32 = 2500;
const PER_SECOND: u32 = 500;

/// Threads that connect: one blocks for a handshake while the next is due.
const THREADS: u32 = 4;

/// Connects, subscribes to the steady topic, and goes; returns how long it all took.
fn storm(hub: SocketAddr) -> Duration {
    let began = Instant::now();
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                for number in (first..CONNECTS).step_by(THREADS as usize) {
                    // Paced: the rate is what the test is about.
                    let due = Duration::from_secs(1) * number / PER_SECOND;
                    thread::sleep(due.saturating_sub(began.elapsed()));
                    drop(WebSocket::open(hub, &format!("/topics/{TOPIC}")));
                }
            });
        }
    });
    began.elapsed()
}

#[test]
fn those_who_are_here_do_not_notice_those_who_come_and_go() {
    let _alone = alone();
    let hub = Process::start(CONFIG);
    storm(hub.address);
    let before = Level::of(&hub);
    let mut took = Duration::ZERO;
    let report = beside(hub.address, || took = storm(hub.address));
    report.tell(&format!("{CONNECTS} connects, {:.0} per second", f64::from(CONNECTS) / took.as_secs_f64()));
    before.is_reached_again(&hub);
}
