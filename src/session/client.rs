//! A client of the Centrifuge protocol: who it is, how far it has come, and what it subscribes to.

use std::sync::Arc;

use bytes::Bytes;

use crate::fanout::LogId;
use crate::hooks::Passed;
use crate::hub::{ClientId, Member, Notice, Registered, Topic};
use crate::protocol::centrifuge::{DisconnectCode, Method};

/// A client of the Centrifuge protocol. About 150 bytes, and 40 for each subscription; kept beside its connection.
#[derive(Debug)]
pub struct Client {
    /// Its connection, as others see it.
    pub id: ClientId,
    /// How far it has come.
    pub stage: Stage,
    /// Whether it owes a pong.
    pub owes_pong: bool,
    /// Who it is; empty if it is anonymous.
    pub user: Box<str>,
    /// What it brought about itself, shown to others. Empty if nothing.
    pub info: Bytes,
    /// What the application keeps with it and shows to nobody. Empty if nothing.
    pub meta: Bytes,
    /// When its time is over unless it is refreshed, in seconds since 1970.
    pub expires: Option<Expiry>,
    /// Its token's own name, if it has one, and when it was issued: for who revokes tokens.
    pub token: Option<Box<TokenMark>>,
    /// What of its request's headers the backend is shown.
    pub passed: Passed,
    /// The backend was asked whether it may stay, and has not answered.
    pub is_asked_about: bool,
    /// It was told why it ends, and is to hear and to be heard no more.
    pub is_ending: bool,
    /// The secret by which it speaks, if it does so beside its stream.
    pub session: Option<Box<Registered>>,
    /// In the order of subscribing, roughly: a gap is filled with the last.
    pub subscriptions: Vec<Subscription>,
}

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has not said who it is.
    New,
    /// It has, and somebody else is asked whether that is so.
    Connecting,
    /// It is in.
    Connected,
    /// It was told that it is not let in, and is to go.
    Refused,
}

/// When a time is over, and who is to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// In seconds since 1970.
    pub at_unix: u64,
    /// Whose turn it is then.
    pub by: Refresher,
}

/// Who prolongs a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// The client, with a new token.
    Client,
    /// The hub, which asks the application.
    Hub,
}

/// What is known of a token besides its claims' use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMark {
    /// `jti`; empty if it has none.
    pub id: Box<str>,
    /// `iat`, in seconds since 1970.
    pub issued_unix: Option<u64>,
}

/// A client's membership in a topic.
#[derive(Debug)]
pub struct Subscription {
    /// The topic.
    pub topic: Arc<Topic>,
    /// The log of the worker that carries it.
    pub log: LogId,
    /// Whether the server made it.
    pub by_server: bool,
    /// Whether others were told that it came, if they are told of such things: then they may be told that it goes, too.
    pub join: Option<Notice>,
    /// What others see there, if it is in the topic's presence or was announced.
    pub member: Option<Arc<Member>>,
    /// When its time is over.
    pub expires: Option<Expiry>,
    /// The backend was asked whether it may stay, and has not answered.
    pub is_asked_about: bool,
}

impl Client {
    /// One that has not said who it is.
    pub fn new(id: ClientId) -> Self {
        Self {
            id,
            stage: Stage::New,
            owes_pong: false,
            user: Box::default(),
            info: Bytes::new(),
            meta: Bytes::new(),
            expires: None,
            token: None,
            passed: Passed::default(),
            is_asked_about: false,
            is_ending: false,
            session: None,
            subscriptions: Vec::new(),
        }
    }

    /// Whether `method` may come now.
    ///
    /// # Errors
    /// [`DisconnectCode::BadRequest`]: anything before the client is let in, a second `connect`, a pong that nobody asked for,
    /// and a `ping`, which is in the protocol's schema but not in its use.
    pub fn gate(&mut self, method: &Method<'_>) -> Result<(), DisconnectCode> {
        let is_due = match (self.stage, method) {
            (_, Method::Pong) => std::mem::take(&mut self.owes_pong),
            (Stage::New, Method::Connect(_)) => true,
            (_, Method::Connect(_) | Method::Ping) => false,
            (Stage::Connected, _) => true,
            (Stage::New | Stage::Connecting | Stage::Refused, _) => false,
        };
        if is_due { Ok(()) } else { Err(DisconnectCode::BadRequest) }
    }

    /// Its subscription to the topic of this name.
    pub fn subscription(&self, name: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|one| one.topic.name().as_str() == name)
    }

    /// The same, to be changed.
    pub fn subscription_mut(&mut self, name: &str) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|one| one.topic.name().as_str() == name)
    }

    /// Takes its subscription to the topic of this name out.
    pub fn take_subscription(&mut self, name: &str) -> Option<Subscription> {
        let at = self.subscriptions.iter().position(|one| one.topic.name().as_str() == name)?;
        let taken = self.subscriptions.swap_remove(at);
        if self.subscriptions.len() * 2 < self.subscriptions.capacity() {
            self.subscriptions.shrink_to_fit();
        }
        Some(taken)
    }

    /// When the first of its times is over, in seconds since 1970.
    pub fn next_expiry(&self) -> Option<u64> {
        let subscriptions = self.subscriptions.iter().filter_map(|one| one.expires);
        self.expires.into_iter().chain(subscriptions).map(|expiry| expiry.at_unix).min()
    }
}

impl Expiry {
    /// Seconds from `now_unix` on that a client is told; at least 1.
    pub fn ttl_s(self, now_unix: u64) -> u32 {
        u32::try_from(self.at_unix.saturating_sub(now_unix)).unwrap_or(u32::MAX).max(1)
    }

    /// What the client is told: nothing, if it is not its turn.
    pub fn told(expiry: Option<Self>, now_unix: u64) -> Option<u32> {
        expiry.filter(|expiry| expiry.by == Refresher::Client).map(|expiry| expiry.ttl_s(now_unix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::centrifuge::{Connect, Send};

    fn client(stage: Stage) -> Client {
        Client { stage, ..Client::new(ClientId::random()) }
    }

    #[test]
    fn connect_comes_first_and_once() {
        let (connect, send) = (Method::Connect(Connect::default()), Method::Send(Send::default()));
        assert_eq!(client(Stage::New).gate(&connect), Ok(()));
        assert_eq!(client(Stage::Connected).gate(&send), Ok(()));
        for (stage, method) in [
            (Stage::New, &send),
            (Stage::Connecting, &send),
            (Stage::Connecting, &connect),
            (Stage::Connected, &connect),
            (Stage::Refused, &connect),
            (Stage::Refused, &send),
            (Stage::Connected, &Method::Ping),
        ] {
            assert_eq!(client(stage).gate(method), Err(DisconnectCode::BadRequest), "{stage:?} {method:?}");
        }
    }

    #[test]
    fn a_pong_is_taken_once_for_each_ping() {
        let mut client = client(Stage::Connected);
        assert_eq!(client.gate(&Method::Pong), Err(DisconnectCode::BadRequest));
        client.owes_pong = true;
        assert_eq!(client.gate(&Method::Pong), Ok(()));
        assert_eq!(client.gate(&Method::Pong), Err(DisconnectCode::BadRequest));
    }

    #[test]
    fn a_client_is_told_the_time_that_it_is_to_prolong_itself() {
        let expiry = |by| Some(Expiry { at_unix: 100, by });
        assert_eq!(Expiry::told(expiry(Refresher::Client), 40), Some(60));
        assert_eq!(Expiry::told(expiry(Refresher::Client), 140), Some(1));
        assert_eq!(Expiry::told(expiry(Refresher::Hub), 40), None);
        assert_eq!(Expiry::told(None, 40), None);
    }

    #[test]
    fn a_client_is_small() {
        assert!(size_of::<Client>() <= 200, "{}", size_of::<Client>());
        assert!(size_of::<Subscription>() <= 48, "{}", size_of::<Subscription>());
    }
}
