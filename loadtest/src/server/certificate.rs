//! The certificate of a hub that is started with TLS, and the clients that trust it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, KeyPair};
use rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

/// Whom it is for. A name, not an address: then clients say it in their hello, as those of the world do.
const NAME: &str = "localhost";

/// The name that clients ask for.
pub(crate) fn name() -> Result<ServerName<'static>> {
    ServerName::try_from(NAME).context(NAME)
}

/// A certificate of this run's own, in files: ECDSA on P-256, signed by itself.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The certificate, in PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, in PEM.
    pub(crate) key: PathBuf,
    own: rcgen::Certificate,
}

impl Certificate {
    /// Makes one and writes it to `folder`.
    pub(crate) fn write(folder: &Path) -> Result<Self> {
        let key_pair = KeyPair::generate()?;
        let own = CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&key_pair)?;
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, own.pem()).with_context(|| format!("{}", certificate.display()))?;
        fs::write(&key, key_pair.serialize_pem()).with_context(|| format!("{}", key.display()))?;
        Ok(Self { certificate, key, own })
    }

    /// Clients that trust it and nobody else, and make a full handshake each time.
    ///
    /// They want AES-128 with SHA-256 most, as browsers do, and a hub takes what clients want: rustls would rather have
    /// AES-256, and then most of what a handshake hashes is SHA-384.
    pub(crate) fn client(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.der().clone())?;
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != TLS13_AES_128_GCM_SHA256);
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}
