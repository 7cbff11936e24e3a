//! What every HTTP handler can reach.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::Response;

use super::body_budget::BodyBudget;
use super::keys::ApiKeys;
use super::problem::problem;
use super::reach::{Reach, ReachError};
use super::route::Routes;
use crate::accept::ListenerId;
use crate::accept::addresses::{AddressKey, Addresses, Crowded};
use crate::accept::origin::{BadOrigin, Origins};
use crate::admin::counters::Counters;
use crate::admin::health::Health;
use crate::config::{Config, ListenAddress};
use crate::hooks::{Hooks, HooksError};
use crate::hub::{Hub, Sessions};
use crate::identity::{Revocations, Verifier, VerifierError};
use crate::pages::{Pages, PagesError};
use crate::refusal::Refusal;
use crate::tls::Issuers;
use crate::worker::Orders;
use crate::ws::Thresholds;

/// The body of every answer.
pub type Body = http_body_util::Full<bytes::Bytes>;

/// What one client of a stream may have waiting for its worker, besides one message of `limits.message`.
const WAITING_LIMIT_BYTES: usize = 64 * 1024;

/// What all of them may have waiting. Workers take it within a turn, as long as they find room in the mailboxes.
const WAITING_TOTAL_BYTES: usize = 64 * 1024 * 1024;

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
    /// The way to the application's backend; there is one even where no hook has a URL.
    pub hooks: Arc<Hooks>,
    /// Which path is what.
    pub routes: Routes,
    /// Files and texts.
    pub pages: Pages,
    /// The keys of `[api]`.
    pub keys: ApiKeys,
    /// The tokens of `[tokens]`.
    pub verifier: Verifier,
    /// Who is shut out although his token holds.
    pub revocations: Revocations,
    /// What large answers may hold in memory together.
    pub bodies: BodyBudget,
    /// The readiness check and what it last found.
    pub health: Health,
    /// This process among others, in `/api/info`: a fresh UUID.
    pub node: String,
    /// [`Surface::started`] on the wall clock, since the Unix epoch.
    started_unix: Duration,
    /// What each client address has open.
    pub addresses: Addresses,
    /// What workers are to do with their clients.
    pub(crate) orders: Orders,
    /// The connections whose clients speak beside them.
    pub sessions: Arc<Sessions>,
    /// Who issues what the listeners show.
    pub issuers: Issuers,
    /// From which sizes on publications are compressed.
    pub thresholds: Thresholds,
    /// What is reached through each listener.
    reaches: Box<[Reach]>,
    endpoint_origins: Box<[Option<Origins>]>,
}

/// Why the HTTP surface cannot be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum SurfaceError {
    /// A listener cannot be as configured.
    #[error("the listener {address}: {source}")]
    Reach {
        /// Its address.
        address: ListenAddress,
        /// Why not.
        source: ReachError,
    },
    /// An entry of an endpoint's `origins` is no origin.
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
    /// Tokens cannot be verified as configured.
    #[error(transparent)]
    Tokens(#[from] VerifierError),
    /// The hooks cannot work as configured.
    #[error(transparent)]
    Hooks(#[from] HooksError),
}

impl Surface {
    /// Prepares everything: compiles origins and routes, resolves the pages, starts the thread of the hooks if there are
    /// any. Blocks on files.
    pub fn new(
        hub: Arc<Hub>,
        config: Arc<Config>,
        counters: Arc<Counters>,
        started: Instant,
        demo: bool,
    ) -> Result<Self, SurfaceError> {
        let (mut issuers, mut thresholds) = (Issuers::default(), Thresholds::default());
        let reaches = config.everywhere().into_iter().map(|listen| {
            Reach::new(&listen, &config, &mut issuers, &mut thresholds)
                .map_err(|source| SurfaceError::Reach { address: listen.address, source })
        });
        let reaches = reaches.collect::<Result<_, _>>()?;
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
            hooks: Arc::new(Hooks::start(&config.hooks)?),
            routes: Routes::new(&config),
            pages: Pages::new(&config)?,
            keys: ApiKeys::new(&config.api),
            verifier: Verifier::new(&config.tokens)?,
            revocations: Revocations::default(),
            bodies: BodyBudget::new(BodyBudget::LIMIT_BYTES),
            health: Health::default(),
            addresses: Addresses::new(&config.limits, started),
            node: uuid::Uuid::new_v4().to_string(),
            started_unix: now_unix.saturating_sub(since_start),
            issuers,
            thresholds,
            reaches,
            endpoint_origins,
            sessions: Sessions::new(
                config.limits.message.bytes().saturating_add(WAITING_LIMIT_BYTES),
                WAITING_TOTAL_BYTES,
            ),
            orders: Orders::new(Arc::clone(&hub), counters.shards.len()),
            hub,
            config,
            counters,
            started,
            demo,
        })
    }

    /// What is reached through a listener: by its place in [`Config::everywhere`].
    pub fn reach(&self, listener: ListenerId) -> &Reach {
        &self.reaches[usize::from(listener.0)]
    }

    /// What is reached through each listener, in the order of [`Config::everywhere`].
    pub fn reaches(&self) -> &[Reach] {
        &self.reaches
    }

    /// Counts a connection of a client that has none yet. `None`: nobody is counted, or the client has no IP address.
    /// Give what was counted back with [`Surface::release`].
    ///
    /// # Errors
    /// Its address has, or does, too much; nothing was counted. See [`Surface::too_many`].
    pub fn admit(&self, client: Option<IpAddr>) -> Result<Option<AddressKey>, Crowded> {
        let (Some(client), false) = (client, self.addresses.are_unlimited()) else { return Ok(None) };
        let key = AddressKey::of(client);
        self.addresses.enter(key, Instant::now())?;
        Ok(Some(key))
    }

    /// A connection that [`Surface::admit`] counted is gone.
    pub fn release(&self, counted: Option<AddressKey>) {
        if let Some(key) = counted {
            self.addresses.leave(key, Instant::now());
        }
    }

    /// The answer to one whose address has, or does, too much.
    pub fn too_many(&self, crowded: Crowded) -> Response<Body> {
        self.problem(crowded.refusal(), "")
    }

    /// The origin rules of an endpoint: its own if it has some, else those of the listener.
    pub fn endpoint_origins<'s>(&'s self, reach: &'s Reach, index: usize) -> &'s Origins {
        self.endpoint_origins.get(index).and_then(Option::as_ref).unwrap_or(&reach.origins)
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

    /// Seconds since the Unix epoch, as tokens count.
    pub(crate) fn now_unix(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// When the process started, since the Unix epoch.
    pub fn started_unix(&self) -> Duration {
        self.started_unix
    }
}
