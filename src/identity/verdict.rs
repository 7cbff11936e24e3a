//! What is thought of a token.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::token::Token;
use crate::refusal::Refusal;

/// What is thought of a token.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Verdict<T> {
    /// It holds; this is what it says.
    Valid(T),
    /// It was good once: the client is to get a new one (error 109).
    Expired,
    /// It does not hold.
    Invalid(Reason),
}

/// Why a token does not hold. For the log: a client is told no more than [`Reason::refusal`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It is over [`Token::LONGEST_BYTES`].
    #[error("the token has {bytes} bytes, and at most {} are read", Token::LONGEST_BYTES)]
    TooLong {
        /// What it has.
        bytes: usize,
    },
    /// Not `header.claims.signature`.
    #[error("not a token: three parts with dots between them are wanted")]
    NotThreeParts,
    /// A part is not base64url, or not as it is written canonically.
    #[error("{part} is not base64url without padding")]
    NotBase64 {
        /// Which.
        part: Part,
    },
    /// The header cannot be read.
    #[error("the header cannot be read: {what}")]
    BadHeader {
        /// What is wrong with it.
        what: String,
    },
    /// `crit` names extensions, and none is understood here.
    #[error("the header says that an extension (crit) must be understood, and none is")]
    CriticalExtension,
    /// `alg` is `none`, or nothing that is known here.
    #[error("the algorithm {name:?} is not taken")]
    UnknownAlgorithm {
        /// What the header says.
        name: String,
    },
    /// Neither `tokens.keys` nor `tokens.jwks_url` is there.
    #[error("no key is configured ([tokens])")]
    NoKeys,
    /// `kid` names a key that is not there, or none could be meant.
    #[error("{}", match id {
        Some(id) => format!("no key has the id {id:?}"),
        None => "there is no key that it could be signed with".to_owned(),
    })]
    UnknownKey {
        /// `kid`.
        id: Option<String>,
    },
    /// The keys that are meant are for other algorithms.
    #[error("{} for {algorithm}", match id {
        Some(id) => format!("the key {id:?} is not"),
        None => "no key is".to_owned(),
    })]
    OtherAlgorithm {
        /// What the header says.
        algorithm: Algorithm,
        /// `kid`.
        id: Option<String>,
    },
    /// The key that is meant did not make this signature: another secret, or a token that was changed.
    #[error("the signature is not that of the key: another key or secret, or the token was changed")]
    BadSignature,
    /// The claims cannot be read.
    #[error("the claims cannot be read: {what}")]
    BadClaims {
        /// What is wrong with them.
        what: String,
    },
    /// `aud` is not `tokens.audience`.
    #[error("it is for {found}, and tokens.audience is {wanted:?}")]
    WrongAudience {
        /// `tokens.audience`.
        wanted: String,
        /// `aud`.
        found: String,
    },
    /// `iss` is not `tokens.issuer`.
    #[error("it is from {found}, and tokens.issuer is {wanted:?}")]
    WrongIssuer {
        /// `tokens.issuer`.
        wanted: String,
        /// `iss`.
        found: String,
    },
    /// `nbf` is later than now.
    #[error(
        "it is not valid before {not_before_unix} (nbf), and it is {now_unix}; tokens.leeway is for clocks that differ"
    )]
    NotYet {
        /// `nbf`.
        not_before_unix: u64,
        /// Now.
        now_unix: u64,
    },
    /// A subscription token of another user, topic or connection.
    #[error("it is for the {what} {found:?}")]
    OfAnother {
        /// `user`, `channel` or `client`.
        what: &'static str,
        /// Whose it is.
        found: String,
    },
    /// Its key may be at `tokens.jwks_url`, which does not answer.
    #[error("tokens.jwks_url: {what}")]
    KeysUnreachable {
        /// What went wrong.
        what: Arc<str>,
    },
    /// Its key may be at `tokens.jwks_url`, and too many others wait for that.
    #[error("too many tokens wait for tokens.jwks_url")]
    TooManyWait,
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header,
    /// The second.
    Claims,
    /// The third.
    Signature,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "the header",
            Self::Claims => "the part with the claims",
            Self::Signature => "the signature",
        })
    }
}

impl<T> Verdict<T> {
    /// The refusal that it comes to, if it is one.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Valid(_) => None,
            Self::Expired => Some(Refusal::TokenExpired),
            Self::Invalid(reason) => Some(reason.refusal()),
        }
    }
}

impl Reason {
    /// The code that it is counted and explained under.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::TooLong { .. }
            | Self::NotThreeParts
            | Self::NotBase64 { .. }
            | Self::BadHeader { .. }
            | Self::CriticalExtension
            | Self::BadClaims { .. } => Refusal::TokenMalformed,
            Self::UnknownAlgorithm { .. } | Self::NoKeys | Self::UnknownKey { .. } | Self::OtherAlgorithm { .. } => {
                Refusal::TokenKeyUnknown
            }
            Self::BadSignature => Refusal::TokenSignature,
            Self::WrongAudience { .. } | Self::WrongIssuer { .. } | Self::OfAnother { .. } => Refusal::TokenNotForThis,
            Self::NotYet { .. } => Refusal::TokenNotYet,
            Self::KeysUnreachable { .. } | Self::TooManyWait => Refusal::TokenKeysUnreachable,
        }
    }

    /// Whether the same token may hold a moment later: then the client is to come back, not to give up.
    pub fn is_temporary(&self) -> bool {
        self.refusal() == Refusal::TokenKeysUnreachable
    }
}
