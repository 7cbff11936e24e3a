//! One key: what it verifies, and under which id.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};

use super::algorithm::{Algorithm, Family};
use crate::config::TokenKey;

/// A key that verifies tokens of its own algorithm, and of no other. `Debug` never shows it.
#[derive(Debug, Clone)]
pub struct Key {
    id: Option<Box<str>>,
    allowed: Allowed,
    material: DecodingKey,
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    Only(Algorithm),
    /// RS256, RS384 and RS512: a fetched RSA key need not say which, and the same pair is good for all three.
    AnyRsa,
}

/// Why a key is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is not exactly one of the four.
    #[error("exactly one of secret, secret_file, public_key and public_key_file is needed")]
    NotOneSource,
    /// A public key for an algorithm of secrets. Were it taken as the secret, everyone could sign.
    #[error("{0} takes a secret, which signs and verifies: write `secret` or `secret_file`")]
    WantsSecret(Algorithm),
    /// A secret for an algorithm of key pairs.
    #[error("{0} takes a public key: write `public_key` or `public_key_file`")]
    WantsPublicKey(Algorithm),
    /// A secret of no bytes, with which everyone could sign.
    #[error("the secret is empty")]
    EmptySecret,
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is over [`Key::LARGEST_FILE_BYTES`].
    #[error("{} has more than {} bytes: that cannot be a key", path.display(), Key::LARGEST_FILE_BYTES)]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// Not PEM at all.
    #[error("it is not PEM: a public key begins with -----BEGIN PUBLIC KEY-----")]
    NotPem,
    /// PEM of something else.
    #[error("it is a PEM of {label}, and a public key is wanted; {hint}")]
    WrongPem {
        /// What the first line says.
        label: String,
        /// How to get the public key out of it.
        hint: &'static str,
    },
    /// The key is of another kind than the algorithm takes, or damaged.
    #[error("it is no public key for {algorithm}: {wanted}")]
    WrongKind {
        /// The algorithm.
        algorithm: Algorithm,
        /// What it takes.
        wanted: &'static str,
    },
}

impl Key {
    /// A file over this is not read.
    pub const LARGEST_FILE_BYTES: u64 = 64 * 1024;

    /// Fewer bytes of an RSA modulus than these (2,048 bits) can be broken, and are not taken.
    const SMALLEST_RSA_BYTES: usize = 256;
    /// More (8,192 bits) would make each token expensive, and are not taken.
    const LARGEST_RSA_BYTES: usize = 1024;

    /// The key of an entry of `tokens.keys`. Blocks on its file.
    pub fn read(entry: &TokenKey) -> Result<Self, KeyError> {
        let TokenKey { algorithm, secret, secret_file, public_key, public_key_file, id } = entry;
        let algorithm = *algorithm;
        let sources = [secret.is_some(), secret_file.is_some(), public_key.is_some(), public_key_file.is_some()];
        if sources.into_iter().filter(|there| *there).count() != 1 {
            return Err(KeyError::NotOneSource);
        }
        let wants_secret = algorithm.family() == Family::Secret;
        let has_secret = secret.is_some() || secret_file.is_some();
        match (wants_secret, has_secret) {
            (true, false) => return Err(KeyError::WantsSecret(algorithm)),
            (false, true) => return Err(KeyError::WantsPublicKey(algorithm)),
            (true, true) | (false, false) => {}
        }
        let text = match (secret.as_ref().or(public_key.as_ref()), secret_file.as_ref().or(public_key_file.as_ref())) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(path)) => read_file(path)?,
            (None, None) => return Err(KeyError::NotOneSource),
        };
        let id = id.as_deref();
        if wants_secret { Self::secret(algorithm, &text, id) } else { Self::public(algorithm, &text, id) }
    }

    /// A secret for an algorithm of [`Family::Secret`].
    pub fn secret(algorithm: Algorithm, secret: &[u8], id: Option<&str>) -> Result<Self, KeyError> {
        if algorithm.family() != Family::Secret {
            return Err(KeyError::WantsPublicKey(algorithm));
        }
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        Ok(Self::new(id, Allowed::Only(algorithm), DecodingKey::from_secret(secret)))
    }

    /// A public key in PEM for an algorithm of key pairs.
    pub fn public(algorithm: Algorithm, pem: &[u8], id: Option<&str>) -> Result<Self, KeyError> {
        expect_public_key(pem)?;
        let wrong = |wanted| KeyError::WrongKind { algorithm, wanted };
        let material = match algorithm.family() {
            Family::Secret => return Err(KeyError::WantsSecret(algorithm)),
            Family::Rsa => DecodingKey::from_rsa_pem(pem).map_err(|_| wrong(RSA)),
            Family::Ec => DecodingKey::from_ec_pem(pem).map_err(|_| wrong(curve(algorithm))),
            Family::Ed => DecodingKey::from_ed_pem(pem).map_err(|_| wrong(ED25519)),
        }?;
        Self::checked(id, Allowed::Only(algorithm), material).ok_or_else(|| {
            wrong(match algorithm.family() {
                Family::Rsa => RSA,
                Family::Ed => ED25519,
                Family::Ec | Family::Secret => curve(algorithm),
            })
        })
    }

    /// A key whose size is right for what it is allowed: a wrong one would refuse each token, without saying why.
    pub(super) fn checked(id: Option<&str>, allowed: Allowed, material: DecodingKey) -> Option<Self> {
        let right = match (allowed, Jwk::from_decoding_key(&material, None).ok()?.algorithm) {
            (Allowed::Only(algorithm), AlgorithmParameters::EllipticCurve(_)) => {
                let uncompressed_point = match algorithm {
                    Algorithm::Es256 => 65,
                    Algorithm::Es384 => 97,
                    Algorithm::Hs256
                    | Algorithm::Hs384
                    | Algorithm::Hs512
                    | Algorithm::Rs256
                    | Algorithm::Rs384
                    | Algorithm::Rs512
                    | Algorithm::EdDsa => return None,
                };
                material.try_get_as_bytes().is_ok_and(|point| point.len() == uncompressed_point)
            }
            (Allowed::Only(algorithm), AlgorithmParameters::OctetKeyPair(_)) => algorithm == Algorithm::EdDsa,
            (Allowed::Only(_) | Allowed::AnyRsa, AlgorithmParameters::RSA(rsa)) => {
                // In base64, without leading zeros: four characters for three bytes.
                let modulus_bytes = rsa.n.len() * 3 / 4;
                let is_rsa = allowed == Allowed::AnyRsa
                    || matches!(allowed, Allowed::Only(algorithm) if algorithm.family() == Family::Rsa);
                is_rsa && (Self::SMALLEST_RSA_BYTES..=Self::LARGEST_RSA_BYTES).contains(&modulus_bytes)
            }
            _ => false,
        };
        right.then(|| Self::new(id, allowed, material))
    }

    fn new(id: Option<&str>, allowed: Allowed, material: DecodingKey) -> Self {
        Self { id: id.map(Into::into), allowed, material }
    }

    /// Its id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    #[cfg(test)]
    pub(super) fn material(&self) -> &DecodingKey {
        &self.material
    }

    /// Whether a token that names `id` may be signed with it: one of the two has no id, or both have the same.
    pub(super) fn is_meant_by(&self, id: Option<&str>) -> bool {
        match (self.id(), id) {
            (Some(own), Some(named)) => own == named,
            (None, _) | (_, None) => true,
        }
    }

    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        match self.allowed {
            Allowed::Only(only) => only == algorithm,
            Allowed::AnyRsa => algorithm.family() == Family::Rsa,
        }
    }

    /// Whether `signature` (base64url) is its signature of `message`. False for an algorithm that it is not for.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        self.allows(algorithm)
            && jsonwebtoken::crypto::verify(signature, message, &self.material, algorithm.of_library()).unwrap_or(false)
    }
}

const RSA: &str = "an RSA key of 2048 to 8192 bits is wanted";
const ED25519: &str = "an Ed25519 key is wanted";

fn curve(algorithm: Algorithm) -> &'static str {
    if algorithm == Algorithm::Es384 { "a key on P-384 is wanted" } else { "a key on P-256 is wanted" }
}

/// The first PEM block must be a public key: the library would also take the wrong parts of others.
fn expect_public_key(pem: &[u8]) -> Result<(), KeyError> {
    let text = String::from_utf8_lossy(pem);
    let label = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")).map(|(label, _)| label);
    let hint = match label {
        None => return Err(KeyError::NotPem),
        Some("PUBLIC KEY" | "RSA PUBLIC KEY") => return Ok(()),
        Some("CERTIFICATE") => "openssl x509 -pubkey -noout -in FILE prints it",
        // Whoever can read the hub's configuration could sign tokens with it.
        Some(label) if label.ends_with("PRIVATE KEY") => {
            "keep the private one where tokens are made; openssl pkey -pubout -in FILE prints the public one"
        }
        Some(_) => "its first line is -----BEGIN PUBLIC KEY-----",
    };
    // Cut: what stands there may be anything.
    Err(KeyError::WrongPem { label: label.unwrap_or_default().chars().take(40).collect(), hint })
}

/// The bytes of a key's file, at most [`Key::LARGEST_FILE_BYTES`], without the end of line that editors and `echo` leave.
pub fn read_file(path: &Path) -> Result<Vec<u8>, KeyError> {
    use io::Read as _;
    let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(Key::LARGEST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > Key::LARGEST_FILE_BYTES {
        return Err(KeyError::TooLarge { path: path.to_owned() });
    }
    let kept = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(kept.strip_suffix(b"\r").unwrap_or(kept).to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Pair, token_key};
    use super::*;

    fn refusal(entry: TokenKey) -> String {
        Key::read(&entry).unwrap_err().to_string()
    }

    #[test]
    fn a_key_that_cannot_be_meant_is_refused_with_the_reason() {
        let hs = || TokenKey { secret: Some("s".repeat(32)), ..token_key(Algorithm::Hs256) };
        let pem = Pair::new(Algorithm::Es256).public_pem;
        for (entry, said) in [
            (token_key(Algorithm::Hs256), "exactly one of"),
            (TokenKey { secret_file: Some("x".into()), ..hs() }, "exactly one of"),
            (TokenKey { secret: Some(String::new()), ..hs() }, "empty"),
            (TokenKey { algorithm: Algorithm::Rs256, ..hs() }, "RS256 takes a public key"),
            (TokenKey { public_key: Some(pem.clone()), ..token_key(Algorithm::Hs256) }, "HS256 takes a secret"),
            (TokenKey { public_key: Some(pem.clone()), ..token_key(Algorithm::Es384) }, "a key on P-384 is wanted"),
            (TokenKey { public_key: Some(pem.clone()), ..token_key(Algorithm::EdDsa) }, "an Ed25519 key is wanted"),
            (TokenKey { public_key: Some(pem), ..token_key(Algorithm::Rs256) }, "an RSA key of 2048"),
            (TokenKey { public_key: Some("x".into()), ..token_key(Algorithm::Es256) }, "not PEM"),
            (TokenKey { secret_file: Some("/nowhere/s".into()), ..token_key(Algorithm::Hs256) }, "/nowhere/s"),
        ] {
            let told = refusal(entry);
            assert!(told.contains(said), "no {said:?} in {told}");
        }
    }

    #[test]
    fn a_private_key_or_a_certificate_is_told_apart_from_a_public_one() {
        let private = Pair::new(Algorithm::Es256).private_pem;
        let told = refusal(TokenKey { public_key: Some(private), ..token_key(Algorithm::Es256) });
        assert!(told.contains("PRIVATE KEY") && told.contains("openssl pkey -pubout"), "{told}");
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
        let told = refusal(TokenKey { public_key: Some(certificate), ..token_key(Algorithm::Es256) });
        assert!(told.contains("openssl x509 -pubkey"), "{told}");
    }

    #[test]
    fn a_file_is_read_without_its_end_of_line_and_not_if_it_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (written, read) in [("s\n", "s"), ("s\r\n", "s"), ("s", "s"), ("s\n\n", "s\n"), (" s ", " s ")] {
            fs::write(&path, written).unwrap();
            assert_eq!(read_file(&path).unwrap(), read.as_bytes(), "{written:?}");
        }
        let limit = usize::try_from(Key::LARGEST_FILE_BYTES).unwrap();
        fs::write(&path, vec![b'x'; limit]).unwrap();
        assert_eq!(read_file(&path).unwrap().len(), limit);
        fs::write(&path, vec![b'x'; limit + 1]).unwrap();
        assert!(matches!(read_file(&path), Err(KeyError::TooLarge { .. })));
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = Key::secret(Algorithm::Hs256, b"s3cret", Some("id")).unwrap();
        let shown = format!("{key:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("115, 51"), "{shown}");
    }
}
