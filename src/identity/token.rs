//! The three parts of a token: header, claims, signature (RFC 7515, compact serialization).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::algorithm::Algorithm;
use super::keys::{Keys, Signed};
use super::verdict::{Part, Reason};

/// A token that was taken apart, and of which nothing was believed yet.
#[derive(Debug)]
pub struct Token<'t> {
    /// What was signed: header and claims, as they came.
    message: &'t [u8],
    /// As it came: base64url.
    signature: &'t str,
    algorithm: Algorithm,
    key_id: Option<String>,
    header: Vec<u8>,
    claims: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that whoever reads the token must understand (RFC 7515 §4.1.11). There is none that this one does.
    #[serde(default)]
    crit: Option<Box<RawValue>>,
}

impl<'t> Token<'t> {
    /// A longer token is refused unread.
    pub const LONGEST_BYTES: usize = 64 * 1024;

    /// Takes `text` apart.
    pub fn parse(text: &'t str) -> Result<Self, Reason> {
        if text.len() > Self::LONGEST_BYTES {
            return Err(Reason::TooLong { bytes: text.len() });
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Reason::NotThreeParts);
        };
        let message = &text.as_bytes()[..header.len() + 1 + claims.len()];
        let header = decoded(header, Part::Header)?;
        let claims = decoded(claims, Part::Claims)?;
        // Padded or not canonical, it would be a second spelling of the same token.
        decoded(signature, Part::Signature)?;
        let read: Header = read_object(&header).map_err(|what| Reason::BadHeader { what })?;
        if read.crit.is_some() {
            return Err(Reason::CriticalExtension);
        }
        let Some(algorithm) = Algorithm::from_name(&read.alg) else {
            return Err(Reason::UnknownAlgorithm { name: cut(&read.alg) });
        };
        Ok(Self { message, signature, algorithm, key_id: read.kid, header, claims })
    }

    /// The algorithm it says it was signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The id of the key it says it was signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Its header, JSON.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Its claims, as they came: perhaps JSON, and perhaps a lie.
    pub fn claims(&self) -> &[u8] {
        &self.claims
    }

    pub(super) fn signed_by(&self, keys: &Keys) -> Signed {
        keys.signed(self.key_id(), self.algorithm, self.message, self.signature)
    }

    /// Why it is not believed, if it is not.
    pub(super) fn believe(&self, signed: Signed) -> Result<(), Reason> {
        let id = || self.key_id().map(cut);
        match signed {
            Signed::Yes => Ok(()),
            Signed::No => Err(Reason::BadSignature),
            Signed::OtherAlgorithm => Err(Reason::OtherAlgorithm { algorithm: self.algorithm, id: id() }),
            Signed::UnknownKey => Err(Reason::UnknownKey { id: id() }),
        }
    }
}

fn decoded(part: &str, which: Part) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::NotBase64 { part: which })
}

/// Reads a JSON object. Not a list, which serde would take for the fields in their order.
pub(super) fn read_object<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<T, String> {
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err("not a JSON object".to_owned());
    }
    // From bytes, serde_json would pass over what is not UTF-8 in values that nobody asked for.
    let json = std::str::from_utf8(json).map_err(|_| "not UTF-8".to_owned())?;
    serde_json::from_str(json).map_err(|error| cut(&error.to_string()))
}

/// The beginning of a text that a client chose, for a log.
pub(super) fn cut(text: &str) -> String {
    const SHOWN_CHARS: usize = 120;
    text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"))
    }

    #[test]
    fn what_is_not_three_parts_of_base64_is_no_token() {
        for text in ["", ".", "a.b", "a.b.c.d", "e30.e30"] {
            assert_eq!(Token::parse(text).unwrap_err(), Reason::NotThreeParts, "{text}");
        }
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        for (text, part) in [
            ("?.e30.c2ln".to_owned(), Part::Header),
            (format!("{header}.e30=.c2ln"), Part::Claims),
            (format!("{header}.e3 0.c2ln"), Part::Claims),
            // The last character has bits that mean nothing.
            (format!("{header}.e30.c2lu_"), Part::Signature),
            (format!("{header}.e30.c2+n"), Part::Signature),
        ] {
            assert_eq!(Token::parse(&text).unwrap_err(), Reason::NotBase64 { part }, "{text}");
        }
    }

    #[test]
    fn a_header_must_be_an_object_with_an_algorithm_that_exists() {
        for header in ["", "x", "[]", r#"["HS256"]"#, "{}", r#"{"alg":1}"#, r#"{"alg":"HS256","alg":"HS512"}"#] {
            assert!(matches!(Token::parse(&token(header)), Err(Reason::BadHeader { .. })), "{header}");
        }
        for name in ["none", "None", "", "hs256", "PS256"] {
            let header = format!(r#"{{"alg":"{name}"}}"#);
            let expected = Reason::UnknownAlgorithm { name: name.to_owned() };
            assert_eq!(Token::parse(&token(&header)).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_token_with_an_extension_that_must_be_understood_is_refused() {
        let text = token(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#);
        assert_eq!(Token::parse(&text).unwrap_err(), Reason::CriticalExtension);
    }

    #[test]
    fn a_token_of_more_than_64_kib_is_not_read() {
        let dots = |length: usize| format!("{}..", "a".repeat(length - 2));
        let longest = dots(Token::LONGEST_BYTES);
        assert!(!matches!(Token::parse(&longest), Err(Reason::TooLong { .. })));
        let bytes = Token::LONGEST_BYTES + 1;
        assert_eq!(Token::parse(&dots(bytes)).unwrap_err(), Reason::TooLong { bytes });
    }
}
