//! What clients of the Centrifuge protocol want besides subscriptions: to publish, to know who is there and what was, to
//! call the backend, to stay.

use std::sync::Arc;

use bytes::Bytes;

use super::asking::{About, Answer};
use super::conversation::{Done, kind_of, refused};
use super::judging;
use super::orders::Order;
use super::worker::Worker;
use crate::config::{ReadRule, TopicRules};
use crate::fanout::ConnectionId;
use crate::hooks::Hook;
use crate::hub::{
    self, Draft, Extras, Joined, Member, Offset, Outcome, Position, Receipt, Recovery, Roll, Start, TopicName,
};
use crate::identity::Checked;
use crate::protocol::centrifuge::{
    Batch, ClientInfo, DisconnectCode, ErrorCode, History, HistoryResult, Publish, Reply, Rpc, SubRefresh,
};
use crate::refusal::Refusal;
use crate::session::permission::{self, Asker, Permission};
use crate::session::{Client, Shown, filled};

/// Publications of one answer. A client that wants more asks for the next page.
const HISTORY_LIMIT: usize = 300;

/// Members of one answer: more would not fit into a frame that clients take, and would keep other connections of this
/// worker waiting. Whoever is refused asks for the statistics, which cost the same for any number.
const PRESENCE_LIMIT: Roll = Roll { members: 10_000, bytes: 4 * 1024 * 1024 };

impl Worker {
    /// A client publishes.
    pub(super) fn publish_client(
        &mut self,
        id: ConnectionId,
        command: u32,
        publish: &Publish<'_>,
        replies: &mut Batch,
    ) -> Done {
        if publish.channel.is_empty() {
            return self.disconnect_client(id, DisconnectCode::BadRequest);
        }
        let Some(data) = publish.data.filter(|_| publish.kind == 0) else {
            return refused(replies, command, ErrorCode::BadRequest);
        };
        let name = match self.name_of(&publish.channel) {
            Ok(name) => name,
            Err(error) => return refused(replies, command, error),
        };
        let rules = self.seat.surface.hub.rules_of(&name);
        let Some(client) = self.clients.get(id.index) else { return Done::Ended };
        match permission::publish(rules, asker(client, &name)) {
            Err(error) => {
                self.seat.surface.counters.reject_client(Refusal::PublishNotAllowed);
                refused(replies, command, error)
            }
            Ok(Permission::Granted) => self.publish_for_client(id, command, &name, data, true, replies),
            Ok(Permission::ByHook | Permission::ByToken) => {
                self.ask_to_publish(id, command, name, data);
                Done::On
            }
        }
    }

    fn publish_for_client(
        &mut self,
        id: ConnectionId,
        command: u32,
        name: &TopicName,
        data: &[u8],
        is_kept: bool,
        replies: &mut Batch,
    ) -> Done {
        let hub = Arc::clone(&self.seat.surface.hub);
        let (Some(shape), Some(client)) = (self.shape_of(id), self.clients.get(id.index)) else { return Done::Ended };
        let topic = match hub.topic(name) {
            Ok(topic) => topic,
            Err(refusal) => {
                self.seat.surface.counters.reject_client(refusal);
                return refused(replies, command, ErrorCode::LimitExceeded);
            }
        };
        let extras = Extras { publisher: Some(member_of(client, name)), ..Extras::default() };
        let draft = Draft::new(kind_of(shape.format(), data), data).with_extras(Arc::new(extras));
        let draft = if is_kept { draft } else { draft.passing() };
        match hub.publish(&topic, draft, self.now, || self.answer_later(id, Some(command))) {
            Some(Outcome::Accepted(_)) => {
                self.seat.surface.counters.published_client.add(1);
                replies.reply(command, &Reply::Publish);
                Done::On
            }
            Some(Outcome::Full { queue, .. }) => {
                hub.wake_when_roomy(queue, &self.mailbox);
                Done::NoRoom
            }
            Some(Outcome::Refused(refusal)) => {
                self.seat.surface.counters.reject_client(refusal);
                refused(replies, command, error_of(refusal))
            }
            None => Done::On,
        }
    }

    /// Where the outcome of a publish goes that is known later: back to this worker, as an order.
    pub(super) fn answer_later(&self, id: ConnectionId, command: Option<u32>) -> hub::Done {
        let (surface, worker) = (Arc::clone(&self.seat.surface), self.seat.id);
        Box::new(move |outcome| {
            let outcome = match outcome {
                Outcome::Accepted(receipt) => Ok(receipt),
                Outcome::Refused(refusal) => Err(refusal),
                Outcome::Full { .. } => Err(Refusal::Overloaded),
            };
            // Far more may wait than publications for the disk; if they do, this client hears nothing, as of any answer
            // that is lost, and has to ask.
            if surface.orders.give(worker, Order::Published { id, command, outcome }).is_err() {
                tracing::warn!(connection = %id, "the answer to a publish is lost: too many orders wait");
            }
        })
    }

    /// The outcome of a publish that was not known at once.
    pub(super) fn published(&mut self, id: ConnectionId, command: Option<u32>, outcome: Result<Receipt, Refusal>) {
        match outcome {
            Ok(_) => self.seat.surface.counters.published_client.add(1),
            Err(refusal) => self.seat.surface.counters.reject_client(refusal),
        }
        if !self.connection(id).is_some_and(|connection| connection.is_open()) {
            return;
        }
        match (command, outcome) {
            (None, Ok(_)) => {}
            (None, Err(refusal)) => self.tell_refused(id, refusal),
            (Some(command), outcome) => {
                let Some(shape) = self.shape_of(id) else { return };
                let mut replies = Batch::new(shape.transport(), 64);
                let _ = match outcome {
                    Ok(_) => {
                        replies.reply(command, &Reply::Publish);
                        Done::On
                    }
                    Err(refusal) => refused(&mut replies, command, error_of(refusal)),
                };
                self.fanout.reply(id, replies.finish());
            }
        }
    }

    /// Whoever was asked about a publication has answered.
    pub(super) fn publish_answered(
        &mut self,
        id: ConnectionId,
        command: u32,
        name: &TopicName,
        data: &Bytes,
        answer: Answer,
    ) {
        let Some(shape) = self.shape_of(id) else { return };
        let mut replies = Batch::new(shape.transport(), 64);
        let done = match answer {
            Answer::Publish { data: other, skip_history } => {
                let data = other.unwrap_or_else(|| data.clone());
                self.publish_for_client(id, command, name, &data, !skip_history, &mut replies)
            }
            Answer::Error { code, message, temporary } => {
                replies.reply(command, &Reply::Error { code, message: &message, temporary });
                Done::On
            }
            Answer::Disconnect { code, reason } => self.disconnect_for(id, code, &reason),
            Answer::Admitted(_) | Answer::Granted(_) | Answer::Value(_) | Answer::Prolonged(..) => {
                refused(&mut replies, command, ErrorCode::Internal)
            }
        };
        if done == Done::NoRoom {
            // It has waited once; SDKs try again by themselves.
            let _ = refused(&mut replies, command, ErrorCode::TooManyRequests);
        }
        self.fanout.reply(id, replies.finish());
    }

    /// A client wants to know who is there.
    pub(super) fn tell_presence(&mut self, id: ConnectionId, command: u32, channel: &str, replies: &mut Batch) -> Done {
        let name = match self.may_read(id, channel, |rules| rules.presence.then_some(rules.read_presence)) {
            Ok(name) => name,
            Err(Unreadable::Error(error)) => return refused(replies, command, error),
            Err(Unreadable::Disconnect(code)) => return self.disconnect_client(id, code),
        };
        let hub = &self.seat.surface.hub;
        let members =
            hub.find(&name).map_or(Ok(Vec::new()), |topic| hub.presence().members(topic.id(), PRESENCE_LIMIT));
        let Ok(members) = members else { return refused(replies, command, ErrorCode::LimitExceeded) };
        let ids: Vec<String> = members.iter().map(|member| member.client.to_string()).collect();
        let shown: Vec<ClientInfo<'_>> = members.iter().zip(&ids).map(|(member, id)| info(member, id)).collect();
        replies.reply(command, &Reply::Presence(&shown));
        Done::On
    }

    /// A client wants to know how many are there.
    pub(super) fn tell_presence_stats(
        &mut self,
        id: ConnectionId,
        command: u32,
        channel: &str,
        replies: &mut Batch,
    ) -> Done {
        let name = match self.may_read(id, channel, |rules| rules.presence.then_some(rules.read_presence)) {
            Ok(name) => name,
            Err(Unreadable::Error(error)) => return refused(replies, command, error),
            Err(Unreadable::Disconnect(code)) => return self.disconnect_client(id, code),
        };
        let hub = &self.seat.surface.hub;
        let there = hub.find(&name).map_or_else(Default::default, |topic| hub.presence().attending(topic.id()));
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (client_count, user_count) = (count(there.clients), count(there.users));
        replies.reply(command, &Reply::PresenceStats { client_count, user_count });
        Done::On
    }

    /// A client wants to know what was.
    pub(super) fn tell_history(
        &mut self,
        id: ConnectionId,
        command: u32,
        history: &History<'_>,
        replies: &mut Batch,
    ) -> Done {
        let name =
            match self.may_read(id, &history.channel, |rules| rules.keeps_history().then_some(rules.read_history)) {
                Ok(name) => name,
                Err(Unreadable::Error(error)) => return refused(replies, command, error),
                Err(Unreadable::Disconnect(code)) => return self.disconnect_client(id, code),
            };
        let Joined { top, replay, recovery } = match self.read_history(&name, history) {
            Ok(read) => read,
            Err(error) => return refused(replies, command, error),
        };
        if recovery == Recovery::Gap {
            return refused(replies, command, ErrorCode::UnrecoverablePosition);
        }
        let shown = Shown::new(replay);
        let publications = shown.publications(false);
        let result = HistoryResult { publications: &publications, epoch: Some(top.epoch), offset: top.offset };
        replies.reply(command, &Reply::History(result));
        Done::On
    }

    fn read_history(&self, name: &TopicName, wanted: &History<'_>) -> Result<Joined, ErrorCode> {
        let hub = &self.seat.surface.hub;
        // Asking where a topic stands makes it: the position is to be resumed from later.
        let topic = hub.topic(name).map_err(|_| ErrorCode::LimitExceeded)?;
        let limit = usize::try_from(wanted.limit).unwrap_or(HISTORY_LIMIT).min(HISTORY_LIMIT);
        let now = self.now;
        if let Some(since) = wanted.since
            && !since.epoch.allows(topic.epoch())
        {
            return Err(ErrorCode::UnrecoverablePosition);
        }
        if limit == 0 {
            return Ok(hub.history(&topic, Start::Now, 0, now));
        }
        let read = match (wanted.since, wanted.reverse) {
            (Some(since), false) => {
                let position = Position { epoch: topic.epoch(), offset: since.offset };
                hub.history(&topic, Start::Since(position), limit, now)
            }
            (None, false) => hub.history(&topic, Start::Since(hub.before_oldest(&topic, now)), limit, now),
            (since, true) => {
                let mut all = hub.history(&topic, Start::Last(usize::MAX), usize::MAX, now);
                let before = since.map_or(Offset(u64::MAX), |since| since.offset);
                all.replay.retain(|one| one.offset < before);
                all.replay.reverse();
                all.replay.truncate(limit);
                all
            }
        };
        Ok(read)
    }

    /// The name in a command about a topic, if the client may read what `rule` is about; that is `None` if there is nothing to
    /// be read.
    fn may_read(
        &self,
        id: ConnectionId,
        channel: &str,
        rule: impl Fn(&TopicRules) -> Option<ReadRule>,
    ) -> Result<TopicName, Unreadable> {
        if channel.is_empty() {
            return Err(Unreadable::Disconnect(DisconnectCode::BadRequest));
        }
        let name = self.name_of(channel).map_err(Unreadable::Error)?;
        let client = self.clients.get(id.index).ok_or(Unreadable::Error(ErrorCode::Internal))?;
        let rules = self.seat.surface.hub.rules_of(&name);
        let rule = rule(rules).ok_or(Unreadable::Error(ErrorCode::NotAvailable))?;
        permission::read(rule, asker(client, &name)).map_err(Unreadable::Error)?;
        Ok(name)
    }

    fn name_of(&self, channel: &str) -> Result<TopicName, ErrorCode> {
        let name = TopicName::new(channel).and_then(|name| name.at_most(self.seat.surface.config.limits.topic_name));
        let name = name.map_err(|_| ErrorCode::BadRequest)?;
        if !self.is_known(&name) {
            return Err(ErrorCode::UnknownChannel);
        }
        self.seat.surface.hub.check_name(&name).map_err(|_| ErrorCode::BadRequest)?;
        Ok(name)
    }

    /// A client calls a procedure of the backend.
    pub(super) fn rpc(&mut self, id: ConnectionId, command: u32, rpc: &Rpc<'_>, replies: &mut Batch) -> Done {
        if !self.seat.surface.hooks.is_on(Hook::Rpc) {
            return refused(replies, command, ErrorCode::NotAvailable);
        }
        self.ask_to_call(id, command, &rpc.method, rpc.data);
        Done::On
    }

    /// A procedure of the backend has returned.
    pub(super) fn rpc_answered(&mut self, id: ConnectionId, command: u32, answer: Answer) {
        match answer {
            Answer::Value(data) => self.reply_to(id, command, &Reply::Rpc { data: data.as_deref() }),
            Answer::Error { code, message, temporary } => {
                self.reply_to(id, command, &Reply::Error { code, message: &message, temporary });
            }
            Answer::Disconnect { code, reason } => {
                let _ = self.disconnect_for(id, code, &reason);
            }
            Answer::Admitted(_) | Answer::Granted(_) | Answer::Publish { .. } | Answer::Prolonged(..) => {
                self.reply_to(id, command, &Reply::from(ErrorCode::Internal));
            }
        }
    }

    /// A client brings a new token for its connection.
    pub(super) fn refresh_client(&mut self, id: ConnectionId, command: u32, token: &str) -> Done {
        if token.is_empty() {
            return self.disconnect_client(id, DisconnectCode::BadRequest);
        }
        let Some(user) = self.clients.get(id.index).map(|client| client.user.clone()) else { return Done::Ended };
        let surface = Arc::clone(&self.seat.surface);
        let now_unix = Self::now_unix();
        let ask = self.await_answer(id, command, About::Refresh);
        match surface.verifier.connection(token, now_unix) {
            Checked::Now(verdict) => {
                let answer = judging::refreshed(&surface, &user, token, verdict, now_unix);
                self.take_answer(ask, answer);
            }
            Checked::Later(pending) => {
                let token = token.to_owned();
                self.await_verdict(ask, pending, move |verdict| {
                    judging::refreshed(&surface, &user, &token, verdict, Self::now_unix())
                });
            }
        }
        Done::On
    }

    /// A client brings a new token for a subscription.
    pub(super) fn refresh_subscription(
        &mut self,
        id: ConnectionId,
        command: u32,
        refresh: &SubRefresh<'_>,
        replies: &mut Batch,
    ) -> Done {
        let name = match self.name_of(&refresh.channel) {
            Ok(name) if refresh.kind == 0 => name,
            Ok(_) => return refused(replies, command, ErrorCode::NotAvailable),
            Err(error) => return refused(replies, command, error),
        };
        let is_subscribed =
            self.clients.get(id.index).is_some_and(|client| client.subscription(name.as_str()).is_some());
        if !is_subscribed {
            return refused(replies, command, ErrorCode::PermissionDenied);
        }
        if refresh.token.is_empty() {
            return refused(replies, command, ErrorCode::BadRequest);
        }
        let whose = self.whose(id, &name);
        let surface = Arc::clone(&self.seat.surface);
        let now_unix = Self::now_unix();
        let ask = self.await_answer(id, command, About::SubRefresh(name));
        match surface.verifier.subscription(&refresh.token, now_unix) {
            Checked::Now(verdict) => {
                let answer = judging::subscribed(&surface, &whose, &refresh.token, verdict, now_unix);
                self.take_answer(ask, judging::resubscribed(answer));
            }
            Checked::Later(pending) => {
                let token = refresh.token.clone().into_owned();
                self.await_verdict(ask, pending, move |verdict| {
                    judging::resubscribed(judging::subscribed(&surface, &whose, &token, verdict, Self::now_unix()))
                });
            }
        }
        Done::On
    }
}

/// Why something is not read.
enum Unreadable {
    Error(ErrorCode),
    Disconnect(DisconnectCode),
}

/// A client as one who wants something of a topic.
fn asker<'a>(client: &'a Client, name: &TopicName) -> Asker<'a> {
    Asker { user: &client.user, is_subscriber: client.subscription(name.as_str()).is_some() }
}

/// A client as others see it on a topic: with what its subscription brought, if it has one.
fn member_of(client: &Client, name: &TopicName) -> Arc<Member> {
    if let Some(member) = client.subscription(name.as_str()).and_then(|one| one.member.clone()) {
        return member;
    }
    let (user, connection_info) = (client.user.clone(), client.info.clone());
    Arc::new(Member { user, client: client.id, connection_info, topic_info: Bytes::new() })
}

fn info<'a>(member: &'a Member, id: &'a str) -> ClientInfo<'a> {
    ClientInfo {
        user: &member.user,
        client: id,
        connection_info: filled(&member.connection_info),
        channel_info: filled(&member.topic_info),
    }
}

/// What a client is told of a publish that the hub refused: whether it is worth another try.
const fn error_of(refusal: Refusal) -> ErrorCode {
    if matches!(refusal, Refusal::Wildcard) { ErrorCode::BadRequest } else { ErrorCode::Internal }
}
