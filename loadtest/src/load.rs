//! A load as flags or a file describe it: everything optional, flags over file over defaults.

use anyhow::{Result, ensure};
use clap::Args;
use serde::{Deserialize, Deserializer};

use crate::client::publisher::PublishBy;
use crate::recipe::Kind;
use crate::scenario::{Pace, Scenario};
use crate::wire::dialect::Envelope;
use crate::wire::filler::Filler;

/// What load. Lists make one run of each value, every payload with every window.
#[derive(Debug, Default, Clone, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Load {
    /// In a file: which kind of run this is. Read before the rest, to know what the rest is.
    #[arg(skip)]
    kind: Option<Kind>,
    /// Topics the subscribers are spread over [default: 1]
    #[arg(long, value_name = "COUNT")]
    topics: Option<u32>,
    /// Subscribers in all [default: 1000]
    #[arg(long, value_name = "COUNT")]
    subscribers: Option<u32>,
    /// Topics of each subscriber [default: 1]
    #[arg(long, value_name = "COUNT")]
    topics_each: Option<u32>,
    /// Publishers of each topic; over WebSockets they are its first subscribers [default: 1]
    #[arg(long, value_name = "COUNT")]
    publishers: Option<u32>,
    /// Bytes of each payload, at least 32 (64 for text); several make a run of each [default: 128]
    #[arg(long, value_name = "BYTES", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_more")]
    payload: Vec<usize>,
    /// Text messages instead of binary ones; a target that only carries text makes it so for all
    #[arg(long, num_args = 0, default_missing_value = "true")]
    text: Option<bool>,
    /// What payloads are filled with behind their stamp [default: letters]
    #[arg(long, value_enum)]
    filler: Option<Filler>,
    /// Offer permessage-deflate on subscribers, inflate what comes, and switch it on in a hub that is started
    #[arg(long, num_args = 0, default_missing_value = "true")]
    compress: Option<bool>,
    /// What stands around a payload on fanfare and on the floors [default: plain, with several topics each json]
    #[arg(long, value_enum)]
    envelope: Option<Envelope>,
    /// Publications in flight per publisher: the next one when the oldest has reached everybody; several make a run of
    /// each [default: 1]
    #[arg(long, alias = "windows", value_name = "COUNT", value_delimiter = ',', conflicts_with_all = ["rate", "window_in_all"])]
    #[serde(deserialize_with = "one_or_more")]
    window: Vec<usize>,
    /// Publications in flight over all publishers, who take turns
    #[arg(long, value_name = "COUNT", conflicts_with = "rate")]
    window_in_all: Option<usize>,
    /// Publications per second over all topics, whatever the server does (open loop)
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How publications are sent [default: ws; http where the protocol has nothing else]
    #[arg(long, value_enum)]
    publish_by: Option<PublishBy>,
    /// Measured seconds [default: 5]
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Seconds of load before that [default: 1]
    #[arg(long, value_name = "SECONDS")]
    warmup: Option<f64>,
    /// Seconds the last deliveries are waited for [default: 5]
    #[arg(long, value_name = "SECONDS")]
    stragglers: Option<f64>,
    /// Connect from 127.0.0.1 to 127.0.0.K [default: 8]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    source_addresses: Option<u8>,
    /// Handshakes at once [default: 64]
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<usize>,
    /// Topics are called PREFIX-0, PREFIX-1 and so on [default: load]
    #[arg(long, value_name = "PREFIX")]
    topic_prefix: Option<String>,
}

impl Load {
    /// This, and where it says nothing, `base`. A pace of any kind replaces the other's.
    pub(crate) fn over(self, base: Self) -> Self {
        let (own, theirs) = (Pacing::of(&self), Pacing::of(&base));
        let Pacing { window, window_in_all, rate } = if own.is_empty() { theirs } else { own };
        Self {
            kind: None,
            topics: self.topics.or(base.topics),
            subscribers: self.subscribers.or(base.subscribers),
            topics_each: self.topics_each.or(base.topics_each),
            publishers: self.publishers.or(base.publishers),
            payload: if self.payload.is_empty() { base.payload } else { self.payload },
            text: self.text.or(base.text),
            filler: self.filler.or(base.filler),
            compress: self.compress.or(base.compress),
            envelope: self.envelope.or(base.envelope),
            window,
            window_in_all,
            rate,
            publish_by: self.publish_by.or(base.publish_by),
            duration: self.duration.or(base.duration),
            warmup: self.warmup.or(base.warmup),
            stragglers: self.stragglers.or(base.stragglers),
            source_addresses: self.source_addresses.or(base.source_addresses),
            concurrency: self.concurrency.or(base.concurrency),
            topic_prefix: self.topic_prefix.or(base.topic_prefix),
        }
    }

    /// The scenarios, checked: one for each window and payload.
    pub(crate) fn scenarios(&self, name: &str) -> Result<Vec<Scenario>> {
        let one_payload = [128];
        let payloads = if self.payload.is_empty() { &one_payload[..] } else { &self.payload };
        let mut scenarios = Vec::new();
        for pace in self.paces()? {
            for &payload_bytes in payloads {
                scenarios.push(self.scenario(name, pace, payload_bytes));
            }
        }
        scenarios.iter().try_for_each(Scenario::check)?;
        Ok(scenarios)
    }

    fn scenario(&self, name: &str, pace: Pace, payload_bytes: usize) -> Scenario {
        Scenario {
            name: name.to_owned(),
            topics: self.topics.unwrap_or(1),
            subscribers: self.subscribers.unwrap_or(1000),
            topics_each: self.topics_each.unwrap_or(1),
            publishers: self.publishers.unwrap_or(1),
            payload_bytes,
            text: self.text.unwrap_or(false),
            filler: self.filler.unwrap_or_default(),
            compress: self.compress.unwrap_or(false),
            envelope: self.envelope,
            pace,
            publish_by: self.publish_by.unwrap_or(PublishBy::Ws),
            duration_s: self.duration.unwrap_or(5.0),
            warmup_s: self.warmup.unwrap_or(1.0),
            stragglers_s: self.stragglers.unwrap_or(5.0),
            source_addresses: self.source_addresses.unwrap_or(8),
            concurrency: self.concurrency.unwrap_or(64),
            topic_prefix: self.topic_prefix.clone().unwrap_or_else(|| "load".to_owned()),
        }
    }

    fn paces(&self) -> Result<Vec<Pace>> {
        let given = usize::from(!self.window.is_empty())
            + usize::from(self.window_in_all.is_some())
            + usize::from(self.rate.is_some());
        ensure!(given <= 1, "window, window_in_all and rate exclude each other");
        Ok(match (self.window_in_all, self.rate) {
            (Some(window), _) => vec![Pace::WindowInAll(window)],
            (None, Some(rate)) => vec![Pace::Rate(rate)],
            (None, None) if self.window.is_empty() => vec![Pace::Window(1)],
            (None, None) => self.window.iter().copied().map(Pace::Window).collect(),
        })
    }
}

/// The three ways to say when to publish.
struct Pacing {
    window: Vec<usize>,
    window_in_all: Option<usize>,
    rate: Option<f64>,
}

impl Pacing {
    fn of(load: &Load) -> Self {
        Self { window: load.window.clone(), window_in_all: load.window_in_all, rate: load.rate }
    }

    fn is_empty(&self) -> bool {
        self.window.is_empty() && self.window_in_all.is_none() && self.rate.is_none()
    }
}

/// A number, or a list of numbers.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number, or a list of them")]
    enum OneOrMore {
        One(usize),
        More(Vec<usize>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Load {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_given_wins_over_what_is_below_and_defaults_are_last() {
        let flags = load("subscribers = 5\nrate = 3.0");
        let file = load("subscribers = 50\ntopics = 2\nwindow = [1, 64]");
        let scenarios = flags.over(file).scenarios("x").unwrap();
        let [scenario] = &scenarios[..] else { panic!("{scenarios:?}") };
        assert_eq!((scenario.subscribers, scenario.topics, scenario.payload_bytes), (5, 2, 128));
        assert_eq!(scenario.pace, Pace::Rate(3.0));
    }

    #[test]
    fn lists_make_a_scenario_of_every_window_and_payload() {
        let scenarios = load("window = [1, 64]\npayload = [64, 256, 1024]").scenarios("x").unwrap();
        let found: Vec<_> = scenarios.iter().map(|scenario| (scenario.pace, scenario.payload_bytes)).collect();
        assert_eq!(found.len(), 6);
        assert_eq!(found[0], (Pace::Window(1), 64));
        assert_eq!(found[5], (Pace::Window(64), 1024));
    }

    #[test]
    fn one_pace_at_a_time() {
        let error = load("window = 1\nrate = 3.0").scenarios("x").unwrap_err();
        assert!(error.to_string().contains("exclude"), "{error}");
    }
}
