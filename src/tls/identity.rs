//! What a listener shows to clients and asks of them, read from files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use super::certificates::{ByName, Names};
use super::settings::{Certificate, Tls};

/// The one protocol that is spoken inside (RFC 7301). A client that wants only others is told so in the handshake.
const PROTOCOL: &[u8] = b"http/1.1";

/// The protocol of an authority that checks a name (RFC 8737): it looks at the certificate that it is shown.
pub(super) const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// Tickets sent to a client after a full handshake of TLS 1.3. One: browsers open one connection to a hub, not six.
const TICKETS: usize = 1;

/// What a listener shows to clients and asks of them. New handshakes take what was read last; connections that are open
/// keep what they have.
#[derive(Debug)]
pub struct Identity {
    settings: Tls,
    current: ArcSwap<Current>,
    /// The contents of the files that were read last, whether they were of use or not.
    seen: Mutex<[u8; 32]>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// Shared with whoever issues the certificate, if somebody does.
    expires_unix: Arc<AtomicU64>,
}

/// Why files are of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {what}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A certificate and a key that do not belong together.
    #[error("{key} is not the key of {certificate}")]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// rustls does not take them.
    #[error("{0}")]
    Refused(#[from] rustls::Error),
}

/// What came of looking at the files again.
#[derive(Debug)]
#[must_use]
pub enum Reloaded {
    /// They are as they were.
    Unchanged,
    /// New handshakes take what they have now.
    Changed,
    /// They have changed and are of no use; what was read before stays in force. Told once for each change.
    Failed(IdentityError),
}

impl Identity {
    /// Reads all files of `settings`. Blocks on them.
    ///
    /// # Errors
    /// A file that is missing, not PEM, of no use to rustls, or does not fit the others.
    pub fn load(settings: &Tls) -> Result<Self, IdentityError> {
        let files = Files::read(settings)?;
        let seen = Mutex::new(files.digest());
        Ok(Self { settings: settings.clone(), current: ArcSwap::from_pointee(files.into_current()?), seen })
    }

    /// Reads the files of `settings` as [`Identity::load`] does, and those that issuing needs, and keeps nothing.
    ///
    /// # Errors
    /// As [`Identity::load`].
    pub(crate) fn check(settings: &Tls) -> Result<(), IdentityError> {
        match &settings.acme {
            None => Self::load(settings).map(drop),
            Some(acme) => match &acme.directory_ca {
                Some(path) => roots(path, &read(path)?).map(drop),
                None => Ok(()),
            },
        }
    }

    /// What `resolver` has for each client, which may be nothing yet; `expires_unix` is when that ends.
    #[cfg(feature = "acme")]
    pub(super) fn resolved(
        settings: &Tls,
        resolver: Arc<dyn ResolvesServerCert>,
        expires_unix: Arc<AtomicU64>,
    ) -> Result<Self, IdentityError> {
        let mut config = config(resolver, Arc::new(NoClientAuth))?;
        // Behind the usual one: only a client that offers nothing else is one that checks.
        config.alpn_protocols.push(CHALLENGE_PROTOCOL.to_vec());
        let current = ArcSwap::from_pointee(Current { config: Arc::new(config), expires_unix });
        // There are no files, so they never change.
        let seen = Mutex::new(Files::read(settings)?.digest());
        Ok(Self { settings: settings.clone(), current, seen })
    }

    /// What a new handshake uses.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// When the first of its certificates ends, in seconds since the Unix epoch; 0 as long as none has been issued.
    pub fn expires_unix(&self) -> u64 {
        self.current.load().expires_unix.load(Ordering::Relaxed)
    }

    /// Looks at the files again, and uses them if they have changed. Blocks on them.
    ///
    /// By their contents, not their times: what mounts secrets swaps links, and keeps or resets times as it likes.
    pub fn reload(&self) -> Reloaded {
        let files = match Files::read(&self.settings) {
            Ok(files) => files,
            // A file may be missing for the moment in which it is replaced; then nothing has been seen.
            Err(error) => return self.failed([0; 32], error),
        };
        let digest = files.digest();
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == digest {
            return Reloaded::Unchanged;
        }
        match files.into_current() {
            Ok(current) => {
                self.current.store(Arc::new(current));
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = digest;
                Reloaded::Changed
            }
            Err(error) => self.failed(digest, error),
        }
    }

    fn failed(&self, digest: [u8; 32], error: IdentityError) -> Reloaded {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *seen, digest) == digest { Reloaded::Unchanged } else { Reloaded::Failed(error) }
    }
}

/// The bytes of every file.
struct Files<'s> {
    settings: &'s Tls,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    client_ca: Option<Vec<u8>>,
}

impl<'s> Files<'s> {
    fn read(settings: &'s Tls) -> Result<Self, IdentityError> {
        let pair = |one: &Certificate| Ok((read(&one.certificate)?, read(&one.key)?));
        let pairs = settings.certificates.iter().map(pair).collect::<Result<_, IdentityError>>()?;
        let client_ca = settings.client_ca.as_deref().map(read).transpose()?;
        Ok(Self { settings, pairs, client_ca })
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let files = self.pairs.iter().flat_map(|(certificate, key)| [certificate, key]).chain(&self.client_ca);
        for file in files {
            hash.update((file.len() as u64).to_le_bytes());
            hash.update(file);
        }
        hash.finalize().into()
    }

    fn into_current(self) -> Result<Current, IdentityError> {
        let mut certified = Vec::new();
        for (one, (certificate, key)) in self.settings.certificates.iter().zip(&self.pairs) {
            certified.push(certify(one, certificate, key)?);
        }
        let expires_unix = certified.iter().map(|(_, names)| names.expires_unix).min().unwrap_or(0);
        let mut certified = certified.into_iter();
        let Some(first) = certified.next() else { return Err(rustls::Error::NoCertificatesPresented.into()) };
        let resolver = ByName::new(first, certified.collect());
        let verifier: Arc<dyn ClientCertVerifier> = match (&self.settings.client_ca, &self.client_ca) {
            (Some(path), Some(bytes)) => {
                let roots = Arc::new(roots(path, bytes)?);
                let builder =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::new(aws_lc_rs::default_provider()));
                builder.build().map_err(|error| unusable(path, error))?
            }
            _ => Arc::new(NoClientAuth),
        };
        let config = Arc::new(config(Arc::new(resolver), verifier)?);
        Ok(Current { config, expires_unix: Arc::new(AtomicU64::new(expires_unix)) })
    }
}

fn config(
    resolver: Arc<dyn ResolvesServerCert>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // Resumption costs the hub no memory: what it takes is in the ticket, sealed with keys that change every six hours.
    // After a reload clients make one full handshake, also those whose authority is no longer trusted.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

pub(super) fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, IdentityError> {
    let path = path.as_ref();
    fs::read(path).map_err(|source| IdentityError::Unreadable { path: path.to_owned(), source })
}

fn unusable(path: &Path, what: impl std::fmt::Display) -> IdentityError {
    IdentityError::Unusable { path: path.to_owned(), what: what.to_string() }
}

fn certify(files: &Certificate, certificate: &[u8], key: &[u8]) -> Result<(Arc<CertifiedKey>, Names), IdentityError> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unusable(&files.certificate, error))?;
    let Some(first) = chain.first() else {
        return Err(unusable(&files.certificate, "no certificate in it (-----BEGIN CERTIFICATE-----)"));
    };
    let Some(names) = Names::of(first) else { return Err(unusable(&files.certificate, "not an X.509 certificate")) };
    let key_der = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&files.key, error))?;
    let signer = aws_lc_rs::sign::any_supported_type(&key_der).map_err(|error| unusable(&files.key, error))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok((Arc::new(certified), names)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(IdentityError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() })
        }
        Err(error) => Err(unusable(&files.certificate, error)),
    }
}

/// The authorities in a file of PEM. Blocks on it.
///
/// # Errors
/// It cannot be read, or has no certificate in it.
pub fn authorities(path: &Path) -> Result<RootCertStore, IdentityError> {
    roots(path, &read(path)?)
}

pub(super) fn roots(path: &Path, bytes: &[u8]) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate = certificate.map_err(|error| unusable(path, error))?;
        roots.add(certificate).map_err(|error| unusable(path, error))?;
    }
    if roots.is_empty() {
        return Err(unusable(path, "no certificate in it (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(roots)
}
