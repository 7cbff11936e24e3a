//! `fanfare token inspect`.

use std::fmt::Write as _;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::arguments::InspectToken;
use super::exit::Failure;
use super::moment;
use super::output;
use super::overview::keys;
use crate::config::Tokens;
use crate::identity::{Checked, Claims, Token, Verdict, Verifier};
use crate::refusal::Refusal;

/// Prints what a token says, and what a hub with `tokens` thinks of it.
pub(super) fn inspect_token(inspect: &InspectToken, tokens: &Tokens) -> Result<(), Failure> {
    let text = if inspect.token == "-" { from_stdin()? } else { inspect.token.clone() };
    let verifier = Verifier::new(tokens).map_err(|error| Failure::Configuration(format!("fanfare: {error}")))?;
    let now_unix = moment::now_unix();
    let finding = Finding::new(text.trim(), &verifier, now_unix)?;
    let shown = if inspect.json { format!("{}\n", finding.to_json()) } else { finding.to_text(tokens, now_unix) };
    output::print(shown.as_bytes())?;
    match &finding.refused {
        None => Ok(()),
        Some((refusal, reason)) => Err(Failure::Runtime(format!("not taken: {}: {reason}", refusal.code()))),
    }
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let limit = Token::LONGEST_BYTES as u64 + 2;
    let read = io::stdin().take(limit).read_to_string(&mut text);
    read.map_err(|error| Failure::Runtime(format!("stdin: {error}")))?;
    Ok(text)
}

/// What was found out about a token.
#[derive(Debug)]
struct Finding {
    /// `None` where it cannot be read.
    header: Option<Value>,
    claims: Option<Value>,
    is_subscription: bool,
    refused: Option<(Refusal, String)>,
}

impl Finding {
    fn new(text: &str, verifier: &Verifier, now_unix: u64) -> Result<Self, Failure> {
        let mut parts = text.split('.');
        let mut part = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
        let (header, claims): (Option<Value>, Option<Value>) = (part(), part());
        let is_subscription = claims.as_ref().is_some_and(|claims| claims.get("channel").is_some());
        let refused = if is_subscription {
            refused(verifier.subscription(text, now_unix), verifier)?
        } else {
            refused(verifier.connection(text, now_unix), verifier)?
        };
        Ok(Self { header, claims, is_subscription, refused })
    }

    fn kind(&self) -> &'static str {
        if self.is_subscription { "subscription" } else { "connection" }
    }

    fn to_json(&self) -> Value {
        json!({
            "header": self.header,
            "claims": self.claims,
            "kind": self.kind(),
            "accepted": self.refused.is_none(),
            "code": self.refused.as_ref().map(|(refusal, _)| refusal.code()),
            "reason": self.refused.as_ref().map(|(_, reason)| reason),
        })
    }

    fn to_text(&self, tokens: &Tokens, now_unix: u64) -> String {
        let mut text = String::new();
        let mut row = |label: &str, what: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{label:<10}  {what}");
        };
        let unreadable = || "(cannot be read)".to_owned();
        row("header", &self.header.as_ref().map_or_else(unreadable, Value::to_string));
        let claims = self.claims.as_ref().map_or_else(unreadable, |claims| format!("{claims:#}"));
        row("claims", &claims.replace('\n', "\n            "));
        for (claim, label) in [("iat", "issued"), ("nbf", "good from"), ("exp", "good until"), ("expire_at", "ends")] {
            let Some(seconds) = self.claims.as_ref().and_then(|claims| claims.get(claim)) else { continue };
            let told = match (seconds.as_f64(), claim) {
                (Some(0.0), "expire_at") => format!("never: the {} does not end by itself", self.kind()),
                // Saturates at both ends.
                (Some(seconds), "expire_at") => {
                    format!("{}: the {}, unless it is refreshed", moment::told(seconds as u64, now_unix), self.kind())
                }
                (Some(seconds), _) => moment::told(seconds as u64, now_unix),
                (None, _) => "not a time: seconds since 1970 are wanted".to_owned(),
            };
            row(label, &told);
        }
        row("kind", &format!("a {} token", self.kind()));
        row("keys", &keys(tokens).unwrap_or("none: [tokens] of the configuration has none".to_owned()));
        match &self.refused {
            None => row("verdict", "taken"),
            Some((refusal, reason)) => {
                row("verdict", &format!("not taken: {}: {reason}", refusal.code()));
                row("", refusal.fix());
            }
        }
        text
    }
}

/// Why it is not taken; fetches keys if that could make it so.
fn refused<C: Claims>(checked: Checked<C>, verifier: &Verifier) -> Result<Option<(Refusal, String)>, Failure> {
    let verdict = match checked {
        Checked::Now(verdict) => verdict,
        Checked::Later(pending) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure::Runtime(error.to_string()))?;
            runtime.block_on(async {
                // What went wrong comes with the verdict.
                let _ = verifier.fetch().await;
                pending.wait().await
            })
        }
    };
    let refusal = verdict.refusal();
    Ok(match (verdict, refusal) {
        (Verdict::Invalid(reason), Some(refusal)) => Some((refusal, reason.to_string())),
        (Verdict::Expired, Some(refusal)) => Some((refusal, "it is over".to_owned())),
        (Verdict::Valid(_), _) | (_, None) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::identity::{Algorithm, SigningKey};

    const SECRET: &str = "a secret of thirty-two bytes ...";
    const NOW: u64 = 1_795_824_000;

    fn tokens(more: &str) -> Tokens {
        let text = format!("{more}\n[[tokens.keys]]\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\nid = \"k1\"\n");
        Config::from_toml(&text, std::path::Path::new("")).unwrap().tokens
    }

    fn sign(claims: &str) -> String {
        SigningKey::secret(Algorithm::Hs256, SECRET.as_bytes(), Some("k1")).unwrap().sign(claims).unwrap()
    }

    fn find(text: &str, tokens: &Tokens) -> Finding {
        Finding::new(text, &Verifier::new(tokens).unwrap(), NOW).unwrap()
    }

    #[test]
    fn a_token_that_is_taken_is_shown_with_its_times_in_words() {
        let tokens = tokens("");
        let token = sign(&format!(r#"{{"sub":"ada","iat":{},"exp":{},"expire_at":0}}"#, NOW - 300, NOW + 3_300));
        let finding = find(&token, &tokens);
        assert_eq!(finding.refused, None);
        let text = finding.to_text(&tokens, NOW);
        for said in [
            r#"header      {"alg":"HS256","kid":"k1","typ":"JWT"}"#,
            "\"sub\": \"ada\"",
            "issued      2026-11-27 23:55:00 UTC, 5 minutes ago",
            "good until  2026-11-28 00:55:00 UTC, in 55 minutes",
            "ends        never",
            "a connection token",
            "HS256 (k1)",
            "verdict     taken\n",
        ] {
            assert!(text.contains(said), "no {said:?} in\n{text}");
        }
        assert_eq!(finding.to_json()["accepted"], true);
        assert_eq!(finding.to_json()["claims"]["sub"], "ada");
    }

    #[test]
    fn a_token_that_is_not_taken_is_shown_all_the_same_and_exactly_why() {
        let wants_audience = tokens("tokens.audience = \"push\"");
        let tokens = tokens("");
        let good = sign("{}");
        for (token, tokens, code, said) in [
            (sign(r#"{"exp":1}"#), &tokens, "token-expired", "over"),
            (sign(r#"{"aud":"shop"}"#), &wants_audience, "token-not-for-this", "\"shop\""),
            (sign(r#"{"nbf":9999999999}"#), &tokens, "token-not-yet", "nbf"),
            (format!("{}x", &good[..good.len() - 1]), &tokens, "token-", "signature"),
            (sign(r#"{"sub":7}"#), &tokens, "token-malformed", "claims cannot be read"),
            (good.clone(), &Tokens::default(), "token-key-unknown", "no key is configured"),
            ("nonsense".to_owned(), &tokens, "token-malformed", "three parts"),
            ("eyJhbGciOiJub25lIn0.e30.".to_owned(), &tokens, "token-key-unknown", "\"none\" is not taken"),
        ] {
            let finding = find(&token, tokens);
            let text = finding.to_text(tokens, NOW);
            let verdict = text.lines().find(|line| line.starts_with("verdict")).unwrap();
            assert!(verdict.contains(code) && verdict.contains(said), "{token}\n{text}");
            assert_eq!(finding.to_json()["accepted"], false);
            assert!(finding.to_json()["code"].as_str().unwrap().starts_with(code));
        }
    }

    #[test]
    fn a_token_with_a_channel_is_judged_as_one_of_a_subscription() {
        let tokens = tokens("");
        let finding = find(&sign(r#"{"sub":"ada","channel":"news"}"#), &tokens);
        assert_eq!((finding.kind(), &finding.refused), ("subscription", &None));
        let empty = find(&sign(r#"{"channel":""}"#), &tokens);
        assert!(empty.refused.is_some_and(|(_, reason)| reason.contains("no channel")));
    }

    #[test]
    fn keys_that_cannot_be_fetched_are_the_reason_if_the_token_needs_them() {
        // Port 1 of this machine: nobody listens there.
        let tokens = tokens("tokens.jwks_url = \"http://127.0.0.1:1/\"");
        assert_eq!(find(&sign("{}"), &tokens).refused, None);
        let other = SigningKey::secret(Algorithm::Hs256, b"x", Some("k2")).unwrap().sign("{}").unwrap();
        let (refusal, reason) = find(&other, &tokens).refused.unwrap();
        assert_eq!(refusal, Refusal::TokenKeysUnreachable);
        assert!(reason.contains("refused"), "{reason}");
    }
}
