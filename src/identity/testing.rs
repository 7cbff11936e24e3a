//! Keys and tokens for tests.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use rcgen::{KeyPair, PublicKeyData as _};

use super::algorithm::{Algorithm, Family};
use super::key::Key;
use crate::config::TokenKey;

/// A key that signs, and what verifies it.
pub(crate) struct Pair {
    pub(crate) algorithm: Algorithm,
    secret: Vec<u8>,
    pub(crate) public_pem: String,
    pub(crate) private_pem: String,
    public_bytes: Vec<u8>,
}

impl Pair {
    /// A fresh one. One for RSA takes a tenth of a second.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let mut pair = Self {
            algorithm,
            secret: Vec::new(),
            public_pem: String::new(),
            private_pem: String::new(),
            public_bytes: Vec::new(),
        };
        let kind = match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                pair.secret = uuid::Uuid::new_v4().as_bytes().repeat(2);
                return pair;
            }
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => &rcgen::PKCS_RSA_SHA256,
            Algorithm::Es256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::Es384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDsa => &rcgen::PKCS_ED25519,
        };
        let generated = KeyPair::generate_for(kind).unwrap();
        pair.public_pem = generated.public_key_pem();
        pair.private_pem = generated.serialize_pem();
        pair.public_bytes = generated.der_bytes().to_vec();
        pair
    }

    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        self.public_bytes.clone()
    }

    /// What verifies it, under this id.
    pub(crate) fn key(&self, id: Option<&str>) -> Key {
        match self.algorithm.family() {
            Family::Secret => Key::secret(self.algorithm, &self.secret, id).unwrap(),
            Family::Rsa | Family::Ec | Family::Ed => {
                Key::public(self.algorithm, self.public_pem.as_bytes(), id).unwrap()
            }
        }
    }

    /// What verifies it, as a key set has it; with `alg` or without.
    pub(crate) fn jwk(&self, id: &str, says_algorithm: bool) -> String {
        let key = self.key(None);
        let algorithm = says_algorithm.then(|| self.algorithm.of_library());
        let mut jwk = serde_json::to_value(Jwk::from_decoding_key(key.material(), algorithm).unwrap()).unwrap();
        jwk["kid"] = id.into();
        jwk["use"] = "sig".into();
        jwk.to_string()
    }

    /// A token with these claims, whatever they are.
    pub(crate) fn sign(&self, claims: &str, id: Option<&str>) -> String {
        self.sign_as(self.algorithm, claims, id)
    }

    /// The same with another algorithm of its family.
    pub(crate) fn sign_as(&self, algorithm: Algorithm, claims: &str, id: Option<&str>) -> String {
        let pem = self.private_pem.as_bytes();
        let key = match self.algorithm.family() {
            Family::Secret => EncodingKey::from_secret(&self.secret),
            Family::Rsa => EncodingKey::from_rsa_pem(pem).unwrap(),
            Family::Ec => EncodingKey::from_ec_pem(pem).unwrap(),
            Family::Ed => EncodingKey::from_ed_pem(pem).unwrap(),
        };
        sign(algorithm, &key, claims, id)
    }
}

/// The same each time, so that what a property test found can be found again.
pub(crate) fn fixed_secret() -> Pair {
    let secret = b"a secret of thirty-two bytes ...".to_vec();
    Pair { secret, public_bytes: Vec::new(), ..Pair::new(Algorithm::Hs256) }
}

pub(crate) fn sign_with_secret(algorithm: Algorithm, secret: &[u8], claims: &str, id: Option<&str>) -> String {
    sign(algorithm, &EncodingKey::from_secret(secret), claims, id)
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!(r#","kid":{id:?}"#)).unwrap_or_default();
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"{id}}}"#);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm.of_library()).unwrap();
    format!("{message}.{signature}")
}

/// An entry of `tokens.keys` with no key yet.
pub(crate) fn token_key(algorithm: Algorithm) -> TokenKey {
    let no_file: Option<PathBuf> = None;
    TokenKey {
        algorithm,
        secret: None,
        secret_file: no_file.clone(),
        public_key: None,
        public_key_file: no_file,
        id: None,
    }
}
