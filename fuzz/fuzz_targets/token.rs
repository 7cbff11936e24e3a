//! Any text as a token, any claims under a good signature, any key set. Only the genuine token is taken, and of claims that
//! are taken the times and the user are those that another reader of JSON finds.
//!
//! The first byte says which: `t`oken, `c`laims, key `s`et.
#![no_main]

use std::sync::LazyLock;

use fanfare::identity::{
    Algorithm, ConnectionClaims, Key, Keys, Rules, SigningKey, SubscriptionClaims, Token, Verdict, verify,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: u64 = 1_700_000_000;
const SECRET: &[u8] = b"a secret of thirty-two bytes ...";

/// Made for this; nobody has kept the private keys.
const PUBLIC: [(Algorithm, &str); 3] = [
    (Algorithm::Rs256, include_str!("../keys/rsa.pem")),
    (Algorithm::Es256, include_str!("../keys/p256.pem")),
    (Algorithm::EdDsa, include_str!("../keys/ed25519.pem")),
];

struct Rig {
    keys: Keys,
    signing: SigningKey,
    genuine: String,
}

static RIG: LazyLock<Rig> = LazyLock::new(|| {
    let public = PUBLIC.map(|(algorithm, pem)| Key::public(algorithm, pem.as_bytes(), None).unwrap());
    let secret = Key::secret(Algorithm::Hs256, SECRET, None).unwrap();
    let signing = SigningKey::secret(Algorithm::Hs256, SECRET, None).unwrap();
    let genuine = signing.sign(r#"{"sub":"ada","exp":1700000100}"#).unwrap();
    Rig { keys: Keys::new(public.into_iter().chain([secret])), signing, genuine }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'c' => claims(bytes),
        b's' => {
            if let Ok(keys) = Keys::from_set(bytes) {
                assert!(keys.len() <= Keys::MOST);
                assert!(!matches!(connection(&RIG.genuine, &keys), Verdict::Valid(_)));
            }
        }
        _ => token(bytes),
    }
});

fn connection(text: &str, keys: &Keys) -> Verdict<ConnectionClaims> {
    verify(text, keys, &Rules::default(), NOW)
}

fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let verdict = connection(text, &RIG.keys);
    assert_eq!(matches!(verdict, Verdict::Valid(_)), text == RIG.genuine, "{text}");
    assert!(verdict != Verdict::Expired, "{text}");
    if let Ok(token) = Token::parse(text) {
        assert!(text.len() <= Token::LONGEST_BYTES && text.matches('.').count() == 2);
        assert!(std::str::from_utf8(token.header()).is_ok_and(|header| header.trim_ascii_start().starts_with('{')));
    }
}

fn claims(bytes: &[u8]) {
    let Ok(json) = std::str::from_utf8(bytes) else { return };
    if json.len() > Token::LONGEST_BYTES / 2 {
        return;
    }
    let token = RIG.signing.sign(json).unwrap();
    let value = serde_json::from_str::<Value>(json).ok();
    let seconds = |claim: &str| {
        let found = value.as_ref()?.get(claim)?;
        found.as_u64().or_else(|| found.as_f64().map(|seconds| seconds as u64))
    };
    match connection(&token, &RIG.keys) {
        Verdict::Valid(claims) => {
            // In claims that nobody reads the other reader is stricter: lone surrogates, numbers out of range.
            let Some(value) = value.as_ref() else { return };
            assert!(value.is_object(), "{json}");
            assert_eq!(claims.user, value.get("sub").and_then(Value::as_str).unwrap_or_default());
            assert!(seconds("exp").is_none_or(|end| end > NOW), "{json}");
            assert!(seconds("nbf").is_none_or(|begin| begin <= NOW), "{json}");
            let ends = seconds("expire_at").map_or(seconds("exp"), |end| Some(end).filter(|end| *end > 0));
            assert_eq!(claims.expires_unix, ends, "{json}");
        }
        Verdict::Expired => assert!(value.is_none() || seconds("exp").is_some_and(|end| end <= NOW), "{json}"),
        Verdict::Invalid(reason) => assert!(!reason.to_string().is_empty()),
    }
    if let Verdict::Valid(claims) = verify::<SubscriptionClaims>(&token, &RIG.keys, &Rules::default(), NOW) {
        assert!(!claims.channel.is_empty(), "{json}");
    }
}
