//! Who is in which topic, over all workers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

use super::member::{ClientId, Member};
use super::topic::TopicId;

/// Who is in which topic. One short lock per group of topics; nothing of it is touched by a publication.
#[derive(Debug, Default)]
pub struct Presence {
    topics: DashMap<TopicId, Attendance>,
    /// Members of all topics.
    count: AtomicUsize,
}

/// Who is in one topic.
#[derive(Debug, Default)]
struct Attendance {
    members: HashMap<ClientId, Arc<Member>>,
    /// Connections of each user: the standard hasher, since clients choose the keys.
    users: HashMap<Box<str>, u32>,
    /// What its members hold in memory: whoever lists them knows before how much that will be.
    bytes: usize,
}

/// How many are in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attending {
    /// Connections.
    pub clients: usize,
    /// Users they belong to; anonymous ones are one user.
    pub users: usize,
}

/// How long a list of members is, or may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roll {
    /// Its members.
    pub members: usize,
    /// What they hold in memory, as [`Member::bytes`] says: roughly the length of their list in JSON.
    pub bytes: usize,
}

impl Presence {
    /// A member came. One that is there already is replaced: its information may have changed.
    pub fn enter(&self, topic: TopicId, member: Arc<Member>) {
        let mut attendance = self.topics.entry(topic).or_default();
        let attendance = &mut *attendance;
        attendance.bytes += member.bytes();
        match attendance.members.insert(member.client, Arc::clone(&member)) {
            None => {
                self.count.fetch_add(1, Ordering::Relaxed);
            }
            Some(before) => {
                attendance.bytes -= before.bytes();
                if before.user == member.user {
                    return;
                }
                attendance.forget_user(&before.user);
            }
        }
        match attendance.users.get_mut(&member.user) {
            Some(connections) => *connections += 1,
            None => {
                attendance.users.insert(member.user.clone(), 1);
            }
        }
    }

    /// A member went; it is returned, to be told to the others. `None` if it was not there.
    pub fn leave(&self, topic: TopicId, client: ClientId) -> Option<Arc<Member>> {
        let Entry::Occupied(mut place) = self.topics.entry(topic) else { return None };
        let attendance = place.get_mut();
        let gone = attendance.members.remove(&client)?;
        attendance.bytes -= gone.bytes();
        self.count.fetch_sub(1, Ordering::Relaxed);
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

    /// All of them, in no order, a reference each. Whoever comes or goes meanwhile waits.
    ///
    /// # Errors
    /// They are more than `most`; then these are so many, and none was looked at.
    pub fn members(&self, topic: TopicId, most: Roll) -> Result<Vec<Arc<Member>>, Roll> {
        let Some(attendance) = self.topics.get(&topic) else { return Ok(Vec::new()) };
        let there = Roll { members: attendance.members.len(), bytes: attendance.bytes };
        if there.members > most.members || there.bytes > most.bytes {
            return Err(there);
        }
        Ok(attendance.members.values().cloned().collect())
    }

    /// Members of all topics, each counted once per topic it is in. A load.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
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
    const ANY: Roll = Roll { members: usize::MAX, bytes: usize::MAX };

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
        assert_eq!(presence.members(TOPIC, ANY).unwrap()[0].user, "bob".into());
        assert_eq!(presence.len(), 1);
    }

    #[test]
    fn a_list_is_as_long_as_it_may_be_and_not_a_member_or_a_byte_longer() {
        let presence = Presence::default();
        for client in 0..3 {
            presence.enter(TOPIC, member("ann", client));
        }
        let there = Roll { members: 3, bytes: 3 * member("ann", 0).bytes() };
        assert_eq!(presence.members(TOPIC, there).map(|all| all.len()), Ok(3));
        assert_eq!(presence.members(TOPIC, Roll { members: 2, ..there }), Err(there));
        assert_eq!(presence.members(TOPIC, Roll { bytes: there.bytes - 1, ..there }), Err(there));
        let nobody = presence.members(TopicId(8), Roll::default());
        assert_eq!(nobody, Ok(Vec::new()), "of a topic that nobody is in");
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
                    let bytes = here.iter().map(|&&(_, client, user)| member(user, client).bytes()).sum();
                    let there = Roll { members: here.len(), bytes };
                    prop_assert_eq!(presence.members(TopicId(topic), there).map(|all| all.len()), Ok(here.len()));
                    if bytes > 0 {
                        let fewer = Roll { bytes: bytes - 1, ..there };
                        prop_assert_eq!(presence.members(TopicId(topic), fewer), Err(there));
                    }
                }
                prop_assert_eq!(presence.len(), list.len());
            }
        }
    }
}
