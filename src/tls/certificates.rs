//! Which certificate is shown to whom.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The certificates of a listener, by the names that they are for.
///
/// A client that asks for none of these names, or for none at all, is shown the first: it will say what it misses, which
/// is better than a connection that ends without a word.
pub(super) struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// Those for `*.example.com`, by `example.com`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl ByName {
    /// Certificates with the names of each; of two for one name the first counts.
    pub(super) fn new(first: (Arc<CertifiedKey>, Names), others: Vec<(Arc<CertifiedKey>, Names)>) -> Self {
        let mut by_name = Self { exact: HashMap::new(), wildcard: HashMap::new(), first: Arc::clone(&first.0) };
        for (certified, names) in std::iter::once(first).chain(others) {
            for name in names.dns {
                let (table, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut by_name.wildcard, parent.to_owned()),
                    None => (&mut by_name.exact, name),
                };
                table.entry(name).or_insert_with(|| Arc::clone(&certified));
            }
        }
        by_name
    }

    /// The certificate for `name`, in lower case. A wildcard stands for one label (RFC 9525 §6.3).
    fn named(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let by_parent = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(by_parent)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(&name.to_ascii_lowercase()));
        Some(Arc::clone(named.unwrap_or(&self.first)))
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName")
            .field("exact", &self.exact.keys())
            .field("wildcard", &self.wildcard.keys())
            .finish_non_exhaustive()
    }
}

/// What is read in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// The DNS names it is for, in lower case. Its subject's common name does not count (RFC 9525 §6.3).
    pub(super) dns: Vec<String>,
    /// When it ends, in seconds since the Unix epoch.
    pub(super) expires_unix: u64,
}

impl Names {
    /// Reads a certificate in DER. `None` if it is none.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let names = certificate.get_extension::<SubjectAltName>().ok()?;
        let dns = names.into_iter().flat_map(|(_, names)| names.0).filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
            _ => None,
        });
        let expires_unix = certificate.validity().not_after.to_unix_duration().as_secs();
        Some(Self { dns: dns.collect(), expires_unix })
    }
}
