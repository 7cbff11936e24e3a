//! A certificate that an authority issues.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use futures_core::Stream as _;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_acme::{AccountCache, AcmeConfig, AcmeState, CertCache, Event, ResolvesServerCertAcme};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::cache_folder::CacheFolder;
use super::identity::{IdentityError, read, roots};
use super::settings::Acme;

/// A certificate that an authority issues: what is known of it now, shown to clients, and to the authority when it checks.
///
/// It orders nothing by itself: [`Orders`] does, as long as it is polled.
pub struct Issued {
    settings: Acme,
    /// What speaks to the directory; `None`: trusting whom browsers trust.
    client: Option<Arc<ClientConfig>>,
    folder: CacheFolder,
    /// That of the orders that were begun last.
    resolver: ArcSwapOption<ResolvesServerCertAcme>,
    /// The certificate and its key, as they are in the folder, or would be if it took them.
    pem: Mutex<Option<Vec<u8>>>,
    renews_unix: AtomicU64,
    expires_unix: Arc<AtomicU64>,
}

/// The state of an account, its orders and renewals.
pub struct Orders(AcmeState<io::Error, io::Error>);

impl Issued {
    /// Nothing is ordered yet. Makes the folder that things are kept in. Blocks on files.
    ///
    /// # Errors
    /// A folder that cannot be written to, or a file of authorities that is of no use.
    pub fn new(settings: &Acme) -> Result<Self, IdentityError> {
        let client = match &settings.directory_ca {
            Some(path) => {
                let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
                let builder = builder.with_safe_default_protocol_versions()?;
                let trusting = builder.with_root_certificates(roots(path, &read(path)?)?);
                Some(Arc::new(trusting.with_no_client_auth()))
            }
            None => None,
        };
        let folder = CacheFolder::open(settings)
            .map_err(|source| IdentityError::Unreadable { path: settings.cache.clone(), source })?;
        Ok(Self {
            settings: settings.clone(),
            client,
            folder,
            resolver: ArcSwapOption::empty(),
            pem: Mutex::new(None),
            renews_unix: AtomicU64::new(0),
            expires_unix: Arc::default(),
        })
    }

    /// What was asked for.
    pub fn settings(&self) -> &Acme {
        &self.settings
    }

    /// When it ends, in seconds since the Unix epoch; 0 as long as there is none.
    pub fn expires_unix(&self) -> u64 {
        self.expires_unix.load(Ordering::Relaxed)
    }

    /// When it is to be renewed, in seconds since the Unix epoch; 0 as long as there is none.
    pub fn renews_unix(&self) -> u64 {
        self.renews_unix.load(Ordering::Relaxed)
    }

    /// The same as [`Issued::expires_unix`], as it changes.
    pub(super) fn expires(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.expires_unix)
    }

    /// Begins with what is kept: with its certificate if there is one, else with an order. From now on these orders are what
    /// the authority gets to see; those begun before are of no use. A certificate is shown again once they are polled.
    pub fn begin(self: &Arc<Self>) -> Orders {
        let config = match &self.client {
            Some(client) => AcmeConfig::new_with_client_config(&self.settings.domains, Arc::clone(client)),
            None => AcmeConfig::new(&self.settings.domains),
        };
        let config = config.directory(&self.settings.directory).contact(&self.settings.contact);
        let state = AcmeState::new(config.cache(Kept(Arc::clone(self))));
        self.resolver.store(Some(state.resolver()));
        Orders(state)
    }

    /// Takes note of a certificate. `false`: it is none.
    fn learn(&self, pem: &[u8]) -> bool {
        let Some(Validity { from_unix, until_unix }) = Validity::of(pem) else { return false };
        *self.pem.lock().unwrap_or_else(PoisonError::into_inner) = Some(pem.to_vec());
        self.expires_unix.store(until_unix, Ordering::Relaxed);
        // As rustls-acme does it.
        self.renews_unix.store(until_unix - until_unix.saturating_sub(from_unix) / 3, Ordering::Relaxed);
        true
    }
}

impl ResolvesServerCert for Issued {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.resolver.load().as_ref()?.resolve(hello)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Orders {
    /// Goes on until something has happened. Between a certificate and its renewal that takes months.
    ///
    /// Cancel safe: what is under way stays in the state.
    pub async fn next(&mut self) -> Event<io::Error, io::Error> {
        match poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)).await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What rustls-acme reads and writes: the folder, behind what is in memory. Its files are small and rare, so they are
/// waited for.
struct Kept(Arc<Issued>);

#[async_trait]
impl CertCache for Kept {
    type EC = io::Error;

    async fn load_cert(&self, _domains: &[String], _directory: &str) -> Result<Option<Vec<u8>>, io::Error> {
        let known = self.0.pem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pem = match known {
            Some(pem) => Some(pem),
            None => self.0.folder.certificate()?,
        };
        // One that is none is refused by rustls-acme, which says so.
        if let Some(pem) = &pem {
            self.0.learn(pem);
        }
        Ok(pem)
    }

    async fn store_cert(&self, _domains: &[String], _directory: &str, pem: &[u8]) -> Result<(), io::Error> {
        self.0.learn(pem);
        self.0.folder.keep_certificate(pem)
    }
}

#[async_trait]
impl AccountCache for Kept {
    type EA = io::Error;

    async fn load_account(&self, _contact: &[String], _directory: &str) -> Result<Option<Vec<u8>>, io::Error> {
        self.0.folder.account()
    }

    async fn store_account(&self, _contact: &[String], _directory: &str, key: &[u8]) -> Result<(), io::Error> {
        self.0.folder.keep_account(key)
    }
}

/// When a certificate begins and ends.
struct Validity {
    from_unix: u64,
    until_unix: u64,
}

impl Validity {
    /// That of the first certificate in `pem`.
    fn of(pem: &[u8]) -> Option<Self> {
        let first = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
        let certificate = Certificate::from_der(&first).ok()?;
        let validity = certificate.tbs_certificate().validity();
        let unix = |at: Duration| at.as_secs();
        let from_unix = unix(validity.not_before.to_unix_duration());
        Some(Self { from_unix, until_unix: unix(validity.not_after.to_unix_duration()) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls_acme::{EventError, EventOk};
    use tempfile::TempDir;

    use super::*;
    use crate::tls::channel::{Channel, Heard};
    use crate::tls::identity::{CHALLENGE_PROTOCOL, Identity};
    use crate::tls::settings::Tls;
    use crate::tls::testing::{Authority, Pair};

    fn asking(folder: &TempDir) -> Acme {
        Acme {
            domains: vec!["hub.example".to_owned()],
            contact: Vec::new(),
            cache: folder.path().join("acme"),
            directory: "https://acme.example/directory".to_owned(),
            directory_ca: None,
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// A handshake with whoever has this certificate.
    fn talk(authority: &Authority, issued: &Arc<Issued>, protocols: &[&[u8]]) -> (Result<Heard, rustls::Error>, Pair) {
        let tls = Tls { certificates: Vec::new(), acme: Some(issued.settings.clone()), client_ca: None };
        let identity = Identity::resolved(&tls, Arc::clone(issued) as Arc<_>, issued.expires()).unwrap();
        let mut config = authority.client(None);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let mut pair = Pair::new(&Arc::new(config), Channel::new(identity.config()).unwrap(), "hub.example");
        (pair.talk(), pair)
    }

    #[test]
    fn what_is_kept_is_shown_once_orders_have_begun_and_again_when_they_begin_anew() {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let signed = authority.sign("hub", &["hub.example"]);
        let pem = [fs::read(&signed.key).unwrap(), fs::read(&signed.certificate).unwrap()].concat();
        CacheFolder::open(&asking(&folder)).unwrap().keep_certificate(&pem).unwrap();
        let issued = Arc::new(Issued::new(&asking(&folder)).unwrap());
        assert!(talk(&authority, &issued, &[b"http/1.1"]).0.is_err(), "nothing has begun");
        assert_eq!((issued.expires_unix(), issued.renews_unix()), (0, 0));
        fn shown(event: &Event<io::Error, io::Error>) -> bool {
            matches!(event, Ok(EventOk::DeployedCachedCert))
        }
        assert!(shown(&block_on(issued.begin().next())));
        assert!(talk(&authority, &issued, &[b"http/1.1"]).0.is_ok());
        assert!(issued.expires_unix() > 60_000_000_000 && issued.renews_unix() < issued.expires_unix());
        // What is in memory is enough.
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(shown(&block_on(issued.begin().next())));
        assert!(talk(&authority, &issued, &[]).0.is_ok());
    }

    #[test]
    fn who_checks_a_name_that_nobody_has_ordered_is_shown_nothing() {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let issued = Arc::new(Issued::new(&asking(&folder)).unwrap());
        let signed = authority.sign("hub", &["hub.example"]);
        let pem = [fs::read(&signed.key).unwrap(), fs::read(&signed.certificate).unwrap()].concat();
        issued.learn(&pem);
        assert!(block_on(issued.begin().next()).is_ok());
        assert!(talk(&authority, &issued, &[CHALLENGE_PROTOCOL]).0.is_err());
        // A client that could speak of something else is none that checks.
        let (talked, pair) = talk(&authority, &issued, &[CHALLENGE_PROTOCOL, b"http/1.1"]);
        assert_eq!((talked, pair.channel.is_challenge()), (Ok(Heard::More), false));
    }

    #[test]
    fn a_cache_with_something_else_in_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        CacheFolder::open(&asking(&folder)).unwrap().keep_certificate(b"nothing").unwrap();
        let issued = Arc::new(Issued::new(&asking(&folder)).unwrap());
        assert!(matches!(block_on(issued.begin().next()), Err(EventError::CachedCertParse(_))));
        assert_eq!(issued.expires_unix(), 0);
    }
}
