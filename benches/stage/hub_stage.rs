//! A hub without sockets. Topics named `keep…` have a history of 1,000 publications.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use fanfare::config::{ByteSize, Config, History, TopicRules};
use fanfare::hub::{Draft, Hub, Joined, Kind, Letter, Mailbox, Outcome, Start, Topic, TopicName, WorkerId};

use super::LINE;

/// A hub over workers that are mailboxes alone, at one moment in time.
pub(crate) struct HubStage {
    pub(crate) hub: Arc<Hub>,
    now: Instant,
}

impl HubStage {
    /// Places in the history of a `keep…` topic.
    pub(crate) const HISTORY: usize = 1_000;

    pub(crate) fn new(workers: usize) -> Self {
        let history = History { size: Self::HISTORY, ..History::default() };
        let keep = TopicRules { pattern: "keep*".to_owned(), history, ..TopicRules::default() };
        let mut config = Config { topics: vec![keep], ..Config::default() };
        config.limits.history_total = ByteSize::mib(64);
        let mailboxes = (0..workers).map(|_| Arc::new(Mailbox::new(16 << 20, Box::new(|| {})))).collect();
        Self { hub: Hub::new(&config, mailboxes), now: Instant::now() }
    }

    pub(crate) fn topic(&self, name: &str) -> Arc<Topic> {
        self.hub.topic(&TopicName::new(name).expect("a good name")).expect("below the limit")
    }

    /// A topic with one subscriber on each of the first `workers` workers.
    pub(crate) fn topic_on(&self, name: &str, workers: usize) -> Arc<Topic> {
        let topic = self.topic(name);
        for worker in 0..workers {
            self.subscribe(&topic, worker);
        }
        topic
    }

    pub(crate) fn subscribe(&self, topic: &Arc<Topic>, worker: usize) {
        black_box(self.hub.subscribe(topic, WorkerId(worker as u16), Start::Now, self.now));
    }

    /// Takes a subscriber away that is not the worker's last.
    pub(crate) fn unsubscribe(&self, topic: &Arc<Topic>, worker: usize) {
        self.hub.unsubscribe(Arc::clone(topic), WorkerId(worker as u16), false, self.now);
    }

    /// Publishes [`LINE`], the making of the draft included.
    pub(crate) fn publish(&self, topic: &Arc<Topic>) {
        let draft = Draft::new(Kind::Text, black_box(LINE.as_bytes()));
        match self.hub.publish(topic, draft, self.now, || unreachable!()).expect("it is in memory") {
            Outcome::Accepted(receipt) => {
                black_box(receipt);
            }
            Outcome::Full { .. } | Outcome::Refused(_) => panic!("mailboxes are drained"),
        }
    }

    pub(crate) fn read_last(&self, topic: &Topic, count: usize) -> Joined {
        self.hub.history(topic, Start::Last(count), usize::MAX, self.now)
    }

    /// Pops and releases all letters of the first `workers` workers; gives how many there were.
    pub(crate) fn drain(&self, workers: usize) -> usize {
        let mut letters = 0;
        for worker in 0..workers {
            let mailbox = self.hub.mailbox(WorkerId(worker as u16));
            while let Some(letter) = mailbox.pop() {
                if let Letter::Publication(publication) = letter {
                    mailbox.release(black_box(&publication).charge_bytes());
                    letters += 1;
                }
            }
        }
        letters
    }
}
