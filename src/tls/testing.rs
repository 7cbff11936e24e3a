//! Certificates of a test's own, and a client.

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use super::channel::{Channel, Heard};
use super::settings::{Certificate, Tls};

/// An authority, and a folder for what it signs.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(super) folder: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// Signs a certificate for `names` and writes it, or writes it again, as `file`.
    pub(super) fn sign(&self, file: &str, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let signed = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.folder.path().join(format!("{file}.{end}"));
        fs::write(path("pem"), signed.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        Certificate { certificate: path("pem"), key: path("key") }
    }

    /// `tls` with these certificates.
    pub(super) fn settings(certificates: Vec<Certificate>) -> Tls {
        Tls { certificates, client_ca: None }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// A client that trusts this authority and shows `certificate`, if any.
    pub(super) fn client_config(&self, certificate: Option<&Certificate>) -> ClientConfig {
        self.client_config_of(rustls::DEFAULT_VERSIONS, certificate)
    }

    /// The same, speaking only these versions.
    pub(super) fn client_config_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Certificate>,
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(self.roots());
        match certificate {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
                let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

/// A client in memory, and the channel that it speaks to.
pub(super) struct Pair {
    pub(super) client: ClientConnection,
    pub(super) channel: Channel,
    /// What the channel has opened.
    pub(super) plain: Vec<u8>,
    /// What the client has opened, and whether it was told that nothing more comes.
    pub(super) heard: Vec<u8>,
    pub(super) heard_end: bool,
    /// Bytes that are handed over at once.
    pub(super) piece: usize,
}

impl Pair {
    pub(super) fn new(config: &Arc<ClientConfig>, channel: Channel, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self { client, channel, plain: Vec::new(), heard: Vec::new(), heard_end: false, piece: usize::MAX }
    }

    /// Hands over what either has for the other, until neither has anything.
    pub(super) fn talk(&mut self) -> Result<Heard, rustls::Error> {
        let mut last = Heard::More;
        loop {
            let mut records = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut records).unwrap();
            }
            if records.is_empty() {
                return Ok(last);
            }
            let piece = self.piece.min(records.len());
            for records in records.chunks_mut(piece) {
                let mut out = Vec::new();
                let heard = self.channel.receive(records, &mut self.plain, &mut out);
                self.hear(&out)?;
                last = heard?;
            }
        }
    }

    /// Hands records to the client, which reads what is in them.
    pub(super) fn hear(&mut self, mut records: &[u8]) -> Result<(), rustls::Error> {
        while !records.is_empty() {
            self.client.read_tls(&mut records).unwrap();
            self.client.process_new_packets()?;
            // Ends with "would block", unless the connection was closed.
            self.heard_end = self.client.reader().read_to_end(&mut self.heard).is_ok();
        }
        Ok(())
    }

    pub(super) fn say(&mut self, plain: &[u8]) {
        self.client.writer().write_all(plain).unwrap();
    }
}
