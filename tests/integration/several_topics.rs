//! Several topics on one WebSocket: topic by topic it is what a socket on each of them would be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::client::{Http, WebSocket};
use crate::deadline::eventually;
use crate::hub::TestHub;

const TOPICS: [&str; 3] = ["a", "b", "c"];

const ALL: &str = "/topics/a?also=b&also=c&format=json";

const CONFIG: &str = "[[topics]]\npattern = \"short*\"\npublish = \"anyone\"\nhistory = { size = 3 }\n\
    [[topics]]\npattern = \"closed*\"\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 1000 }\n\
    slow_consumer = { lag = \"8MiB\" }\n";

fn hub() -> TestHub {
    TestHub::start(2, CONFIG)
}

/// Publishes `count` texts on a topic; they are named after their topic and offset.
fn publish(http: &mut Http, topic: &str, offsets: impl IntoIterator<Item = u64>) {
    for offset in offsets {
        let position = http.publish(topic, format!("{topic} {offset}"));
        assert!(position.ends_with(&format!(":{offset}")), "{position}");
    }
}

/// Where a client is in each of its topics, as it learns from what it is sent.
#[derive(Debug, Clone, Default)]
struct Places(BTreeMap<String, (String, u64)>);

impl Places {
    /// Takes in a publication: the next one of its topic.
    #[track_caller]
    fn next(&mut self, line: &Value) {
        let (topic, offset) = (line["topic"].as_str().unwrap(), line["offset"].as_u64().unwrap());
        let (epoch, last) = self.0.entry(topic.to_owned()).or_default();
        assert_eq!(offset, *last + 1, "a gap or a duplicate in {topic}: {line}");
        assert_eq!(line["data"], format!("{topic} {offset}"));
        (*epoch, *last) = (line["epoch"].as_str().unwrap().to_owned(), offset);
    }

    /// The positions in the order of the URL.
    fn since(&self) -> String {
        let one = |topic: &&str| self.0.get(*topic).map_or("0:0".into(), |(epoch, offset)| format!("{epoch}:{offset}"));
        TOPICS.iter().map(one).collect::<Vec<_>>().join(",")
    }

    fn offset(&self, topic: &str) -> u64 {
        self.0[topic].1
    }
}

#[test]
fn each_publication_names_its_topic_and_is_the_frame_that_everybody_gets() {
    let hub = hub();
    let mut several = hub.websocket(ALL);
    let mut alone = TOPICS.map(|topic| hub.websocket(&format!("/topics/{topic}?format=json")));
    for topic in ["b", "a", "c", "a", "b", "b"] {
        hub.publish(topic, "x");
        let at = TOPICS.iter().position(|one| *one == topic).unwrap();
        let line = several.text();
        assert_eq!(line, alone[at].text());
        assert!(line.contains(&format!("\"topic\":\"{topic}\"")), "{line}");
    }
    several.assert_nothing_came();
}

#[test]
fn every_topic_is_in_order_for_everybody_whatever_the_others_do() {
    const EACH: u64 = 200;
    let hub = TestHub::start(3, CONFIG);
    let mut sockets: Vec<WebSocket> = (0..30).map(|_| hub.websocket(ALL)).collect();
    thread::scope(|scope| {
        for topic in TOPICS {
            let hub = &hub;
            scope.spawn(move || publish(&mut hub.http(), topic, 1..=EACH));
        }
    });
    for socket in &mut sockets {
        let mut places = Places::default();
        for _ in 0..EACH * TOPICS.len() as u64 {
            places.next(&socket.json());
        }
        assert_eq!(TOPICS.map(|topic| places.offset(topic)), [EACH; 3]);
        socket.assert_nothing_came();
    }
}

#[test]
fn who_comes_back_is_answered_for_each_topic_and_gets_exactly_what_it_missed_of_it() {
    let hub = hub();
    let mut http = hub.http();
    let mut places = Places::default();
    let mut socket = hub.websocket(ALL);
    for topic in TOPICS {
        publish(&mut http, topic, [1]);
        places.next(&socket.json());
    }
    drop(socket);
    publish(&mut http, "a", 2..=4);
    publish(&mut http, "c", 2..=3);
    let mut socket = hub.websocket(&format!("{ALL}&since={}", places.since()));
    for (topic, offset) in [("a", 4), ("b", 1), ("c", 3)] {
        let epoch = &places.0[topic].0;
        let notice = json!({ "topic": topic, "epoch": epoch, "offset": offset, "recovered": true });
        assert_eq!(socket.json(), notice);
    }
    for _ in 0..5 {
        places.next(&socket.json());
    }
    assert_eq!(TOPICS.map(|topic| places.offset(topic)), [4, 1, 3]);
    socket.assert_nothing_came();
    publish(&mut http, "b", [2]);
    places.next(&socket.json());
}

#[test]
fn a_gap_in_one_topic_is_told_of_that_topic_alone() {
    let hub = hub();
    let mut http = hub.http();
    let target = "/topics/a?also=short&format=json";
    let mut positions = Vec::new();
    for topic in ["a", "short"] {
        positions.push(http.publish(topic, format!("{topic} 1")));
        publish(&mut http, topic, 2..=6);
    }
    let mut socket = hub.websocket(&format!("{target}&since={}", positions.join(",")));
    let told = [socket.json(), socket.json()].map(|notice| notice["recovered"].as_bool());
    assert_eq!(told, [Some(true), Some(false)]);
    for offset in 2..=6 {
        assert_eq!(socket.json()["data"], format!("a {offset}"));
    }
    publish(&mut http, "short", [7]);
    assert_eq!(socket.json()["data"], "short 7");
}

#[test]
fn who_comes_back_while_others_publish_continues_exactly_in_each() {
    let hub = TestHub::start(
        3,
        "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 100000 }\n\
         slow_consumer = { lag = \"8MiB\" }\n[limits]\nhistory_total = \"64MiB\"\n",
    );
    // Everybody has a position in each before the first return.
    for topic in TOPICS {
        publish(&mut hub.http(), topic, [1]);
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for topic in TOPICS {
            let (hub, over) = (&hub, &over);
            scope.spawn(move || {
                let mut http = hub.http();
                publish(&mut http, topic, (2..).take_while(|_| !over.load(Ordering::Relaxed)));
            });
        }
        let joiners: Vec<_> = (0..3)
            .map(|joiner| {
                let hub = &hub;
                scope.spawn(move || {
                    let mut places = Places::default();
                    let mut socket = hub.websocket(&format!("{ALL}&history=100000"));
                    while places.0.len() < TOPICS.len() {
                        places.next(&socket.json());
                    }
                    for round in 0..60 {
                        for _ in 0..(round * 7 + joiner) % 40 {
                            places.next(&socket.json());
                        }
                        socket = hub.websocket(&format!("{ALL}&since={}", places.since()));
                        for topic in TOPICS {
                            let notice = socket.json();
                            assert_eq!((&notice["topic"], &notice["recovered"]), (&json!(topic), &json!(true)));
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = joiners.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        for joiner in ended {
            if let Err(panic) = joiner {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

#[test]
fn history_is_for_each_topic() {
    let hub = hub();
    let mut http = hub.http();
    for (topic, count) in [("a", 5), ("b", 1), ("short", 3)] {
        publish(&mut http, topic, 1..=count);
    }
    let mut socket = hub.websocket("/topics/a?also=b&also=short&also=new&format=json&history=2");
    let came: Vec<String> = (0..5).map(|_| socket.json()["data"].as_str().unwrap().to_owned()).collect();
    assert_eq!(came, ["a 4", "a 5", "b 1", "short 2", "short 3"]);
    for (topic, next) in [("new", 1), ("short", 4), ("b", 2), ("a", 6)] {
        publish(&mut http, topic, [next]);
        assert_eq!(socket.json()["data"], format!("{topic} {next}"));
    }
}

#[test]
fn long_histories_come_whole_to_one_that_reads_slowly() {
    // Each is longer than what waits in an outbox and what the kernel takes, so all but the first wait their turn.
    let hub = hub();
    let mut http = hub.http();
    let text = |n: u64| format!("{n:04000}");
    let mut publish = |topic: &str, offsets: std::ops::RangeInclusive<u64>| {
        for n in offsets {
            http.publish(topic, text(n));
        }
    };
    TOPICS.iter().for_each(|topic| publish(topic, 1..=300));
    let mut socket = WebSocket::open_with_small_buffer(hub.address(), &format!("{ALL}&history=1000"));
    // Behind the history, in each topic's own log.
    TOPICS.iter().for_each(|topic| publish(topic, 301..=350));
    let mut seen = BTreeMap::new();
    for _ in 0..350 * TOPICS.len() {
        let line = socket.json();
        let last: &mut u64 = seen.entry(line["topic"].as_str().unwrap().to_owned()).or_default();
        *last += 1;
        assert_eq!((line["offset"].as_u64(), line["data"].as_str()), (Some(*last), Some(text(*last).as_str())));
    }
    socket.assert_nothing_came();
}

#[test]
fn without_format_json_it_is_refused_with_what_to_add() {
    let hub = hub();
    for target in ["/topics/a?also=b", "/topics/a?also=b&format=plain"] {
        let answer = WebSocket::try_open(hub.address(), target, &[]).unwrap_err();
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-parameter"));
        assert!(answer.text().contains("add format=json"), "{}", answer.text());
    }
    // The topic of the path once more is no second topic.
    let mut plain = hub.websocket("/topics/a?also=a");
    hub.publish("a", "hello");
    assert_eq!(plain.text(), "hello");
}

#[test]
fn positions_and_names_that_cannot_be_are_refused() {
    let hub = hub();
    for (query, code) in [
        ("since=1:1", "bad-parameter"),
        ("since=1:1,2:2,3:3,4:4", "bad-parameter"),
        ("since=1:1,2:2,x", "bad-parameter"),
        ("since=1:1,2:2,3:3&history=1", "bad-parameter"),
        ("also=", "bad-topic-name"),
    ] {
        let answer = WebSocket::try_open(hub.address(), &format!("{ALL}&{query}"), &[]).unwrap_err();
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{query}");
    }
}

#[test]
fn a_topic_named_twice_is_joined_once() {
    let hub = hub();
    let mut socket = hub.websocket("/topics/a?also=b&also=a&also=b&format=json");
    assert_eq!(hub.server().surface().hub.census().subscriptions, 2);
    hub.publish("b", "once");
    assert_eq!(socket.json()["data"], "once");
    socket.assert_nothing_came();
}

#[test]
fn the_default_request_head_has_room_for_a_hundred_topics_with_long_names_and_their_positions() {
    let hub = hub();
    let name = |n: usize| format!("{n:0100}");
    let also: String = (1..100).map(|n| format!("&also={}", name(n))).collect();
    let target = format!("/topics/{}?format=json{also}", name(0));
    // As long as positions are after some years.
    let positions = vec!["1795267686188760:1234567890"; 100].join(",");
    let mut socket = hub.websocket(&format!("{target}&since={positions}"));
    for n in 0..100 {
        assert_eq!(socket.json()["topic"], name(n));
    }
    hub.publish(&name(99), "x");
    assert_eq!(socket.json()["topic"], name(99));
}

#[test]
fn what_its_client_sends_is_published_on_the_topic_of_the_path_by_the_rules_of_that() {
    let hub = hub();
    let mut socket = hub.websocket("/topics/a?also=closed&also=b&format=json");
    socket.send_text("hello");
    let line = socket.json();
    assert_eq!((&line["topic"], &line["data"]), (&json!("a"), &json!("hello")));
    socket.assert_nothing_came();
    let mut socket = hub.websocket("/topics/closed?also=a&format=json");
    socket.send_text("hello");
    assert_eq!(socket.json()["error"]["code"], "publish-not-allowed");
    socket.assert_nothing_came();
}

#[test]
fn whoever_goes_leaves_all_its_topics() {
    let hub = hub();
    let subscriptions = || hub.server().surface().hub.census().subscriptions;
    let mut stays = hub.websocket(ALL);
    let mut closes = hub.websocket(ALL);
    let hangs_up = hub.websocket(ALL);
    assert_eq!(subscriptions(), 9);
    closes.send_close(1000);
    assert_eq!(closes.close_code(), 1000);
    drop(hangs_up);
    eventually("both have left", || subscriptions() == 3);
    for topic in TOPICS {
        let answer = hub.http().post(&format!("/topics/{topic}"), "x").json();
        assert_eq!(answer["receivers"], 1);
        assert_eq!(stays.json()["topic"], topic);
    }
}

#[test]
fn a_slow_one_is_told_what_it_missed_of_each_topic_by_name() {
    const COUNT: u64 = 300;
    let hub = TestHub::start(
        1,
        "[limits]\nmessage = \"16KiB\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
         slow_consumer = { policy = \"skip\", lag = \"64KiB\" }\n",
    );
    let mut sleeper = WebSocket::open_with_small_buffer(hub.address(), "/topics/a?also=b&format=json");
    let mut http = hub.http();
    for n in 1..=COUNT {
        for topic in ["a", "b"] {
            http.publish(topic, format!("{n:04000}"));
        }
    }
    let mut at = BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 0)]);
    let mut missed = BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 0)]);
    while at.values().any(|&at| at < COUNT) {
        let line = sleeper.json();
        let about = line.get("missed").unwrap_or(&line);
        let topic = about["topic"].as_str().unwrap();
        let at = at.get_mut(topic).unwrap();
        if about == &line {
            assert_eq!(line["offset"], *at + 1, "a gap without a notice in {topic}");
            *at += 1;
        } else {
            assert_eq!(about["from"], *at + 1, "{line}");
            *at = about["to"].as_u64().unwrap();
            *missed.get_mut(topic).unwrap() += about["count"].as_u64().unwrap();
        }
    }
    assert!(missed.values().all(|&missed| missed > 0), "{missed:?}: it was not slow");
    eventually("the losses are counted", || hub.sum(|shard| &shard.lost[1]) == missed.values().sum::<u64>());
}

#[test]
fn a_drain_delivers_all_topics_before_the_close_frame() {
    let hub = hub();
    let mut socket = hub.websocket(ALL);
    let mut http = hub.http();
    for topic in TOPICS {
        publish(&mut http, topic, 1..=50);
    }
    hub.server().drain();
    let mut places = Places::default();
    for _ in 0..150 {
        places.next(&socket.json());
    }
    assert_eq!(socket.closed_with(), 1001);
}
