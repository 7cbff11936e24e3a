//! What a worker asks about a token: the keys of the configuration and those that are fetched, behind one door.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Uri;

use super::claims::{Claims, ConnectionClaims, SubscriptionClaims};
use super::fetch::{FetchError, Fetcher};
use super::key::KeyError;
use super::keys::{Keys, Signed};
use super::remote::{Progress, Remote, Waiting};
use super::schedule::Schedule;
use super::token::Token;
use super::verdict::{Reason, Verdict};
use super::verify::{Rules, accept};
use crate::admin::counters::Counters;
use crate::config::Tokens;

/// Verifies tokens. One per process; a clone is one more reference to it.
#[derive(Debug, Clone)]
pub struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Keys,
    rules: Rules,
    remote: Option<Arc<Remote>>,
}

/// Why tokens cannot be verified as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// An entry of `tokens.keys` is of no use.
    #[error("tokens.keys[{index}]: {source}")]
    Key {
        /// Its place in the list.
        index: usize,
        /// Why.
        source: KeyError,
    },
    /// `tokens.jwks_url` is not a URL.
    #[error("tokens.jwks_url: {0}")]
    Url(hyper::http::uri::InvalidUri),
    /// `tokens.jwks_url` cannot be fetched from this machine.
    #[error("tokens.jwks_url: {0}")]
    Fetch(FetchError),
}

/// A verdict, or the way to one.
#[derive(Debug)]
#[must_use]
pub enum Checked<T> {
    /// It is known.
    Now(Verdict<T>),
    /// The key has to be fetched first. Only with `tokens.jwks_url`, and for a key id that is not known yet.
    Later(Pending<T>),
}

/// A token whose key is fetched. Dropped, it is forgotten.
pub struct Pending<T> {
    inner: Arc<Inner>,
    waiting: Waiting,
    token: Box<str>,
    now_unix: u64,
    since: Instant,
    /// Fetches that were begun before the token came: what they bring may be older than the key.
    begun_before: u64,
    /// Fetches that had ended by then.
    ended_before: u64,
    wanted: PhantomData<fn() -> T>,
}

impl Verifier {
    /// How long [`Pending::wait`] takes at most: a gap, a fetch under way, and one more.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(Schedule::GAP.as_secs() + 2 * Fetcher::TIMEOUT.as_secs());

    /// The verifier of the configuration. Blocks on the files of keys, and fetches nothing yet: see [`Verifier::run`].
    pub fn new(tokens: &Tokens) -> Result<Self, VerifierError> {
        let keys = Keys::read(&tokens.keys).map_err(|(index, source)| VerifierError::Key { index, source })?;
        Self::with_keys(keys, tokens, Fetcher::TIMEOUT)
    }

    pub(super) fn with_keys(keys: Keys, tokens: &Tokens, timeout: Duration) -> Result<Self, VerifierError> {
        let remote = match &tokens.jwks_url {
            None => None,
            Some(url) => {
                let parsed = url.parse::<Uri>().map_err(VerifierError::Url)?;
                let fetcher = Fetcher::new(parsed, timeout).map_err(VerifierError::Fetch)?;
                Some(Arc::new(Remote::new(url, fetcher, tokens.jwks_refresh.0)))
            }
        };
        Ok(Self(Arc::new(Inner { keys, rules: Rules::new(tokens), remote })))
    }

    /// Whether there is anything that a token could be verified with.
    pub fn is_configured(&self) -> bool {
        !self.0.keys.is_empty() || self.0.remote.is_some()
    }

    /// Whether there are keys to fetch, so that [`Verifier::run`] has something to do.
    pub fn fetches(&self) -> bool {
        self.0.remote.is_some()
    }

    /// Judges a connection token at `now_unix`. Never blocks; costs what [`verify`](super::verify()) does.
    pub fn connection(&self, token: &str, now_unix: u64) -> Checked<ConnectionClaims> {
        self.0.check(token, now_unix)
    }

    /// Judges a subscription token at `now_unix`, but not whose it is: see [`SubscriptionClaims::is_for`]. Never blocks.
    pub fn subscription(&self, token: &str, now_unix: u64) -> Checked<SubscriptionClaims> {
        self.0.check(token, now_unix)
    }

    /// Fetches keys when they are due, for ever; without `tokens.jwks_url` it does nothing, for ever. Run it once per
    /// process, and drop it to end it: then the keys stay as they are, and nobody waits for others.
    pub async fn run(&self, counters: &Counters) {
        match &self.0.remote {
            Some(remote) => remote.run(counters).await,
            None => std::future::pending().await,
        }
    }

    /// Fetches keys once, for programs that judge one token and end. Not beside [`Verifier::run`].
    pub async fn fetch(&self) -> Result<(), Reason> {
        match &self.0.remote {
            Some(remote) => remote.fetch_once().await.map_err(|what| Reason::KeysUnreachable { what }),
            None => Ok(()),
        }
    }
}

impl Inner {
    fn check<C: Claims>(self: &Arc<Self>, text: &str, now_unix: u64) -> Checked<C> {
        let token = match Token::parse(text) {
            Ok(token) => token,
            Err(reason) => return Checked::Now(Verdict::Invalid(reason)),
        };
        let refused = match token.believe(self.signed(&token)) {
            Ok(()) => return Checked::Now(accept(token.claims(), &self.rules, now_unix)),
            Err(reason) => reason,
        };
        let Some(remote) = &self.remote else {
            let nothing = self.keys.is_empty();
            return Checked::Now(Verdict::Invalid(if nothing { Reason::NoKeys } else { refused }));
        };
        let progress = remote.progress();
        if !self.could_be_fetched(&token, remote, &progress) {
            return Checked::Now(Verdict::Invalid(refused));
        }
        if progress.over {
            return Checked::Now(stopping());
        }
        // Asked a moment ago: it would only be waited for to hear the same.
        if let Some((what, at)) = progress.failure
            && at.elapsed() < Schedule::GAP
        {
            return Checked::Now(Verdict::Invalid(Reason::KeysUnreachable { what }));
        }
        let Some(waiting) = remote.wait() else { return Checked::Now(Verdict::Invalid(Reason::TooManyWait)) };
        Checked::Later(Pending {
            inner: Arc::clone(self),
            waiting,
            token: text.into(),
            now_unix,
            since: Instant::now(),
            begun_before: progress.begun,
            ended_before: progress.ended,
            wanted: PhantomData,
        })
    }

    fn signed(&self, token: &Token<'_>) -> Signed {
        token.signed_by(&self.keys).or(|| match &self.remote {
            Some(remote) => token.signed_by(&remote.keys()),
            None => Signed::UnknownKey,
        })
    }

    /// Whether a fetch could bring the key: the token names one that is nowhere, or none was ever fetched.
    fn could_be_fetched(&self, token: &Token<'_>, remote: &Remote, progress: &Progress) -> bool {
        match token.key_id() {
            Some(id) => !self.keys.has(id) && !remote.keys().has(id),
            None => !progress.has_keys,
        }
    }
}

fn stopping<T>() -> Verdict<T> {
    Verdict::Invalid(Reason::KeysUnreachable { what: "the hub is stopping".into() })
}

impl<T: Claims> Pending<T> {
    /// Waits for the keys, and judges the token with them; at most [`Verifier::LONGEST_WAIT`]. Cancel safe.
    pub async fn wait(mut self) -> Verdict<T> {
        match tokio::time::timeout(Verifier::LONGEST_WAIT, self.next()).await {
            Ok(verdict) => verdict,
            Err(_) => Verdict::Invalid(Reason::KeysUnreachable { what: "no keys came in time".into() }),
        }
    }

    async fn next(&mut self) -> Verdict<T> {
        loop {
            let progress = self.waiting.progress.borrow_and_update().clone();
            let token = match Token::parse(&self.token) {
                Ok(token) => token,
                Err(reason) => return Verdict::Invalid(reason),
            };
            let refused = match token.believe(self.inner.signed(&token)) {
                Ok(()) => {
                    let now_unix = self.now_unix.saturating_add(self.since.elapsed().as_secs());
                    return accept(token.claims(), &self.inner.rules, now_unix);
                }
                Err(reason) => reason,
            };
            if !self.inner.could_be_fetched(&token, self.waiting.remote(), &progress) {
                return Verdict::Invalid(refused);
            }
            match progress.failure {
                Some((what, _)) if progress.ended > self.ended_before => {
                    return Verdict::Invalid(Reason::KeysUnreachable { what });
                }
                _ if progress.over => return stopping(),
                // A set that was asked for after the token came does not have its key.
                None if progress.ended > self.begun_before => return Verdict::Invalid(refused),
                Some(_) | None => {}
            }
            // The sender lives in `waiting`, so this cannot fail.
            let _ = self.waiting.progress.changed().await;
        }
    }
}

/// Without the token: whoever has it is its user.
impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("since", &self.since).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
