//! Making tokens, for the command line and for tests. The hub itself never does.

use jsonwebtoken::EncodingKey;
use serde_json::json;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::{Algorithm, Family};

/// A key that signs tokens. `Debug` never shows it.
#[derive(Debug)]
pub struct SigningKey {
    algorithm: Algorithm,
    id: Option<String>,
    material: EncodingKey,
}

/// Why nothing can be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The secret has no bytes.
    #[error("the secret is empty")]
    EmptySecret,
    /// A secret for an algorithm of key pairs.
    #[error("{0} needs a private key, not a secret")]
    NeedsPrivateKey(Algorithm),
    /// The file has no private key that is taken here.
    #[error(
        "no private key that signs {}: PEM of PKCS#8 is wanted (-----BEGIN PRIVATE KEY-----), or PKCS#1 for RSA; \
         openssl pkcs8 -topk8 -nocrypt -in FILE makes the former of others",
        .0.map_or("tokens".to_owned(), |algorithm| algorithm.to_string())
    )]
    NotAPrivateKey(Option<Algorithm>),
}

impl SigningKey {
    /// A secret, for HS256, HS384 or HS512. `id` becomes the token's `kid`.
    pub fn secret(algorithm: Algorithm, secret: &[u8], id: Option<&str>) -> Result<Self, SigningError> {
        if algorithm.family() != Family::Secret {
            return Err(SigningError::NeedsPrivateKey(algorithm));
        }
        if secret.is_empty() {
            return Err(SigningError::EmptySecret);
        }
        Ok(Self { algorithm, id: id.map(str::to_owned), material: EncodingKey::from_secret(secret) })
    }

    /// A private key in PEM; without an algorithm, the first that the key is good for: RS256, ES256, ES384, EdDSA.
    pub fn private(algorithm: Option<Algorithm>, pem: &[u8], id: Option<&str>) -> Result<Self, SigningError> {
        let usual = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];
        let tried = algorithm.as_ref().map_or(&usual[..], std::slice::from_ref);
        let fitting = tried.iter().find_map(|&algorithm| {
            let material = match algorithm.family() {
                Family::Secret => return None,
                Family::Rsa => EncodingKey::from_rsa_pem(pem),
                Family::Ec => EncodingKey::from_ec_pem(pem),
                Family::Ed => EncodingKey::from_ed_pem(pem),
            };
            let key = Self { algorithm, id: id.map(str::to_owned), material: material.ok()? };
            // Only signing tells whether the curve is the right one.
            key.sign("{}").map(|_| key)
        });
        fitting.ok_or(SigningError::NotAPrivateKey(algorithm))
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What the token names it by.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The token with these claims, which are JSON. `None` if the key is not good for its algorithm.
    pub fn sign(&self, claims: &str) -> Option<String> {
        let mut header = json!({ "alg": self.algorithm, "typ": "JWT" });
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signed = jsonwebtoken::crypto::sign(message.as_bytes(), &self.material, self.algorithm.of_library());
        signed.ok().map(|signature| format!("{message}.{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::ConnectionClaims;
    use super::super::keys::Keys;
    use super::super::testing::Pair;
    use super::super::verdict::Verdict;
    use super::super::verify::{Rules, verify};
    use super::*;

    #[test]
    fn a_private_key_signs_what_its_public_key_verifies_and_its_algorithm_is_found() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
            let pair = Pair::new(algorithm);
            let key = SigningKey::private(None, pair.private_pem.as_bytes(), Some("a")).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let token = key.sign(r#"{"sub":"u"}"#).unwrap();
            let keys = Keys::new([pair.key(Some("a"))]);
            let verdict = verify::<ConnectionClaims>(&token, &keys, &Rules::default(), 0);
            assert!(matches!(verdict, Verdict::Valid(claims) if claims.user == "u"), "{algorithm}");
        }
    }

    #[test]
    fn what_cannot_sign_is_refused() {
        let pair = Pair::new(Algorithm::Es256);
        let private =
            |algorithm, pem: &str| SigningKey::private(algorithm, pem.as_bytes(), None).map(|key| key.algorithm());
        for algorithm in [Algorithm::Es384, Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Hs256] {
            let expected = Err(SigningError::NotAPrivateKey(Some(algorithm)));
            assert_eq!(private(Some(algorithm), &pair.private_pem), expected);
        }
        assert_eq!(private(None, &pair.public_pem), Err(SigningError::NotAPrivateKey(None)));
        assert_eq!(SigningKey::secret(Algorithm::Hs256, b"", None).unwrap_err(), SigningError::EmptySecret);
        let wrong = SigningKey::secret(Algorithm::Rs256, b"x", None).unwrap_err();
        assert_eq!(wrong, SigningError::NeedsPrivateKey(Algorithm::Rs256));
    }

    #[test]
    fn a_key_that_signs_is_never_shown() {
        let key = SigningKey::secret(Algorithm::Hs256, b"s3cret", None).unwrap();
        assert!(!format!("{key:?}").contains("s3cret"));
    }
}
