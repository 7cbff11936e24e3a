//! Why a call was not done.

use std::fmt::Display;

use hyper::StatusCode;
use serde::Serialize;

use crate::refusal::Refusal;

/// An error of the application, by the closed table of Centrifugo's server API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ApiError {
    pub(super) code: u16,
    pub(super) message: String,
}

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The application asked for what cannot be.
    Application(ApiError),
    /// Something between the application and us: the body, the load.
    Transport(Refusal, String),
}

impl ApiError {
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { code: 100, message: message.into() }
    }

    pub(super) fn unknown_channel() -> Self {
        Self { code: 102, message: "unknown channel: no pattern of [[topics]] is for its namespace".to_owned() }
    }

    pub(super) fn method_not_found(name: &str) -> Self {
        Self { code: 104, message: format!("method not found: {name:?}") }
    }

    pub(super) fn bad_request(detail: impl Display) -> Self {
        Self { code: 107, message: format!("bad request: {detail}") }
    }

    pub(super) fn not_available(detail: impl Display) -> Self {
        Self { code: 108, message: format!("not available: {detail}") }
    }

    pub(super) fn too_many_requests(detail: impl Display) -> Self {
        Self { code: 111, message: format!("too many requests: {detail}") }
    }

    pub(super) fn unrecoverable_position() -> Self {
        Self { code: 112, message: "unrecoverable position".to_owned() }
    }

    /// The status for those who asked for `X-Centrifugo-Error-Mode: transport`.
    pub(super) fn status(&self) -> StatusCode {
        match self.code {
            102 | 104 => StatusCode::NOT_FOUND,
            107 | 108 => StatusCode::BAD_REQUEST,
            111 => StatusCode::TOO_MANY_REQUESTS,
            112 => StatusCode::RANGE_NOT_SATISFIABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Application(error)
    }
}

/// As one of several answers, where there is no status of its own.
impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Application(error) => error,
            Failure::Transport(Refusal::Overloaded, _) => Self::too_many_requests(Refusal::Overloaded.code()),
            Failure::Transport(Refusal::BadBody, detail) => Self::bad_request(detail),
            Failure::Transport(refusal, _) => Self::internal(refusal.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_the_status_that_libraries_expect() {
        for (error, status) in [
            (ApiError::internal("x"), 500),
            (ApiError::unknown_channel(), 404),
            (ApiError::method_not_found("x"), 404),
            (ApiError::bad_request("x"), 400),
            (ApiError::not_available("x"), 400),
            (ApiError::too_many_requests("x"), 429),
            (ApiError::unrecoverable_position(), 416),
        ] {
            assert_eq!(error.status().as_u16(), status, "{error:?}");
        }
    }
}
