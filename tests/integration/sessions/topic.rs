//! The model: a topic is the list of all that was ever published on it, and a few rules say what of it is told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::payload::Payload;

/// Publications that a client gets at once when it comes back: `centrifuge.recovery_limit`.
pub(super) const RECOVERY_LIMIT: u64 = 5;

/// What a topic is configured to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) name: &'static str,
    /// 0: no history.
    pub(super) size: u64,
    pub(super) ttl: Duration,
    pub(super) recovery: Recovery,
    pub(super) delta: bool,
    pub(super) on_disk: bool,
    /// Clients may publish.
    pub(super) clients_publish: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    Off,
    Asked,
    Always,
    /// Of the newest publication only.
    Cache,
}

/// What a client wishes of a subscription.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    pub(super) recoverable: bool,
    pub(super) positioned: bool,
    pub(super) delta: bool,
    /// An error instead of a subscription that has not recovered.
    pub(super) refuses_unrecovered: bool,
}

/// Where a client says that it was.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claim {
    /// It does not want to recover.
    None,
    /// Where it was, if it was told.
    Own,
    /// So many publications before that: it did not come to handle them.
    Behind(u64),
    /// Where it never was.
    Ahead(u64),
    /// At this offset, but of another life of the topic.
    PastEpoch,
    /// At this offset, whatever the epoch is.
    NoEpoch,
}

/// A publication, numbered or not.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// `None`: it was not kept.
    pub(super) offset: Option<u64>,
    pub(super) payload: Payload,
    /// The client that published it.
    pub(super) publisher: Option<String>,
    /// It was accepted before this moment, and the next one after. `None` until it is acknowledged.
    accepted: Option<Instant>,
}

/// A topic, from the beginning of its epoch.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) rules: Rules,
    pub(super) epoch: String,
    /// Those before. No client is to be told that anything is recovered since one of them.
    pub(super) past_epochs: Vec<String>,
    pub(super) events: Vec<Event>,
    /// Up to here everything has expired or was removed.
    gone: u64,
    /// The last version of what has one.
    version: Option<u64>,
    /// The last life of which something is on disk, if it is not this one.
    on_disk: Option<Life>,
}

/// An epoch, all that was published in it, and up to where that is gone.
type Life = (String, Vec<Event>, u64);

impl Topic {
    pub(super) fn new(rules: Rules) -> Self {
        let (epoch, past_epochs, events) = (String::new(), Vec::new(), Vec::new());
        Self { rules, epoch, past_epochs, events, gone: 0, version: None, on_disk: None }
    }

    /// The last offset there was.
    pub(super) fn top(&self) -> u64 {
        self.events.iter().filter_map(|event| event.offset).next_back().unwrap_or(0)
    }

    /// Everything up to here was gone when `top` was the last one.
    fn gone_at(&self, top: u64) -> u64 {
        self.gone.max(top.saturating_sub(self.rules.size))
    }

    /// Whether something is kept.
    pub(super) fn keeps_something(&self) -> bool {
        self.gone_at(self.top()) < self.top()
    }

    /// All between two offsets, with the second.
    fn between(&self, after: u64, to: u64) -> Vec<&Event> {
        let is_between = |event: &&Event| event.offset.is_some_and(|offset| after < offset && offset <= to);
        self.events.iter().filter(is_between).collect()
    }

    /// What a client missed that says that it was at `offset` of `epoch` and joins behind `joined`; `None` if it cannot be told
    /// all of it.
    pub(super) fn missed(&self, epoch: &str, offset: u64, joined: u64) -> Option<Vec<&Event>> {
        let is_this_life = epoch.is_empty() || epoch == self.epoch;
        let newest_is_kept = self.gone_at(joined) < joined;
        if self.rules.recovery == Recovery::Cache {
            let has_newest = is_this_life && offset == joined && offset > 0;
            return match (has_newest, newest_is_kept) {
                (true, _) => Some(Vec::new()),
                (false, true) => Some(self.between(joined - 1, joined)),
                (false, false) => None,
            };
        }
        let is_complete =
            is_this_life && self.gone_at(joined) <= offset && offset <= joined && joined - offset <= RECOVERY_LIMIT;
        is_complete.then(|| self.between(offset, joined))
    }

    /// The place in `events` of what comes live for a client that joined behind `joined`.
    pub(super) fn live_from(&self, joined: u64) -> usize {
        let next = self.events.iter().position(|event| event.offset.is_some_and(|offset| offset > joined));
        next.unwrap_or(self.events.len())
    }

    /// Something is published.
    pub(super) fn publish(&mut self, payload: Payload, publisher: Option<String>, is_kept: bool) {
        let offset = (is_kept && self.rules.size > 0).then(|| self.top() + 1);
        self.events.push(Event { offset, payload, publisher, accepted: None });
    }

    /// What the publisher of the last publication is told.
    pub(super) fn told_position(&self) -> Value {
        if self.rules.size > 0 { json!({"offset": self.top(), "epoch": self.epoch}) } else { json!({}) }
    }

    /// Whether something with this version is told to nobody; else it is the last one.
    pub(super) fn outdates(&mut self, version: u64) -> bool {
        let is_outdated = self.version.is_some_and(|last| version <= last);
        self.version = self.version.max(Some(version));
        is_outdated
    }

    /// All that was published was acknowledged by now.
    pub(super) fn acknowledged(&mut self) {
        let now = Instant::now();
        for event in self.events.iter_mut().rev().take_while(|event| event.accepted.is_none()) {
            event.accepted = Some(now);
        }
    }

    /// All that is kept was removed.
    pub(super) fn remove(&mut self) {
        self.gone = self.top();
    }

    /// The moment at which only the last `keep` publications are not too old.
    pub(super) fn moment_of_expiry(&self, keep: usize) -> Instant {
        let last_to_go = self.events.iter().rev().filter(|event| event.offset.is_some()).nth(keep);
        let accepted = if keep == 0 { None } else { last_to_go.and_then(|event| event.accepted) };
        accepted.unwrap_or_else(Instant::now) + self.rules.ttl
    }

    /// It is `moment` now.
    pub(super) fn expire(&mut self, moment: Instant) {
        let is_too_old = |event: &&Event| event.accepted.is_some_and(|accepted| accepted + self.rules.ttl <= moment);
        let gone = self.events.iter().filter(is_too_old).filter_map(|event| event.offset).next_back();
        self.gone = self.gone.max(gone.unwrap_or(0));
    }

    /// Another topic of this name begins, with this epoch.
    #[track_caller]
    pub(super) fn begin(&mut self, epoch: String) {
        let is_used = self.past_epochs.contains(&epoch) || self.epoch == epoch;
        assert!(!is_used, "{}: epoch {epoch} stands for two lives", self.rules.name);
        let life = self.end();
        if self.rules.on_disk && life.1.iter().any(|event| event.offset.is_some()) {
            self.on_disk = Some(life);
        }
        self.epoch = epoch;
    }

    /// The hub has begun anew, and finds this epoch on disk or makes it.
    #[track_caller]
    pub(super) fn begin_anew(&mut self, epoch: String) {
        if self.rules.on_disk && self.top() > 0 {
            assert_eq!(self.epoch, epoch, "{}: what is on disk is in another epoch", self.rules.name);
        } else if let Some(life) = self.on_disk.take_if(|(on_disk, ..)| *on_disk == epoch) {
            // Its last life has left nothing on disk, so the one before goes on: nothing came between.
            self.end();
            self.past_epochs.retain(|past| *past != epoch);
            (self.epoch, self.events, self.gone) = life;
        } else {
            self.begin(epoch);
        }
    }

    /// What there was of its life.
    fn end(&mut self) -> Life {
        if !self.epoch.is_empty() {
            self.past_epochs.push(self.epoch.clone());
        }
        self.version = None;
        (std::mem::take(&mut self.epoch), std::mem::take(&mut self.events), std::mem::take(&mut self.gone))
    }
}
