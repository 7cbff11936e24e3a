//! From `connect` to a client that is in.

use std::sync::Arc;

use super::asking::{About, Answer};
use super::conversation::{Done, is_pending};
use super::judging;
use super::orders::place_of;
use super::subscription::Wanted;
use super::worker::Worker;
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;
use crate::hooks::Hook;
use crate::hub::{Entered, Offset, TopicName, Whereabouts};
use crate::identity::Checked;
use crate::protocol::centrifuge::{
    Batch, ClaimedEpoch, Connect, ConnectResult, DisconnectCode, Envelope, Push, Reply, SubscribeResult,
};
use crate::session::{Admission, Expiry, Grant, Session, Stage, Subscribed, Wish};

/// What a client said when it came, kept while somebody is asked.
#[derive(Debug, Default)]
pub(super) struct Coming {
    /// Where it stands in topics that the server subscribed it to.
    positions: Vec<(Box<str>, ClaimedEpoch, Offset)>,
}

/// What the hub calls itself.
const VERSION: &str = concat!("fanfare ", env!("CARGO_PKG_VERSION"));

impl Coming {
    fn of(connect: &Connect<'_>) -> Self {
        let asked = connect.subs.iter().filter(|(_, subscribe)| subscribe.recover);
        let positions = asked.map(|(channel, subscribe)| (channel.as_ref().into(), subscribe.epoch, subscribe.offset));
        Self { positions: positions.collect() }
    }

    fn position(&self, channel: &str) -> Option<(ClaimedEpoch, Offset)> {
        self.positions.iter().find(|(name, _, _)| **name == *channel).map(|&(_, epoch, offset)| (epoch, offset))
    }
}

impl Worker {
    /// A client says who it is.
    pub(super) fn connect(
        &mut self,
        id: ConnectionId,
        command: u32,
        connect: &Connect<'_>,
        replies: &mut Batch,
    ) -> Done {
        let coming = Coming::of(connect);
        let surface = Arc::clone(&self.seat.surface);
        if connect.token.is_empty() {
            if surface.hooks.is_on(Hook::Connect) {
                self.note_connecting(id);
                self.ask_to_connect(id, command, About::Connect(Box::new(coming)), connect);
                return Done::Waits;
            }
            if !surface.config.centrifuge.anonymous {
                tracing::debug!(connection = %id, "no token, and centrifuge.anonymous is false");
                return self.disconnect_client(id, DisconnectCode::BadRequest);
            }
            return self.admit_client(id, command, &coming, Admission::default(), replies);
        }
        let now_unix = Self::now_unix();
        match surface.verifier.connection(&connect.token, now_unix) {
            Checked::Now(verdict) => {
                let answer = judging::admitted(&surface, &connect.token, verdict, now_unix);
                self.take_admission(id, command, &coming, answer, replies)
            }
            Checked::Later(pending) => {
                self.note_connecting(id);
                let ask = self.await_answer(id, command, About::Connect(Box::new(coming)));
                let token = connect.token.clone().into_owned();
                self.await_verdict(ask, pending, move |verdict| {
                    judging::admitted(&surface, &token, verdict, Self::now_unix())
                });
                Done::Waits
            }
        }
    }

    /// Somebody is asked about a client; what else it says waits until there is an answer.
    fn note_connecting(&mut self, id: ConnectionId) {
        if let Some(client) = self.clients.get_mut(id.index) {
            client.stage = Stage::Connecting;
        }
    }

    /// Lets a client in, or not.
    fn take_admission(
        &mut self,
        id: ConnectionId,
        command: u32,
        coming: &Coming,
        answer: Answer,
        replies: &mut Batch,
    ) -> Done {
        match answer {
            Answer::Admitted(admission) => self.admit_client(id, command, coming, admission, replies),
            Answer::Error { code, message, temporary } => {
                self.refuse_client(id, command, &Reply::Error { code, message: &message, temporary }, replies)
            }
            Answer::Disconnect { code, reason } => self.disconnect_for(id, code, &reason),
            Answer::Granted(_) | Answer::Publish { .. } | Answer::Value(_) | Answer::Prolonged(..) => {
                self.disconnect_client(id, DisconnectCode::Internal)
            }
        }
    }

    /// Whoever was asked about a client has answered.
    pub(super) fn connect_answered(&mut self, id: ConnectionId, command: u32, coming: Coming, answer: Answer) {
        let Some(shape) = self.shape_of(id) else { return };
        let mut replies = Batch::new(shape.transport(), 256);
        let _ = self.take_admission(id, command, &coming, answer, &mut replies);
        self.fanout.reply(id, replies.finish());
        self.resume_commands(id);
    }

    /// A client that is not let in: it is told why, and goes by itself.
    fn refuse_client(&mut self, id: ConnectionId, command: u32, reply: &Reply<'_>, replies: &mut Batch) -> Done {
        if self.shape_of(id).is_some_and(|shape| shape.envelope() == Envelope::Bare) {
            self.refuse_bare(id, reply);
            return Done::Ended;
        }
        if let Some(client) = self.clients.get_mut(id.index) {
            client.stage = Stage::Refused;
        }
        replies.reply(command, reply);
        Done::On
    }

    /// Lets a client in: it gets its id, and what the server subscribes it to.
    fn admit_client(
        &mut self,
        id: ConnectionId,
        command: u32,
        coming: &Coming,
        admission: Admission,
        replies: &mut Batch,
    ) -> Done {
        let Admission { user, info, meta, expires, token, mut subscriptions, data } = admission;
        let Some(client) = self.clients.get_mut(id.index).filter(|client| is_pending(client.stage)) else {
            return Done::Ended;
        };
        let client_id = client.id;
        if !user.is_empty() {
            let one = Whereabouts { client: client_id, worker: self.seat.id, place: place_of(id) };
            let limit = self.seat.surface.config.limits.connections_per_user;
            match self.seat.surface.hub.directory().enter(&user, one, limit) {
                Entered::Yes => {}
                Entered::TooMany => return self.disconnect_client(id, DisconnectCode::ConnectionLimit),
            }
        }
        if let Some(personal) = self.personal_topic(&user) {
            subscriptions.push((personal, Grant::default()));
        }
        if subscriptions.len() > self.seat.surface.config.limits.subscriptions {
            self.seat.surface.hub.directory().leave(&user, client_id);
            return self.disconnect_client(id, DisconnectCode::ChannelLimit);
        }
        if let Some(client) = self.clients.get_mut(id.index) {
            client.stage = Stage::Connected;
            (client.user, client.info, client.meta) = (user, info, meta);
            (client.expires, client.token) = (expires, token);
        }
        let made = self.subscribe_on_arrival(id, coming, subscriptions);
        let now_unix = Self::now_unix();
        let id_text = client_id.to_string();
        let publications: Vec<_> = made.iter().map(|(_, subscribed)| subscribed.publications()).collect();
        let subs: Vec<(&str, SubscribeResult<'_>)> = made
            .iter()
            .zip(&publications)
            .map(|((name, subscribed), publications)| (name.as_str(), subscribed.result(publications)))
            .collect();
        let Some(shape) = self.shape_of(id) else { return Done::Ended };
        let told = self.open_session(id, shape);
        let frame_pings = match self.connection(id).map(|connection| connection.session) {
            Some(Session::Client { frame_pings, .. }) => frame_pings,
            Some(Session::Topic { .. } | Session::Endpoint { .. } | Session::Stream { .. }) | None => false,
        };
        let ping_s = match frame_pings {
            true => 0,
            false => self.seat.surface.config.liveness.ping_interval.0.as_secs().max(1),
        };
        let result = ConnectResult {
            client: &id_text,
            version: VERSION,
            ttl_s: Expiry::told(expires, now_unix),
            data: data.as_deref(),
            subs: &subs,
            ping_s: u32::try_from(ping_s).unwrap_or(u32::MAX),
            pong: shape.envelope() == Envelope::Wrapped && !frame_pings,
            session: &told.session,
            node: &told.node,
            ..ConnectResult::default()
        };
        match shape.envelope() {
            Envelope::Wrapped => replies.reply(command, &Reply::Connect(result)),
            Envelope::Bare => replies.push(Envelope::Bare, "", &Push::Connect(result)),
        }
        self.schedule_expiry(id);
        Done::On
    }

    /// What the server subscribes a client to; what it may not have is left out, and the client finds it missing.
    fn subscribe_on_arrival(
        &mut self,
        id: ConnectionId,
        coming: &Coming,
        subscriptions: Vec<(TopicName, Grant)>,
    ) -> Vec<(TopicName, Subscribed)> {
        let mut made: Vec<(TopicName, Subscribed)> = Vec::new();
        for (name, grant) in subscriptions {
            if made.iter().any(|(one, _)| *one == name) {
                continue;
            }
            let recover = coming.position(name.as_str());
            let wish = Wish { recover, recoverable: true, positioned: true, ..Wish::default() };
            let wanted = Wanted { wish, filter: None, by_server: true, may_see_others: true };
            match self.seat_client(id, &name, &wanted, grant) {
                Ok(subscribed) => made.push((name, subscribed)),
                Err(error) => tracing::debug!(connection = %id, topic = %name, ?error, "not subscribed by the server"),
            }
        }
        made
    }

    /// The topic that a user is subscribed to by the server.
    fn personal_topic(&self, user: &str) -> Option<TopicName> {
        let template = self.seat.surface.config.centrifuge.personal.as_deref().filter(|_| !user.is_empty())?;
        let name = TopicName::new(&template.replace("{user}", user));
        let name = name.and_then(|name| name.at_most(self.seat.surface.config.limits.topic_name));
        name.inspect_err(|error| tracing::debug!(user, %error, "no personal topic")).ok()
    }

    /// Ends a connection as an answer has it: with a code of the protocol, or with one of the application's own.
    pub(super) fn disconnect_for(&mut self, id: ConnectionId, code: u16, reason: &str) -> Done {
        let own = DisconnectCode::ALL.into_iter().find(|one| one.code() == code);
        self.close_with(id, own.map_or(CloseReason::Ordered, CloseReason::Client), code, reason);
        Done::Ended
    }
}
