//! Tokens of clients: what they say, in words of a session, and the wait for keys that are still to be fetched.

use bytes::Bytes;

use super::asking::{Answer, AskId};
use super::orders::{Order, Prolonged};
use super::worker::Worker;
use crate::api::Surface;
use crate::hub::TopicName;
use crate::identity::{
    ConnectionClaims, Fingerprint, Granted, Pending, Presented, Standing, SubscriptionClaims, Verdict,
};
use crate::protocol::centrifuge::{DisconnectCode, ErrorCode};
use crate::refusal::Refusal;
use crate::session::{Admission, Expiry, Grant, Refresher, TokenMark};

impl Worker {
    /// Waits for keys on this thread's runtime, and orders the answer then. There are as many of these waits as
    /// [`crate::identity::Reason::TooManyWait`] allows.
    pub(super) fn await_verdict<T: crate::identity::Claims + 'static>(
        &self,
        ask: AskId,
        pending: Pending<T>,
        judge: impl FnOnce(Verdict<T>) -> Answer + 'static,
    ) {
        let surface = self.seat.surface.clone();
        let here = self.seat.id;
        let tasks = self.http_tasks.clone();
        tasks.set(tasks.get() + 1);
        tokio::task::spawn_local(async move {
            let answer = Box::new(judge(pending.wait().await));
            // Its own worker has room again in its next turn.
            let mut order = Order::Answered { ask, answer };
            while let Err(refused) = surface.orders.give(here, order) {
                order = refused.0;
                tokio::task::yield_now().await;
            }
            tasks.set(tasks.get() - 1);
        });
    }
}

/// What a connection token comes to.
pub(super) fn admitted(surface: &Surface, token: &str, verdict: Verdict<ConnectionClaims>, now_unix: u64) -> Answer {
    let claims = match valid(surface, verdict) {
        Ok(claims) => claims,
        Err(answer) => return *answer,
    };
    let shown = Presented {
        user: &claims.user,
        id: claims.id.as_deref(),
        issued_unix: claims.issued_unix,
        fingerprint: Some(Fingerprint::of(token)),
        channel: None,
    };
    if let Some(answer) = shut_out(surface, &shown, now_unix) {
        return answer;
    }
    let ConnectionClaims { user, expires_unix, issued_unix, id, info, meta, subscriptions } = claims;
    let subscriptions = subscriptions.into_iter().filter_map(|(name, granted)| {
        let name = TopicName::new(&name).and_then(|name| name.at_most(surface.config.limits.topic_name)).ok()?;
        Some((name, grant(granted, None)))
    });
    Answer::Admitted(Admission {
        user: user.into(),
        info: info.unwrap_or_default(),
        meta: meta.unwrap_or_default(),
        expires: expires_unix.map(|at_unix| Expiry { at_unix, by: Refresher::Client }),
        token: Some(Box::new(TokenMark { id: id.unwrap_or_default().into(), issued_unix })),
        subscriptions: subscriptions.collect(),
        data: None,
    })
}

/// What a new connection token of a client that is in comes to.
pub(super) fn refreshed(
    surface: &Surface,
    user: &str,
    token: &str,
    verdict: Verdict<ConnectionClaims>,
    now_unix: u64,
) -> Answer {
    match admitted(surface, token, verdict, now_unix) {
        Answer::Admitted(admission) if *admission.user != *user => disconnect(DisconnectCode::InvalidToken),
        Answer::Admitted(Admission { expires, info, .. }) => Answer::Prolonged(prolonged(expires), Some(info)),
        // What has expired already brings nobody further: Centrifugo ends the connection then, and so its SDKs expect.
        Answer::Error { code, .. } if code == ErrorCode::TokenExpired.code() => {
            disconnect(DisconnectCode::ConnectionExpired)
        }
        answer => answer,
    }
}

/// What a subscription token comes to.
pub(super) fn subscribed(
    surface: &Surface,
    whose: &Whose,
    token: &str,
    verdict: Verdict<SubscriptionClaims>,
    now_unix: u64,
) -> Answer {
    let is_none = matches!(&verdict, Verdict::Invalid(reason) if !reason.is_temporary() && reason.refusal() != Refusal::TokenNotYet);
    let claims = match valid(surface, verdict) {
        Ok(claims) => claims,
        // What is no token at all is as none: the connection goes on, without this topic. One of another, as below, ends it.
        Err(_) if is_none => return error(ErrorCode::PermissionDenied),
        Err(answer) => return *answer,
    };
    if let Err(reason) = claims.is_for(&whose.user, &whose.channel, &whose.client) {
        return valid::<()>(surface, Verdict::Invalid(reason)).map_or_else(|answer| *answer, |()| Answer::Value(None));
    }
    let shown = Presented {
        user: &claims.user,
        id: claims.id.as_deref(),
        issued_unix: claims.issued_unix,
        fingerprint: Some(Fingerprint::of(token)),
        channel: Some(&claims.channel),
    };
    if let Some(answer) = shut_out(surface, &shown, now_unix) {
        return answer;
    }
    let expires = claims.expires_unix.map(|at_unix| Expiry { at_unix, by: Refresher::Client });
    Answer::Granted(grant(claims.granted, expires))
}

/// The same for one that has the topic already, and is to keep it.
pub(super) fn resubscribed(answer: Answer) -> Answer {
    match answer {
        Answer::Granted(grant) => Answer::Prolonged(prolonged(grant.expires), None),
        answer => answer,
    }
}

/// Whom a subscription token has to be for.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    pub(super) user: Box<str>,
    pub(super) channel: Box<str>,
    pub(super) client: String,
}

fn valid<T>(surface: &Surface, verdict: Verdict<T>) -> Result<T, Box<Answer>> {
    if let Some(refusal) = verdict.refusal() {
        surface.counters.fail_auth(refusal);
    }
    match verdict {
        Verdict::Valid(claims) => Ok(claims),
        Verdict::Expired => Err(Box::new(error(ErrorCode::TokenExpired))),
        // Clocks differ: the SDK gets another one, and by then it may hold. Centrifugo answers the same.
        Verdict::Invalid(reason) if reason.refusal() == Refusal::TokenNotYet => {
            Err(Box::new(error(ErrorCode::TokenExpired)))
        }
        Verdict::Invalid(reason) => {
            tracing::info!(code = reason.refusal().code(), %reason, "a token does not hold");
            // SDKs give up after an invalid token; keys that cannot be fetched are not their fault.
            Err(Box::new(match reason.is_temporary() {
                true => error(ErrorCode::Internal),
                false => disconnect(DisconnectCode::InvalidToken),
            }))
        }
    }
}

fn shut_out(surface: &Surface, shown: &Presented<'_>, now_unix: u64) -> Option<Answer> {
    match surface.revocations.check(shown, now_unix) {
        Standing::Allowed => None,
        Standing::Blocked => Some(disconnect(DisconnectCode::PermissionDenied)),
        Standing::Revoked => Some(disconnect(DisconnectCode::InvalidToken)),
    }
}

fn grant(granted: Granted, expires: Option<Expiry>) -> Grant {
    let Granted { info, data, overrides } = granted;
    Grant { info: info.unwrap_or_default(), data, expires, overrides }
}

pub(super) fn prolonged(expires: Option<Expiry>) -> Prolonged {
    expires.map_or(Prolonged::ForEver, Prolonged::Until)
}

pub(super) fn error(code: ErrorCode) -> Answer {
    Answer::Error { code: code.code(), message: code.text().into(), temporary: code.temporary() }
}

pub(super) fn disconnect(code: DisconnectCode) -> Answer {
    Answer::Disconnect { code: code.code(), reason: code.reason().into() }
}

/// Nothing, or what there is.
pub(super) fn some(bytes: &Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then(|| bytes.clone())
}
