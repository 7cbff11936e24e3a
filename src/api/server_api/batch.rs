//! Several methods in one request: `batch`, and the old style of `POST /api`.

use std::collections::HashMap;
use std::fmt::Display;

use hyper::Response;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Answered, call};
use super::failure::{ApiError, Failure};
use super::field::parse;
use super::serve::{body_of, held, refused_key};
use crate::api::method::ApiMethod;
use crate::api::problem::problem;
use crate::api::surface::{Body, Surface};
use crate::refusal::Refusal;

/// Commands of one request.
pub const BATCH_LIMIT: usize = 1000;

/// Bytes of results after which the commands that are left are refused, and not done.
pub const ANSWER_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// The answer to a batch, whole: `{"replies":[…]}` in the order of the commands.
///
/// They are done in this order, also if they may be done in parallel: nothing is won by doing them otherwise where none
/// waits for another machine.
pub(super) async fn batch(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct BatchRequest<'b> {
        #[serde(borrow)]
        commands: Option<Vec<&'b RawValue>>,
        #[serde(rename = "parallel")]
        _parallel: Option<bool>,
    }
    let request: BatchRequest<'_> = parse(params)?;
    let commands = request.commands.unwrap_or_default();
    if commands.len() > BATCH_LIMIT {
        let detail = format!("commands has {} entries, at most {BATCH_LIMIT} are taken", commands.len());
        return Err(ApiError::bad_request(detail).into());
    }
    let mut answer = b"{\"replies\":[".to_vec();
    for (index, command) in commands.into_iter().enumerate() {
        if index > 0 {
            answer.push(b',');
        }
        let done = match named(command.get()) {
            Ok((method, params)) => {
                let done = one_of_several(surface, method, params.get(), answer.len()).await;
                done.map(|result| (method, result))
            }
            Err(error) => Err(error),
        };
        match done {
            Ok((method, result)) => push_field(&mut answer, method.name(), &result),
            Err(error) => push_error(&mut answer, &error),
        }
    }
    answer.extend_from_slice(b"]}");
    Ok(answer)
}

/// A command of a batch: an object with one field, which is named like the method.
fn named(command: &str) -> Result<(ApiMethod, &RawValue), ApiError> {
    let fields: HashMap<String, &RawValue> = serde_json::from_str(command).map_err(ApiError::bad_request)?;
    let mut fields = fields.into_iter();
    match (fields.next(), fields.next()) {
        (Some((name, params)), None) => {
            ApiMethod::find(&name).map(|method| (method, params)).ok_or_else(|| ApiError::method_not_found(&name))
        }
        (None, None) | (Some(_), Some(_)) | (None, Some(_)) => {
            Err(ApiError::bad_request("a command is an object with one field, named like the method"))
        }
    }
}

async fn one_of_several(
    surface: &Surface,
    method: ApiMethod,
    params: &str,
    answered_bytes: usize,
) -> Result<Vec<u8>, ApiError> {
    if answered_bytes > ANSWER_LIMIT_BYTES {
        let detail = format!("the results before this one are over {ANSWER_LIMIT_BYTES} bytes: send the rest again");
        return Err(ApiError::too_many_requests(detail));
    }
    let params = if params == "null" { "{}" } else { params };
    call(surface, method, params.as_bytes()).await.map_err(ApiError::from)
}

/// `POST /api`: commands `{"method","params"}`, one after the other, answered with a line each.
pub async fn commands<B>(surface: &Surface, head: &Parts, body: B) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    #[derive(Deserialize)]
    struct Command<'b> {
        #[serde(default)]
        method: String,
        #[serde(borrow)]
        params: Option<&'b RawValue>,
    }
    if let Some(refused) = refused_key(surface, head) {
        return refused;
    }
    let body = match body_of(surface, head, body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let mut read = Vec::new();
    for command in serde_json::Deserializer::from_slice(&body).into_iter::<Command<'_>>() {
        match command {
            Ok(command) => read.push(command),
            Err(error) => return problem(Refusal::BadBody, format!("not JSON: {error}"), surface),
        }
        if read.len() > BATCH_LIMIT {
            return problem(Refusal::BadBody, format!("more than {BATCH_LIMIT} commands"), surface);
        }
    }
    if read.is_empty() {
        return problem(Refusal::BadBody, "no command", surface);
    }
    let mut answer = Vec::new();
    for Command { method, params } in read {
        let done = match ApiMethod::find(&method) {
            None => Err(ApiError::method_not_found(&method)),
            Some(method) => one_of_several(surface, method, params.map_or("{}", RawValue::get), answer.len()).await,
        };
        match done {
            Ok(result) => push_field(&mut answer, "result", &result),
            Err(error) => push_error(&mut answer, &error),
        }
        answer.push(b'\n');
    }
    held(surface, answer)
}

/// The names are ours: nothing in them is to be escaped.
pub(super) fn push_field(out: &mut Vec<u8>, name: &str, json: &[u8]) {
    for part in [b"{\"", name.as_bytes(), b"\":", json, b"}"] {
        out.extend_from_slice(part);
    }
}

fn push_error(out: &mut Vec<u8>, error: &ApiError) {
    push_field(out, "error", &error_json(error));
}

pub(super) fn error_json(error: &ApiError) -> Vec<u8> {
    serde_json::to_vec(error).expect("invariant: an error is a number and a text")
}

/// For [`Failure`]s that are told in the body.
pub(super) fn told(failure: Failure) -> Vec<u8> {
    let mut told = Vec::new();
    push_error(&mut told, &ApiError::from(failure));
    told
}
