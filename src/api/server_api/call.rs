//! One method, one result.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::failure::{ApiError, Failure};
use super::field::parse;
use super::{audience, ban, connection, past, publication};
use crate::api::method::ApiMethod;
use crate::api::surface::Surface;

/// A result as JSON, without what says that it is one.
pub(super) type Answered = Result<Vec<u8>, Failure>;

/// Does one method that is no batch, and no stream.
pub(super) async fn call(surface: &Surface, method: ApiMethod, params: &[u8]) -> Answered {
    match method {
        ApiMethod::Publish => publication::publish_one(surface, params).await,
        ApiMethod::Broadcast => publication::broadcast(surface, params).await,
        ApiMethod::Subscribe => connection::subscribe(surface, params),
        ApiMethod::Unsubscribe => connection::unsubscribe(surface, params),
        ApiMethod::Disconnect => connection::disconnect(surface, params),
        ApiMethod::Refresh => connection::refresh(surface, params),
        ApiMethod::Presence => audience::presence(surface, params).await,
        ApiMethod::PresenceStats => audience::presence_stats(surface, params),
        ApiMethod::History => past::history(surface, params),
        ApiMethod::HistoryRemove => past::history_remove(surface, params),
        ApiMethod::Channels => audience::channels(surface, params),
        ApiMethod::Info => audience::info(surface, params),
        ApiMethod::Rpc => rpc(params),
        ApiMethod::BlockUser => ban::block_user(surface, params),
        ApiMethod::UnblockUser => ban::unblock_user(surface, params),
        ApiMethod::RevokeToken => ban::revoke_token(surface, params),
        ApiMethod::InvalidateUserTokens => ban::invalidate_user_tokens(surface, params),
        ApiMethod::MapPublish
        | ApiMethod::MapRemove
        | ApiMethod::MapReadState
        | ApiMethod::MapReadStream
        | ApiMethod::MapStats
        | ApiMethod::MapClear => Err(ApiError::not_available("topics here are streams, none is a map").into()),
        ApiMethod::SharedPollPublish => {
            Err(ApiError::not_available("topics here are published to, none polls a backend").into())
        }
        ApiMethod::Batch | ApiMethod::PublishStream => {
            let detail = format!("{} is a request of its own, and no command of another one", method.name());
            Err(ApiError::bad_request(detail).into())
        }
    }
}

/// A result that says nothing but that it was done.
#[derive(Debug, Serialize)]
pub(super) struct Done {}

/// A result as JSON.
pub(super) fn result(value: &impl Serialize) -> Answered {
    Ok(serde_json::to_vec(value).expect("invariant: our answers have string keys and finite numbers"))
}

/// Extensions register their procedures here, once there are any.
fn rpc(params: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RpcRequest<'b> {
        method: Option<String>,
        #[serde(borrow, rename = "params")]
        _params: Option<&'b RawValue>,
    }
    let request: RpcRequest<'_> = parse(params)?;
    match request.method.filter(|method| !method.is_empty()) {
        None => Err(ApiError::bad_request("method is missing").into()),
        Some(method) => Err(ApiError::not_available(format!("no extension answers {method:?}")).into()),
    }
}
