//! Who is in which topic, over all workers.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::{DashMap, Entry};

use super::member::{ClientId, Member};
use super::topic::TopicId;

/// Who is in which topic. One short lock per group of topics; nothing of it is touched by a publication.
#[derive(Debug, Default)]
pub struct Presence {
    topics: DashMap<TopicId, Attendance>,
}

/// Who is in one topic.
#[derive(Debug, Default)]
struct Attendance {
    members: HashMap<ClientId, Arc<Member>>,
    /// Connections of each user: the standard hasher, since clients choose the keys.
    users: HashMap<Box<str>, u32>,
}

/// How many are in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attending {
    /// Connections.
    pub clients: usize,
    /// Users they belong to; anonymous ones are one user.
    pub users: usize,
}

impl Presence {
    /// A member came. One that is there already is replaced: its information may have changed.
    pub fn enter(&self, topic: TopicId, member: Arc<Member>) {
        let mut attendance = self.topics.entry(topic).or_default();
        let attendance = &mut *attendance;
        match attendance.members.insert(member.client, Arc::clone(&member)) {
            Some(before) if before.user == member.user => {}
            before => {
                if let Some(before) = before {
                    attendance.forget_user(&before.user);
                }
                *attendance.users.entry(member.user.clone()).or_default() += 1;
            }
        }
    }

    /// A member went; it is returned, to be told to the others. `None` if it was not there.
    pub fn leave(&self, topic: TopicId, client: ClientId) -> Option<Arc<Member>> {
        let Entry::Occupied(mut place) = self.topics.entry(topic) else { return None };
        let attendance = place.get_mut();
        let gone = attendance.members.remove(&client)?;
        attendance.forget_user(&gone.user);
        if attendance.members.is_empty() {
            place.remove();
        }
        Some(gone)
    }

    /// How many there are. Costs the same whatever their number.
    pub fn attending(&self, topic: TopicId) -> Attending {
        let counts = |one: &Attendance| Attending { clients: one.members.len(), users: one.users.len() };
        self.topics.get(&topic).map_or_else(Attending::default, |attendance| counts(&attendance))
    }

    /// All of them, in no order. A reference each.
    pub fn members(&self, topic: TopicId) -> Vec<Arc<Member>> {
        self.topics.get(&topic).map_or_else(Vec::new, |attendance| attendance.members.values().cloned().collect())
    }

    /// Members of all topics, each counted once per topic it is in. O(topics with members).
    pub fn len(&self) -> usize {
        self.topics.iter().map(|attendance| attendance.members.len()).sum()
    }

    /// Whether nobody is anywhere.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }
}

impl Attendance {
    /// A user has one connection less.
    fn forget_user(&mut self, user: &str) {
        if let Some(connections) = self.users.get_mut(user) {
            *connections -= 1;
            if *connections == 0 {
                self.users.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const TOPIC: TopicId = TopicId(7);

    fn member(user: &str, client: u128) -> Arc<Member> {
        let client = ClientId(Uuid::from_u128(client));
        Arc::new(Member { user: user.into(), client, connection_info: Bytes::new(), topic_info: Bytes::new() })
    }

    #[test]
    fn users_are_counted_once_however_many_connections_they_have() {
        let presence = Presence::default();
        for (user, client) in [("ann", 1), ("ann", 2), ("bob", 3), ("", 4), ("", 5)] {
            presence.enter(TOPIC, member(user, client));
        }
        assert_eq!(presence.attending(TOPIC), Attending { clients: 5, users: 3 });
        assert_eq!(presence.leave(TOPIC, ClientId(Uuid::from_u128(1))).unwrap().user, "ann".into());
        assert_eq!(presence.attending(TOPIC), Attending { clients: 4, users: 3 });
        assert!(presence.leave(TOPIC, ClientId(Uuid::from_u128(1))).is_none());
        for client in 2..=5 {
            assert!(presence.leave(TOPIC, ClientId(Uuid::from_u128(client))).is_some());
        }
        assert_eq!(presence.attending(TOPIC), Attending::default());
        assert!(presence.is_empty(), "a topic that nobody is in costs nothing");
    }

    #[test]
    fn who_comes_again_is_there_once_with_what_it_brought_last() {
        let presence = Presence::default();
        presence.enter(TOPIC, member("ann", 1));
        presence.enter(TOPIC, member("bob", 1));
        assert_eq!(presence.attending(TOPIC), Attending { clients: 1, users: 1 });
        assert_eq!(presence.members(TOPIC)[0].user, "bob".into());
    }

    proptest! {
        #[test]
        fn presence_is_as_a_list_of_who_came_and_did_not_go(
            steps in proptest::collection::vec((any::<bool>(), 0..3_u64, 0..6_u128, 0..3_usize), 1..100),
        ) {
            let presence = Presence::default();
            let mut list: Vec<(u64, u128, &str)> = Vec::new();
            for (comes, topic, client, user) in steps {
                list.retain(|&(of, one, _)| (of, one) != (topic, client));
                if comes {
                    let user = ["", "ann", "bob"][user];
                    list.push((topic, client, user));
                    presence.enter(TopicId(topic), member(user, client));
                } else {
                    presence.leave(TopicId(topic), ClientId(Uuid::from_u128(client)));
                }
                for topic in 0..3 {
                    let here: Vec<_> = list.iter().filter(|&&(of, _, _)| of == topic).collect();
                    let users: std::collections::HashSet<_> = here.iter().map(|(_, _, user)| user).collect();
                    let expected = Attending { clients: here.len(), users: users.len() };
                    prop_assert_eq!(presence.attending(TopicId(topic)), expected);
                    prop_assert_eq!(presence.members(TopicId(topic)).len(), here.len());
                }
                prop_assert_eq!(presence.len(), list.len());
            }
        }
    }
}
