//! Where the connections are whose clients speak beside them: the secrets of streams that only go down.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use uuid::Uuid;

use super::directory::Whereabouts;

/// What a request that waits for its worker costs besides its commands, about.
const REQUEST_BYTES: usize = 256;

/// Where the connections are whose clients speak by requests of their own, by the secret that each was told. As many as
/// there are such connections: an entry goes with its [`Registered`].
#[derive(Debug)]
pub struct Sessions {
    /// The standard hasher: clients choose what is looked up.
    open: DashMap<SessionKey, Arc<Session>>,
    /// Bytes that wait for workers, of all sessions.
    waiting_bytes: AtomicUsize,
    session_limit_bytes: usize,
    total_limit_bytes: usize,
}

/// A secret: who knows it speaks for its connection. 244 random bits, so that nobody guesses one, and nothing of it is in the
/// connection's id, which others see.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey(Uuid, Uuid);

impl SessionKey {
    /// A fresh one.
    pub fn random() -> Self {
        Self(Uuid::new_v4(), Uuid::new_v4())
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, second) = text.split_at_checked(32)?;
        let half = |text: &str| (text.len() == 32).then(|| Uuid::try_parse(text).ok()).flatten();
        Some(Self(half(first)?, half(second)?))
    }
}

impl fmt::Display for SessionKey {
    /// The secret itself, for its client: 64 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.simple(), self.1.simple())
    }
}

impl fmt::Debug for SessionKey {
    /// Nothing of it: it is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

#[derive(Debug)]
struct Session {
    place: Whereabouts,
    waiting_bytes: AtomicUsize,
}

/// An entry of [`Sessions`]. Dropped, the secret opens nothing any more.
#[derive(Debug)]
pub struct Registered {
    sessions: Arc<Sessions>,
    key: SessionKey,
}

/// Commands on their way to a connection: they count until this is dropped.
#[derive(Debug)]
pub struct Waiting {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
    bytes: usize,
}

/// Why commands are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// No connection has this secret; or none any more.
    Unknown,
    /// So much of it waits already that this has no room.
    SessionFull,
    /// So much of all together waits.
    AllFull,
}

impl Sessions {
    /// Nobody yet. Of one session `session_limit_bytes` may wait for its worker, of all `total_limit_bytes`.
    pub fn new(session_limit_bytes: usize, total_limit_bytes: usize) -> Arc<Self> {
        let waiting_bytes = AtomicUsize::new(0);
        Arc::new(Self { open: DashMap::new(), waiting_bytes, session_limit_bytes, total_limit_bytes })
    }

    /// A connection gets a secret.
    pub fn enter(self: &Arc<Self>, place: Whereabouts) -> Registered {
        let key = SessionKey::random();
        self.open.insert(key, Arc::new(Session { place, waiting_bytes: AtomicUsize::new(0) }));
        Registered { sessions: Arc::clone(self), key }
    }

    /// Commands of this many bytes come with the secret in `text`: where they are to go, and what counts them meanwhile.
    ///
    /// # Errors
    /// [`NotTaken`]; then nothing is counted.
    pub fn take(self: &Arc<Self>, text: &str, bytes: usize) -> Result<(Whereabouts, Waiting), NotTaken> {
        let found = SessionKey::parse(text).and_then(|key| self.open.get(&key).map(|session| Arc::clone(&session)));
        let session = found.ok_or(NotTaken::Unknown)?;
        let bytes = bytes.saturating_add(REQUEST_BYTES);
        let place = session.place;
        if !add_within(&session.waiting_bytes, bytes, self.session_limit_bytes) {
            return Err(NotTaken::SessionFull);
        }
        if !add_within(&self.waiting_bytes, bytes, self.total_limit_bytes) {
            session.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(NotTaken::AllFull);
        }
        Ok((place, Waiting { sessions: Arc::clone(self), session, bytes }))
    }

    /// Sessions that are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Bytes that wait for workers, with what each request costs besides.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }
}

impl Registered {
    /// The secret, for its client.
    pub fn key(&self) -> SessionKey {
        self.key
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.open.remove(&self.key);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.session.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.sessions.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Whether there was room for `more`, which then is counted.
fn add_within(sum: &AtomicUsize, more: usize, limit: usize) -> bool {
    let within = |sum: usize| sum.checked_add(more).filter(|&sum| sum <= limit);
    sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{ClientId, WorkerId};
    use super::*;

    fn one(place: u64) -> Whereabouts {
        Whereabouts { client: ClientId::random(), worker: WorkerId(1), place }
    }

    #[test]
    fn a_connection_is_found_by_its_secret_until_it_is_gone() {
        let sessions = Sessions::new(1000, 1000);
        let (first, second) = (one(1), one(2));
        let (a, b) = (sessions.enter(first), sessions.enter(second));
        let secret = a.key().to_string();
        assert_eq!(sessions.take(&secret, 10).unwrap().0, first);
        assert_eq!(sessions.take(&b.key().to_string(), 10).unwrap().0, second);
        drop(a);
        assert_eq!(sessions.take(&secret, 10).unwrap_err(), NotTaken::Unknown);
        assert_eq!(sessions.len(), 1);
        drop(b);
        assert!(sessions.is_empty());
    }

    #[test]
    fn nothing_but_the_secret_opens_a_session() {
        let sessions = Sessions::new(1000, 1000);
        let place = one(1);
        let registered = sessions.enter(place);
        let secret = registered.key().to_string();
        let client = place.client.to_string();
        let simple = client.replace('-', "");
        for guess in ["", "x", &secret[..63], &format!("{secret}0"), &client, &format!("{simple}{simple}"), "聊天"] {
            assert_eq!(sessions.take(guess, 0).unwrap_err(), NotTaken::Unknown, "{guess}");
        }
        assert!(!secret.contains(&simple[..8]));
        assert_eq!(format!("{:?}", registered.key()), "SessionKey(..)");
        assert!(!format!("{registered:?}").contains(&secret));
    }

    #[test]
    fn a_session_has_as_much_waiting_as_it_may_and_more_when_that_is_done() {
        let sessions = Sessions::new(2 * (REQUEST_BYTES + 10), 10_000);
        let registered = sessions.enter(one(1));
        let secret = registered.key().to_string();
        let first = sessions.take(&secret, 10).unwrap();
        let _second = sessions.take(&secret, 10).unwrap();
        assert_eq!(sessions.take(&secret, 0).unwrap_err(), NotTaken::SessionFull);
        let other = sessions.enter(one(2));
        assert!(sessions.take(&other.key().to_string(), 10).is_ok());
        drop(first);
        assert!(sessions.take(&secret, 10).is_ok());
    }

    #[test]
    fn all_together_have_a_limit_and_what_is_not_taken_is_not_counted() {
        let sessions = Sessions::new(10_000, 2 * (REQUEST_BYTES + 10));
        let (a, b) = (sessions.enter(one(1)), sessions.enter(one(2)));
        let first = sessions.take(&a.key().to_string(), 10).unwrap();
        let second = sessions.take(&b.key().to_string(), 10).unwrap();
        for _ in 0..100 {
            assert_eq!(sessions.take(&b.key().to_string(), 10).unwrap_err(), NotTaken::AllFull);
        }
        drop(first);
        assert!(sessions.take(&b.key().to_string(), 10).is_ok());
        drop(second);
        assert_eq!(sessions.waiting_bytes(), 0);
    }
}
