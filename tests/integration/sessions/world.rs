//! A hub, its clients, and the model beside them: each step is done to both.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use fanfare::hub::TopicName;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kinds::config;
use super::payload::{Payload, Shape};
use super::step::{By, Step};
use super::subscriber::{Client, Wanted};
use super::topic::{Claim, Recovery, Rules, Topic, Wish};
use super::wire::{Command, Format, Reply};
use crate::client::{Http, WebSocket};
use crate::deadline::{PATIENCE, eventually};
use crate::hub::TestHub;

pub(super) const CLIENTS: usize = 4;

/// Topics of one story: few, so that much happens on each.
pub(super) const TOPICS: usize = 3;

/// What the server's publisher shows.
const KEY: (&str, &str) = ("X-API-Key", "key");

pub(super) struct World {
    config: String,
    hub: Option<TestHub>,
    http: Http,
    topics: Vec<Topic>,
    /// A topic that nobody needs is freed at any time, unless somebody holds it.
    held: Vec<Arc<fanfare::hub::Topic>>,
    clients: Vec<Client>,
    payload_count: u64,
    /// What publishers were told, by topic and idempotency key.
    keys: HashMap<(usize, u8), Value>,
    _directory: TempDir,
}

impl World {
    pub(super) fn new(sync: &str, topics: &[Rules]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), sync, topics);
        let hub = TestHub::start(2, &config);
        let mut world = Self {
            config,
            http: hub.http(),
            hub: Some(hub),
            topics: topics.iter().copied().map(Topic::new).collect(),
            held: Vec::new(),
            clients: [Format::Json, Format::Protobuf].into_iter().cycle().map(Client::new).take(CLIENTS).collect(),
            payload_count: 0,
            keys: HashMap::new(),
            _directory: directory,
        };
        world.hold_topics();
        world
    }

    fn hub(&self) -> &TestHub {
        self.hub.as_ref().expect("there is always one")
    }

    fn name(&self, topic: usize) -> TopicName {
        TopicName::new(self.topics[topic].rules.name).unwrap()
    }

    fn hold(&self, topic: usize) -> Arc<fanfare::hub::Topic> {
        self.hub().server().surface().hub.topic(&self.name(topic)).unwrap()
    }

    /// Holds the topics of a hub that has just begun.
    fn hold_topics(&mut self) {
        self.held = (0..self.topics.len()).map(|topic| self.hold(topic)).collect();
        for (topic, held) in self.topics.iter_mut().zip(&self.held) {
            topic.begin_anew(held.epoch().0.to_string());
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Subscribe { client, topic, wish, claim } => self.subscribe(client, &[(topic, wish, claim)]),
            Step::SubscribeInTheMidst { client, topic, wish, claim, count } => {
                self.subscribe_in_the_midst(client, topic, Wish { recoverable: true, ..wish }, claim, count);
            }
            Step::PublishAndSubscribe { client, topic, wish, claim } => {
                self.publish_and_subscribe(client, topic, Wish { recoverable: true, ..wish }, claim);
            }
            Step::Return { client } => {
                if self.clients[client].connection.is_none() {
                    let left = std::mem::take(&mut self.clients[client].left);
                    let all: Vec<_> = left.into_iter().map(|(topic, wish)| (topic, wish, Claim::Own)).collect();
                    self.subscribe(client, &all);
                }
            }
            Step::Unsubscribe { client, topic } => {
                if self.clients[client].connection.is_some() {
                    self.clients[client].unsubscribe(topic, &self.topics);
                }
            }
            Step::Cut { client, politely } => {
                if politely {
                    self.clients[client].close(&self.topics);
                } else {
                    drop(self.clients[client].cut());
                }
                self.await_those_gone();
            }
            Step::Read { client } => self.clients[client].read(&self.topics),
            Step::Publish { topic, shape, by } => self.publish(topic, shape, by),
            Step::RemoveHistory { topic } => self.remove_history(topic),
            Step::Expire { topic, keep } => {
                let rules = self.topics[topic].rules;
                if !rules.on_disk {
                    let keep = if rules.clients_publish { 0 } else { keep };
                    self.expire(self.topics[topic].moment_of_expiry(keep));
                }
            }
            Step::Free { topic, is_abandoned } => {
                if is_abandoned {
                    for client in self.clients.iter_mut().filter(|client| client.is_subscribed(topic)) {
                        client.unsubscribe(topic, &self.topics);
                    }
                    self.remove_history(topic);
                }
                self.free(topic);
            }
            Step::Restart { politely } => self.restart(politely),
        }
    }

    /// A client connects if it is not, and wants these.
    fn subscribe(&mut self, client: usize, wanted: &[(usize, Wish, Claim)]) {
        if let &[(topic, wish, _)] = wanted
            && self.clients[client].is_subscribed(topic)
        {
            let channel = self.topics[topic].rules.name;
            let reply = self.clients[client].ask(Command::Subscribe { channel, wish, recover: None }, &self.topics);
            assert!(matches!(reply, Reply::Error(105)), "{reply:?}");
            return;
        }
        let joins = |topic: usize| self.topics[topic].top()..=self.topics[topic].top();
        let wanted: Vec<_> =
            wanted.iter().map(|&(topic, wish, claim)| Wanted { topic, wish, claim, joins: joins(topic) }).collect();
        let socket = self.socket_for(client);
        self.clients[client].subscribe(socket, None, &wanted, &self.topics);
    }

    fn subscribe_in_the_midst(&mut self, client: usize, topic: usize, wish: Wish, claim: Claim, count: usize) {
        let rules = self.topics[topic].rules;
        if rules.size == 0 || rules.recovery == Recovery::Off || self.clients[client].is_subscribed(topic) {
            // There is no position that tells where it joined.
            return self.subscribe(client, &[(topic, wish, claim)]);
        }
        let socket = self.socket_for(client);
        let before = self.topics[topic].top();
        for _ in 0..count {
            let payload = self.payload(Shape::Long);
            let body = format!("{{\"channel\":\"{}\",{}}}", rules.name, payload.api_field());
            self.topics[topic].publish(payload, None, true);
            self.http.send("POST", "/api/publish", &[KEY], body.as_bytes());
        }
        let joins = before..=before + count as u64;
        let wanted = Wanted { topic, wish, claim, joins: joins.clone() };
        self.clients[client].subscribe(socket, None, &[wanted], &self.topics);
        for offset in joins.skip(1) {
            let answer = self.http.response().json();
            assert_eq!(answer["result"], json!({"offset": offset, "epoch": self.topics[topic].epoch}));
        }
        self.topics[topic].acknowledged();
    }

    fn publish_and_subscribe(&mut self, client: usize, topic: usize, wish: Wish, claim: Claim) {
        let rules = self.topics[topic].rules;
        let has_position = rules.size > 0 && rules.recovery != Recovery::Off;
        let one = &self.clients[client];
        let Some(connection) = one.connection.as_ref().filter(|_| !one.is_subscribed(topic)) else { return };
        if !has_position || !rules.clients_publish {
            return;
        }
        let (publisher, before) = (connection.id.clone(), self.topics[topic].top());
        let payload = self.payload(Shape::Long);
        self.topics[topic].publish(payload.clone(), Some(publisher), true);
        let said = Command::Publish { channel: rules.name, data: &payload.bytes };
        // On disk it may join before that has its place.
        let wanted = Wanted { topic, wish, claim, joins: before..=before + 1 };
        self.clients[client].subscribe(None, Some(said), &[wanted], &self.topics);
        self.topics[topic].acknowledged();
    }

    fn socket_for(&self, client: usize) -> Option<WebSocket> {
        let one = &self.clients[client];
        one.connection.is_none().then(|| self.hub().websocket(one.target()))
    }

    /// Waits until the hub has noticed who is gone: what is passed on is for those who are there.
    fn await_those_gone(&self) {
        for (topic, held) in self.held.iter().enumerate() {
            let there = self.clients.iter().filter(|client| client.is_subscribed(topic)).count();
            eventually("the hub has noticed who is gone", || held.subscribers() == there);
        }
    }

    fn payload(&mut self, shape: Shape) -> Payload {
        self.payload_count += 1;
        Payload::new(shape, self.payload_count)
    }

    fn publish(&mut self, topic: usize, shape: Shape, by: By) {
        let rules = self.topics[topic].rules;
        let payload = self.payload(shape);
        match by {
            By::Client(client) => self.publish_by_client(topic, payload, client),
            By::Server => self.publish_by_server(topic, payload, "", true),
            By::Versioned(version) => {
                // On disk the last version is forgotten with what had it, and without history at once.
                if rules.size > 0 && !rules.on_disk {
                    let field = format!(",\"version\":{version}");
                    if self.topics[topic].outdates(version) {
                        self.ask_to_publish(topic, &payload, &field, &self.topics[topic].told_position());
                    } else {
                        self.publish_by_server(topic, payload, &field, true);
                    }
                }
            }
            By::Keyed(key) => {
                let field = format!(",\"idempotency_key\":\"{key}\"");
                match self.keys.get(&(topic, key)).cloned() {
                    Some(told) => self.ask_to_publish(topic, &payload, &field, &told),
                    None => {
                        self.publish_by_server(topic, payload, &field, true);
                        self.keys.insert((topic, key), self.topics[topic].told_position());
                    }
                }
            }
            By::Passing => {
                self.publish_by_server(topic, payload, ",\"skip_history\":true", false);
                // It is told to those who are there when a worker comes to it, so who comes later must come after that.
                for client in self.clients.iter_mut().filter(|client| client.is_subscribed(topic)) {
                    client.read(&self.topics);
                }
            }
        }
        self.topics[topic].acknowledged();
    }

    fn publish_by_server(&mut self, topic: usize, payload: Payload, field: &str, is_kept: bool) {
        self.topics[topic].publish(payload.clone(), None, is_kept);
        let told = if is_kept { self.topics[topic].told_position() } else { json!({}) };
        self.ask_to_publish(topic, &payload, field, &told);
    }

    fn ask_to_publish(&mut self, topic: usize, payload: &Payload, field: &str, told: &Value) {
        let body = format!("{{\"channel\":\"{}\",{}{field}}}", self.topics[topic].rules.name, payload.api_field());
        assert_eq!(self.ask_api("publish", &body)["result"], *told);
    }

    fn publish_by_client(&mut self, topic: usize, payload: Payload, client: usize) {
        let one = &mut self.clients[client];
        let Some(connection) = &one.connection else { return };
        if !one.can_publish(payload.is_json()) {
            return;
        }
        let data = payload.bytes.clone();
        let may_publish = self.topics[topic].rules.clients_publish;
        if may_publish {
            self.topics[topic].publish(payload, Some(connection.id.clone()), true);
        }
        let reply = one.ask(Command::Publish { channel: self.topics[topic].rules.name, data: &data }, &self.topics);
        match reply {
            Reply::Done => assert!(may_publish),
            Reply::Error(code) => assert_eq!((code, may_publish), (103, false)),
            Reply::Connected(_) | Reply::Subscribed(_) => panic!("{reply:?}"),
        }
    }

    fn ask_api(&mut self, method: &str, body: &str) -> Value {
        let answer = self.http.request("POST", &format!("/api/{method}"), &[KEY], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn remove_history(&mut self, topic: usize) {
        let Rules { name, size, .. } = self.topics[topic].rules;
        let answer = self.ask_api("history_remove", &json!({"channel": name}).to_string());
        if size > 0 {
            assert_eq!(answer["result"], json!({}));
            self.topics[topic].remove();
        } else {
            assert_eq!(answer["error"]["code"], 108);
        }
    }

    /// It is `moment` now, as far as history goes. The hub's worker does the same each second with the time of its clock.
    fn expire(&mut self, moment: Instant) {
        self.hub().server().surface().hub.tidy(moment);
        self.topics.iter_mut().for_each(|topic| topic.expire(moment));
    }

    fn free(&mut self, topic: usize) {
        let is_subscribed = self.clients.iter().any(|client| client.is_subscribed(topic));
        let is_needed = is_subscribed || self.topics[topic].keeps_something();
        drop(self.held.remove(topic));
        if is_needed {
            self.expire(Instant::now());
        } else {
            // What had history is looked at when that would have expired.
            let moment = Instant::now() + self.topics[topic].rules.ttl;
            let name = self.name(topic);
            eventually("a topic that nobody needs is freed", || {
                self.expire(moment);
                self.hub().server().surface().hub.find(&name).is_none()
            });
        }
        let held = self.hold(topic);
        let epoch = held.epoch().0.to_string();
        self.held.insert(topic, held);
        if is_needed {
            assert_eq!(self.topics[topic].epoch, epoch, "a topic that is needed was freed");
        } else {
            self.topics[topic].begin(epoch);
        }
    }

    fn restart(&mut self, politely: bool) {
        if politely {
            self.hub().server().drain();
            self.clients.iter_mut().for_each(|client| client.is_told_to_come_back(&self.topics));
        } else {
            self.clients.iter_mut().for_each(|client| drop(client.cut()));
        }
        self.held.clear();
        self.keys.retain(|&(topic, _), _| self.topics[topic].rules.on_disk);
        self.hub.take().expect("there is always one").drain_and_join(PATIENCE).1.unwrap();
        let hub = TestHub::start(2, &self.config);
        self.http = hub.http();
        self.hub = Some(hub);
        self.hold_topics();
    }

    /// All is told, one more of each topic is the next, and nothing else comes.
    pub(super) fn finish(mut self) {
        self.clients.iter_mut().for_each(|client| client.read(&self.topics));
        for topic in 0..self.topics.len() {
            self.publish(topic, Shape::Long, By::Server);
        }
        for client in &mut self.clients {
            client.read(&self.topics);
            client.assert_nothing_came();
        }
    }
}
