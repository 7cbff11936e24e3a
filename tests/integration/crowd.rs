//! A crowd that comes to one topic at once and leaves it at once: what is published meanwhile, who is there, and what is told
//! of those who come and go.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;
use fanfare::protocol::centrifuge::DisconnectCode;
use serde_json::{Value, json};

use crate::client::WebSocket;
use crate::deadline::eventually;
use crate::hub::TestHub;

/// Clients that come and go.
const CROWD: usize = 500;

/// Threads that have them.
const THREADS: usize = 10;

/// The time between two publications.
const INTERVAL: Duration = Duration::from_millis(5);

/// What a client hears of its topic.
#[derive(Debug)]
enum Push {
    Publication,
    Join(String),
    Leave(String),
    /// The answer to a command.
    Reply(Value),
}

/// A client that has seen every publication of the topic since it came, or its test fails.
struct Client {
    socket: WebSocket,
    /// Messages may bring several.
    lines: Vec<String>,
    /// The last publication that it has.
    last: u64,
}

impl Client {
    /// One that has come.
    fn come(hub: &TestHub) -> Self {
        let mut socket = hub.websocket("/connection/websocket");
        socket.send_text(
            "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"stage\",\"recoverable\":true}}",
        );
        let mut client = Self { socket, lines: Vec::new(), last: 0 };
        let Push::Reply(connected) = client.push() else { panic!("something before the answer") };
        assert!(connected["connect"]["client"].is_string(), "{connected}");
        let Push::Reply(subscribed) = client.push() else { panic!("something before the answer") };
        client.last = subscribed["subscribe"]["offset"].as_u64().unwrap_or(0);
        assert!(subscribed["subscribe"].is_object(), "{subscribed}");
        client
    }

    fn push(&mut self) -> Push {
        while self.lines.is_empty() {
            self.lines = self.socket.text().lines().rev().map(str::to_owned).collect();
        }
        let one: Value = serde_json::from_str(&self.lines.pop().unwrap()).unwrap();
        let push = &one["push"];
        let who = |what: &str| push[what]["info"]["client"].as_str().map(str::to_owned);
        match (push["pub"]["offset"].as_u64(), who("join"), who("leave")) {
            (Some(offset), None, None) => {
                assert_eq!(push["pub"]["data"], json!(offset), "{one}");
                assert_eq!(offset, self.last + 1, "lost, doubled or swapped");
                self.last = offset;
                Push::Publication
            }
            (None, Some(client), None) => Push::Join(client),
            (None, None, Some(client)) => Push::Leave(client),
            (None, None, None) if one["id"].is_u64() => Push::Reply(one),
            _ => panic!("{one}"),
        }
    }

    /// Reads until it has this publication.
    fn read_to(&mut self, number: u64) {
        while self.last < number {
            self.push();
        }
    }
}

/// What one who stays heard of the others.
#[derive(Debug, Default)]
struct Heard {
    came: HashSet<String>,
    went: HashSet<String>,
}

impl Heard {
    fn of(mut client: Client, end: &AtomicU64) -> (Self, Client) {
        let mut heard = Self::default();
        while client.last < end.load(Ordering::Relaxed) {
            match client.push() {
                Push::Publication => {}
                Push::Join(who) => {
                    assert!(!heard.went.contains(&who), "it went before it came");
                    assert!(heard.came.insert(who), "it came twice");
                }
                Push::Leave(who) => assert!(heard.went.insert(who), "it went twice"),
                Push::Reply(reply) => panic!("{reply}"),
            }
        }
        (heard, client)
    }
}

fn there(hub: &TestHub) -> Value {
    let key = [("X-API-Key", "key")];
    let stats = hub.http().request("POST", "/api/presence_stats", &key, br#"{"channel":"stage"}"#).json();
    let listed = hub.http().request("POST", "/api/presence", &key, br#"{"channel":"stage"}"#).json();
    let clients = &stats["result"]["num_clients"];
    assert_eq!(listed["result"]["presence"].as_object().map(|all| json!(all.len())).as_ref(), Some(clients));
    clients.clone()
}

/// Joins and leaves that were told, and that were dropped.
fn notices(hub: &TestHub) -> [u64; 2] {
    [hub.sum(|shard| &shard.notices_told), hub.sum(|shard| &shard.notices_dropped)]
}

/// The crowd comes, sees something, and goes, half of it without a word. Returns what one who stays heard of it, how many
/// joins and leaves were dropped, and how long it all took.
fn storm(rate: u32) -> (Heard, u64, Duration) {
    let hub = TestHub::start(
        2,
        &format!(
            "[centrifuge]\nanonymous = true\n[api]\nkeys = [\"key\"]\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
             presence = true\njoin_leave = \"always\"\njoin_leave_rate = {rate}\nhistory = {{ size = 1000, ttl = \"1h\" }}\n"
        ),
    );
    let hub = &hub;
    let (over, published, end) = (&AtomicBool::new(false), &AtomicU64::new(0), &AtomicU64::new(u64::MAX));
    let watcher = Client::come(hub);
    let began = Instant::now();
    let heard = thread::scope(|scope| {
        let watching = scope.spawn(|| Heard::of(watcher, end));
        let publishing = scope.spawn(move || {
            let mut http = hub.http();
            for number in 1.. {
                http.publish("stage", number.to_string());
                published.store(number, Ordering::Relaxed);
                if over.load(Ordering::Relaxed) {
                    end.store(number + 1, Ordering::Relaxed);
                    // Whoever waits for the last but one has one more to wake up by.
                    http.publish("stage", (number + 1).to_string());
                    return;
                }
                // Paced: the rate is part of the scene, nothing waits for it.
                thread::sleep(INTERVAL);
            }
        });
        let coming: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..CROWD / THREADS).map(|_| Client::come(hub)).collect::<Vec<_>>()))
            .collect();
        let crowd: Vec<_> = coming.into_iter().map(|one| one.join().unwrap()).collect();
        assert_eq!(there(hub), json!(CROWD + 1));
        let seen = published.load(Ordering::Relaxed);
        let going: Vec<_> = crowd
            .into_iter()
            .map(|clients| {
                scope.spawn(move || {
                    for (mut client, says_so) in clients.into_iter().zip([true, false].into_iter().cycle()) {
                        client.read_to(seen);
                        if says_so {
                            client.socket.send_text(r#"{"id":3,"unsubscribe":{"channel":"stage"}}"#);
                            while !matches!(client.push(), Push::Reply(_)) {}
                        }
                    }
                })
            })
            .collect();
        going.into_iter().for_each(|one| one.join().unwrap());
        eventually("all of them are gone", || there(hub) == json!(1));
        // It is counted behind the push, so what is published from now on is behind that of the last who went.
        eventually("all of it is told or dropped", || notices(hub).iter().sum::<u64>() == 2 * CROWD as u64 + 1);
        over.store(true, Ordering::Relaxed);
        publishing.join().unwrap();
        watching.join().unwrap()
    });
    let took = began.elapsed();
    let (heard, watcher) = heard;
    let [told, dropped] = notices(hub);
    assert_eq!((heard.came.len() + heard.went.len()) as u64, told, "what is told is heard");
    drop(watcher);
    eventually("nobody is there", || there(hub) == json!(0));
    for slow in [CloseReason::SlowConsumer, CloseReason::Overloaded, CloseReason::Client(DisconnectCode::Slow)] {
        assert_eq!(hub.closed(Protocol::Centrifuge, slow), 0, "{slow:?}");
    }
    (heard, dropped, took)
}

#[test]
fn a_crowd_that_comes_and_goes_at_once_is_told_of_at_its_rate_and_its_topic_goes_on() {
    const RATE: u32 = 20;
    let (heard, dropped, took) = storm(RATE);
    let most = RATE as usize * (2 + 1 + took.as_secs() as usize);
    for told in [&heard.came, &heard.went] {
        assert!((2 * RATE as usize..=most).contains(&told.len()), "{} in {took:?}", told.len());
    }
    assert!(dropped > 0);
}

#[test]
fn without_a_rate_everyone_is_told_of_all_of_a_crowd_and_nobody_is_slow_for_it() {
    let (heard, dropped, _) = storm(0);
    assert_eq!((heard.came.len(), heard.went.len(), dropped), (CROWD + 1, CROWD, 0));
    assert!(heard.went.is_subset(&heard.came));
}
