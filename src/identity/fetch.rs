//! Fetching a key set over HTTP.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Fetches one URL.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Uri,
    timeout: Duration,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The system has no authorities that a server could be trusted by.
    #[error(
        "no certificates of authorities on this system ({0}): install ca-certificates, or name a file in SSL_CERT_FILE"
    )]
    NoAuthorities(io::Error),
    /// No connection, or it ended before the answer did. The words of the causes.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// Another status than 200. Redirects are not followed.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// A body of more bytes than a key set has.
    #[error("the answer has more than {limit_bytes} bytes")]
    TooLarge {
        /// How many are read.
        limit_bytes: usize,
    },
}

impl Fetcher {
    /// For a whole answer, from the beginning of the connection.
    pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

    /// A key set of 64 RSA keys with certificate chains has about as much.
    pub(super) const LIMIT_BYTES: usize = 512 * 1024;

    /// Prepares fetching `url`, and connects to nothing. Reads the system's authorities if it is https.
    pub(super) fn new(url: Uri, timeout: Duration) -> Result<Self, FetchError> {
        let builder = if url.scheme_str() == Some("https") {
            HttpsConnectorBuilder::new().with_native_roots().map_err(FetchError::NoAuthorities)?
        } else {
            // No authorities: nothing is trusted, and nothing has to be.
            let config = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
            HttpsConnectorBuilder::new().with_tls_config(config.with_no_client_auth())
        };
        let connector = builder.https_or_http().enable_http1().build();
        // Minutes lie between two fetches: a kept connection would mostly be dead by then.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, url, timeout })
    }

    /// The body of the answer. Cancel safe: dropped, it ends the connection.
    pub(super) async fn fetch(&self) -> Result<Bytes, FetchError> {
        tokio::time::timeout(self.timeout, self.exchange()).await.map_err(|_| FetchError::Timeout(self.timeout))?
    }

    async fn exchange(&self) -> Result<Bytes, FetchError> {
        let request = Request::get(self.url.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("fanfare/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .expect("invariant: the URL was parsed, and the headers are constants");
        let answer = self.client.request(request).await.map_err(|error| failed(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), Self::LIMIT_BYTES);
        match body.collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(FetchError::TooLarge { limit_bytes: Self::LIMIT_BYTES })
            }
            Err(error) => Err(failed(error.as_ref())),
        }
    }
}

/// The error and what it came from: the outermost says no more than that it did not work.
fn failed(error: &(dyn std::error::Error + 'static)) -> FetchError {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        source = cause.source();
    }
    FetchError::Failed(told)
}
