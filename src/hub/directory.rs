//! Where the connections of each user are.

use dashmap::{DashMap, Entry};
use smallvec::SmallVec;

use super::member::ClientId;
use super::worker_set::WorkerId;

/// Where the connections of each user are, so that what is decided about a user reaches all of them. Anonymous clients have
/// none: they are not in it.
#[derive(Debug, Default)]
pub struct Directory {
    /// The standard hasher: clients choose the keys.
    users: DashMap<Box<str>, SmallVec<[Whereabouts; 1]>>,
}

/// Where one connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    /// Which one.
    pub client: ClientId,
    /// On which worker.
    pub worker: WorkerId,
    /// Its place there: what the worker finds it by.
    pub place: u64,
}

/// Whether a connection was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Entered {
    /// It is in the directory.
    Yes,
    /// Its user has as many as one may have.
    TooMany,
}

impl Directory {
    /// A connection of `user`, who may have `limit` of them (0: any number).
    pub fn enter(&self, user: &str, one: Whereabouts, limit: usize) -> Entered {
        let mut all = self.users.entry(user.into()).or_default();
        if limit > 0 && all.len() >= limit {
            return Entered::TooMany;
        }
        all.push(one);
        Entered::Yes
    }

    /// A connection of `user` is gone.
    pub fn leave(&self, user: &str, client: ClientId) {
        if let Entry::Occupied(mut place) = self.users.entry(user.into()) {
            let all = place.get_mut();
            if let Some(at) = all.iter().position(|one| one.client == client) {
                all.swap_remove(at);
            }
            if all.is_empty() {
                place.remove();
            } else if all.spilled() && all.len() * 4 < all.capacity() {
                all.shrink_to_fit();
            }
        }
    }

    /// The connections of `user`, or the one that is asked for.
    pub fn find(&self, user: &str, client: Option<ClientId>) -> SmallVec<[Whereabouts; 1]> {
        let Some(all) = self.users.get(user) else { return SmallVec::new() };
        all.iter().filter(|one| client.is_none_or(|client| one.client == client)).copied().collect()
    }

    /// Users with a connection.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn one(client: u128) -> Whereabouts {
        Whereabouts { client: ClientId(Uuid::from_u128(client)), worker: WorkerId(0), place: client as u64 }
    }

    #[test]
    fn a_user_is_found_at_all_of_its_connections_or_at_one() {
        let directory = Directory::default();
        for client in 1..=3 {
            assert_eq!(directory.enter("ann", one(client), 0), Entered::Yes);
        }
        assert_eq!(directory.find("ann", None).len(), 3);
        assert_eq!(directory.find("ann", Some(one(2).client))[..], [one(2)]);
        assert!(directory.find("bob", Some(one(2).client)).is_empty());
        directory.leave("ann", one(2).client);
        directory.leave("ann", one(2).client);
        assert_eq!(directory.find("ann", None).len(), 2);
    }

    #[test]
    fn at_its_limit_a_user_gets_no_further_connection_until_one_is_gone() {
        let directory = Directory::default();
        for client in 1..=2 {
            assert_eq!(directory.enter("ann", one(client), 2), Entered::Yes);
        }
        assert_eq!(directory.enter("ann", one(3), 2), Entered::TooMany);
        assert_eq!(directory.enter("bob", one(3), 2), Entered::Yes);
        directory.leave("ann", one(1).client);
        assert_eq!(directory.enter("ann", one(3), 2), Entered::Yes);
    }

    #[test]
    fn a_user_without_connections_costs_nothing() {
        let directory = Directory::default();
        assert_eq!(directory.enter("ann", one(1), 1), Entered::Yes);
        directory.leave("ann", one(1).client);
        assert!(directory.is_empty());
    }
}
