//! Whether a token holds now. Pure.

use super::claims::{Bounds, Claims};
use super::keys::Keys;
use super::token::{Token, cut};
use super::verdict::{Reason, Verdict};
use crate::config::Tokens;

/// What `[tokens]` wants of every token, besides a signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What `aud` must be, or have in it.
    pub audience: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// Seconds that clocks may differ: `exp` may be over for less than these, `nbf` may begin within them.
    pub leeway_secs: u64,
}

impl Rules {
    /// The rules of the configuration.
    pub fn new(tokens: &Tokens) -> Self {
        Self {
            audience: tokens.audience.clone(),
            issuer: tokens.issuer.clone(),
            leeway_secs: tokens.leeway.0.as_secs(),
        }
    }
}

/// What is thought of `text` at `now_unix`, with these keys and rules.
///
/// Costs a signature check per key that the token could mean, and nothing but text for a token that means none.
pub fn verify<C: Claims>(text: &str, keys: &Keys, rules: &Rules, now_unix: u64) -> Verdict<C> {
    let token = match Token::parse(text) {
        Ok(token) => token,
        Err(reason) => return Verdict::Invalid(reason),
    };
    if keys.is_empty() {
        return Verdict::Invalid(Reason::NoKeys);
    }
    match token.believe(token.signed_by(keys)) {
        Ok(()) => accept(token.claims(), rules, now_unix),
        Err(reason) => Verdict::Invalid(reason),
    }
}

/// What is thought of claims whose signature was checked.
///
/// The end comes last: of a token that is over *and* for somebody else, a new one would not be any better.
pub(super) fn accept<C: Claims>(json: &[u8], rules: &Rules, now_unix: u64) -> Verdict<C> {
    let (claims, bounds) = match C::read(json) {
        Ok(read) => read,
        Err(reason) => return Verdict::Invalid(reason),
    };
    if let Err(reason) = meant_for_us(&bounds, rules) {
        return Verdict::Invalid(reason);
    }
    if let Some(not_before_unix) = bounds.begins_unix()
        && not_before_unix > now_unix.saturating_add(rules.leeway_secs)
    {
        return Verdict::Invalid(Reason::NotYet { not_before_unix, now_unix });
    }
    match bounds.ends_unix() {
        // At that second and after it (RFC 7519 §4.1.4).
        Some(end) if end.saturating_add(rules.leeway_secs) <= now_unix => Verdict::Expired,
        Some(_) | None => Verdict::Valid(claims),
    }
}

fn meant_for_us(bounds: &Bounds, rules: &Rules) -> Result<(), Reason> {
    if let Some(wanted) = &rules.audience
        && !bounds.audience().contains(wanted)
    {
        let found = match bounds.audience() {
            [] => "no audience (aud)".to_owned(),
            names => cut(&format!("{names:?}")),
        };
        return Err(Reason::WrongAudience { wanted: wanted.clone(), found });
    }
    if let Some(wanted) = &rules.issuer
        && bounds.issuer() != Some(wanted)
    {
        let found = bounds.issuer().map_or_else(|| "no issuer (iss)".to_owned(), |name| cut(&format!("{name:?}")));
        return Err(Reason::WrongIssuer { wanted: wanted.clone(), found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::super::algorithm::{Algorithm, Family};
    use super::super::claims::{ConnectionClaims, SubscriptionClaims};
    use super::super::key::Key;
    use super::super::testing::{self, Pair};
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn check(text: &str, keys: &Keys, rules: &Rules) -> Verdict<ConnectionClaims> {
        verify(text, keys, rules, NOW)
    }

    fn keys(all: impl IntoIterator<Item = Key>) -> Keys {
        Keys::new(all)
    }

    fn invalid<T>(verdict: Verdict<T>) -> Reason {
        match verdict {
            Verdict::Invalid(reason) => reason,
            Verdict::Valid(_) => panic!("it was taken"),
            Verdict::Expired => panic!("it is only expired"),
        }
    }

    #[test]
    fn a_token_of_each_algorithm_is_taken_with_its_key_and_with_no_other() {
        let pairs = Algorithm::ALL.map(|algorithm| (Pair::new(algorithm), Pair::new(algorithm)));
        for (pair, other) in &pairs {
            let token = pair.sign(r#"{"sub":"u1"}"#, Some("k1"));
            for id in [None, Some("k1")] {
                let verdict = check(&token, &keys([pair.key(id)]), &Rules::default());
                let Verdict::Valid(claims) = verdict else { panic!("{}: {verdict:?}", pair.algorithm) };
                assert_eq!(claims.user, "u1");
            }
            assert_eq!(invalid(check(&token, &keys([other.key(None)]), &Rules::default())), Reason::BadSignature);
            let id = Some("k1".to_owned());
            let unknown = check(&token, &keys([pair.key(Some("k2"))]), &Rules::default());
            assert_eq!(invalid(unknown), Reason::UnknownKey { id: id.clone() });
            let expected = Reason::OtherAlgorithm { algorithm: pair.algorithm, id };
            for (foreign, _) in pairs.iter().filter(|(foreign, _)| foreign.algorithm != pair.algorithm) {
                let verdict = check(&token, &keys([foreign.key(Some("k1"))]), &Rules::default());
                assert_eq!(invalid(verdict), expected, "a key for {}", foreign.algorithm);
            }
        }
    }

    #[test]
    fn a_public_key_is_never_taken_for_a_secret() {
        for pair in Algorithm::ALL.map(Pair::new).iter().filter(|pair| pair.algorithm.family() != Family::Secret) {
            // What everyone may know, as the secret of a token that claims to be signed with one.
            for secret in [pair.public_pem.as_bytes(), pair.public_pem.trim().as_bytes(), &pair.public_bytes()] {
                for forged in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
                    let token = testing::sign_with_secret(forged, secret, r#"{"sub":"admin"}"#, None);
                    let keys = keys([pair.key(None)]);
                    let expected = Reason::OtherAlgorithm { algorithm: forged, id: None };
                    assert_eq!(invalid(check(&token, &keys, &Rules::default())), expected, "{}", pair.algorithm);
                    // Also not beside a key that is for this algorithm.
                    let both = Keys::new([pair.key(None), Pair::new(forged).key(None)]);
                    assert_eq!(invalid(check(&token, &both, &Rules::default())), Reason::BadSignature);
                }
            }
        }
    }

    #[test]
    fn a_token_that_says_none_is_refused_with_and_without_a_signature() {
        let pair = Pair::new(Algorithm::Hs256);
        let signed = pair.sign(r#"{"sub":"admin"}"#, None);
        let signature = signed.rsplit('.').next().unwrap();
        for name in ["none", "None", "NONE", "nOnE"] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}"}}"#));
            let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"admin"}"#);
            for signature in ["", signature] {
                let token = format!("{header}.{claims}.{signature}");
                let reason = invalid(check(&token, &keys([pair.key(None)]), &Rules::default()));
                assert_eq!(reason, Reason::UnknownAlgorithm { name: name.to_owned() });
            }
        }
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        assert_eq!(invalid(check(&unsigned, &keys([pair.key(None)]), &Rules::default())), Reason::BadSignature);
    }

    #[test]
    fn several_keys_are_good_at_once_so_that_one_can_be_replaced() {
        let (old, new) = (Pair::new(Algorithm::Hs256), Pair::new(Algorithm::Hs256));
        let both = keys([new.key(None), old.key(None)]);
        let only_new = keys([new.key(None)]);
        for (pair, keys, taken) in [(&old, &both, true), (&new, &both, true), (&old, &only_new, false)] {
            let verdict = check(&pair.sign("{}", None), keys, &Rules::default());
            assert_eq!(matches!(verdict, Verdict::Valid(_)), taken);
        }
    }

    #[test]
    fn without_a_key_nothing_is_taken() {
        let token = Pair::new(Algorithm::Hs256).sign("{}", None);
        assert_eq!(invalid(check(&token, &Keys::default(), &Rules::default())), Reason::NoKeys);
    }

    #[test]
    fn a_token_is_over_at_its_last_second_and_leeway_moves_that() {
        let pair = Pair::new(Algorithm::Hs256);
        let keys = keys([pair.key(None)]);
        let rules = |leeway_secs| Rules { leeway_secs, ..Rules::default() };
        for (exp, leeway, over) in [
            (NOW + 1, 0, false),
            (NOW, 0, true),
            (NOW - 1, 0, true),
            (NOW, 1, false),
            (NOW - 4, 5, false),
            (NOW - 5, 5, true),
            (0, 0, true),
            (u64::MAX, u64::MAX, false),
        ] {
            let token = pair.sign(&format!(r#"{{"exp":{exp}}}"#), None);
            let verdict = check(&token, &keys, &rules(leeway));
            assert_eq!(verdict == Verdict::Expired, over, "{exp} {leeway}");
            assert_eq!(matches!(verdict, Verdict::Valid(_)), !over, "{exp} {leeway}");
        }
        // `expire_at` is about the connection: it neither ends nor prolongs the token.
        let late = pair.sign(&format!(r#"{{"exp":{},"expire_at":{}}}"#, NOW - 1, NOW + 99), None);
        assert_eq!(check(&late, &keys, &rules(0)), Verdict::Expired);
        let early = pair.sign(&format!(r#"{{"exp":{},"expire_at":{}}}"#, NOW + 99, NOW - 1), None);
        assert!(matches!(check(&early, &keys, &rules(0)), Verdict::Valid(_)));
    }

    #[test]
    fn a_token_does_not_hold_before_its_first_second() {
        let pair = Pair::new(Algorithm::Hs256);
        let keys = keys([pair.key(None)]);
        for (nbf, leeway_secs, early) in
            [(NOW, 0, false), (NOW + 1, 0, true), (NOW + 5, 5, false), (NOW + 6, 5, true), (u64::MAX, 0, true)]
        {
            let token = pair.sign(&format!(r#"{{"nbf":{nbf}}}"#), None);
            let verdict = check(&token, &keys, &Rules { leeway_secs, ..Rules::default() });
            let expected = Verdict::Invalid(Reason::NotYet { not_before_unix: nbf, now_unix: NOW });
            assert_eq!(verdict == expected, early, "{nbf} {leeway_secs}");
        }
    }

    #[test]
    fn audience_and_issuer_are_compared_whole_where_the_configuration_has_them() {
        let pair = Pair::new(Algorithm::Hs256);
        let keys = keys([pair.key(None)]);
        let rules = Rules { audience: Some("hub".into()), issuer: Some("shop".into()), leeway_secs: 0 };
        for (json, code) in [
            (r#"{"aud":"hub","iss":"shop"}"#, None),
            (r#"{"aud":["x","hub"],"iss":"shop"}"#, None),
            (r#"{"aud":"hub2","iss":"shop"}"#, Some("aud")),
            (r#"{"aud":["x"],"iss":"shop"}"#, Some("aud")),
            (r#"{"aud":[],"iss":"shop"}"#, Some("aud")),
            (r#"{"iss":"shop"}"#, Some("aud")),
            (r#"{"aud":"hub","iss":"Shop"}"#, Some("iss")),
            (r#"{"aud":"hub"}"#, Some("iss")),
            // For somebody else and over: the first, since a new one would be refused, too.
            (r#"{"aud":"other","exp":1}"#, Some("aud")),
        ] {
            let token = pair.sign(json, None);
            let found = match check(&token, &keys, &rules) {
                Verdict::Valid(_) => None,
                Verdict::Invalid(Reason::WrongAudience { .. }) => Some("aud"),
                Verdict::Invalid(Reason::WrongIssuer { .. }) => Some("iss"),
                other => panic!("{json}: {other:?}"),
            };
            assert_eq!(found, code, "{json}");
            assert!(matches!(check(&token, &keys, &Rules::default()), Verdict::Valid(_) | Verdict::Expired), "{json}");
        }
    }

    #[test]
    fn claims_are_read_after_the_signature_only() {
        let (pair, other) = (Pair::new(Algorithm::Hs256), Pair::new(Algorithm::Hs256));
        let token = pair.sign("not json", None);
        assert_eq!(invalid(check(&token, &keys([other.key(None)]), &Rules::default())), Reason::BadSignature);
        let reason = invalid(check(&token, &keys([pair.key(None)]), &Rules::default()));
        assert!(matches!(reason, Reason::BadClaims { .. }));
        let subscription = verify::<SubscriptionClaims>(
            &pair.sign(r#"{"sub":"u","channel":"c"}"#, None),
            &keys([pair.key(None)]),
            &Rules::default(),
            NOW,
        );
        assert!(matches!(subscription, Verdict::Valid(claims) if claims.channel == "c"));
    }

    #[test]
    fn no_bit_of_a_token_can_be_flipped() {
        for pair in Algorithm::ALL.map(Pair::new) {
            let keys = keys([pair.key(None)]);
            let token = pair.sign(&format!(r#"{{"sub":"u1","exp":{}}}"#, NOW + 9), Some("k"));
            assert!(matches!(check(&token, &keys, &Rules::default()), Verdict::Valid(_)));
            for at in 0..token.len() {
                for bit in 0..8 {
                    let mut bytes = token.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let Ok(flipped) = String::from_utf8(bytes) else { continue };
                    let verdict = check(&flipped, &keys, &Rules::default());
                    assert!(matches!(verdict, Verdict::Invalid(_)), "{}: byte {at}, bit {bit}", pair.algorithm);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_token_that_was_changed_anywhere_does_not_verify(
            at in any::<prop::sample::Index>(), cut in 0usize..6, put in "[A-Za-z0-9._=-]{0,6}",
        ) {
            let pair = testing::fixed_secret();
            let token = pair.sign(r#"{"sub":"u1","info":{"a":1}}"#, None);
            let from = at.index(token.len());
            let to = (from + cut).min(token.len());
            let changed = format!("{}{put}{}", &token[..from], &token[to..]);
            prop_assume!(changed != token);
            let verdict = check(&changed, &keys([pair.key(None)]), &Rules::default());
            prop_assert!(matches!(verdict, Verdict::Invalid(_)), "{changed}");
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text in "\\PC{0,200}") {
            let pair = testing::fixed_secret();
            let verdict = check(&text, &keys([pair.key(None)]), &Rules::default());
            prop_assert!(matches!(verdict, Verdict::Invalid(_)));
        }

        #[test]
        fn any_claims_under_a_good_signature_are_judged_without_a_panic(json in "\\PC{0,200}") {
            let pair = testing::fixed_secret();
            let keys = keys([pair.key(None)]);
            let token = pair.sign(&json, None);
            let _ = check(&token, &keys, &Rules::default());
            let _ = verify::<SubscriptionClaims>(&token, &keys, &Rules::default(), NOW);
        }
    }
}
