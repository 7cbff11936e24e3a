//! What topics are told of those who come and go: on behalf of clients that cannot wait, for they are new, or gone.

use std::sync::Arc;
use std::time::Instant;

use super::farewells::{Said, Tried};
use super::worker::{Seat, Worker};
use crate::api::Surface;
use crate::hub::{Draft, Mailbox, Member, Notice, Outcome, Purpose, Topic};
use crate::refusal::Refusal;
use crate::session::Subscription;

impl Worker {
    /// A member came to a topic whose subscribers may want to know. To be kept until it goes.
    pub(super) fn say_came(&mut self, topic: &Arc<Topic>, member: Arc<Member>) -> Notice {
        let hub = &self.seat.surface.hub;
        let per_second = hub.rules()[topic.rules()].join_leave_rate;
        match hub.doorman().join(topic.id(), per_second, self.now) {
            Notice::Told => self.publish_or_queue(Arc::clone(topic), Draft::of_member(Purpose::Join, member)),
            Notice::Dropped => self.drop_notice(),
        }
    }

    /// Others see a client no more on a topic, and are told if the topic's rules say so.
    pub(super) fn say_gone(&mut self, subscription: &Subscription) {
        let Subscription { topic, member: Some(member), join, .. } = subscription else { return };
        let hub = &self.seat.surface.hub;
        hub.presence().leave(topic.id(), member.client);
        let Some(join) = *join else { return };
        if self.is_draining() {
            return;
        }
        let per_second = hub.rules()[topic.rules()].join_leave_rate;
        let _ = match hub.doorman().leave(topic.id(), per_second, join, self.now) {
            Notice::Told => {
                self.publish_or_queue(Arc::clone(topic), Draft::of_member(Purpose::Leave, Arc::clone(member)))
            }
            Notice::Dropped => self.drop_notice(),
        };
    }

    fn drop_notice(&self) -> Notice {
        self.counters().notices_dropped.add(1);
        Notice::Dropped
    }

    /// Publishes an announcement; if there is no room it waits, and counts as told.
    pub(super) fn publish_or_queue(&mut self, topic: Arc<Topic>, draft: Draft) -> Notice {
        let Self { farewells, seat, mailbox, now, .. } = self;
        match farewells.say(topic, draft, |topic, draft| try_announcement(seat, mailbox, topic, draft, *now)) {
            Said::Done | Said::Waits => Notice::Told,
            Said::TooMany(draft) if is_notice(&draft) => self.drop_notice(),
            Said::TooMany(_) => {
                self.seat.surface.counters.reject_client(Refusal::Overloaded);
                Notice::Dropped
            }
        }
    }

    /// Announcements that had no room.
    pub(super) fn publish_farewells(&mut self) {
        let Self { farewells, seat, mailbox, now, .. } = self;
        farewells.retry(|topic, draft| try_announcement(seat, mailbox, topic, draft, *now));
    }
}

fn try_announcement(seat: &Seat, mailbox: &Arc<Mailbox>, topic: &Arc<Topic>, draft: Draft, now: Instant) -> Tried {
    let Surface { hub, counters, .. } = &*seat.surface;
    let is_notice = is_notice(&draft);
    match hub.publish(topic, draft, now, || Box::new(|_| {})) {
        None | Some(Outcome::Accepted(_)) => {
            let told = &counters.shards[seat.id.index()].notices_told;
            if is_notice { told } else { &counters.published_client }.add(1);
            Tried::Done
        }
        // The hub drains: nobody stays to be told.
        Some(Outcome::Refused(_)) => Tried::Done,
        Some(Outcome::Full { draft, queue }) => {
            hub.wake_when_roomy(queue, mailbox);
            Tried::Full(draft)
        }
    }
}

/// Whether it tells of a member, and is no publication.
fn is_notice(draft: &Draft) -> bool {
    match draft.purpose() {
        Purpose::Join | Purpose::Leave => true,
        Purpose::Publication | Purpose::Passing => false,
    }
}
