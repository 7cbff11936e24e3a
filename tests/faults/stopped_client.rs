//! A client process that is stopped (SIGSTOP) and goes on later.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::child::{Process, binary};
use crate::deadline::eventually;
use crate::level::{Level, Metrics};
use crate::steady::{TOPIC, alone, beside};

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[limits]\nclose_timeout = \"1s\"\n\
    [liveness]\nping_interval = \"300d\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
    history = { size = 10000 }\nslow_consumer = { lag = \"256KiB\" }\n";

const CLIENTS: usize = 5;

/// `fanfare subscribe`, whose lines are read all along. Killed when dropped.
struct Client {
    child: Child,
    lines: Arc<AtomicU64>,
    numbers: Arc<Mutex<Vec<u64>>>,
}

impl Client {
    fn start(hub: &Process) -> Self {
        let mut command = binary();
        command.args(["subscribe", TOPIC, "--url", &format!("http://{}", hub.address)]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, numbers) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let client = Self { child, lines: Arc::clone(&lines), numbers: Arc::clone(&numbers) };
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The last publication says so, and has no number.
                if let Some((number, _)) = line.split_once(' ') {
                    numbers.lock().unwrap().push(number.parse().unwrap());
                    lines.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        client
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(hub: &Process) -> Vec<Client> {
    let clients: Vec<_> = (0..CLIENTS).map(|_| Client::start(hub)).collect();
    eventually("the clients get something", || clients.iter().all(|client| client.lines() > 0));
    clients
}

/// Asserts that each got a sequence without a gap or a double, and tells how long the shortest was.
fn assert_whole(clients: &[Client]) -> usize {
    let lengths = clients.iter().map(|client| {
        let numbers = client.numbers.lock().unwrap();
        for pair in numbers.windows(2) {
            assert_eq!(pair[1], pair[0] + 1, "a client process has a gap or a double");
        }
        numbers.len()
    });
    lengths.min().unwrap()
}

#[test]
fn one_that_is_stopped_for_long_is_given_up_and_resumes_without_a_gap() {
    let _alone = alone();
    let hub = Process::start(CONFIG);
    beside(hub.address, || {});
    let before = Level::of(&hub);
    let mut clients = Vec::new();
    let report = beside(hub.address, || {
        clients = start(&hub);
        clients.iter().for_each(|client| client.signal(Signal::STOP));
        eventually("the hub has given them up", || Metrics::of(hub.address).closed("slow_consumer") >= CLIENTS as u64);
        let stopped: Vec<u64> = clients.iter().map(Client::lines).collect();
        clients.iter().for_each(|client| client.signal(Signal::CONT));
        // Past what lay in pipes and sockets when they were given up: they are connected again.
        eventually("they have gone on", || {
            let connected = Metrics::of(hub.address).value("fanfare_connections{protocol=\"topic\"}");
            connected as usize >= CLIENTS
                && clients.iter().zip(&stopped).all(|(client, then)| client.lines() > then + 100)
        });
    });
    let publications = assert_whole(&clients);
    report.tell(&format!("{CLIENTS} client processes stopped until given up, then continued"));
    println!("    each resumed: at least {publications} publications without a gap or a double");
    drop(clients);
    before.is_reached_again(&hub);
}

#[test]
fn one_that_is_stopped_for_a_moment_is_kept_and_gets_everything() {
    let _alone = alone();
    // On a busy machine a moment may be long.
    let hub = Process::start(&CONFIG.replace("256KiB", "64MiB"));
    beside(hub.address, || {});
    let before = Level::of(&hub);
    let mut clients = Vec::new();
    let report = beside(hub.address, || {
        clients = start(&hub);
        for _ in 0..10 {
            clients.iter().for_each(|client| client.signal(Signal::STOP));
            let then: Vec<u64> = clients.iter().map(Client::lines).collect();
            clients.iter().for_each(|client| client.signal(Signal::CONT));
            eventually("they go on", || clients.iter().zip(&then).all(|(client, then)| client.lines() > then + 10));
        }
    });
    let publications = assert_whole(&clients);
    assert_eq!(Metrics::of(hub.address).closed("slow_consumer"), 0);
    report.tell(&format!("{CLIENTS} client processes stopped for a moment, 10 times"));
    println!("    at least {publications} publications without a gap or a double");
    drop(clients);
    before.is_reached_again(&hub);
}
