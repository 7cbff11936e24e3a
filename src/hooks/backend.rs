//! The HTTP client behind all hooks: one pool of connections, kept alive.

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::failure::Failure;
use super::passed::Passed;
use super::signature::Signer;
use crate::config::Hooks as Settings;
use crate::tls::{self, IdentityError};

/// Why the client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The authorities of `hooks.ca_file`.
    #[error("hooks.ca_file: {0}")]
    Authorities(#[from] IdentityError),
    /// The system has none.
    #[error("a hook is called over TLS, and the system has no certificates of authorities: {0}; set hooks.ca_file")]
    System(std::io::Error),
    /// rustls does not take them.
    #[error("{0}")]
    Refused(#[from] rustls::Error),
}

/// The HTTP client behind all hooks. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    signer: std::sync::Arc<Option<Signer>>,
    answer_bytes: usize,
}

/// How a call that was answered went.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Backend {
    /// How long a connection is kept that is not used. Whoever keeps them for less says so by closing, and is believed.
    const IDLE: Duration = Duration::from_secs(30);
    /// Bytes of an answer's head, and of what is read at once.
    const HEAD_BYTES: usize = 64 * 1024;

    /// Blocks on files, if a hook is called over TLS.
    pub(super) fn new(settings: &Settings) -> Result<Self, BackendError> {
        let tls = client_config(settings)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Self::IDLE)
            .pool_max_idle_per_host(settings.concurrency)
            .http1_max_buf_size(Self::HEAD_BYTES)
            .build(connector.wrap_connector(tcp));
        let signer = settings.secret.as_deref().map(Signer::new).into();
        Ok(Self { client, signer, answer_bytes: settings.answer.bytes() })
    }

    /// Posts `body` and reads the answer whole. Dropping it ends the connection it used.
    pub(super) async fn post(&self, uri: &Uri, passed: &Passed, body: Bytes) -> Result<Reply, Failure> {
        let mut request = Request::post(uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.insert(USER_AGENT, HeaderValue::from_static(concat!("fanfare/", env!("CARGO_PKG_VERSION"))));
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            // The client's own come in place of these two; of one that it sent twice, both go.
            for (name, _) in passed.iter() {
                headers.remove(name);
            }
            for (name, value) in passed.iter() {
                headers.append(name, value.clone());
            }
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Some(signer) = self.signer.as_ref() {
                let name = HeaderName::from_static(Signer::HEADER);
                headers.insert(name, signer.sign(unix_secs(), &body));
            }
        }
        let request = request.body(Full::new(body)).map_err(|error| Failure::Broken(error.to_string()))?;
        let response = self.client.request(request).await.map_err(|error| {
            let why = chain(&error);
            if error.is_connect() { Failure::Unreachable(why) } else { Failure::Broken(why) }
        })?;
        let (head, body) = response.into_parts();
        match Limited::new(body, self.answer_bytes).collect().await {
            Ok(body) => Ok(Reply { status: head.status, body: body.to_bytes() }),
            // The page that comes with an error is of no interest.
            Err(error) if error.is::<LengthLimitError>() && head.status != StatusCode::OK => {
                Ok(Reply { status: head.status, body: Bytes::new() })
            }
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
            Err(error) => Err(Failure::Broken(chain(error.as_ref()))),
        }
    }
}

fn client_config(settings: &Settings) -> Result<ClientConfig, BackendError> {
    let needs_tls = settings.urls().iter().any(|(_, url)| url.is_some_and(|url| url.is_tls()));
    let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into());
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match &settings.ca_file {
        // Only these: with a private authority, no public one may vouch for the backend.
        Some(path) => builder.with_root_certificates(tls::authorities(path)?),
        None if needs_tls => builder.with_native_roots().map_err(BackendError::System)?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An error with its causes: the first says only that something failed.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text.push_str(": ");
        text.push_str(&one.to_string());
        cause = one.source();
    }
    text
}
