//! Out of file descriptors: those who are connected are served, accepting backs off and goes on when there are
//! descriptors again.

use crate::child::Process;
use crate::client::{Socket, WebSocket, response, upgrade_request};
use crate::deadline::{eventually, eventually_is};
use crate::level::{Level, Metrics, sockets};
use crate::steady::{TOPIC, alone, beside};

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\ndrain = \"2s\"\n\
    [liveness]\nping_interval = \"300d\"\n[limits]\nconnections = 10000\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

/// Clients that come when there are descriptors for a part of them.
const CLIENTS: usize = 80;

/// Clients that want to subscribe. The kernel accepts them into its queue; the hub has no descriptors for all of them.
fn crowd(process: &Process) -> Vec<Socket> {
    (0..CLIENTS)
        .map(|_| {
            let mut socket = Socket::connect(process.address);
            socket.send(&upgrade_request(&format!("/topics/{TOPIC}"), &[]));
            socket
        })
        .collect()
}

/// Has more clients come than there are descriptors for, and waits until all of them were served: each goes as soon as
/// it has got in.
fn too_many(process: &Process) {
    let mut waiting = crowd(process);
    process.logged("cannot accept", |_| Some(()));
    // Some of the others got in; those who did not are still waiting, not refused.
    assert!(waiting.iter_mut().any(|one| !one.has_something()), "there were descriptors for all");
    // Those who have got in go, and the others are served.
    eventually("all of them are served", || {
        for index in (0..waiting.len()).rev() {
            if waiting[index].has_something() {
                let answer = response(&mut waiting[index]).expect("not refused");
                assert_eq!(answer.status, 101);
                waiting.swap_remove(index);
            }
        }
        waiting.is_empty()
    });
    process.logged("accepting again", |_| Some(()));
    let late = eventually_is("a new client is let in", || {
        WebSocket::try_open(process.address, &format!("/topics/{TOPIC}"), &[]).ok()
    });
    drop(late);
}

#[test]
fn existing_clients_are_served_and_accepting_goes_on_afterwards() {
    let _alone = alone();
    let process = Process::start_under("ulimit -n 64", CONFIG);
    // The descriptors are fewer than the connections that are allowed: that is said.
    process.logged("descriptor limit is too low", |_| Some(()));
    too_many(&process);
    let before = Level::of(&process);
    let report = beside(process.address, || too_many(&process));
    let errors = Metrics::of(process.address).value("fanfare_accept_errors_total");
    assert!(errors >= 1);
    report.tell(&format!("{CLIENTS} clients on 64 descriptors"));
    before.is_reached_again(&process);
}

#[test]
fn a_request_is_answered_though_no_descriptor_is_left() {
    let _alone = alone();
    let process = Process::start_under("ulimit -n 64", CONFIG);
    // In before the descriptors are used up, with half of a request; each worker gets its share.
    let [first, rest] = ["GET /health HTT", "P/1.1\r\nhost: localhost\r\n\r\n"];
    let before = sockets(process.id());
    let mut early: Vec<Socket> = (0..8).map(|_| Socket::connect(process.address)).collect();
    early.iter_mut().for_each(|one| one.send(first.as_bytes()));
    eventually("all of these are let in", || sockets(process.id()) == before + early.len());
    let waiting = crowd(&process);
    process.logged("cannot accept", |_| Some(()));
    for one in &mut early {
        one.send(rest.as_bytes());
        assert_eq!(response(one).expect("an answer").status, 200);
    }
    drop(waiting);
    process.logged("accepting again", |_| Some(()));
}
