//! One request in, one answer out.

use std::fmt::Display;

use hyper::header::X_CONTENT_TYPE_OPTIONS;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use super::answer;
use super::emulation;
use super::method::ApiMethod;
use super::problem::{method_not_allowed, problem};
use super::reach::{Reach, Wanted};
use super::route::Route;
use super::server_api;
use super::surface::{Body, Surface};
use super::topics;
use crate::admin::{health, metrics};
use crate::refusal::Refusal;

/// Answers one request, in what its listener serves, that is neither an acceptable upgrade nor a stream. Keep-alive and pipelining are the
/// connection's business.
///
/// Needs a tokio runtime with time; files are read on its blocking pool. Cancel safe: a publication is accepted whole or
/// not at all.
pub async fn serve<B>(surface: &Surface, reach: &Reach, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let (head, body) = request.into_parts();
    let response = answer(surface, reach, &head, body).await;
    let response = answer::with(response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if head.method == Method::HEAD { answer::head_of(response) } else { response }
}

async fn answer<B>(surface: &Surface, reach: &Reach, head: &Parts, body: B) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let path = head.uri.path();
    let route = match reach.route(&surface.routes, path, Wanted::Answer) {
        Ok(route) => route,
        Err(error) => return problem(Refusal::BadTopicName, error, surface),
    };
    let allow = route.allow();
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    match route {
        Route::Topic(name) => topics::serve(surface, reach, name, head, body).await,
        Route::Api(_) if head.method != Method::POST => method_not_allowed(&head.method, allow, surface),
        Route::Api(method) => server_api::serve(surface, method, head, body).await,
        Route::ApiCommands if head.method != Method::POST => method_not_allowed(&head.method, allow, surface),
        Route::ApiCommands => server_api::commands(surface, head, body).await,
        Route::Endpoint(_) => match surface.routes.page(path) {
            Some(index) if is_read => surface.pages.serve(surface, index, head).await,
            Some(_) | None if head.method == Method::GET => upgrade_required(surface, path),
            Some(_) | None => method_not_allowed(&head.method, allow, surface),
        },
        Route::Centrifuge(_) if head.method == Method::GET => upgrade_required(surface, path),
        Route::Centrifuge(_) => method_not_allowed(&head.method, allow, surface),
        Route::ClientStream(..) => emulation::preflight(surface, reach, head, allow),
        Route::Emulation => emulation::serve(surface, reach, head, body, allow).await,
        Route::Unknown => unknown_path(surface, path),
        Route::Page(_)
        | Route::TryIt
        | Route::Metrics
        | Route::Health
        | Route::Live
        | Route::Ready
        | Route::ApiDescription
            if !is_read =>
        {
            method_not_allowed(&head.method, allow, surface)
        }
        Route::Page(index) => surface.pages.serve(surface, index, head).await,
        Route::TryIt => surface.pages.try_it(head),
        Route::Metrics => metrics::serve(surface).await,
        Route::ApiDescription => server_api::openapi(),
        Route::Health => health::centrifugo(),
        Route::Live => health::live(),
        Route::Ready => health::ready(surface).await,
    }
}

fn upgrade_required(surface: &Surface, path: &str) -> Response<Body> {
    let detail = format_args!("{path} is a WebSocket: in a browser, new WebSocket(\"ws://HOST{path}\")");
    problem(Refusal::UpgradeRequired, detail, surface)
}

fn unknown_path(surface: &Surface, path: &str) -> Response<Body> {
    if path == "/topics" {
        return problem(Refusal::UnknownPath, "a topic has a name: /topics/NAME", surface);
    }
    if path.starts_with("/api/") {
        let methods = ApiMethod::ALL.map(ApiMethod::name).join(", ");
        return problem(Refusal::UnknownPath, format_args!("{path}; the methods of /api/ are: {methods}"), surface);
    }
    problem(Refusal::UnknownPath, path, surface)
}
