//! A full disk: the log cannot be written. The hub must go on serving, and drain.

use std::fs::{File, OpenOptions};

use rustix::process::Signal;

use crate::child::Process;
use crate::client::WebSocket;
use crate::level::Level;
use crate::steady::{TOPIC, alone, beside};

/// With everything logged, so that a line which cannot be written meets every part of the hub.
const CONFIG: &str = "[server]\nworkers = 2\ndrain = \"2s\"\n[log]\nlevel = \"trace\"\n\
    [liveness]\nping_interval = \"300d\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

fn full() -> File {
    // Every write to it fails with ENOSPC.
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

fn nobody_reads() -> File {
    // Every write to it fails with EPIPE.
    let (_, writer) = std::io::pipe().unwrap();
    std::os::fd::OwnedFd::from(writer).into()
}

fn goes_on_serving(what: &str, log: File) {
    let _alone = alone();
    let mut hub = Process::start_logging_to(log, CONFIG);
    let come_and_go = || {
        for _ in 0..200 {
            drop(WebSocket::open(hub.address, &format!("/topics/{TOPIC}")));
        }
    };
    beside(hub.address, come_and_go);
    let before = Level::of(&hub);
    beside(hub.address, come_and_go).tell(&format!("{what}, beside 200 clients that come and go"));
    before.is_reached_again(&hub);
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
}

#[test]
fn the_hub_goes_on_serving_when_no_line_can_be_written() {
    goes_on_serving("log on a full disk", full());
}

#[test]
fn the_hub_goes_on_serving_when_nobody_reads_its_log_any_more() {
    goes_on_serving("log to a pipe without a reader", nobody_reads());
}
