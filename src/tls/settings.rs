//! `tls` of a listener, as the configuration has it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `tls` of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { certificates = [{ certificate = \"...\", key = \"...\" }] }"
)]
pub struct Tls {
    /// What it shows to clients: the first that has the name they ask for, else the first. Either these or `acme`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Who issues its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// Certificates of authorities (PEM): then clients must have a certificate of one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// An authority that issues a certificate to whoever answers at its names: Let's Encrypt, or another that speaks ACME
/// (RFC 8555) and asks by TLS-ALPN-01 (RFC 8737).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { domains = [\"push.example.com\"], cache = \"acme\" }")]
pub struct Acme {
    /// The names of the certificate.
    pub domains: Vec<String>,
    /// How the authority reaches the operator: `mailto:` addresses.
    #[serde(default)]
    pub contact: Vec<String>,
    /// A folder for the account's key, the certificate and its key.
    pub cache: PathBuf,
    /// Where the authority is asked.
    #[serde(default = "Acme::lets_encrypt")]
    pub directory: String,
    /// Certificates of authorities (PEM) that `directory` is trusted by. Default: those that browsers trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_ca: Option<PathBuf>,
}

impl Acme {
    fn lets_encrypt() -> String {
        "https://acme-v02.api.letsencrypt.org/directory".to_owned()
    }
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { certificate = \"cert.pem\", key = \"key.pem\" }")]
pub struct Certificate {
    /// The certificate and those up to its root, in this order (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM; PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}
