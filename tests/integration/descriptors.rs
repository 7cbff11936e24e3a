//! Out of file descriptors: those who are connected are served, accepting backs off and goes on when there are
//! descriptors again.

use crate::client::{Http, Socket, WebSocket, response, upgrade_request};
use crate::deadline::{eventually, eventually_is};
use crate::process::Process;

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\ndrain = \"2s\"\n\
    [liveness]\nping_interval = \"300d\"\n[limits]\nconnections = 10000\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

#[test]
fn existing_clients_are_served_and_accepting_goes_on_afterwards() {
    let process = Process::start(CONFIG, Some(64));
    // The descriptors are fewer than the connections that are allowed: that is said.
    process.logged("descriptor limit is too low", |_| Some(()));
    let mut held: Vec<WebSocket> = (0..10).map(|_| WebSocket::open(process.address, "/topics/news")).collect();
    let mut publisher = Http::connect(process.address);
    publisher.publish("news", "before");
    // The kernel accepts these into its queue; the hub has no descriptors for all of them.
    let mut waiting: Vec<Socket> = (0..80)
        .map(|_| {
            let mut socket = Socket::connect(process.address);
            socket.send(&upgrade_request("/topics/news", &[]));
            socket
        })
        .collect();
    process.logged("cannot accept", |_| Some(()));
    publisher.publish("news", "without descriptors");
    for client in &mut held {
        assert_eq!((client.text(), client.text()), ("before".into(), "without descriptors".into()));
    }
    // Some of the others got in; those who did not are still waiting, not refused.
    let served =
        |waiting: &mut Vec<Socket>| waiting.iter_mut().filter_map(|one| one.has_something().then_some(())).count();
    assert!(served(&mut waiting) < 80, "there were descriptors for all");
    let metrics = publisher.get("/metrics");
    assert_eq!(metrics.status, 200);
    let errors = metrics.text().lines().find_map(|line| line.strip_prefix("fanfare_accept_errors_total "));
    assert!(errors.unwrap().parse::<f64>().unwrap() >= 1.0);
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
    let mut late =
        eventually_is("a new client is let in", || WebSocket::try_open(process.address, "/topics/news", &[]).ok());
    publisher.publish("news", "after");
    assert_eq!(late.text(), "after");
    assert_eq!(held[0].text(), "after");
}
