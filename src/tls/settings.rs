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
    /// What it shows to clients: the first that has the name they ask for, else the first.
    pub certificates: Vec<Certificate>,
    /// Certificates of authorities (PEM): then clients must have a certificate of one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
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
