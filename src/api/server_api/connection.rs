//! `subscribe`, `unsubscribe`, `disconnect`, `refresh`: what is decided about a user reaches all of its connections.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Answered, Done, result};
use super::failure::{ApiError, Failure};
use super::field::{Since, parse, payload, topic_name};
use crate::api::surface::Surface;
use crate::hub::{ClientId, Offset, WorkerId};
use crate::protocol::centrifuge::{ClaimedEpoch, DisconnectCode, UnsubscribeCode};
use crate::refusal::Refusal;
use crate::session::{Expiry, Grant, Overrides, Refresher};
use crate::worker::{Order, Prolonged, To};
use crate::ws::close::REASON_LIMIT_BYTES;

/// Codes that a close frame may have and that are neither the RFC's nor a library's.
const CLOSE_CODES: std::ops::RangeInclusive<u32> = 3000..=4999;

/// Whose connections, and which of them.
#[derive(Debug)]
struct Addressees<'r> {
    user: &'r str,
    client: Option<ClientId>,
}

impl<'r> Addressees<'r> {
    fn new(user: Option<&'r str>, client: Option<&str>, session: Option<&str>) -> Result<Self, ApiError> {
        if session.is_some_and(|session| !session.is_empty()) {
            // Sessions are those of connections that are emulated over HTTP: the registry of those will be asked here.
            return Err(ApiError::not_available("session: name the connection by client"));
        }
        let user = user.ok_or_else(|| ApiError::bad_request("user is missing"))?;
        let client = match client.filter(|client| !client.is_empty()) {
            None => None,
            Some(text) => {
                let client = ClientId::parse(text);
                Some(client.ok_or_else(|| ApiError::bad_request(format!("client {text:?} is no client id")))?)
            }
        };
        if user.is_empty() && client.is_none() {
            return Err(ApiError::bad_request("user is empty: name one of those who have no user by client"));
        }
        Ok(Self { user, client })
    }

    /// Where they are. Who has no user is in no directory: all workers are asked.
    fn places(&self, surface: &Surface) -> Vec<(WorkerId, To)> {
        match (self.user, self.client) {
            ("", Some(client)) => {
                let workers = 0..u16::try_from(surface.counters.shards.len()).unwrap_or(u16::MAX);
                workers.map(|worker| (WorkerId(worker), To { client, place: To::ANYWHERE })).collect()
            }
            (user, client) => {
                let found = surface.hub.directory().find(user, client);
                found.iter().map(|one| (one.worker, To { client: one.client, place: one.place })).collect()
            }
        }
    }

    /// Gives an order to each. If one worker takes none now, those before it have theirs: it does no harm to come again.
    fn order(&self, surface: &Surface, order: impl Fn(To) -> Order) -> Result<(), Failure> {
        for (worker, to) in self.places(surface) {
            let given = surface.orders.give(worker, order(to));
            given.map_err(|_| Failure::Transport(Refusal::Overloaded, format!("orders for worker {}", worker.0)))?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscribeRequest<'b> {
    user: Option<String>,
    channel: Option<String>,
    client: Option<String>,
    session: Option<String>,
    #[serde(borrow)]
    info: Option<&'b RawValue>,
    b64info: Option<String>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
    b64data: Option<String>,
    recover_since: Option<Since>,
    expire_at: Option<u64>,
    r#override: Option<Override>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    presence: Option<Value>,
    join_leave: Option<Value>,
    force_recovery: Option<Value>,
    force_positioning: Option<Value>,
    force_push_join_leave: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Value {
    #[serde(default)]
    value: bool,
}

impl Override {
    fn overrides(&self) -> Overrides {
        let of = |value: Option<Value>| value.map(|value| value.value);
        Overrides {
            presence: of(self.presence),
            join_leave: of(self.join_leave),
            force_recovery: of(self.force_recovery),
            force_positioning: of(self.force_positioning),
            force_push_join_leave: of(self.force_push_join_leave),
        }
    }
}

/// A connection that has the topic already keeps what it has.
pub(super) fn subscribe(surface: &Surface, params: &[u8]) -> Answered {
    let request: SubscribeRequest<'_> = parse(params)?;
    let addressees = Addressees::new(request.user.as_deref(), request.client.as_deref(), request.session.as_deref())?;
    let name = topic_name(surface, request.channel.as_deref())?;
    let limit_bytes = surface.config.limits.message.bytes();
    let fitting = |payload: Option<(_, Bytes)>| match payload {
        Some((_, bytes)) if bytes.len() > limit_bytes => {
            let detail = format!("info or data is over limits.message, which is {limit_bytes} bytes");
            Err(Failure::Transport(Refusal::BodyTooLarge, detail))
        }
        payload => Ok(payload.map(|(_, bytes)| bytes)),
    };
    let grant = Grant {
        info: fitting(payload("info", request.info, request.b64info.as_deref())?)?.unwrap_or_default(),
        data: fitting(payload("data", request.data, request.b64data.as_deref())?)?,
        expires: expiry(request.expire_at),
        overrides: request.r#override.unwrap_or_default().overrides(),
    };
    let since = request.recover_since.filter(|since| !since.is_nowhere());
    let since = since.map(|since| (ClaimedEpoch::new(&since.epoch), Offset(since.offset)));
    addressees.order(surface, |to| Order::Subscribe {
        to,
        topic: name.clone(),
        grant: Box::new(grant.clone()),
        since,
    })?;
    result(&Done {})
}

/// Of all topics, if none is named.
pub(super) fn unsubscribe(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct UnsubscribeRequest {
        user: Option<String>,
        channel: Option<String>,
        client: Option<String>,
        session: Option<String>,
    }
    let request: UnsubscribeRequest = parse(params)?;
    let addressees = Addressees::new(request.user.as_deref(), request.client.as_deref(), request.session.as_deref())?;
    let channel = request.channel.filter(|channel| !channel.is_empty());
    let topic = channel.map(|channel| topic_name(surface, Some(&channel))).transpose()?;
    addressees.order(surface, |to| Order::Unsubscribe { to, topic: topic.clone(), code: UnsubscribeCode::Server })?;
    result(&Done {})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisconnectRequest {
    user: Option<String>,
    client: Option<String>,
    session: Option<String>,
    whitelist: Option<Vec<String>>,
    disconnect: Option<Reason>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    reason: String,
}

/// All but those on the white list.
pub(super) fn disconnect(surface: &Surface, params: &[u8]) -> Answered {
    let request: DisconnectRequest = parse(params)?;
    let addressees = Addressees::new(request.user.as_deref(), request.client.as_deref(), request.session.as_deref())?;
    let (code, reason) = match &request.disconnect {
        None => (DisconnectCode::ForceDisconnect.code(), DisconnectCode::ForceDisconnect.reason()),
        Some(Reason { code, reason }) => (close_code(*code, reason)?, reason.as_str()),
    };
    let stays: Vec<ClientId> = request.whitelist.iter().flatten().filter_map(|text| ClientId::parse(text)).collect();
    for (worker, to) in addressees.places(surface) {
        if !stays.contains(&to.client) {
            let given = surface.orders.give(worker, Order::Disconnect { to, code, reason: reason.into() });
            given.map_err(|_| Failure::Transport(Refusal::Overloaded, format!("orders for worker {}", worker.0)))?;
        }
    }
    result(&Done {})
}

fn close_code(code: u32, reason: &str) -> Result<u16, ApiError> {
    if !CLOSE_CODES.contains(&code) {
        return Err(ApiError::bad_request(format!("disconnect.code {code} is not in 3000 to 4999")));
    }
    if reason.len() > REASON_LIMIT_BYTES {
        return Err(ApiError::bad_request(format!("disconnect.reason is over {REASON_LIMIT_BYTES} bytes")));
    }
    u16::try_from(code).map_err(ApiError::bad_request)
}

/// Ends all connections of a user who was shut out.
pub(super) fn disconnect_user(surface: &Surface, user: &str) -> Result<(), Failure> {
    let (code, reason) = (DisconnectCode::ForceDisconnect.code(), DisconnectCode::ForceDisconnect.reason());
    Addressees { user, client: None }.order(surface, |to| Order::Disconnect { to, code, reason: reason.into() })
}

/// Without a time to expire at, they stay as long as they like.
pub(super) fn refresh(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RefreshRequest<'b> {
        user: Option<String>,
        client: Option<String>,
        session: Option<String>,
        expired: Option<bool>,
        expire_at: Option<u64>,
        #[serde(borrow)]
        info: Option<&'b RawValue>,
    }
    let request: RefreshRequest<'_> = parse(params)?;
    let addressees = Addressees::new(request.user.as_deref(), request.client.as_deref(), request.session.as_deref())?;
    let expires = match (request.expired.unwrap_or(false), expiry(request.expire_at)) {
        (true, _) => Prolonged::Over,
        (false, None) => Prolonged::ForEver,
        (false, Some(expiry)) => Prolonged::Until(expiry),
    };
    let info = request.info.map(|info| Bytes::copy_from_slice(info.get().as_bytes()));
    addressees.order(surface, |to| Order::Refresh { to, expires, info: info.clone() })?;
    result(&Done {})
}

/// 0 is never. It is the client that brings a new token then.
fn expiry(at_unix: Option<u64>) -> Option<Expiry> {
    at_unix.filter(|&at_unix| at_unix > 0).map(|at_unix| Expiry { at_unix, by: Refresher::Client })
}
