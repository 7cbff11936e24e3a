//! What happens to clients of the Centrifuge protocol because time passed: who says nothing, whose token has expired.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::asking::Answer;
use super::conversation::is_pending;
use super::orders::Prolonged;
use super::worker::{Due, TICK_MS, Worker};
use crate::fanout::ConnectionId;
use crate::hub::TopicName;
use crate::protocol::centrifuge::{DisconnectCode, ErrorCode, Push, Reply, UnsubscribeCode};
use crate::session::{Expiry, Refresher, Stage};

impl Worker {
    /// Seconds since 1970, as tokens count.
    pub(super) fn now_unix() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// Looks at a new client again when it should have said who it is.
    pub(super) fn schedule_connect_timeout(&mut self, id: ConnectionId) {
        let ticks = Self::ticks(self.seat.surface.config.centrifuge.connect_timeout);
        self.wheel.schedule(Due::Client(id), self.tick.wrapping_add(ticks));
    }

    /// Looks at a client again when the first of its times is over.
    pub(super) fn schedule_expiry(&mut self, id: ConnectionId) {
        let Some(at_unix) = self.clients.get(id.index).and_then(|client| client.next_expiry()) else { return };
        let grace_s = self.seat.surface.config.centrifuge.refresh_grace.0.as_secs();
        let now_unix = Self::now_unix();
        // First when it is over, then when the time for a new token is: which of the two is due shows when it is looked at.
        let at_unix = if at_unix >= now_unix { at_unix } else { at_unix.saturating_add(grace_s) };
        let wait_s = at_unix.saturating_sub(now_unix).saturating_add(1);
        let ticks = u32::try_from(wait_s.saturating_mul(1000 / TICK_MS)).unwrap_or(u32::MAX / 4).min(u32::MAX / 4);
        self.wheel.schedule(Due::Client(id), self.tick.wrapping_add(ticks.max(1)));
    }

    /// One of a client's times may be over. It is looked at more often than need be: times are prolonged, and what was
    /// scheduled stays.
    pub(super) fn check_client(&mut self, id: ConnectionId) {
        if !self.connection(id).is_some_and(|connection| connection.is_open()) {
            return;
        }
        let Some(client) = self.clients.get(id.index) else { return };
        if is_pending(client.stage) || client.stage == Stage::Refused {
            let _ = self.disconnect_client(id, DisconnectCode::Stale);
            return;
        }
        let grace_s = self.seat.surface.config.centrifuge.refresh_grace.0.as_secs();
        let now_unix = Self::now_unix();
        let is_over = |expiry: Option<Expiry>| expiry.is_some_and(|expiry| expiry.at_unix + grace_s < now_unix);
        if is_over(client.expires) {
            let _ = self.disconnect_client(id, DisconnectCode::ConnectionExpired);
            return;
        }
        let is_due = |expiry: Option<Expiry>| {
            expiry.is_some_and(|one| one.by == Refresher::Hub && one.at_unix < now_unix && !is_over(expiry))
        };
        let asks_about_client = is_due(client.expires) && !client.is_asked_about;
        let due: Vec<TopicName> = client
            .subscriptions
            .iter()
            .filter(|one| is_due(one.expires) && !one.is_asked_about)
            .map(|one| one.topic.name().clone())
            .collect();
        let over: Vec<(TopicName, bool)> = client
            .subscriptions
            .iter()
            .filter(|one| is_over(one.expires))
            .map(|one| (one.topic.name().clone(), one.by_server))
            .collect();
        if over.iter().any(|&(_, by_server)| by_server) {
            let _ = self.disconnect_client(id, DisconnectCode::SubscriptionExpired);
            return;
        }
        let has_next = client.next_expiry().is_some();
        for (name, _) in &over {
            self.unsubscribe_by_server(id, Some(name), UnsubscribeCode::Expired);
        }
        if asks_about_client {
            if let Some(client) = self.clients.get_mut(id.index) {
                client.is_asked_about = true;
            }
            self.ask_to_refresh(id);
        }
        for name in due {
            if let Some(client) = self.clients.get_mut(id.index)
                && let Some(subscription) = client.subscription_mut(name.as_str())
            {
                subscription.is_asked_about = true;
            }
            self.ask_to_keep(id, name);
        }
        if has_next {
            self.schedule_expiry(id);
        }
    }

    /// The server prolongs a client's time, or ends it.
    pub(super) fn prolong_by_server(&mut self, id: ConnectionId, expires: Prolonged, info: Option<Bytes>) {
        let now_unix = Self::now_unix();
        match expires {
            Prolonged::Over => {
                let _ = self.disconnect_client(id, DisconnectCode::ConnectionExpired);
            }
            Prolonged::ForEver | Prolonged::Until(_) => {
                let expires = expires.expiry();
                if let Some(client) = self.clients.get_mut(id.index) {
                    client.expires = expires;
                    if let Some(info) = info {
                        client.info = info;
                    }
                }
                let ttl_s = Expiry::told(expires, now_unix);
                self.push_to(id, "", &Push::Refresh { ttl_s });
                self.schedule_expiry(id);
            }
        }
    }

    /// Whoever was asked whether a client may stay has answered.
    pub(super) fn refresh_answered(&mut self, id: ConnectionId, command: u32, answer: Answer) {
        if let Some(client) = self.clients.get_mut(id.index) {
            client.is_asked_about = false;
        }
        match answer {
            Answer::Prolonged(Prolonged::Over, _) => {
                let _ = self.disconnect_client(id, DisconnectCode::ConnectionExpired);
            }
            Answer::Prolonged(prolonged, info) => {
                let expires = prolonged.expiry();
                if let Some(client) = self.clients.get_mut(id.index) {
                    client.expires = expires;
                    client.info = info.unwrap_or_else(|| client.info.clone());
                }
                self.schedule_expiry(id);
                let reply = Reply::Refresh { ttl_s: Expiry::told(expires, Self::now_unix()) };
                self.reply_if_asked(id, command, &reply);
            }
            other => self.not_prolonged(id, command, other),
        }
    }

    /// Whoever was asked whether a client may stay subscribed has answered.
    pub(super) fn sub_refresh_answered(&mut self, id: ConnectionId, command: u32, name: &TopicName, answer: Answer) {
        let client = self.clients.get_mut(id.index);
        let mut subscription = client.and_then(|client| client.subscription_mut(name.as_str()));
        if let Some(subscription) = &mut subscription {
            subscription.is_asked_about = false;
        }
        match answer {
            Answer::Prolonged(Prolonged::Over, _) => {
                self.unsubscribe_by_server(id, Some(name), UnsubscribeCode::Expired);
            }
            Answer::Prolonged(prolonged, _) => {
                let expires = prolonged.expiry();
                if let Some(subscription) = subscription {
                    subscription.expires = expires;
                }
                self.schedule_expiry(id);
                let reply = Reply::SubRefresh { ttl_s: Expiry::told(expires, Self::now_unix()) };
                self.reply_if_asked(id, command, &reply);
            }
            other => self.not_prolonged(id, command, other),
        }
    }

    /// What is said, or done, if the answer prolongs nothing.
    fn not_prolonged(&mut self, id: ConnectionId, command: u32, answer: Answer) {
        match answer {
            Answer::Error { code, message, temporary } => {
                self.reply_if_asked(id, command, &Reply::Error { code, message: &message, temporary });
            }
            Answer::Disconnect { code, reason } => {
                let _ = self.disconnect_for(id, code, &reason);
            }
            Answer::Prolonged(..)
            | Answer::Admitted(_)
            | Answer::Granted(_)
            | Answer::Publish { .. }
            | Answer::Value(_) => self.reply_if_asked(id, command, &Reply::from(ErrorCode::Internal)),
        }
    }

    /// Replies to a command; 0 is the hub, which asked by itself.
    fn reply_if_asked(&mut self, id: ConnectionId, command: u32, reply: &Reply<'_>) {
        if command != 0 {
            self.reply_to(id, command, reply);
        }
    }
}
