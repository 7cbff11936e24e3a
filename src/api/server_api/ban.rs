//! `block_user`, `unblock_user`, `revoke_token`, `invalidate_user_tokens`: who is shut out although its token holds.

use serde::Deserialize;

use super::call::{Answered, Done, result};
use super::connection::disconnect_user;
use super::failure::{ApiError, Failure};
use super::field::{parse, topic_name};
use crate::api::surface::Surface;
use crate::identity::{Revocations, Written};

/// One shape for the four: a field that a method does not have is refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    user: Option<String>,
    uid: Option<String>,
    expire_at: Option<u64>,
    issued_before: Option<u64>,
    channel: Option<String>,
}

impl Request {
    fn read(params: &[u8], taken: &[&str]) -> Result<Self, Failure> {
        let request: Self = parse(params)?;
        let given = [
            ("user", request.user.is_some()),
            ("uid", request.uid.is_some()),
            ("expire_at", request.expire_at.is_some()),
            ("issued_before", request.issued_before.is_some()),
            ("channel", request.channel.is_some()),
        ];
        match given.into_iter().find(|(name, is_given)| *is_given && !taken.contains(name)) {
            Some((name, _)) => Err(ApiError::bad_request(format!("unknown field `{name}`")).into()),
            None => Ok(request),
        }
    }

    fn user(&self) -> Result<&str, ApiError> {
        let user = self.user.as_deref().filter(|user| !user.is_empty());
        user.ok_or_else(|| ApiError::bad_request("user is missing or empty"))
    }

    fn until_unix(&self) -> u64 {
        self.expire_at.filter(|&at| at > 0).unwrap_or(Revocations::FOR_EVER)
    }
}

/// Its connections end, and none is let in until then.
pub(super) fn block_user(surface: &Surface, params: &[u8]) -> Answered {
    let request = Request::read(params, &["user", "expire_at"])?;
    let user = request.user()?;
    written(surface.revocations.block(user, request.until_unix(), surface.now_unix()))?;
    disconnect_user(surface, user)?;
    result(&Done {})
}

pub(super) fn unblock_user(surface: &Surface, params: &[u8]) -> Answered {
    let request = Request::read(params, &["user"])?;
    surface.revocations.unblock(request.user()?);
    result(&Done {})
}

/// No further connection is let in with it; those that there are stay: see `disconnect`.
pub(super) fn revoke_token(surface: &Surface, params: &[u8]) -> Answered {
    let request = Request::read(params, &["uid", "expire_at"])?;
    let id = request.uid.as_deref().filter(|uid| !uid.is_empty());
    let id = id.ok_or_else(|| ApiError::bad_request("uid is missing or empty: it is the token's jti"))?;
    written(surface.revocations.revoke_id(id, request.until_unix(), surface.now_unix()))
}

/// The same for all tokens of a user that were issued before a time, which is now if none is named.
pub(super) fn invalidate_user_tokens(surface: &Surface, params: &[u8]) -> Answered {
    let request = Request::read(params, &["user", "expire_at", "issued_before", "channel"])?;
    let (user, now_unix) = (request.user()?, surface.now_unix());
    let channel = request.channel.as_deref().filter(|channel| !channel.is_empty());
    channel.map(|channel| topic_name(surface, Some(channel))).transpose()?;
    let before = request.issued_before.filter(|&before| before > 0).unwrap_or(now_unix);
    written(surface.revocations.revoke_issued_before(user, channel, before, request.until_unix(), now_unix))
}

fn written(written: Written) -> Answered {
    match written {
        Written::Done => result(&Done {}),
        Written::Full => Err(ApiError::not_available(format!("{} are shut out already", Revocations::LIMIT)).into()),
        Written::TooLong => {
            let detail = format!("a user, uid or channel is over {} bytes", Revocations::LONGEST_BYTES);
            Err(ApiError::bad_request(detail).into())
        }
    }
}
