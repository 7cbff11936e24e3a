//! Questions to the application's backend about clients, and what is made of its answers.

use std::sync::Arc;

use bytes::Bytes;

use super::asking::{About, Answer, AskId};
use super::judging::{prolonged, some};
use super::orders::{Order, Prolonged};
use super::worker::Worker;
use crate::fanout::ConnectionId;
use crate::hooks::{
    self, Ask, Caller, ConnectRequest, ConnectResult, Event, Gone, Override, Payload, PublishRequest, PublishResult,
    RefreshRequest, RefreshResult, RpcRequest, RpcResult, SubRefreshRequest, SubRefreshResult, SubscribeRequest,
    SubscribeResult,
};
use crate::hub::TopicName;
use crate::protocol::Shape;
use crate::protocol::centrifuge::{Connect, Envelope, Format, Transport};
use crate::session::{Admission, Client, Expiry, Grant, Overrides, Refresher};

/// How a client is connected, as the backend is told.
#[derive(Debug, Clone, Copy)]
struct Names {
    transport: &'static str,
    protocol: &'static str,
}

impl Names {
    fn of(shape: Shape) -> Self {
        let transport = match (shape.transport(), shape.envelope()) {
            (Transport::WebSocket(_), Envelope::Wrapped) => "websocket",
            (Transport::HttpStream(..), Envelope::Wrapped) => "http_stream",
            (Transport::EventStream(_), Envelope::Wrapped) => "sse",
            (Transport::WebSocket(_), Envelope::Bare) => "uni_websocket",
            (Transport::HttpStream(..), Envelope::Bare) => "uni_http_stream",
            (Transport::EventStream(_), Envelope::Bare) => "uni_sse",
        };
        let protocol = match shape.format() {
            Format::Json => "json",
            Format::Protobuf => "protobuf",
        };
        Self { transport, protocol }
    }
}

/// What is known of a client while it is asked about.
struct Subject {
    id_text: String,
    user: Box<str>,
    meta: Option<Bytes>,
    names: Names,
    format: Format,
}

impl Subject {
    fn caller(&self) -> Caller<'_> {
        Caller { client: &self.id_text, transport: self.names.transport, protocol: self.names.protocol }
    }

    fn payload(&self, data: &[u8]) -> Payload {
        // Clients of Protobuf send JSON, too, and backends expect that.
        let is_json = match self.format {
            Format::Json => true,
            Format::Protobuf => serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok(),
        };
        let data = Bytes::copy_from_slice(data);
        if is_json { Payload::Json(data) } else { Payload::Binary(data) }
    }
}

impl Worker {
    fn subject(&self, id: ConnectionId) -> Option<Subject> {
        let shape = self.shape_of(id)?;
        let client = self.clients.get(id.index)?;
        Some(Subject {
            id_text: client.id.to_string(),
            user: client.user.clone(),
            meta: some(&client.meta),
            names: Names::of(shape),
            format: shape.format(),
        })
    }

    /// Asks the backend. If it cannot be asked, the answer comes all the same, as an order of this worker to itself.
    fn ask_backend<A: Ask>(
        &mut self,
        id: ConnectionId,
        command: u32,
        about: About,
        ask: &A,
        judge: impl FnOnce(A::Result) -> Answer + Send + 'static,
    ) {
        let number = self.await_answer(id, command, about);
        let passed = self.clients.get(id.index).map(|client| client.passed.clone()).unwrap_or_default();
        let surface = Arc::clone(&self.seat.surface);
        let here = self.seat.id;
        let done = move |answer: hooks::Answer<A::Result>| {
            let answer = Box::new(match answer {
                hooks::Answer::Result(result) => judge(result),
                hooks::Answer::Error(refused) => refusal(refused),
                hooks::Answer::Disconnect(ended) => {
                    Answer::Disconnect { code: ended.code, reason: ended.reason.into() }
                }
                hooks::Answer::Failed(failure) => refusal(failure.refused()),
            });
            if surface.orders.give(here, Order::Answered { ask: number, answer }).is_err() {
                tracing::error!(connection = %id, "an answer of the backend is lost: too many orders wait for its worker");
            }
        };
        if let Err(failure) = self.seat.surface.hooks.call(ask, &passed, done) {
            self.answer_soon(number, refusal(failure.refused()));
        }
    }

    /// An answer that is known already is taken like any other, in the next turn: who asks is in the midst of a command.
    fn answer_soon(&mut self, ask: AskId, answer: Answer) {
        let order = Order::Answered { ask, answer: Box::new(answer) };
        if self.seat.surface.orders.give(self.seat.id, order).is_err() {
            // It will not be answered; the SDK's own time is over some seconds later, and it tries again.
            self.asks.remove(&ask);
        }
    }

    pub(super) fn ask_to_connect(&mut self, id: ConnectionId, command: u32, about: About, connect: &Connect<'_>) {
        let Some(subject) = self.subject(id) else { return };
        let emulated = connect.headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        if let Some(client) = self.clients.get_mut(id.index) {
            client.passed = self.seat.surface.hooks.pass_emulated(&client.passed, emulated);
        }
        let request = ConnectRequest {
            caller: subject.caller(),
            name: &connect.name,
            version: &connect.version,
            data: connect.data.map(|data| subject.payload(data)),
            channels: connect.subs.iter().map(|(channel, _)| channel.as_ref()).collect(),
        };
        let by = self.refresher_of_connections();
        let limit = self.seat.surface.config.limits.topic_name;
        self.ask_backend(id, command, about, &request, move |result| {
            let ConnectResult { user, expire_at, info, data, channels, subs, meta } = result;
            let name = |name: &str| TopicName::new(name).and_then(|name| name.at_most(limit)).ok();
            let plain = channels.iter().filter_map(|channel| Some((name(channel)?, Grant::default())));
            let granted = subs.into_iter().filter_map(|(channel, sub)| Some((name(&channel)?, grant(sub, None))));
            Answer::Admitted(Admission {
                user: user.into(),
                info: info.map_or_else(Bytes::new, Payload::into_bytes),
                meta: meta.unwrap_or_default(),
                expires: expire_at.map(|at_unix| Expiry { at_unix, by }),
                token: None,
                subscriptions: granted.chain(plain).collect(),
                data: data.map(Payload::into_bytes),
            })
        });
    }

    pub(super) fn ask_to_refresh(&mut self, id: ConnectionId) {
        let Some(subject) = self.subject(id) else { return };
        let request = RefreshRequest { caller: subject.caller(), user: &subject.user, meta: subject.meta.clone() };
        self.ask_backend(id, 0, About::Refresh, &request, |result| {
            let RefreshResult { expired, expire_at, info, meta: _ } = result;
            Answer::Prolonged(until(expired, expire_at, Refresher::Hub), info.map(Payload::into_bytes))
        });
    }

    pub(super) fn ask_to_subscribe(
        &mut self,
        id: ConnectionId,
        command: u32,
        name: TopicName,
        wanted: super::subscription::Wanted,
        data: Option<&[u8]>,
    ) {
        let Some(subject) = self.subject(id) else { return };
        let request = SubscribeRequest {
            caller: subject.caller(),
            user: &subject.user,
            channel: name.as_str(),
            token: "",
            data: data.map(|data| subject.payload(data)),
            meta: subject.meta.clone(),
        };
        let by = self.refresher_of(&name);
        let about = About::Subscribe(name.clone(), Box::new(wanted));
        self.ask_backend(id, command, about, &request, move |result| Answer::Granted(grant(result, Some(by))));
    }

    pub(super) fn ask_to_publish(&mut self, id: ConnectionId, command: u32, name: TopicName, data: &[u8]) {
        let Some(subject) = self.subject(id) else { return };
        let request = PublishRequest {
            caller: subject.caller(),
            user: &subject.user,
            channel: name.as_str(),
            data: Some(subject.payload(data)),
            meta: subject.meta.clone(),
        };
        let about = About::Publish(name.clone(), Bytes::copy_from_slice(data));
        self.ask_backend(id, command, about, &request, |result| {
            let PublishResult { data, skip_history } = result;
            Answer::Publish { data: data.map(Payload::into_bytes), skip_history }
        });
    }

    pub(super) fn ask_to_keep(&mut self, id: ConnectionId, name: TopicName) {
        let Some(subject) = self.subject(id) else { return };
        let request = SubRefreshRequest {
            caller: subject.caller(),
            user: &subject.user,
            channel: name.as_str(),
            meta: subject.meta.clone(),
        };
        self.ask_backend(id, 0, About::SubRefresh(name.clone()), &request, |result| {
            let SubRefreshResult { expired, expire_at, info } = result;
            Answer::Prolonged(until(expired, expire_at, Refresher::Hub), info.map(Payload::into_bytes))
        });
    }

    pub(super) fn ask_to_call(&mut self, id: ConnectionId, command: u32, method: &str, data: Option<&[u8]>) {
        let Some(subject) = self.subject(id) else { return };
        let request = RpcRequest {
            caller: subject.caller(),
            user: &subject.user,
            method,
            data: data.map(|data| subject.payload(data)),
            meta: subject.meta.clone(),
        };
        self.ask_backend(id, command, About::Rpc, &request, |RpcResult { data }| {
            Answer::Value(data.map(Payload::into_bytes))
        });
    }

    /// The backend is told that a subscription, or a connection, has ended.
    pub(super) fn tell_gone(&self, client: &Client, shape: Shape, what: Gone<'_>, code: u16, reason: &str) {
        if !self.seat.surface.hooks.is_on(what_hook(&what)) {
            return;
        }
        let names = Names::of(shape);
        let id_text = client.id.to_string();
        self.seat.surface.hooks.tell(Event {
            what,
            client: &id_text,
            user: &client.user,
            transport: names.transport,
            protocol: names.protocol,
            time_ms: self.seat.surface.unix_millis(self.now),
            code,
            reason,
        });
    }

    /// Who prolongs the connections that the backend has let in.
    fn refresher_of_connections(&self) -> Refresher {
        match self.seat.surface.hooks.is_on(hooks::Hook::Refresh) {
            true => Refresher::Hub,
            false => Refresher::Client,
        }
    }

    /// Who prolongs the subscriptions that the backend has granted.
    fn refresher_of(&self, name: &TopicName) -> Refresher {
        let rules = self.seat.surface.hub.rules_of(name);
        let asks = rules.hooks.contains(&crate::config::TopicHook::SubRefresh);
        match asks && self.seat.surface.hooks.is_on(hooks::Hook::SubRefresh) {
            true => Refresher::Hub,
            false => Refresher::Client,
        }
    }
}

fn what_hook(what: &Gone<'_>) -> hooks::Hook {
    match what {
        Gone::Subscription(_) => hooks::Hook::Unsubscribe,
        Gone::Connection => hooks::Hook::Disconnect,
    }
}

fn grant(result: SubscribeResult, by: Option<Refresher>) -> Grant {
    let SubscribeResult { expire_at, info, data, overridden } = result;
    let Override { presence, join_leave, force_recovery, force_positioning, force_push_join_leave } = overridden;
    Grant {
        info: info.map_or_else(Bytes::new, Payload::into_bytes),
        data: data.map(Payload::into_bytes),
        expires: expire_at.zip(by).map(|(at_unix, by)| Expiry { at_unix, by }),
        overrides: Overrides { presence, join_leave, force_recovery, force_positioning, force_push_join_leave },
    }
}

fn until(expired: bool, expire_at: Option<u64>, by: Refresher) -> Prolonged {
    if expired {
        return Prolonged::Over;
    }
    prolonged(expire_at.map(|at_unix| Expiry { at_unix, by }))
}

fn refusal(refused: hooks::Refused) -> Answer {
    let hooks::Refused { code, message, temporary } = refused;
    Answer::Error { code, message: message.into(), temporary }
}
