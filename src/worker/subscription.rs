//! Subscriptions of clients of the Centrifuge protocol: made, watched, ended.

use std::sync::Arc;

use super::asking::{About, Answer};
use super::conversation::{Done, refused};
use super::judging::{self, Whose};
use super::membership::Variant;
use super::worker::Worker;
use crate::config::{JoinLeave, RecoveryRule, SlowPolicy, TopicRules};
use crate::fanout::{ConnectionId, Join, LogId, Members, RulesId};
use crate::hooks::Gone;
use crate::hub::{Epoch, Joined, Member, Offset, Position, Recovery, Retained, Start, Topic, TopicId, TopicName};
use crate::identity::Checked;
use crate::protocol::centrifuge::{
    Batch, ClaimedEpoch, DisconnectCode, ErrorCode, Filter, Push, Reply, Subscribe, UnsubscribeCode,
};
use crate::protocol::{Deltas, Encoding};
use crate::refusal::Refusal;
use crate::session::permission::{self, Asker, Permission};
use crate::session::{Expiry, Grant, Overrides, Shown, Subscribed, Subscription, Wish};

/// A subscription that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) wish: Wish,
    /// Publications with certain tags only.
    pub(super) filter: Option<Arc<Filter>>,
    /// Whether it is the server that wants it.
    pub(super) by_server: bool,
    /// Whether the client may ask who is there: if not, it is not told who comes and goes either.
    pub(super) may_see_others: bool,
}

/// What a topic's rules give to one subscription.
#[derive(Debug, Clone, Copy)]
struct Terms {
    recoverable: bool,
    positioned: bool,
    /// Recovery is the newest publication.
    newest_only: bool,
    presence: bool,
    announced: bool,
    hears_joins: bool,
    delta: bool,
}

impl Terms {
    fn new(rules: &TopicRules, is_wildcard: bool, wanted: &Wanted, overrides: Overrides) -> Self {
        let wish = &wanted.wish;
        let has_history = rules.keeps_history() && !is_wildcard;
        let (may_recover, must_recover) = match rules.recovery {
            RecoveryRule::Off => (false, false),
            RecoveryRule::Asked => (true, false),
            RecoveryRule::Always | RecoveryRule::Cache => (true, true),
        };
        let asks = wish.recoverable || wish.recover.is_some();
        let recoverable = has_history && (overrides.force_recovery.unwrap_or(must_recover) || (may_recover && asks));
        let positioned = recoverable
            || (has_history && (overrides.force_positioning.unwrap_or(false) || (may_recover && wish.positioned)));
        let announced = overrides.join_leave.unwrap_or(rules.join_leave != JoinLeave::Off);
        let is_told = match rules.join_leave {
            JoinLeave::Off => false,
            JoinLeave::Asked => wish.join_leave && wanted.may_see_others,
            JoinLeave::Always => true,
        };
        Self {
            recoverable,
            positioned,
            newest_only: rules.recovery == RecoveryRule::Cache,
            presence: overrides.presence.unwrap_or(rules.presence),
            announced,
            hears_joins: overrides.force_push_join_leave.unwrap_or(is_told),
            delta: wish.delta && rules.delta && has_history && wanted.filter.is_none(),
        }
    }
}

impl Worker {
    /// A client wants a topic.
    pub(super) fn subscribe_client(
        &mut self,
        id: ConnectionId,
        command: u32,
        subscribe: &Subscribe<'_>,
        replies: &mut Batch,
    ) -> Done {
        if subscribe.channel.is_empty() || !(subscribe.delta.is_empty() || subscribe.takes_fossil()) {
            return self.disconnect_client(id, DisconnectCode::BadRequest);
        }
        let (name, wanted) = match self.wanted(id, subscribe) {
            Ok(wanted) => wanted,
            Err(error) => return refused(replies, command, error),
        };
        let rules = self.seat.surface.hub.rules_of(&name);
        let Some(client) = self.clients.get(id.index) else { return Done::Ended };
        let asker = Asker { user: &client.user, is_subscriber: false };
        match permission::subscribe(rules, name.as_str(), asker, !subscribe.token.is_empty()) {
            Err(error) => refused(replies, command, error),
            Ok(Permission::Granted) => self.finish_subscribing(id, command, &name, &wanted, Grant::default(), replies),
            Ok(Permission::ByToken) => {
                let whose = self.whose(id, &name);
                let surface = Arc::clone(&self.seat.surface);
                let now_unix = Self::now_unix();
                match surface.verifier.subscription(&subscribe.token, now_unix) {
                    Checked::Now(verdict) => {
                        let answer = judging::subscribed(&surface, &whose, &subscribe.token, verdict, now_unix);
                        self.take_grant(id, command, &name, &wanted, answer, replies)
                    }
                    Checked::Later(pending) => {
                        let ask = self.await_answer(id, command, About::Subscribe(name, Box::new(wanted)));
                        let token = subscribe.token.clone().into_owned();
                        self.await_verdict(ask, pending, move |verdict| {
                            judging::subscribed(&surface, &whose, &token, verdict, Self::now_unix())
                        });
                        Done::On
                    }
                }
            }
            Ok(Permission::ByHook) => {
                self.ask_to_subscribe(id, command, name, wanted, subscribe.data);
                Done::On
            }
        }
    }

    /// Whom a token for a topic has to be for.
    pub(super) fn whose(&self, id: ConnectionId, name: &TopicName) -> Whose {
        let client = self.clients.get(id.index);
        Whose {
            user: client.map_or_else(Default::default, |client| client.user.clone()),
            channel: name.as_str().into(),
            client: client.map_or_else(String::new, |client| client.id.to_string()),
        }
    }

    /// What a client wants, if it is something that can be had.
    fn wanted(&self, id: ConnectionId, subscribe: &Subscribe<'_>) -> Result<(TopicName, Wanted), ErrorCode> {
        let limits = &self.seat.surface.config.limits;
        let name = TopicName::new(&subscribe.channel).and_then(|name| name.at_most(limits.topic_name));
        let name = name.map_err(|_| ErrorCode::BadRequest)?;
        let client = self.clients.get(id.index).ok_or(ErrorCode::Internal)?;
        if client.subscription(name.as_str()).is_some() {
            return Err(ErrorCode::AlreadySubscribed);
        }
        if client.subscriptions.len() >= limits.subscriptions {
            return Err(ErrorCode::LimitExceeded);
        }
        if subscribe.kind != 0 {
            return Err(ErrorCode::NotAvailable);
        }
        if !self.is_known(&name) {
            return Err(ErrorCode::UnknownChannel);
        }
        self.seat.surface.hub.check_name(&name).map_err(|_| ErrorCode::BadRequest)?;
        let wish = Wish {
            recover: subscribe.recover.then_some((subscribe.epoch, subscribe.offset)),
            recoverable: subscribe.recoverable,
            positioned: subscribe.positioned,
            join_leave: subscribe.join_leave,
            delta: subscribe.takes_fossil(),
            refuses_unrecovered: subscribe.flag & Subscribe::REFUSE_UNRECOVERABLE != 0,
        };
        let filter = match &subscribe.tf {
            None => None,
            Some(Ok(filter)) if self.seat.surface.hub.rules_of(&name).filter => Some(Arc::new(filter.clone())),
            Some(_) => return Err(ErrorCode::BadRequest),
        };
        let asker = Asker { user: &client.user, is_subscriber: true };
        let may_see_others = permission::read(self.seat.surface.hub.rules_of(&name).read_presence, asker).is_ok();
        Ok((name, Wanted { wish, filter, by_server: false, may_see_others }))
    }

    /// Whether a topic of this name can be: its namespace is one that the configuration knows, or it need not.
    pub(super) fn is_known(&self, name: &TopicName) -> bool {
        let has_to_be_listed =
            self.seat.surface.config.centrifuge.known_namespaces && permission::has_namespace(name.as_str());
        !has_to_be_listed || self.seat.surface.hub.is_listed(name)
    }

    /// Whoever was asked about a subscription has answered.
    pub(super) fn subscribe_answered(
        &mut self,
        id: ConnectionId,
        command: u32,
        name: &TopicName,
        wanted: Wanted,
        answer: Answer,
    ) {
        let Some(shape) = self.shape_of(id) else { return };
        let mut replies = Batch::new(shape.transport(), 256);
        let _ = self.take_grant(id, command, name, &wanted, answer, &mut replies);
        self.fanout.reply(id, replies.finish());
    }

    fn take_grant(
        &mut self,
        id: ConnectionId,
        command: u32,
        name: &TopicName,
        wanted: &Wanted,
        answer: Answer,
        replies: &mut Batch,
    ) -> Done {
        let limit = self.seat.surface.config.limits.subscriptions;
        let client = self.clients.get(id.index);
        let has_it = client.is_some_and(|client| client.subscription(name.as_str()).is_some());
        let is_full = client.is_some_and(|client| client.subscriptions.len() >= limit);
        match answer {
            // It was subscribed meanwhile, by the server or by a second command.
            Answer::Granted(_) if has_it => refused(replies, command, ErrorCode::AlreadySubscribed),
            // Many that were asked for at once were each within the limit then.
            Answer::Granted(_) if is_full => refused(replies, command, ErrorCode::LimitExceeded),
            Answer::Granted(grant) => self.finish_subscribing(id, command, name, wanted, grant, replies),
            Answer::Error { code, message, temporary } => {
                replies.reply(command, &Reply::Error { code, message: &message, temporary });
                Done::On
            }
            Answer::Disconnect { code, reason } => self.disconnect_for(id, code, &reason),
            Answer::Admitted(_) | Answer::Publish { .. } | Answer::Value(_) | Answer::Prolonged(..) => {
                refused(replies, command, ErrorCode::Internal)
            }
        }
    }

    fn finish_subscribing(
        &mut self,
        id: ConnectionId,
        command: u32,
        name: &TopicName,
        wanted: &Wanted,
        grant: Grant,
        replies: &mut Batch,
    ) -> Done {
        if grant.expires.is_some_and(|expiry| expiry.at_unix <= Self::now_unix()) {
            return refused(replies, command, ErrorCode::Expired);
        }
        match self.seat_client(id, name, wanted, grant) {
            Ok(subscribed) => {
                let publications = subscribed.publications();
                replies.reply(command, &Reply::Subscribe(subscribed.result(&publications)));
                self.schedule_expiry(id);
                Done::On
            }
            Err(error) => refused(replies, command, error),
        }
    }

    /// Subscribes a client by the server's will, later than its arrival. One that has the topic keeps what it has.
    pub(super) fn subscribe_by_server(
        &mut self,
        id: ConnectionId,
        name: &TopicName,
        grant: Grant,
        since: Option<(ClaimedEpoch, Offset)>,
    ) {
        if self.clients.get(id.index).is_none_or(|client| client.subscription(name.as_str()).is_some()) {
            return;
        }
        let wish = Wish { recover: since, recoverable: true, positioned: true, ..Wish::default() };
        let wanted = Wanted { wish, filter: None, by_server: true, may_see_others: true };
        match self.seat_client(id, name, &wanted, grant) {
            Ok(subscribed) => {
                let result = subscribed.result(&[]);
                self.push_to(
                    id,
                    name.as_str(),
                    &Push::Subscribe {
                        recoverable: result.recoverable,
                        epoch: result.epoch,
                        offset: result.offset,
                        positioned: result.positioned,
                        data: result.data,
                    },
                );
                for publication in subscribed.publications() {
                    self.push_to(id, name.as_str(), &Push::Publication(publication));
                }
                self.schedule_expiry(id);
            }
            Err(error) => tracing::debug!(connection = %id, topic = %name, ?error, "not subscribed by the server"),
        }
    }

    /// Makes a client a subscriber: what it missed comes with the reply, everything behind that through its log.
    pub(super) fn seat_client(
        &mut self,
        id: ConnectionId,
        name: &TopicName,
        wanted: &Wanted,
        grant: Grant,
    ) -> Result<Subscribed, ErrorCode> {
        let hub = Arc::clone(&self.seat.surface.hub);
        let rules = hub.rules_of(name);
        let terms = Terms::new(rules, hub.names_wildcard(name), wanted, grant.overrides);
        let topic = hub.topic(name).map_err(|refusal| match refusal == Refusal::BadTopicName {
            true => ErrorCode::BadRequest,
            false => ErrorCode::LimitExceeded,
        })?;
        let recover = wanted.wish.recover.filter(|_| terms.recoverable);
        let start = match recover {
            None => Start::Now,
            Some(_) if terms.newest_only => Start::Last(1),
            Some((epoch, offset)) => {
                let epoch = if epoch.allows(topic.epoch()) { topic.epoch() } else { Epoch(0) };
                let limit = self.seat.surface.config.centrifuge.recovery_limit;
                Start::SinceWithin(Position { epoch, offset }, limit)
            }
        };
        let joined = hub.subscribe(&topic, self.seat.id, start, self.now);
        self.memberships.join(&topic);
        let top = joined.top;
        let mut recovered = match recover {
            None => Recovered::not_asked(top),
            Some((epoch, offset)) if terms.newest_only => Recovered::newest(joined, epoch, offset),
            Some((_, offset)) => Recovered::stream(joined, offset),
        };
        self.count_recovery(recover.is_some(), recovered.is_complete);
        if recover.is_some() && !recovered.is_complete && wanted.wish.refuses_unrecovered {
            self.leave_topic(&topic);
            return Err(ErrorCode::UnrecoverablePosition);
        }
        if let Some(filter) = &wanted.filter {
            recovered.missed.retain(|one| {
                let extras = one.extras.as_deref();
                filter.matches(|name| extras.and_then(|extras| extras.tag(name)))
            });
        }
        let has_base = !recovered.missed.is_empty();
        let Some(log) = self.take_client_seat(id, &topic, top.offset, terms, wanted, has_base) else {
            self.leave_topic(&topic);
            return Err(ErrorCode::LimitExceeded);
        };
        let subscribed = Subscribed {
            ttl_s: Expiry::told(grant.expires, Self::now_unix()),
            recoverable: terms.recoverable,
            positioned: terms.positioned,
            epoch: top.epoch,
            offset: recovered.offset,
            was_recovering: recover.is_some(),
            recovered: recovered.is_complete,
            missed: Shown::new(recovered.missed),
            delta: terms.delta,
            data: grant.data,
        };
        let Some(client) = self.clients.get_mut(id.index) else { return Err(ErrorCode::Internal) };
        let member = (terms.presence || terms.announced).then(|| {
            let (user, connection_info) = (client.user.clone(), client.info.clone());
            Arc::new(Member { user, client: client.id, connection_info, topic_info: grant.info })
        });
        client.subscriptions.push(Subscription {
            topic: Arc::clone(&topic),
            log,
            by_server: wanted.by_server,
            join: None,
            member: member.clone(),
            expires: grant.expires,
            is_asked_about: false,
        });
        if let Some(member) = member {
            if terms.presence {
                hub.presence().enter(topic.id(), Arc::clone(&member));
            }
            if terms.announced {
                let join = self.say_came(&topic, member);
                let client = self.clients.get_mut(id.index);
                if let Some(subscription) = client.and_then(|client| client.subscription_mut(name.as_str())) {
                    subscription.join = Some(join);
                }
            }
        }
        Ok(subscribed)
    }

    /// Makes a client a member of the log that it belongs into. `None` if there are too many kinds of logs.
    fn take_client_seat(
        &mut self,
        id: ConnectionId,
        topic: &Arc<Topic>,
        top: Offset,
        terms: Terms,
        wanted: &Wanted,
        has_base: bool,
    ) -> Option<LogId> {
        let deltas = match (terms.delta, has_base) {
            (false, _) => Deltas::Off,
            (true, false) => Deltas::Fresh,
            // The last that it missed is what the next one is a delta to.
            (true, true) => Deltas::Going,
        };
        let shape = self.shape_of(id)?.with_joins(terms.hears_joins).with_deltas(deltas);
        let encoding = self.compressed(id, topic, Encoding::Centrifuge(shape));
        let variant = match &wanted.filter {
            None => Variant::Of(encoding),
            Some(filter) => Variant::Filtered(self.filtered.enter(filter, encoding)?),
        };
        let log = self.client_log(topic, variant, top);
        let top = if self.seat.surface.hub.is_wildcard(topic) { self.fanout.last(log) } else { top };
        self.fanout.subscribe(log, id, Join::At(top));
        if deltas == Deltas::Fresh {
            self.newcomers.add(log, id, top);
        }
        Some(log)
    }

    /// The log of a variant of a topic, opened if there is none. Its rules are those of the topic, except that nothing is
    /// skipped: the protocol has no word for that.
    fn client_log(&mut self, topic: &Arc<Topic>, variant: Variant, top: Offset) -> LogId {
        if let Some(log) = self.memberships.log(topic.id(), variant) {
            return log;
        }
        let log = self.fanout.open(self.unskipping_rules(topic), top);
        self.memberships.opened(log, topic.id(), variant);
        log
    }

    /// Those of the logs of `topic` in which nothing is skipped: what is skipped there cannot be told. The newest alone does
    /// not stand for the many topics of a wildcard either.
    pub(super) fn unskipping_rules(&self, topic: &Topic) -> RulesId {
        let hub = &self.seat.surface.hub;
        let all = hub.rules();
        let keeps_newest = all[topic.rules()].slow_consumer.policy == SlowPolicy::Latest;
        let for_bundles = all.len();
        RulesId(
            if keeps_newest && hub.is_wildcard(topic) { for_bundles } else { for_bundles + 1 + topic.rules() } as u16
        )
    }

    /// Those who were promised deltas and have got a publication since get deltas from now on. Called before a further
    /// publication of the topic goes into its logs.
    pub(super) fn settle_newcomers(&mut self, topic: TopicId) {
        let Some(destinations) = self.memberships.destinations(topic) else { return };
        for (variant, log) in destinations.logs {
            let Variant::Of(encoding) = variant else { continue };
            let Some(settled) = encoding.settled() else { continue };
            // A log that was opened for who joined behind publications that are still on their way here does not get those:
            // whoever went on there before they have come would miss them.
            let going_on = self.memberships.log(topic, Variant::Of(settled));
            if going_on.is_some_and(|other| self.fanout.last(other) != self.fanout.last(log)) {
                continue;
            }
            for id in self.newcomers.take_settled(log, &self.fanout) {
                self.move_to_log(id, log, Variant::Of(settled));
            }
        }
    }

    /// A member that has all of one log of a topic goes on in another one.
    fn move_to_log(&mut self, id: ConnectionId, from: LogId, variant: Variant) {
        let Some(client) = self.clients.get_mut(id.index) else { return };
        let Some(subscription) = client.subscriptions.iter_mut().find(|one| one.log == from) else { return };
        let topic = Arc::clone(&subscription.topic);
        let last = self.fanout.last(from);
        let to = self.client_log(&topic, variant, last);
        if let Some(client) = self.clients.get_mut(id.index)
            && let Some(subscription) = client.subscriptions.iter_mut().find(|one| one.log == from)
        {
            subscription.log = to;
        }
        self.fanout.subscribe(to, id, Join::At(last));
        if self.fanout.unsubscribe(from, id) == Members(0) {
            self.fanout.close_log(from);
            let bundle = self.memberships.closed(from);
            debug_assert!(bundle.is_none(), "a client's log carries one topic");
        }
    }

    /// A client wants a topic no more.
    pub(super) fn unsubscribe_client(&mut self, id: ConnectionId, channel: &str) {
        let Some(client) = self.clients.get_mut(id.index) else { return };
        if let Some(subscription) = client.take_subscription(channel) {
            self.unseat_client(id, &subscription, UnsubscribeReason::Client);
        }
    }

    /// The server takes a topic from a client, or all of them.
    pub(super) fn unsubscribe_by_server(&mut self, id: ConnectionId, topic: Option<&TopicName>, code: UnsubscribeCode) {
        let Some(client) = self.clients.get_mut(id.index) else { return };
        let taken: Vec<Subscription> = match topic {
            Some(name) => client.take_subscription(name.as_str()).into_iter().collect(),
            None => std::mem::take(&mut client.subscriptions),
        };
        for subscription in taken {
            let name = subscription.topic.name().clone();
            self.unseat_client(id, &subscription, UnsubscribeReason::Server(code));
            self.push_to(id, name.as_str(), &Push::from(code));
        }
    }

    fn unseat_client(&mut self, id: ConnectionId, subscription: &Subscription, reason: UnsubscribeReason) {
        let (code, text) = match reason {
            UnsubscribeReason::Client => (0, "client unsubscribed"),
            UnsubscribeReason::Server(code) => (code.code() as u16, code.reason()),
        };
        self.end_subscription(id, subscription, code, text);
    }

    /// A subscription, taken from its client, ends: it gets nothing more, and who is to be told is.
    pub(super) fn end_subscription(&mut self, id: ConnectionId, subscription: &Subscription, code: u16, text: &str) {
        let left = self.fanout.unsubscribe(subscription.log, id);
        self.leave_log(id, subscription.log, left);
        self.say_gone(subscription);
        if let (Some(client), Some(shape)) = (self.clients.get(id.index), self.shape_of(id)) {
            let name = subscription.topic.name().as_str();
            self.tell_gone(client, shape, Gone::Subscription(name), code, text);
        }
    }

    fn count_recovery(&self, was_asked: bool, is_complete: bool) {
        let recoveries = &self.seat.surface.counters.recoveries;
        match (was_asked, is_complete) {
            (true, true) => recoveries[0].add(1),
            (true, false) => recoveries[1].add(1),
            (false, _) => recoveries[2].add(1),
        }
    }
}

/// Who ended a subscription.
#[derive(Clone, Copy)]
enum UnsubscribeReason {
    Client,
    Server(UnsubscribeCode),
}

/// What a client gets of what it missed.
#[derive(Debug)]
struct Recovered {
    missed: Vec<Retained>,
    /// What it is told as its position: where it was, if it recovered; else where the topic is.
    offset: Offset,
    is_complete: bool,
}

impl Recovered {
    fn not_asked(top: Position) -> Self {
        Self { missed: Vec::new(), offset: top.offset, is_complete: false }
    }

    fn stream(joined: Joined, offset: Offset) -> Self {
        let Joined { top, replay, recovery } = joined;
        match recovery {
            Recovery::Complete => Self { missed: replay, offset, is_complete: true },
            Recovery::Gap | Recovery::NotAsked => Self::not_asked(top),
        }
    }

    /// Of a topic of which only the newest counts: complete if there is one, or the client has it.
    fn newest(joined: Joined, epoch: ClaimedEpoch, offset: Offset) -> Self {
        let Joined { top, mut replay, .. } = joined;
        let has_it = offset == top.offset && offset > Offset(0) && epoch.allows(top.epoch);
        // What was passed on without being kept may have come after it: the newest is the topic's only if it is its top.
        replay.retain(|newest| newest.offset == top.offset);
        if has_it {
            replay.clear();
        }
        let is_complete = has_it || !replay.is_empty();
        Self { missed: replay, offset: top.offset, is_complete }
    }
}
