//! Users and tokens that are shut out although their tokens hold: blocked, revoked, or issued too early.
//!
//! In this process's memory: a restart forgets them, and another node does not know them. Time comes in.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};

/// Who is shut out, and until when. Written by the API, read by workers: a read is a few lookups under a shared lock, and
/// one atomic load while nobody is shut out.
#[derive(Debug)]
pub struct Revocations {
    limit: usize,
    count: AtomicUsize,
    entries: RwLock<Entries>,
}

/// Whom, or which token, an entry shuts out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shut {
    /// A user, whatever the token.
    User(Arc<str>),
    /// The token with this `jti`.
    Id(Arc<str>),
    /// This one token.
    Token(Fingerprint),
    /// Tokens of a user that were issued before a time, on one topic or everywhere.
    Issued {
        /// The user.
        user: Arc<str>,
        /// The topic; `None` is every topic, and the connection itself.
        channel: Option<Arc<str>>,
    },
}

/// SHA-256 of a token: what is kept of one that has no `jti`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// What a client has shown.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// Its user.
    pub user: &'a str,
    /// The token's `jti`.
    pub id: Option<&'a str>,
    /// The token's `iat`. One that does not say when it was issued counts as older than any time.
    pub issued_unix: Option<u64>,
    /// The token.
    pub fingerprint: Option<Fingerprint>,
    /// The topic that it is for, if it is a subscription token.
    pub channel: Option<&'a str>,
}

/// Whether a client may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Standing {
    /// It may.
    Allowed,
    /// Its user is blocked.
    Blocked,
    /// Its token is no longer good, another of the same user may be.
    Revoked,
}

/// Whether an entry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It was, or one that was there lasts longer now.
    Done,
    /// There is no room: every entry that is there still counts, and none was given up for this one.
    Full,
    /// A user, an id or a topic of more than [`Revocations::LONGEST_BYTES`].
    TooLong,
}

#[derive(Debug, Default)]
struct Entries {
    all: HashMap<Shut, Entry>,
    /// The same in the order of their ends.
    ends: BTreeSet<(u64, Shut)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    until_unix: u64,
    /// For [`Shut::Issued`]: tokens issued before this.
    before_unix: u64,
}

impl Revocations {
    /// Entries in all: about 30 MB if every user name is of 100 bytes.
    pub const LIMIT: usize = 100_000;

    /// Bytes of a user, an id or a topic in an entry; longer ones are not kept, as no token that is read has them.
    pub const LONGEST_BYTES: usize = 1024;

    /// What stands for "until it is taken back".
    pub const FOR_EVER: u64 = u64::MAX;

    /// Ended entries that one write clears away: more than it adds, and never so many that readers would notice.
    const CLEARED_AT_ONCE: usize = 16;

    /// Nobody is shut out; at most `limit` entries.
    pub fn new(limit: usize) -> Self {
        Self { limit, count: AtomicUsize::new(0), entries: RwLock::default() }
    }

    /// Blocks a user until `until_unix`. A longer block that is there already is shortened: the last word counts.
    pub fn block(&self, user: &str, until_unix: u64, now_unix: u64) -> Written {
        self.write(Shut::User(user.into()), Entry { until_unix, before_unix: 0 }, now_unix)
    }

    /// Takes the block of a user back. Tokens that were revoked stay so.
    pub fn unblock(&self, user: &str) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&Shut::User(user.into()));
        self.count.store(entries.all.len(), Ordering::Release);
    }

    /// Revokes the token with this `jti` until `until_unix`, which need not be after the token's end.
    pub fn revoke_id(&self, id: &str, until_unix: u64, now_unix: u64) -> Written {
        self.write(Shut::Id(id.into()), Entry { until_unix, before_unix: 0 }, now_unix)
    }

    /// Revokes one token until `until_unix`, which need not be after the token's end.
    pub fn revoke_token(&self, token: Fingerprint, until_unix: u64, now_unix: u64) -> Written {
        self.write(Shut::Token(token), Entry { until_unix, before_unix: 0 }, now_unix)
    }

    /// Revokes all tokens of a user that were issued before `before_unix`, or only those for subscriptions of `channel`;
    /// until `until_unix`. Of two such times the later one counts.
    pub fn revoke_issued_before(
        &self,
        user: &str,
        channel: Option<&str>,
        before_unix: u64,
        until_unix: u64,
        now_unix: u64,
    ) -> Written {
        let shut = Shut::Issued { user: user.into(), channel: channel.map(Into::into) };
        self.write(shut, Entry { until_unix, before_unix }, now_unix)
    }

    fn write(&self, shut: Shut, mut entry: Entry, now_unix: u64) -> Written {
        if entry.until_unix <= now_unix && !matches!(shut, Shut::User(_)) {
            return Written::Done;
        }
        if !shut.is_kept() {
            return Written::TooLong;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.clear_ended(now_unix, Self::CLEARED_AT_ONCE);
        if let Some(there) = entries.all.get(&shut) {
            match shut {
                Shut::User(_) => {}
                // A token does not become good again by being revoked once more.
                Shut::Id(_) | Shut::Token(_) | Shut::Issued { .. } => {
                    entry.until_unix = entry.until_unix.max(there.until_unix);
                    entry.before_unix = entry.before_unix.max(there.before_unix);
                }
            }
            entries.remove(&shut);
        } else if entries.all.len() >= self.limit {
            self.count.store(entries.all.len(), Ordering::Release);
            return Written::Full;
        }
        if entry.until_unix > now_unix {
            entries.ends.insert((entry.until_unix, shut.clone()));
            entries.all.insert(shut, entry);
        }
        self.count.store(entries.all.len(), Ordering::Release);
        Written::Done
    }

    /// Whether a client that shows this may come in at `now_unix`.
    pub fn check(&self, shown: &Presented<'_>, now_unix: u64) -> Standing {
        if self.count.load(Ordering::Acquire) == 0 {
            return Standing::Allowed;
        }
        let user: Arc<str> = shown.user.into();
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let find = |shut: &Shut| entries.all.get(shut).filter(|entry| entry.until_unix > now_unix);
        if find(&Shut::User(Arc::clone(&user))).is_some() {
            return Standing::Blocked;
        }
        let by_id = shown.id.is_some_and(|id| find(&Shut::Id(id.into())).is_some());
        let by_token = shown.fingerprint.is_some_and(|token| find(&Shut::Token(token)).is_some());
        let issued = shown.issued_unix.unwrap_or(0);
        let too_early = |channel: Option<&str>| {
            let shut = Shut::Issued { user: Arc::clone(&user), channel: channel.map(Into::into) };
            find(&shut).is_some_and(|entry| issued < entry.before_unix)
        };
        if by_id || by_token || too_early(None) || shown.channel.is_some_and(|channel| too_early(Some(channel))) {
            return Standing::Revoked;
        }
        Standing::Allowed
    }

    /// Entries that are kept, those that have ended since included.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether nobody is shut out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new(Self::LIMIT)
    }
}

impl Entries {
    fn remove(&mut self, shut: &Shut) {
        if let Some(entry) = self.all.remove(shut) {
            self.ends.remove(&(entry.until_unix, shut.clone()));
        }
    }

    fn clear_ended(&mut self, now_unix: u64, most: usize) {
        for _ in 0..most {
            match self.ends.first() {
                Some((until, _)) if *until <= now_unix => {
                    if let Some((_, shut)) = self.ends.pop_first() {
                        self.all.remove(&shut);
                    }
                }
                Some(_) | None => return,
            }
        }
    }
}

impl Shut {
    fn is_kept(&self) -> bool {
        let fits = |text: &str| text.len() <= Revocations::LONGEST_BYTES;
        match self {
            Self::User(text) | Self::Id(text) => fits(text),
            Self::Token(_) => true,
            Self::Issued { user, channel } => fits(user) && channel.as_deref().is_none_or(fits),
        }
    }
}

impl Fingerprint {
    /// The fingerprint of a token. About a microsecond.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;
    const LATER: u64 = 2_000;

    fn shown(user: &str) -> Presented<'_> {
        Presented { user, id: None, issued_unix: None, fingerprint: None, channel: None }
    }

    #[test]
    fn a_blocked_user_comes_in_again_when_the_block_is_over_or_taken_back() {
        let list = Revocations::default();
        assert_eq!(list.check(&shown("u"), NOW), Standing::Allowed);
        assert_eq!(list.block("u", LATER, NOW), Written::Done);
        assert_eq!(list.check(&shown("u"), NOW), Standing::Blocked);
        assert_eq!(list.check(&shown("v"), NOW), Standing::Allowed);
        assert_eq!(list.check(&shown("u"), LATER - 1), Standing::Blocked);
        assert_eq!(list.check(&shown("u"), LATER), Standing::Allowed);
        assert_eq!(list.block("u", Revocations::FOR_EVER, NOW), Written::Done);
        assert_eq!(list.check(&shown("u"), u64::MAX - 1), Standing::Blocked);
        list.unblock("u");
        assert_eq!((list.check(&shown("u"), NOW), list.len()), (Standing::Allowed, 0));
    }

    #[test]
    fn the_last_word_on_a_block_counts_also_if_it_ends_it() {
        let list = Revocations::default();
        for (until, standing) in [
            (LATER, Standing::Blocked),
            (NOW + 1, Standing::Allowed),
            (LATER, Standing::Blocked),
            (NOW, Standing::Allowed),
        ] {
            assert_eq!(list.block("u", until, NOW), Written::Done);
            assert_eq!(list.check(&shown("u"), NOW + 1), standing, "{until}");
        }
        assert!(list.is_empty());
    }

    #[test]
    fn a_token_is_revoked_by_its_id_or_by_itself_and_stays_revoked() {
        let list = Revocations::default();
        assert_eq!(list.revoke_id("t1", LATER, NOW), Written::Done);
        assert_eq!(list.revoke_id("t1", NOW + 1, NOW), Written::Done);
        let token = Fingerprint::of("a.b.c");
        assert_eq!(list.revoke_token(token, LATER, NOW), Written::Done);
        let check = |id, fingerprint| list.check(&Presented { id, fingerprint, ..shown("u") }, NOW + 1);
        assert_eq!(check(Some("t1"), None), Standing::Revoked);
        assert_eq!(check(Some("t2"), None), Standing::Allowed);
        assert_eq!(check(None, Some(token)), Standing::Revoked);
        assert_eq!(check(None, Some(Fingerprint::of("a.b.d"))), Standing::Allowed);
        list.unblock("u");
        assert_eq!(check(Some("t1"), None), Standing::Revoked);
    }

    #[test]
    fn tokens_issued_before_a_time_are_revoked_and_those_that_do_not_say_when_as_well() {
        let list = Revocations::default();
        assert_eq!(list.revoke_issued_before("u", None, 500, LATER, NOW), Written::Done);
        // An earlier time does not bring tokens back.
        assert_eq!(list.revoke_issued_before("u", None, 400, LATER, NOW), Written::Done);
        for (issued_unix, standing) in [
            (Some(499), Standing::Revoked),
            (Some(500), Standing::Allowed),
            (Some(501), Standing::Allowed),
            (None, Standing::Revoked),
        ] {
            assert_eq!(list.check(&Presented { issued_unix, ..shown("u") }, NOW), standing, "{issued_unix:?}");
        }
        assert_eq!(list.check(&shown("v"), NOW), Standing::Allowed);
        assert_eq!(list.check(&shown("u"), LATER), Standing::Allowed);
    }

    #[test]
    fn tokens_of_one_topic_are_revoked_without_the_others() {
        let list = Revocations::default();
        assert_eq!(list.revoke_issued_before("u", Some("a"), 500, LATER, NOW), Written::Done);
        let check = |channel| list.check(&Presented { channel, issued_unix: Some(1), ..shown("u") }, NOW);
        assert_eq!(check(Some("a")), Standing::Revoked);
        assert_eq!(check(Some("b")), Standing::Allowed);
        assert_eq!(check(None), Standing::Allowed);
    }

    #[test]
    fn at_the_limit_a_new_entry_is_refused_and_none_that_counts_is_forgotten() {
        let list = Revocations::new(3);
        for (user, until) in [("a", LATER), ("b", NOW + 5), ("c", LATER)] {
            assert_eq!(list.block(user, until, NOW), Written::Done);
        }
        assert_eq!(list.block("d", LATER, NOW), Written::Full);
        assert_eq!(list.revoke_id("t", LATER, NOW), Written::Full);
        for user in ["a", "b", "c"] {
            assert_eq!(list.check(&shown(user), NOW), Standing::Blocked);
        }
        assert_eq!(list.check(&shown("d"), NOW), Standing::Allowed);
        // What is there can be changed, and what has ended makes room.
        assert_eq!(list.block("a", LATER + 1, NOW), Written::Done);
        assert_eq!(list.block("d", LATER, NOW + 5), Written::Done);
        assert_eq!(list.len(), 3);
        assert_eq!(list.check(&shown("d"), NOW + 5), Standing::Blocked);
        list.unblock("a");
        assert_eq!(list.block("e", LATER, NOW + 5), Written::Done);
    }

    #[test]
    fn names_that_are_too_long_to_keep_are_refused() {
        let list = Revocations::default();
        let name = |length| "x".repeat(length);
        assert_eq!(list.block(&name(Revocations::LONGEST_BYTES), LATER, NOW), Written::Done);
        let long = name(Revocations::LONGEST_BYTES + 1);
        assert_eq!(list.block(&long, LATER, NOW), Written::TooLong);
        assert_eq!(list.revoke_issued_before("u", Some(&long), 1, LATER, NOW), Written::TooLong);
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn what_has_ended_is_cleared_away_as_more_is_written() {
        let list = Revocations::new(1_000);
        for index in 0..100 {
            assert_eq!(list.block(&format!("old{index}"), NOW + 1, NOW), Written::Done);
        }
        for index in 0..10 {
            assert_eq!(list.block(&format!("new{index}"), LATER, NOW + 1), Written::Done);
        }
        assert_eq!(list.len(), 10);
        let entries = list.entries.read().unwrap();
        assert_eq!(entries.all.len(), entries.ends.len());
    }

    #[test]
    fn an_api_thread_writes_while_workers_read() {
        let list = Revocations::default();
        std::thread::scope(|scope| {
            for reader in 0..2 {
                let list = &list;
                scope.spawn(move || {
                    for index in 0..2_000 {
                        let user = format!("u{}", (index + reader) % 100);
                        let _ = list.check(&shown(&user), NOW);
                    }
                });
            }
            for index in 0..2_000 {
                let user = format!("u{}", index % 100);
                assert_eq!(list.block(&user, LATER, NOW), Written::Done);
            }
        });
        assert_eq!(list.len(), 100);
        assert!((0..100).all(|index| list.check(&shown(&format!("u{index}")), NOW) == Standing::Blocked));
    }
}
