//! A JSON Web Key Set (RFC 7517): the keys in it that verify tokens. Pure.

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::algorithm::{Algorithm, Family};
use super::key::{Allowed, Key};
use super::keys::Keys;
use super::token::read_object;

/// Why a set is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// No JSON object with a list of `keys`.
    #[error("not a key set: {0}")]
    NotASet(String),
    /// More than [`Keys::MOST`].
    #[error("it has {0} keys, and at most {most} are taken", most = Keys::MOST)]
    TooMany(usize),
    /// Only keys for encryption, symmetric ones, or such as are not known here.
    #[error("it has {0} keys, and none is a public key for signatures that is taken here")]
    NoneOfUse(usize),
}

#[derive(Deserialize)]
struct Set {
    /// Read one by one: a set may have keys of kinds that did not exist when this was written.
    keys: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// The keys of a set that verify tokens. What is for encryption, symmetric or unknown is left out.
    ///
    /// An empty set is a set: whoever publishes it says that nothing is good any more.
    pub fn from_set(json: &[u8]) -> Result<Self, SetError> {
        read(json)
    }
}

fn read(json: &[u8]) -> Result<Keys, SetError> {
    let set: Set = read_object(json).map_err(SetError::NotASet)?;
    if set.keys.len() > Keys::MOST {
        return Err(SetError::TooMany(set.keys.len()));
    }
    let written = set.keys.iter().filter_map(|one| read_object::<Written>(one.get().as_bytes()).ok());
    let keys = Keys::new(written.filter_map(|one| one.key()));
    if keys.is_empty() && !set.keys.is_empty() {
        return Err(SetError::NoneOfUse(set.keys.len()));
    }
    Ok(keys)
}

impl Written {
    fn key(&self) -> Option<Key> {
        let is_for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !is_for_signatures {
            return None;
        }
        let said = match &self.alg {
            None => None,
            Some(name) => Some(Algorithm::from_name(name)?),
        };
        let (family, allowed) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (Family::Rsa, said.map_or(Allowed::AnyRsa, Allowed::Only)),
            ("EC", Some("P-256")) => (Family::Ec, Allowed::Only(Algorithm::Es256)),
            ("EC", Some("P-384")) => (Family::Ec, Allowed::Only(Algorithm::Es384)),
            ("OKP", Some("Ed25519")) => (Family::Ed, Allowed::Only(Algorithm::EdDsa)),
            // Among them "oct": a secret that is published is none.
            _ => return None,
        };
        // The curve decides; an `alg` that says something else would be a mistake to follow.
        let contradicts = said.is_some_and(|said| match allowed {
            Allowed::Only(only) => said != only || said.family() != family,
            Allowed::AnyRsa => false,
        });
        if contradicts {
            return None;
        }
        let material = match family {
            Family::Rsa => DecodingKey::from_rsa_components(self.n.as_ref()?, self.e.as_ref()?),
            Family::Ec => DecodingKey::from_ec_components(self.x.as_ref()?, self.y.as_ref()?),
            Family::Ed => DecodingKey::from_ed_components(self.x.as_ref()?),
            Family::Secret => return None,
        };
        let id = self.kid.as_deref().filter(|id| !id.is_empty());
        Key::checked(id, allowed, material.ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::claims::ConnectionClaims;
    use super::super::testing::Pair;
    use super::super::verdict::Verdict;
    use super::super::verify::{Rules, verify};
    use super::*;

    fn set(keys: &[String]) -> String {
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    fn taken(token: &str, keys: &Keys) -> bool {
        matches!(verify::<ConnectionClaims>(token, keys, &Rules::default(), 0), Verdict::Valid(_))
    }

    #[test]
    fn keys_of_every_kind_verify_what_was_signed_with_them() {
        for algorithm in Algorithm::ALL.into_iter().filter(|one| one.family() != Family::Secret) {
            let (pair, other) = (Pair::new(algorithm), Pair::new(algorithm));
            let keys = read(set(&[pair.jwk("a", true), other.jwk("b", true)]).as_bytes()).unwrap();
            assert_eq!(keys.len(), 2);
            assert!(taken(&pair.sign("{}", Some("a")), &keys) && taken(&other.sign("{}", Some("b")), &keys));
            assert!(!taken(&pair.sign("{}", Some("b")), &keys), "under the id of another");
            assert!(taken(&pair.sign("{}", None), &keys), "without an id each is tried");
        }
    }

    #[test]
    fn a_key_that_does_not_say_its_algorithm_is_good_for_those_of_its_kind() {
        let rsa = Pair::new(Algorithm::Rs256);
        let keys = read(set(&[rsa.jwk("a", false)]).as_bytes()).unwrap();
        let only = read(set(&[rsa.jwk("a", true)]).as_bytes()).unwrap();
        for algorithm in [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512] {
            let token = rsa.sign_as(algorithm, "{}", Some("a"));
            assert!(taken(&token, &keys), "{algorithm}");
            assert_eq!(taken(&token, &only), algorithm == Algorithm::Rs256);
        }
        let ec = Pair::new(Algorithm::Es384);
        assert!(taken(&ec.sign("{}", None), &read(set(&[ec.jwk("a", false)]).as_bytes()).unwrap()));
    }

    #[test]
    fn what_is_not_a_public_key_for_signatures_is_left_out() {
        let good = Pair::new(Algorithm::Es256).jwk("good", true);
        for other in [
            r#"{"kty":"oct","k":"AAAA","alg":"HS256"}"#.to_owned(),
            r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#.to_owned(),
            r#"{"kty":1}"#.to_owned(),
            "7".to_owned(),
            "[]".to_owned(),
            good.replace("\"sig\"", "\"enc\""),
            good.replace("\"use\":\"sig\"", "\"key_ops\":[\"encrypt\"]"),
            good.replace("ES256", "none"),
            good.replace("ES256", "HS256"),
            good.replace("ES256", "RS256"),
            good.replace("P-256", "P-384"),
            good.replace("P-256", "secp256k1"),
            good.replace("\"x\":\"", "\"x\":\"?"),
            good.replace("\"x\":\"", "\"x\":\"AAAA"),
            good.replace("\"x\"", "\"z\""),
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
        ] {
            assert_ne!(other, good);
            let keys = read(set(&[other.clone(), good.clone()]).as_bytes()).unwrap();
            assert_eq!(keys.len(), 1, "{other}");
            assert_eq!(read(set(std::slice::from_ref(&other)).as_bytes()).unwrap_err(), SetError::NoneOfUse(1));
        }
    }

    #[test]
    fn a_set_is_an_object_with_a_list_that_may_be_empty_and_not_too_long() {
        for json in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, "<html>"] {
            assert!(matches!(read(json.as_bytes()), Err(SetError::NotASet(_))), "{json}");
        }
        assert!(read(br#"{"keys":[],"more":1}"#).unwrap().is_empty());
        let key = Pair::new(Algorithm::EdDsa).jwk("a", true);
        assert_eq!(read(set(&vec![key.clone(); Keys::MOST]).as_bytes()).unwrap().len(), Keys::MOST);
        let over = Keys::MOST + 1;
        assert_eq!(read(set(&vec![key; over]).as_bytes()).unwrap_err(), SetError::TooMany(over));
    }

    proptest! {
        #[test]
        fn any_set_is_read_without_a_panic(text in "\\PC{0,200}", kty in "RSA|EC|OKP|oct", field in "[A-Za-z0-9_-]{0,90}") {
            let _ = read(text.as_bytes());
            let key = format!(r#"{{"kty":"{kty}","crv":"P-256","x":"{field}","y":"{field}","n":"{field}","e":"{field}"}}"#);
            let _ = read(set(&[key]).as_bytes());
        }
    }
}
