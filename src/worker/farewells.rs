//! Announcements that wait for room, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::hub::{Draft, Topic};

/// Announcements that wait at most. Clients that come and go while nothing has room could queue without end.
const LIMIT: usize = 4096;

/// What is to be told of those who came and went, and has no room yet.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    waiting: VecDeque<(Arc<Topic>, Draft)>,
}

/// What became of an announcement that was tried.
#[derive(Debug)]
#[must_use]
pub(super) enum Tried {
    /// It is over and done with: published, or refused.
    Done,
    /// Its queue has no room, and wakes the worker when it has.
    Full(Draft),
}

/// What becomes of an announcement.
#[derive(Debug)]
#[must_use]
pub(super) enum Said {
    /// It was tried, and is done with.
    Done,
    /// It waits.
    Waits,
    /// It would be one too many.
    TooMany(Draft),
}

impl Farewells {
    /// Tries an announcement, unless an earlier one of its topic waits: a leave that overtook its join would leave a ghost
    /// with everyone. O(those that wait).
    pub(super) fn say(
        &mut self,
        topic: Arc<Topic>,
        draft: Draft,
        try_it: impl FnOnce(&Arc<Topic>, Draft) -> Tried,
    ) -> Said {
        let draft = if self.waiting.iter().any(|(waiting, _)| Arc::ptr_eq(waiting, &topic)) {
            draft
        } else {
            match try_it(&topic, draft) {
                Tried::Done => return Said::Done,
                Tried::Full(draft) => draft,
            }
        };
        if self.waiting.len() >= LIMIT {
            return Said::TooMany(draft);
        }
        self.waiting.push_back((topic, draft));
        Said::Waits
    }

    /// Tries those that wait, up to the first that still has no room.
    pub(super) fn retry(&mut self, mut try_it: impl FnMut(&Arc<Topic>, Draft) -> Tried) {
        while let Some((topic, draft)) = self.waiting.pop_front() {
            match try_it(&topic, draft) {
                Tried::Done => {}
                Tried::Full(draft) => {
                    self.waiting.push_front((topic, draft));
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::{Hub, TopicName};

    fn topics() -> [Arc<Topic>; 2] {
        let hub = Hub::new(&Config::default(), Vec::new());
        ["a", "b"].map(|name| hub.topic(&TopicName::new(name).unwrap()).unwrap())
    }

    fn text(draft: &Draft) -> String {
        String::from_utf8(draft.payload().to_vec()).unwrap()
    }

    #[test]
    fn none_overtakes_an_earlier_one_of_its_topic_and_other_topics_do_not_wait_for_it() {
        let [a, b] = topics();
        let mut farewells = Farewells::default();
        let full = |_: &Arc<Topic>, draft| Tried::Full(draft);
        assert!(matches!(farewells.say(Arc::clone(&a), Draft::text("came"), full), Said::Waits));
        let said = farewells.say(Arc::clone(&a), Draft::text("went"), |_, _| panic!("there is room for it now"));
        assert!(matches!(said, Said::Waits));
        assert!(matches!(farewells.say(b, Draft::text("other"), |_, _| Tried::Done), Said::Done));
        let mut said = Vec::new();
        let mut room = 1;
        let mut try_it = |_: &Arc<Topic>, draft: Draft| {
            if room == 0 {
                return Tried::Full(draft);
            }
            room -= 1;
            said.push(text(&draft));
            Tried::Done
        };
        farewells.retry(&mut try_it);
        farewells.retry(&mut try_it);
        farewells.retry(|_, draft| {
            said.push(text(&draft));
            Tried::Done
        });
        assert_eq!(said, ["came", "went"]);
        assert!(matches!(farewells.say(a, Draft::text("again"), |_, _| Tried::Done), Said::Done));
    }

    #[test]
    fn as_many_wait_as_may_and_the_next_is_given_back() {
        let [a, b] = topics();
        let mut farewells = Farewells::default();
        for _ in 0..LIMIT {
            assert!(matches!(
                farewells.say(Arc::clone(&a), Draft::text("x"), |_, draft| Tried::Full(draft)),
                Said::Waits
            ));
        }
        for topic in [a, b] {
            let said = farewells.say(topic, Draft::text("one more"), |_, draft| Tried::Full(draft));
            assert!(matches!(said, Said::TooMany(draft) if text(&draft) == "one more"));
        }
    }
}
