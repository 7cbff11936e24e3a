//! Reading a request's body within its limits of size and time.

use std::fmt::Display;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::header::CONTENT_LENGTH;
use hyper::http::request::Parts;
use tokio::time::timeout;

use crate::refusal::Refusal;

/// Why a body was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is over the limit, which is this many bytes.
    #[error("the body is over {0} bytes")]
    TooLarge(usize),
    /// It took longer than this.
    #[error("the body did not arrive within {0:?}")]
    Timeout(Duration),
    /// The connection failed, or the body is not framed as HTTP asks.
    #[error("the body could not be read: {0}")]
    Broken(String),
}

impl BodyError {
    /// The refusal it is.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::TooLarge(_) => Refusal::BodyTooLarge,
            Self::Timeout(_) => Refusal::BodyTimeout,
            Self::Broken(_) => Refusal::BadBody,
        }
    }
}

/// Reads `body` whole. One that announces more than `limit_bytes` is refused before any of it is read; one that does not
/// announce its length is refused when it gets there. A body that comes in one piece is not copied.
pub async fn read<B>(head: &Parts, body: B, limit_bytes: usize, deadline: Duration) -> Result<Bytes, BodyError>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let at_least = announced.unwrap_or(0).max(body.size_hint().lower());
    if at_least > limit_bytes as u64 {
        return Err(BodyError::TooLarge(limit_bytes));
    }
    timeout(deadline, collect(body, limit_bytes)).await.unwrap_or(Err(BodyError::Timeout(deadline)))
}

async fn collect<B>(body: B, limit_bytes: usize) -> Result<Bytes, BodyError>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(mut data) = frame.into_data() else { continue };
        if first.len() + joined.len() + data.remaining() > limit_bytes {
            return Err(BodyError::TooLarge(limit_bytes));
        }
        let data = data.copy_to_bytes(data.remaining());
        if joined.is_empty() && first.is_empty() {
            first = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}
