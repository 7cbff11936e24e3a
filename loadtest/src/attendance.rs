//! Who must have what when members come and go: the ledger of runs whose subscribers are not all there all the time. Pure.
//!
//! One publisher per topic. A member must get every publication that is made after it has joined (when its 101 was read),
//! until it leaves. What was under way when it joined may come or not; but from the first that comes on, none may be
//! missing. What is under way when it leaves by its own wish is nobody's loss.

use std::ops::Range;

use crate::verify::{Delivery, SubscriberId, Verdict};
use crate::wire::stamp::Stamp;

/// Members of topics, and what each of them has.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    /// How many publications each topic has had.
    published: Vec<u64>,
    members: Vec<Member>,
    verdict: Verdict,
}

/// What the end of a member's connection means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// It wants to go, or the run makes it end: it is owed nothing more, and what was under way is not lost.
    Wanted,
    /// It wants to stay: what it has not got is lost, and the end itself is counted.
    Unwanted,
}

#[derive(Debug)]
struct Member {
    topic: u32,
    /// The next number it must get. Until something came, an earlier one is welcome too.
    next: u64,
    has_begun: bool,
    is_present: bool,
    parting: Parting,
    /// What it skipped last: of a late one it tells whether it is late or a duplicate.
    skipped: Range<u64>,
}

impl Attendance {
    /// Nobody on `topics` topics.
    pub(crate) fn new(topics: u32) -> Self {
        Self { published: vec![0; topics as usize], members: Vec::new(), verdict: Verdict::default() }
    }

    /// Someone has joined `topic`. Numbers are never used again.
    pub(crate) fn join(&mut self, topic: u32) -> SubscriberId {
        let id = SubscriberId(self.members.len() as u32);
        let next = self.published[topic as usize];
        self.members.push(Member {
            topic,
            next,
            has_begun: false,
            is_present: true,
            parting: Parting::Unwanted,
            skipped: 0..0,
        });
        id
    }

    /// The next publication of `topic`, due at `intended_ns`.
    pub(crate) fn publish(&mut self, topic: u32, intended_ns: u64) -> Stamp {
        let published = &mut self.published[topic as usize];
        let sequence = *published;
        *published += 1;
        Stamp { topic, publisher: 0, sequence, intended_ns }
    }

    /// `member` received `stamp`.
    pub(crate) fn deliver(&mut self, member: SubscriberId, stamp: &Stamp) -> Delivery {
        let delivery = self.judge(member, stamp);
        match delivery {
            Delivery::InOrder => self.verdict.in_order += 1,
            Delivery::AfterGap(gap) => {
                self.verdict.in_order += 1;
                self.verdict.lost += gap;
            }
            Delivery::Reordered => {
                self.verdict.reordered += 1;
                self.verdict.lost -= 1;
            }
            Delivery::Duplicate => self.verdict.duplicated += 1,
            Delivery::Invented => self.verdict.wrong += 1,
        }
        delivery
    }

    fn judge(&mut self, member: SubscriberId, stamp: &Stamp) -> Delivery {
        let member = &mut self.members[member.index()];
        let sequence = stamp.sequence;
        if stamp.topic != member.topic || stamp.publisher != 0 || sequence >= self.published[member.topic as usize] {
            return Delivery::Invented;
        }
        let has_begun = std::mem::replace(&mut member.has_begun, true);
        if sequence < member.next && has_begun {
            if !member.skipped.contains(&sequence) {
                return Delivery::Duplicate;
            }
            // Later ones of the same gap may still come; earlier ones are given up.
            member.skipped.start = sequence + 1;
            return Delivery::Reordered;
        }
        let gap = sequence.saturating_sub(member.next);
        if gap > 0 {
            member.skipped = member.next..sequence;
        }
        member.next = sequence + 1;
        if gap == 0 { Delivery::InOrder } else { Delivery::AfterGap(gap) }
    }

    /// From now on the end of `member` is wanted. What comes until then must still be without a hole.
    pub(crate) fn excuse(&mut self, member: SubscriberId) {
        self.members[member.index()].parting = Parting::Wanted;
    }

    /// The connection of `member` ended. A second end changes nothing.
    pub(crate) fn part(&mut self, member: SubscriberId) -> Parting {
        let owed = self.owed(member);
        let member = &mut self.members[member.index()];
        if std::mem::replace(&mut member.is_present, false) {
            match member.parting {
                Parting::Wanted => {}
                Parting::Unwanted => {
                    self.verdict.closed += 1;
                    self.verdict.lost += owed;
                }
            }
        }
        member.parting
    }

    /// Publications that `member` must get and has not got.
    pub(crate) fn owed(&self, member: SubscriberId) -> u64 {
        let &Member { topic, next, is_present, parting, .. } = &self.members[member.index()];
        if is_present && parting == Parting::Unwanted { self.published[topic as usize].saturating_sub(next) } else { 0 }
    }

    /// The number the next publication of `topic` will have.
    pub(crate) fn published(&self, topic: u32) -> u64 {
        self.published[topic as usize]
    }

    /// Publications of `topic`, up to but not including number `before`, that `member` has not got.
    pub(crate) fn missing_before(&self, member: SubscriberId, before: u64) -> u64 {
        before.saturating_sub(self.members[member.index()].next)
    }

    /// The topic of `member`.
    pub(crate) fn topic_of(&self, member: SubscriberId) -> u32 {
        self.members[member.index()].topic
    }

    /// What all members are owed. Cost: one step per member there ever was.
    pub(crate) fn outstanding(&self) -> u64 {
        (0..self.members.len() as u32).map(|member| self.owed(SubscriberId(member))).sum()
    }

    /// A message whose bytes are wrong.
    pub(crate) fn note_wrong(&mut self) {
        self.verdict.wrong += 1;
    }

    /// A message that is not of this run.
    pub(crate) fn note_foreign(&mut self) {
        self.verdict.foreign += 1;
    }

    /// The counts: what has not come is lost now.
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict { lost: self.verdict.lost + self.outstanding(), ..self.verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(publications: u64) -> (Attendance, Vec<Stamp>) {
        let mut attendance = Attendance::new(1);
        let stamps = (0..publications).map(|at| attendance.publish(0, at)).collect();
        (attendance, stamps)
    }

    #[test]
    fn a_member_gets_all_that_is_published_after_it_joined() {
        let (mut attendance, _) = after(3);
        let member = attendance.join(0);
        assert_eq!(attendance.outstanding(), 0);
        let stamp = attendance.publish(0, 9);
        assert_eq!(attendance.owed(member), 1);
        assert_eq!(attendance.deliver(member, &stamp), Delivery::InOrder);
        assert_eq!(attendance.verdict(), Verdict { in_order: 1, ..Verdict::default() });
    }

    #[test]
    fn what_was_under_way_at_the_join_may_come_but_then_without_a_hole() {
        let (mut attendance, stamps) = after(3);
        let (early, holed) = (attendance.join(0), attendance.join(0));
        assert_eq!(attendance.deliver(early, &stamps[1]), Delivery::InOrder);
        assert_eq!(attendance.deliver(early, &stamps[2]), Delivery::InOrder);
        assert_eq!(attendance.deliver(holed, &stamps[0]), Delivery::InOrder);
        assert_eq!(attendance.deliver(holed, &stamps[2]), Delivery::AfterGap(1));
        assert_eq!(attendance.verdict().lost, 1);
    }

    #[test]
    fn the_first_publication_after_the_join_must_not_be_missing() {
        let mut attendance = Attendance::new(1);
        let member = attendance.join(0);
        let stamps: Vec<Stamp> = (0..3).map(|at| attendance.publish(0, at)).collect();
        assert_eq!(attendance.deliver(member, &stamps[2]), Delivery::AfterGap(2));
        assert_eq!(attendance.deliver(member, &stamps[1]), Delivery::Reordered);
        assert_eq!(attendance.deliver(member, &stamps[1]), Delivery::Duplicate);
        let verdict = attendance.verdict();
        assert_eq!((verdict.in_order, verdict.lost, verdict.reordered, verdict.duplicated), (1, 1, 1, 1));
    }

    #[test]
    fn who_wants_to_leave_loses_nothing_and_who_is_cut_off_loses_what_was_due() {
        let mut attendance = Attendance::new(2);
        let (leaving, cut) = (attendance.join(0), attendance.join(1));
        attendance.publish(0, 1);
        attendance.publish(1, 1);
        attendance.excuse(leaving);
        assert_eq!(attendance.outstanding(), 1);
        assert_eq!(attendance.part(leaving), Parting::Wanted);
        assert_eq!(attendance.part(cut), Parting::Unwanted);
        assert_eq!(attendance.part(cut), Parting::Unwanted);
        assert_eq!(attendance.verdict(), Verdict { lost: 1, closed: 1, ..Verdict::default() });
    }

    #[test]
    fn publications_of_other_topics_and_of_the_future_are_invented() {
        let mut attendance = Attendance::new(2);
        let member = attendance.join(0);
        let other = attendance.publish(1, 1);
        assert_eq!(attendance.deliver(member, &other), Delivery::Invented);
        let future = Stamp { topic: 0, publisher: 0, sequence: 0, intended_ns: 1 };
        assert_eq!(attendance.deliver(member, &future), Delivery::Invented);
        assert_eq!(attendance.verdict().wrong, 2);
    }

    #[test]
    fn what_a_member_misses_of_a_moment_is_told() {
        let (mut attendance, stamps) = after(0);
        assert!(stamps.is_empty());
        let member = attendance.join(0);
        let stamp = attendance.publish(0, 1);
        let acknowledged = attendance.published(0);
        attendance.publish(0, 2);
        assert_eq!(attendance.missing_before(member, acknowledged), 1);
        assert_eq!(attendance.deliver(member, &stamp), Delivery::InOrder);
        assert_eq!(attendance.missing_before(member, acknowledged), 0);
    }
}
