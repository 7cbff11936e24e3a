//! What the subscribers of wildcards get: every publication on a topic of their prefix, whose rules are theirs, once.

use super::stage::{hub_of, join, name, offer, publish};
use crate::config::{Config, TopicRules};
use crate::hub::{Draft, Hub, Letter, Outcome, Queue, WorkerId};
use crate::refusal::Refusal;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Instant;

/// Wildcards are allowed on all topics but those named `x…`, which have none, and `a.b…`, which have rules of their own.
fn config() -> Config {
    let rules = |pattern: &str, wildcards| TopicRules {
        pattern: pattern.to_owned(),
        wildcards,
        user_limited: true,
        ..TopicRules::default()
    };
    Config { topics: vec![rules("x*", false), rules("a.b*", true), rules("*", true)], ..Config::default() }
}

fn hub(workers: usize) -> Arc<Hub> {
    hub_of(&config(), workers, 16 << 20)
}

/// The letters of a worker: the topic, its payload, and the wildcard it came by.
fn letters(hub: &Hub, worker: u16) -> Vec<(String, String, Option<String>)> {
    let mailbox = hub.mailbox(WorkerId(worker));
    let mut found = Vec::new();
    while let Some(letter) = mailbox.pop() {
        let (publication, wildcard) = match letter {
            Letter::Publication(publication) => (publication, None),
            Letter::Matched(matched) => {
                (Arc::clone(&matched.publication), Some(matched.wildcard.name().as_str().to_owned()))
            }
            Letter::Canary(_) => panic!("no canary was sent"),
        };
        mailbox.release(publication.charge_bytes());
        let text = String::from_utf8(publication.payload().to_vec()).unwrap();
        found.push((publication.topic.name().as_str().to_owned(), text, wildcard));
    }
    found
}

#[test]
fn a_publication_is_for_every_wildcard_above_its_topic_on_their_workers() {
    let (hub, now) = (hub(3), Instant::now());
    let [exact, near, far] = ["news.local.sport", "news.local.*", "news.*"].map(|one| hub.topic(&name(one)).unwrap());
    let _ = (join(&hub, &exact, 0, now), join(&hub, &near, 1, now), join(&hub, &far, 1, now), join(&hub, &far, 2, now));
    let receipt = publish(&hub, &exact, "goal", now);
    assert_eq!((receipt.receivers, receipt.position.offset.0), (4, 1));
    let by = |wildcard: Option<&str>| {
        ("news.local.sport".to_owned(), "goal".to_owned(), wildcard.map(std::borrow::ToOwned::to_owned))
    };
    assert_eq!(letters(&hub, 0), [by(None)]);
    assert_eq!(letters(&hub, 1), [by(Some("news.*")), by(Some("news.local.*"))]);
    assert_eq!(letters(&hub, 2), [by(Some("news.*"))]);
    hub.unsubscribe(near, WorkerId(1), true, now);
    publish(&hub, &exact, "goal", now);
    assert_eq!(letters(&hub, 1), [by(Some("news.*"))]);
}

#[test]
fn nothing_is_published_on_a_wildcard_and_its_topic_goes_with_its_subscribers() {
    let (hub, now) = (hub(1), Instant::now());
    let wildcard = hub.topic(&name("news.*")).unwrap();
    let refused = offer(&hub, &wildcard, Draft::text("all"), now);
    assert!(matches!(refused, Outcome::Refused(Refusal::Wildcard)), "{refused:?}");
    let refused = offer(&hub, &wildcard, Draft::text("all").passing(), now);
    assert!(matches!(refused, Outcome::Refused(Refusal::Wildcard)), "{refused:?}");
    // Where the rules have no wildcards, it is a name like any other.
    let plain = hub.topic(&name("x.*")).unwrap();
    assert!(matches!(offer(&hub, &plain, Draft::text("one"), now), Outcome::Accepted(_)));
    let _ = join(&hub, &wildcard, 0, now);
    publish(&hub, &hub.topic(&name("news.a")).unwrap(), "a", now);
    hub.unsubscribe(wildcard, WorkerId(0), true, now);
    assert_eq!(letters(&hub, 0).len(), 1);
    drop(plain);
    hub.tidy(now);
    assert_eq!(hub.census().topics, 0);
}

#[test]
fn a_full_mailbox_of_a_wildcards_worker_holds_the_publication_back_from_all() {
    let hub = hub_of(&config(), 2, 2_000);
    let now = Instant::now();
    let [exact, wildcard] = ["news.a", "news.*"].map(|one| hub.topic(&name(one)).unwrap());
    let _ = (join(&hub, &exact, 0, now), join(&hub, &wildcard, 1, now));
    let large = "x".repeat(1_000);
    publish(&hub, &exact, &large, now);
    assert_eq!(letters(&hub, 0).len(), 1);
    match offer(&hub, &exact, Draft::text(&large), now) {
        Outcome::Full { queue, .. } => assert_eq!(queue, Queue::Mailbox(WorkerId(1))),
        other => panic!("{other:?}"),
    }
    assert!(letters(&hub, 0).is_empty(), "not for one of them alone");
    assert_eq!(letters(&hub, 1).len(), 1);
    // What the first worker's mailbox had reserved was given back: there is room for the next.
    assert_eq!(publish(&hub, &exact, &large, now).position.offset.0, 2);
    assert_eq!((letters(&hub, 0).len(), letters(&hub, 1).len()), (1, 1));
}

/// Few names, so that many are prefixes of others: some with other rules than those above them, or for one user.
fn any_name() -> impl Strategy<Value = String> {
    let firsts = proptest::sample::select(vec!["a", "x"]);
    let separators = proptest::sample::select(vec![".", ".", ":", "/"]);
    let rests = proptest::sample::select(vec!["*", "*", "b", "b.*", "b.c", "c", "c:*", "c:d/e", "c#u", "", "*.c"]);
    (firsts, separators, rests).prop_map(|(first, separator, rest)| format!("{first}{separator}{rest}"))
}

proptest! {
    #[test]
    fn subscribers_get_what_a_look_at_all_names_says(
        steps in proptest::collection::vec((0..3u8, any_name(), 0..2u16), 1..60)
    ) {
        let (hub, now) = (hub(2), Instant::now());
        let allows = |text: &str| hub.rules_of(&name(text)).wildcards;
        let is_wildcard = |text: &str| {
            let bytes = text.as_bytes();
            allows(text) && bytes.len() > 2 && bytes.ends_with(b"*") && b".:/".contains(&bytes[bytes.len() - 2])
        };
        let mut subscribed: Vec<(String, u16)> = Vec::new();
        for (number, (what, text, worker)) in steps.into_iter().enumerate() {
            let topic = hub.topic(&name(&text)).unwrap();
            let at = subscribed.iter().position(|one| *one == (text.clone(), worker));
            match (what, at) {
                (0, None) => {
                    let _ = join(&hub, &topic, worker, now);
                    subscribed.push((text, worker));
                }
                (1, Some(at)) => {
                    subscribed.remove(at);
                    hub.unsubscribe(topic, WorkerId(worker), true, now);
                }
                _ if is_wildcard(&text) => {
                    let refused = offer(&hub, &topic, Draft::text("a"), now);
                    prop_assert!(matches!(refused, Outcome::Refused(Refusal::Wildcard)));
                }
                _ => {
                    let payload = number.to_string();
                    let receipt = publish(&hub, &topic, &payload, now);
                    let reaches = |by: &str| {
                        is_wildcard(by)
                            && !text.contains('#')
                            && text.starts_with(&by[..by.len() - 1])
                            && hub.rules_of(&name(by)) == hub.rules_of(&name(&text))
                    };
                    let mut receivers = 0;
                    for worker in 0..2 {
                        let here = subscribed.iter().filter(|(_, on)| *on == worker).map(|(by, _)| by);
                        let mut expected: Vec<_> = here
                            .filter(|by| **by == text || reaches(by))
                            .map(|by| (text.clone(), payload.clone(), (*by != text).then(|| by.clone())))
                            .collect();
                        receivers += expected.len();
                        expected.sort();
                        let mut found = letters(&hub, worker);
                        found.sort();
                        prop_assert_eq!(found, expected);
                    }
                    prop_assert_eq!(receipt.receivers, receivers);
                }
            }
        }
    }
}
