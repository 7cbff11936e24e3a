//! What every HTTP handler can reach.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::Response;

use super::body_budget::BodyBudget;
use super::keys::ApiKeys;
use super::problem::problem;
use super::route::Routes;
use crate::accept::origin::{BadOrigin, Origins};
use crate::admin::counters::Counters;
use crate::admin::health::Health;
use crate::config::Config;
use crate::hub::Hub;
use crate::pages::{Pages, PagesError};
use crate::refusal::Refusal;

/// The body of every answer.
pub type Body = http_body_util::Full<bytes::Bytes>;

/// What every HTTP handler can reach. One per process.
#[derive(Debug)]
pub struct Surface {
    /// The topics.
    pub hub: Arc<Hub>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The counters.
    pub counters: Arc<Counters>,
    /// When the process started.
    pub started: Instant,
    /// No configuration file was given: details of refusals may be shown.
    pub demo: bool,
    /// Which path is what.
    pub routes: Routes,
    /// Files and texts.
    pub pages: Pages,
    /// The keys of `[api]`.
    pub keys: ApiKeys,
    /// What large answers may hold in memory together.
    pub bodies: BodyBudget,
    /// The readiness check and what it last found.
    pub health: Health,
    /// This process among others, in `/api/info`: a fresh UUID.
    pub node: String,
    /// [`Surface::started`] on the wall clock, since the Unix epoch.
    started_unix: Duration,
    /// The rules of `server.origins`.
    pub origins: Origins,
    endpoint_origins: Box<[Option<Origins>]>,
}

/// Why the HTTP surface cannot be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum SurfaceError {
    /// An entry of `server.origins` or of an endpoint's `origins` is no origin.
    #[error("{key}: {source}")]
    Origin {
        /// The key it stands under.
        key: String,
        /// What is wrong with it.
        source: BadOrigin,
    },
    /// A file or directory of `[[pages]]` cannot be served.
    #[error(transparent)]
    Pages(#[from] PagesError),
}

impl Surface {
    /// Prepares everything: compiles origins and routes, resolves the pages. Blocks on files.
    pub fn new(
        hub: Arc<Hub>,
        config: Arc<Config>,
        counters: Arc<Counters>,
        started: Instant,
        demo: bool,
    ) -> Result<Self, SurfaceError> {
        let origins = Origins::new(&config.server.origins)
            .map_err(|source| SurfaceError::Origin { key: "server.origins".to_owned(), source })?;
        let endpoint_origins = config.endpoints.iter().map(|endpoint| {
            let compiled = endpoint.origins.as_deref().map(Origins::new).transpose();
            compiled.map_err(|source| SurfaceError::Origin {
                key: format!("endpoints.origins of {:?}", endpoint.path),
                source,
            })
        });
        let endpoint_origins = endpoint_origins.collect::<Result<_, _>>()?;
        let since_start = started.elapsed();
        let now_unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            routes: Routes::new(&config),
            pages: Pages::new(&config)?,
            keys: ApiKeys::new(&config.api),
            bodies: BodyBudget::new(BodyBudget::LIMIT_BYTES),
            health: Health::default(),
            node: uuid::Uuid::new_v4().to_string(),
            started_unix: now_unix.saturating_sub(since_start),
            origins,
            endpoint_origins,
            hub,
            config,
            counters,
            started,
            demo,
        })
    }

    /// The origin rules of an endpoint: its own if it has some, else those of `server.origins`.
    pub fn endpoint_origins(&self, index: usize) -> &Origins {
        self.endpoint_origins.get(index).and_then(Option::as_ref).unwrap_or(&self.origins)
    }

    /// The answer that refuses a request; see [`problem`].
    pub fn problem(&self, refusal: Refusal, detail: impl Display) -> Response<Body> {
        problem(refusal, detail, self)
    }

    /// `at` on the wall clock, in milliseconds since the Unix epoch.
    ///
    /// Counted from one reading of the wall clock at start, so that the same publication always has the same time,
    /// whatever the clock is set to later.
    pub fn unix_millis(&self, at: Instant) -> u64 {
        let since_start = at.saturating_duration_since(self.started);
        u64::try_from((self.started_unix + since_start).as_millis()).unwrap_or(u64::MAX)
    }

    /// When the process started, since the Unix epoch.
    pub fn started_unix(&self) -> Duration {
        self.started_unix
    }
}
