//! What clients of one listener can reach, and who they are.

use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Uri;
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;

use super::route::{BadTopicPath, Route, Routes};
use crate::accept::origin::{BadOrigin, Origins};
use crate::config::{Config, Listen, ListenAddress, Networks, SurfaceName};
use crate::tls::{Identity, IdentityError, Issuers};
use crate::ws::{ThresholdId, Thresholds};

/// What clients of one listener can reach. Compiled from its entry in the configuration.
#[derive(Debug)]
pub struct Reach {
    surfaces: Surfaces,
    base_path: Box<str>,
    /// Origins of pages that may connect through it.
    pub origins: Origins,
    /// From which size on publications are compressed for clients that offer it. `None`: offers are not looked at.
    pub compression: Option<ThresholdId>,
    /// Proxies that are believed when they say who a client is.
    pub trusted_proxies: Networks,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// What it shows to clients, if it speaks TLS.
    pub identity: Option<Identity>,
    /// Its address, as it was configured.
    pub address: ListenAddress,
    connections: Option<usize>,
    open: AtomicUsize,
}

/// A set of [`SurfaceName`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Surfaces(u8);

impl Surfaces {
    fn new(names: &[SurfaceName]) -> Self {
        Self(names.iter().fold(0, |set, &name| set | Self::bit(name)))
    }

    const fn bit(name: SurfaceName) -> u8 {
        1 << name as u8
    }

    const fn has(self, name: SurfaceName) -> bool {
        self.0 & Self::bit(name) != 0
    }
}

impl Reach {
    /// What `listen` says, completed by what `config` says for all. Its threshold of compression is entered into
    /// `thresholds`, of which the configuration's check lets no more through than there is room for. Blocks on the files
    /// of its TLS.
    ///
    /// # Errors
    /// An origin that is none, or a certificate or key that is of no use.
    pub fn new(
        listen: &Listen,
        config: &Config,
        issuers: &mut Issuers,
        thresholds: &mut Thresholds,
    ) -> Result<Self, ReachError> {
        Ok(Self {
            surfaces: Surfaces::new(&listen.surfaces),
            base_path: listen.base_path.trim_end_matches('/').into(),
            origins: Origins::new(listen.origins.as_deref().unwrap_or(&config.server.origins))?,
            compression: listen.compresses_from(&config.compression).and_then(|size| thresholds.enter(size.bytes())),
            trusted_proxies: listen.trusted_proxies.clone(),
            proxy_protocol: listen.proxy_protocol,
            identity: listen.tls.as_ref().map(|tls| issuers.identity(tls)).transpose()?,
            address: listen.address.clone(),
            connections: listen.connections,
            open: AtomicUsize::new(0),
        })
    }

    /// Counts a connection, if the listener has a limit of its own. `false`: it is reached, and nothing was counted.
    /// It may be passed by as many as there are shards accepting at the same moment.
    pub fn take_place(&self) -> bool {
        let Some(limit) = self.connections else { return true };
        let has_room = self.open.load(Ordering::Relaxed) < limit;
        if has_room {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Gives a place back.
    pub fn leave_place(&self) {
        if self.connections.is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What `path`, below the base path, leads to here: nothing, if its surface is not served.
    ///
    /// # Errors
    /// A path below `/topics/` that is not a topic's.
    pub fn route(&self, routes: &Routes, path: &str, wanted: Wanted) -> Result<Route, BadTopicPath> {
        let route = routes.of(path)?;
        let surface = match (&route, wanted) {
            (Route::Unknown, _) => return Ok(route),
            (Route::Topic(_), Wanted::Connection) | (Route::Endpoint(_), Wanted::Connection) => SurfaceName::Sockets,
            (Route::Centrifuge(_) | Route::ClientStream(..) | Route::Emulation, _) => SurfaceName::Sockets,
            (Route::Topic(_), Wanted::Answer) => SurfaceName::Topics,
            // Its page, or the hint that it is for WebSockets.
            (Route::Endpoint(_), Wanted::Answer) if routes.page(path).is_some() => SurfaceName::Pages,
            (Route::Endpoint(_), Wanted::Answer) => SurfaceName::Sockets,
            (Route::Api(_) | Route::ApiCommands | Route::ApiDescription, _) => SurfaceName::Api,
            (Route::Page(_) | Route::TryIt, _) => SurfaceName::Pages,
            (Route::Metrics, _) => SurfaceName::Metrics,
            (Route::Health | Route::Live | Route::Ready, _) => SurfaceName::Health,
        };
        Ok(if self.surfaces.has(surface) { route } else { Route::Unknown })
    }

    /// `path` without the base path; `None` if it is not below it.
    pub fn below_base<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below = path.strip_prefix(&*self.base_path)?;
        match below.as_bytes().first() {
            Some(b'/') => Some(below),
            None => Some("/"),
            Some(_) => None,
        }
    }

    /// Takes the base path off the target of a request, which then reads as if there was none.
    ///
    /// # Errors
    /// [`NotBelowBase`], and nothing has changed.
    pub fn enter(&self, head: &mut Parts) -> Result<(), NotBelowBase> {
        if self.base_path.is_empty() {
            return Ok(());
        }
        let below = self.below_base(head.uri.path()).ok_or_else(|| NotBelowBase(self.base_path.to_string()))?;
        let target = match head.uri.query() {
            Some(query) => format!("{below}?{query}"),
            None => below.to_owned(),
        };
        let target = PathAndQuery::try_from(target).expect("invariant: the end of a path is a path");
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        parts.path_and_query = Some(target);
        head.uri = Uri::from_parts(parts).expect("invariant: only the path has changed");
        Ok(())
    }
}

/// Why nothing can be reached through a listener.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// An entry of `server.origins` or of its own `origins` is no origin.
    #[error("origins: {0}")]
    Origin(#[from] BadOrigin),
    /// A certificate, a key or an authority is of no use.
    #[error("tls: {0}")]
    Identity(#[from] IdentityError),
}

/// A path outside of a listener's base path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("all paths here begin with {0}")]
pub struct NotBelowBase(pub String);

/// What a request wants of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A WebSocket or an event stream.
    Connection,
    /// An answer.
    Answer,
}

#[cfg(test)]
mod tests {
    use hyper::{Method, Request};

    use super::*;
    use crate::config::{ByteSize, Compression, Endpoint, Page};

    fn reach(change: impl FnOnce(&mut Listen)) -> Reach {
        let mut listen = Listen::at(ListenAddress::Unix("/run/hub.sock".into()));
        change(&mut listen);
        Reach::new(&listen, &Config::default(), &mut Issuers::default(), &mut Thresholds::default()).unwrap()
    }

    fn routes() -> Routes {
        let page = |path: &str| Page { path: path.to_owned(), text: Some("text".to_owned()), ..Page::default() };
        let endpoint = |path: &str| Endpoint { path: path.to_owned(), ..Endpoint::default() };
        Routes::new(&Config {
            endpoints: vec![endpoint("/echo"), endpoint("/both")],
            pages: vec![page("/about"), page("/both")],
            ..Config::default()
        })
    }

    #[test]
    fn a_surface_is_reached_where_it_is_served_and_nowhere_else() {
        let routes = routes();
        let all = [
            ("/topics/a", Wanted::Connection, SurfaceName::Sockets),
            ("/echo", Wanted::Connection, SurfaceName::Sockets),
            ("/both", Wanted::Connection, SurfaceName::Sockets),
            ("/echo", Wanted::Answer, SurfaceName::Sockets),
            ("/both", Wanted::Answer, SurfaceName::Pages),
            ("/connection/websocket", Wanted::Connection, SurfaceName::Sockets),
            ("/connection/http_stream", Wanted::Connection, SurfaceName::Sockets),
            ("/connection/uni_sse", Wanted::Connection, SurfaceName::Sockets),
            ("/emulation", Wanted::Answer, SurfaceName::Sockets),
            ("/topics/a", Wanted::Answer, SurfaceName::Topics),
            ("/api/publish", Wanted::Answer, SurfaceName::Api),
            ("/api", Wanted::Answer, SurfaceName::Api),
            ("/api/openapi.json", Wanted::Answer, SurfaceName::Api),
            ("/health", Wanted::Answer, SurfaceName::Health),
            ("/about", Wanted::Answer, SurfaceName::Pages),
            ("/", Wanted::Answer, SurfaceName::Pages),
            ("/metrics", Wanted::Answer, SurfaceName::Metrics),
            ("/health/live", Wanted::Answer, SurfaceName::Health),
            ("/health/ready", Wanted::Answer, SurfaceName::Health),
        ];
        for served in SurfaceName::ALL {
            let reach = reach(|listen| listen.surfaces = vec![served]);
            for (path, wanted, surface) in all {
                let route = reach.route(&routes, path, wanted).unwrap();
                assert_eq!(route != Route::Unknown, surface == served, "{path} with {}", served.name());
            }
        }
    }

    #[test]
    fn the_base_path_is_taken_off_and_what_is_not_below_it_is_nothing() {
        let reach = reach(|listen| listen.base_path = "/push/".to_owned());
        for (path, below) in [
            ("/push", Some("/")),
            ("/push/", Some("/")),
            ("/push/topics/a", Some("/topics/a")),
            ("/pushed", None),
            ("/topics/a", None),
            ("/", None),
        ] {
            assert_eq!(reach.below_base(path), below, "{path}");
        }
        let (mut head, ()) = Request::get("/push/topics/a?since=1:2").body(()).unwrap().into_parts();
        reach.enter(&mut head).unwrap();
        assert_eq!(head.uri, "/topics/a?since=1:2");
        assert_eq!(reach.enter(&mut head).unwrap_err().to_string(), "all paths here begin with /push");
        assert_eq!((head.uri.path(), head.method), ("/topics/a", Method::GET));
    }

    #[test]
    fn listeners_with_the_same_threshold_share_it_and_those_without_compression_have_none() {
        let config = |enabled| Config {
            compression: Compression { enabled, threshold: ByteSize(256), ..Compression::default() },
            ..Config::default()
        };
        let mut thresholds = Thresholds::default();
        let mut compression = |enabled, own: Option<bool>, threshold: Option<u64>| {
            let listen = Listen {
                compression: own,
                compression_threshold: threshold.map(ByteSize),
                ..Listen::at(ListenAddress::Unix("/run/hub.sock".into()))
            };
            Reach::new(&listen, &config(enabled), &mut Issuers::default(), &mut thresholds).unwrap().compression
        };
        let common = compression(true, None, None).unwrap();
        let own = compression(true, None, Some(1024)).unwrap();
        assert_ne!(common, own);
        assert_eq!(compression(true, None, Some(256)), Some(common));
        assert_eq!(compression(false, Some(true), None), Some(common));
        assert_eq!(compression(false, Some(true), Some(1024)), Some(own));
        assert_eq!(compression(true, Some(false), Some(2048)), None);
        assert_eq!(compression(false, None, Some(2048)), None);
        let mut expected = Thresholds::default();
        assert_eq!([256, 1024].map(|bytes| expected.enter(bytes).unwrap()), [common, own]);
        assert_eq!(thresholds, expected, "nobody has the others");
    }
}
