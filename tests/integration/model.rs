//! The hub against a naive model: whatever clients do, each one receives exactly what a few lines of obvious code say
//! that it should.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::client::{Heard, Http, WebSocket, masked};
use crate::hub::TestHub;

/// Publications kept per topic: few, so that gaps occur.
const KEPT: usize = 6;

const TOPICS: usize = 3;
const CLIENTS: usize = 8;

/// What happens next. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    /// A client comes and starts with the next publication.
    Join { client: usize, topic: usize, format: Format },
    /// A client comes and wants the last ones first.
    JoinWithHistory { client: usize, topic: usize, format: Format, count: usize },
    /// A client that was here comes back to its topic.
    Return { client: usize, format: Format },
    /// A client goes, with a close frame or without.
    Leave { client: usize, politely: bool },
    /// A client publishes on its topic.
    Say { client: usize, payload: Payload },
    /// Somebody publishes over HTTP.
    Post { topic: usize, payload: Payload },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Plain,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        4 => "\\PC{0,12}".prop_map(Payload::Text),
        1 => (100..3000usize).prop_map(|length| Payload::Text("x".repeat(length))),
        2 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Payload::Binary),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let format = || prop_oneof![Just(Format::Plain), Just(Format::Json)];
    let (client, topic) = (0..CLIENTS, 0..TOPICS);
    prop_oneof![
        2 => (client.clone(), topic.clone(), format())
            .prop_map(|(client, topic, format)| Step::Join { client, topic, format }),
        2 => (client.clone(), topic.clone(), format(), 0..2 * KEPT)
            .prop_map(|(client, topic, format, count)| Step::JoinWithHistory { client, topic, format, count }),
        3 => (client.clone(), format()).prop_map(|(client, format)| Step::Return { client, format }),
        3 => (client.clone(), any::<bool>()).prop_map(|(client, politely)| Step::Leave { client, politely }),
        6 => (client, payload()).prop_map(|(client, payload)| Step::Say { client, payload }),
        6 => (topic, payload()).prop_map(|(topic, payload)| Step::Post { topic, payload }),
    ]
}

/// What a client is to receive next.
#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Publication { offset: usize, payload: Payload },
    Recovered { offset: usize, recovered: bool },
}

/// A client as the model sees it, and its socket.
struct Client {
    socket: WebSocket,
    topic: usize,
    format: Format,
    expected: Vec<Expected>,
}

/// Everything that is, in obvious code.
struct World {
    hub: TestHub,
    http: Http,
    /// Every topic's publications from the first; its epoch, once known.
    topics: Vec<(Vec<Payload>, Option<String>)>,
    clients: HashMap<usize, Client>,
    /// Where clients were that are gone: topic and offset.
    places: HashMap<usize, (usize, usize)>,
    /// Tells topics of one case from those of another.
    case: usize,
}

impl World {
    fn name(&self, topic: usize) -> String {
        format!("{}-{topic}", self.case)
    }

    fn open(&mut self, client: usize, topic: usize, format: Format, query: &str, expected: Vec<Expected>) {
        self.leave(client, true);
        let encoding = match format {
            Format::Plain => "plain",
            Format::Json => "json",
        };
        let socket = self.hub.websocket(&format!("/topics/{}?format={encoding}{query}", self.name(topic)));
        self.clients.insert(client, Client { socket, topic, format, expected });
    }

    /// What is kept of a topic after `offset`.
    fn kept_since(&self, topic: usize, offset: usize) -> Vec<Expected> {
        let all = self.topics[topic].0.iter().enumerate().skip(offset);
        all.map(|(index, payload)| Expected::Publication { offset: index + 1, payload: payload.clone() }).collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join { client, topic, format } => self.open(client, topic, format, "", Vec::new()),
            Step::JoinWithHistory { client, topic, format, count } => {
                let top = self.topics[topic].0.len();
                let expected = self.kept_since(topic, top - count.min(KEPT).min(top));
                self.open(client, topic, format, &format!("&history={count}"), expected);
            }
            Step::Return { client, format } => {
                self.leave(client, false);
                let Some(&(topic, offset)) = self.places.get(&client) else { return };
                let Some(epoch) = self.topics[topic].1.clone() else { return };
                let top = self.topics[topic].0.len();
                let recovered = top - offset <= KEPT;
                let mut expected = Vec::new();
                if format == Format::Json || !recovered {
                    expected.push(Expected::Recovered { offset: top, recovered });
                }
                if recovered {
                    expected.extend(self.kept_since(topic, offset));
                }
                self.open(client, topic, format, &format!("&since={epoch}:{offset}"), expected);
            }
            Step::Leave { client, politely } => self.leave(client, politely),
            Step::Say { client, payload } => {
                let Some(said) = self.clients.get_mut(&client) else { return };
                let topic = said.topic;
                match &payload {
                    Payload::Text(text) => said.socket.send_text(text),
                    Payload::Binary(bytes) => said.socket.send_binary(bytes),
                }
                self.published(topic, payload);
                // The next step may be somebody else's, on another connection: so wait for this one.
                self.receive(client);
            }
            Step::Post { topic, payload } => {
                let target = format!("/topics/{}", self.name(topic));
                let answer = match &payload {
                    Payload::Text(text) => self.http.post(&target, text),
                    Payload::Binary(bytes) => {
                        self.http.request("POST", &target, &[("Content-Type", "application/octet-stream")], bytes)
                    }
                };
                let json = answer.json();
                self.published(topic, payload);
                assert_eq!(json["offset"], self.topics[topic].0.len());
                let receivers = self.clients.values().filter(|client| client.topic == topic).count();
                // Those who have just hung up may still be counted.
                assert!(json["receivers"].as_u64().unwrap() >= receivers as u64);
                let epoch = json["epoch"].as_str().unwrap().to_owned();
                assert_eq!(*self.topics[topic].1.get_or_insert(epoch.clone()), epoch, "the topic lost its numbering");
            }
        }
    }

    fn published(&mut self, topic: usize, payload: Payload) {
        self.topics[topic].0.push(payload.clone());
        let offset = self.topics[topic].0.len();
        for client in self.clients.values_mut().filter(|client| client.topic == topic) {
            client.expected.push(Expected::Publication { offset, payload: payload.clone() });
        }
    }

    /// Takes in all that a client is to receive, and asserts that it is just that.
    fn receive(&mut self, client: usize) {
        let epoch = self.clients.get(&client).and_then(|one| self.topics[one.topic].1.clone());
        let Some(client) = self.clients.get_mut(&client) else { return };
        for expected in std::mem::take(&mut client.expected) {
            let heard = client.socket.hear();
            match (client.format, expected) {
                (Format::Plain, Expected::Publication { payload: Payload::Text(text), .. }) => {
                    assert_eq!(heard, Heard::Text(text));
                }
                (Format::Plain, Expected::Publication { payload: Payload::Binary(bytes), .. }) => {
                    assert_eq!(heard, Heard::Binary(bytes));
                }
                (Format::Json, Expected::Publication { offset, payload }) => {
                    let line = json(&heard);
                    assert_eq!(line["offset"], offset, "{line}");
                    match payload {
                        Payload::Text(text) => assert_eq!(line["data"], text),
                        Payload::Binary(bytes) => assert_eq!(line["base64"].as_str().map(decode), Some(bytes)),
                    }
                    assert!(epoch.as_deref().is_none_or(|epoch| line["epoch"] == epoch));
                }
                (_, Expected::Recovered { offset, recovered }) => {
                    let line = json(&heard);
                    assert_eq!(
                        (line["offset"].as_u64(), line["recovered"].as_bool()),
                        (Some(offset as u64), Some(recovered))
                    );
                }
            }
        }
    }

    /// A client goes, after it has received everything up to here.
    fn leave(&mut self, client: usize, politely: bool) {
        self.receive(client);
        let Some(mut gone) = self.clients.remove(&client) else { return };
        self.places.insert(client, (gone.topic, self.topics[gone.topic].0.len()));
        if politely {
            gone.socket.send_close(1000);
            assert_eq!(gone.socket.close_code(), 1000);
            gone.socket.socket.shut_down_writing();
            assert_eq!(gone.socket.hear(), Heard::End);
        }
    }

    fn finish(mut self) {
        for client in 0..CLIENTS {
            self.receive(client);
        }
        for client in self.clients.values_mut() {
            client.socket.socket.send(&masked(0x89, b"end"));
            assert_eq!(client.socket.hear(), Heard::Pong(b"end".to_vec()), "more came than should have");
        }
    }
}

#[track_caller]
fn json(heard: &Heard) -> serde_json::Value {
    let Heard::Text(text) = heard else { panic!("not JSON: {heard:?}") };
    serde_json::from_str(text).unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn each_client_receives_what_the_model_says() {
    let config = format!("[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = {{ size = {KEPT} }}\n");
    // A failing case is printed smallest; no file of it is kept beside the tests.
    let mut runner =
        TestRunner::new(Config { cases: 60, failure_persistence: None, max_shrink_iters: 200, ..Config::default() });
    let cases = std::cell::Cell::new(0);
    runner
        .run(&proptest::collection::vec(step(), 1..250), |steps| {
            cases.set(cases.get() + 1);
            let hub = TestHub::start(3, &config);
            let http = hub.http();
            let topics = vec![(Vec::new(), None); TOPICS];
            let (clients, places) = (HashMap::new(), HashMap::new());
            let mut world = World { hub, http, topics, clients, places, case: cases.get() };
            for step in steps {
                world.step(step);
            }
            world.finish();
            Ok(())
        })
        .unwrap();
}
