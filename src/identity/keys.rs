//! All keys that may have signed a token.

use super::algorithm::Algorithm;
use super::key::{Key, KeyError};
use crate::config::TokenKey;

/// Keys, at most [`Keys::MOST`]: a token without a key id is tried with each that has its algorithm.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    all: Box<[Key]>,
}

/// What the keys at hand say of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Signed {
    /// One of them made it.
    Yes,
    /// None of those that could have made it did.
    No,
    /// Those that the token means are for other algorithms.
    OtherAlgorithm,
    /// None is meant by the token.
    UnknownKey,
}

impl Keys {
    /// More keys than these are a mistake.
    pub const MOST: usize = 64;

    /// These keys. Those over [`Keys::MOST`] are left out; whoever reads them refuses more.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self { all: keys.into_iter().take(Self::MOST).collect() }
    }

    /// The keys of `tokens.keys`. Blocks on their files.
    ///
    /// # Errors
    /// The first entry that is of no use, by its place in the list, and why.
    pub fn read(entries: &[TokenKey]) -> Result<Self, (usize, KeyError)> {
        let read = entries.iter().enumerate().map(|(index, entry)| Key::read(entry).map_err(|error| (index, error)));
        Ok(Self::new(read.collect::<Result<Vec<_>, _>>()?))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one of them has this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.all.iter().any(|key| key.id() == Some(id))
    }

    /// Whether one of them signed `message`. Costs a signature check per key that is meant and has the algorithm.
    pub(super) fn signed(&self, id: Option<&str>, algorithm: Algorithm, message: &[u8], signature: &str) -> Signed {
        let mut found = Signed::UnknownKey;
        for key in self.all.iter().filter(|key| key.is_meant_by(id)) {
            if !key.allows(algorithm) {
                found = if found == Signed::No { Signed::No } else { Signed::OtherAlgorithm };
            } else if key.verifies(algorithm, message, signature) {
                return Signed::Yes;
            } else {
                found = Signed::No;
            }
        }
        found
    }
}

impl Signed {
    /// Of two sets of keys, the one that knew more.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Yes => self,
            Self::No | Self::OtherAlgorithm | Self::UnknownKey => match (self, other()) {
                (_, Self::Yes) => Self::Yes,
                (Self::No, _) | (_, Self::No) => Self::No,
                (Self::OtherAlgorithm, _) | (_, Self::OtherAlgorithm) => Self::OtherAlgorithm,
                (Self::Yes | Self::UnknownKey, Self::UnknownKey) => Self::UnknownKey,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_answers_the_one_that_knew_more_counts() {
        use Signed::{No, OtherAlgorithm, UnknownKey, Yes};
        for (one, other, both) in [
            (Yes, No, Yes),
            (No, Yes, Yes),
            (UnknownKey, No, No),
            (No, UnknownKey, No),
            (OtherAlgorithm, UnknownKey, OtherAlgorithm),
            (UnknownKey, OtherAlgorithm, OtherAlgorithm),
            (UnknownKey, UnknownKey, UnknownKey),
        ] {
            assert_eq!(one.or(|| other), both, "{one:?} {other:?}");
        }
    }

    #[test]
    fn no_more_keys_are_kept_than_may_be_tried() {
        let key = Key::secret(Algorithm::Hs256, b"s", None).unwrap();
        assert_eq!(Keys::new(vec![key.clone(); Keys::MOST]).len(), Keys::MOST);
        assert_eq!(Keys::new(vec![key; Keys::MOST + 1]).len(), Keys::MOST);
    }
}
