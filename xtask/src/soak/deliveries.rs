//! What a load verified, held to what the hub counted meanwhile. Pure.

use super::counters::Counters;

/// What was found at the clients: the counts of the load harness, and of our own event streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) in_order: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    /// Altered, or never published.
    pub(super) wrong: u64,
    /// Connections that ended and should not have.
    pub(super) closed: u64,
    /// Subscribers that saw another order than others did.
    pub(super) disagreeing: u64,
}

/// Who was there while something was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// So many subscribers, from before the first publication until after the last.
    Constant(u64),
    /// So many at least; others came and went, or were given up.
    AtLeast(u64),
}

/// What the hub counted between two rests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) published: u64,
    pub(super) delivered: u64,
    /// Not delivered, because a subscriber lagged.
    pub(super) lost: u64,
    /// Connections given up as slow consumers.
    pub(super) given_up: u64,
}

impl Counted {
    /// Counters only grow, as long as it is the same hub.
    pub(super) fn between(before: &Counters, after: &Counters) -> Self {
        Self {
            published: after.published.saturating_sub(before.published),
            delivered: after.delivered.saturating_sub(before.delivered),
            lost: after.deliveries_lost.saturating_sub(before.deliveries_lost),
            given_up: after.given_up.saturating_sub(before.given_up),
        }
    }
}

/// One load, as its clients saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    pub(super) audience: Audience,
    /// Subscribers that stopped reading, all of which must have been given up.
    pub(super) stopped: u64,
}

impl Seen {
    /// What is wrong, each in a few words with its numbers.
    ///
    /// With a constant audience, three numbers are one: publications that the hub accepted times subscribers, deliveries that
    /// the hub counted and those that it counted as lost, and deliveries that the subscribers verified and those that they
    /// missed. Where subscribers come and go, the hub owes those who stay everything, and cannot have delivered less than
    /// was read; what it had handed to the kernel for those who left is not known at the clients.
    pub(super) fn problems(&self, counted: Counted) -> Vec<String> {
        let Self { verdict, audience, stopped } = *self;
        let Verdict { in_order, lost, duplicated, reordered, wrong, closed, disagreeing } = verdict;
        let never = [
            ("lost", lost),
            ("duplicated", duplicated),
            ("reordered", reordered),
            ("wrong", wrong),
            ("closed early", closed),
            ("order disagreed", disagreeing),
        ];
        let mut problems: Vec<String> =
            never.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what} {count}")).collect();
        if in_order == 0 {
            problems.push("nothing was delivered".to_owned());
        }
        let Counted { published, delivered, lost: counted_lost, given_up } = counted;
        match audience {
            Audience::Constant(subscribers) => {
                let owed = published * subscribers;
                if delivered + counted_lost != owed {
                    problems.push(format!(
                        "the hub counted {delivered} deliveries and {counted_lost} lost, but accepted {published} \
                         publications for {subscribers} subscribers: {owed}"
                    ));
                }
                if delivered != in_order + reordered + duplicated {
                    problems.push(format!("the hub counted {delivered} deliveries, its subscribers {in_order}"));
                }
            }
            Audience::AtLeast(stayed) => {
                let owed = published * stayed;
                if delivered < owed {
                    problems.push(format!(
                        "the hub counted {delivered} deliveries, but accepted {published} publications for {stayed} \
                         subscribers that stayed: {owed}"
                    ));
                }
                if delivered < in_order {
                    problems.push(format!("the hub counted {delivered} deliveries, its subscribers read {in_order}"));
                }
            }
        }
        if stopped == 0 && counted_lost > 0 {
            problems.push(format!("the hub counted {counted_lost} deliveries lost though everybody read"));
        }
        if given_up != stopped {
            problems.push(format!("{stopped} subscribers stopped reading, {given_up} were given up"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: Counted = Counted { published: 10, delivered: 50, lost: 0, given_up: 0 };

    fn seen(in_order: u64, audience: Audience) -> Seen {
        Seen { verdict: Verdict { in_order, ..Verdict::default() }, audience, stopped: 0 }
    }

    #[test]
    fn publications_times_subscribers_is_what_both_sides_counted() {
        assert_eq!(seen(50, Audience::Constant(5)).problems(COUNTED), [""; 0]);
    }

    #[test]
    fn a_delivery_more_or_less_on_either_side_is_told() {
        for (in_order, counted) in [
            (49, COUNTED),
            (51, COUNTED),
            (49, Counted { delivered: 49, ..COUNTED }),
            (51, Counted { delivered: 51, ..COUNTED }),
            (50, Counted { published: 11, ..COUNTED }),
        ] {
            assert!(!seen(in_order, Audience::Constant(5)).problems(counted).is_empty(), "{in_order} {counted:?}");
        }
    }

    #[test]
    fn those_who_stay_get_everything_and_nobody_reads_what_was_not_sent() {
        assert_eq!(seen(50, Audience::AtLeast(4)).problems(COUNTED), [""; 0]);
        // Three that were on their way to one who left.
        assert_eq!(seen(47, Audience::AtLeast(4)).problems(COUNTED), [""; 0]);
        assert_eq!(seen(51, Audience::AtLeast(4)).problems(COUNTED).len(), 1);
        assert_eq!(seen(50, Audience::AtLeast(6)).problems(COUNTED).len(), 1);
    }

    #[test]
    fn every_kind_of_wrong_delivery_is_a_problem() {
        let wrong: [fn(&mut Verdict); 6] = [
            |verdict| verdict.lost = 1,
            |verdict| verdict.duplicated = 1,
            |verdict| verdict.reordered = 1,
            |verdict| verdict.wrong = 1,
            |verdict| verdict.closed = 1,
            |verdict| verdict.disagreeing = 1,
        ];
        for change in wrong {
            let mut seen = seen(50, Audience::AtLeast(5));
            change(&mut seen.verdict);
            assert_eq!(seen.problems(COUNTED).len(), 1, "{seen:?}");
        }
        assert_eq!(seen(0, Audience::AtLeast(0)).problems(Counted::default()), ["nothing was delivered"]);
    }

    #[test]
    fn all_who_stopped_are_given_up_and_nobody_else() {
        let slow = Seen { stopped: 3, ..seen(50, Audience::AtLeast(2)) };
        let given_up = |given_up| Counted { lost: 9, given_up, ..COUNTED };
        assert_eq!(slow.problems(given_up(3)), [""; 0]);
        assert_eq!(slow.problems(given_up(2)), ["3 subscribers stopped reading, 2 were given up"]);
        assert_eq!(slow.problems(given_up(4)), ["3 subscribers stopped reading, 4 were given up"]);
        assert_eq!(seen(50, Audience::AtLeast(5)).problems(given_up(0)).len(), 1);
    }
}
