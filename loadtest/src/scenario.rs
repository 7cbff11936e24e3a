//! What a run does, in numbers. Checked before anything is connected.

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::client::connector::Dialing;
use crate::client::publisher::PublishBy;
use crate::seating::Seating;
use crate::server::hub_settings::HubSettings;
use crate::verify::{Ledger, SubscriberId};
use crate::wire::dialect::{Dialect, Envelope, Publishing};
use crate::wire::filler::Filler;
use crate::wire::stamp::{Format, Payloads};

/// Bytes of payload that may be in flight in the generator, all lanes together.
const IN_FLIGHT_LIMIT_BYTES: usize = 1 << 30;

/// Streams that can be verified: 24 bytes each.
const STREAM_LIMIT_COUNT: u64 = 1 << 27;

/// Publications in flight that can be noted, all lanes together: 16 bytes each.
const SLOT_LIMIT_COUNT: u64 = 1 << 26;

/// Connections one source address can have to one port: the usual range of ephemeral ports, rounded down.
const PORTS_PER_SOURCE: usize = 28_000;

/// Opening all connections of a run may take this long.
const CONNECT_DEADLINE_NS: u64 = 120_000_000_000;

/// When the next publication is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// So many in flight per publisher: the next one when the oldest has reached all its subscribers.
    Window(usize),
    /// So many in flight over all publishers, who take turns.
    WindowInAll(usize),
    /// So many per second over all topics, whatever the server does.
    Rate(f64),
}

/// One fan-out run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Scenario {
    /// What it is called.
    pub(crate) name: String,
    /// Topics.
    pub(crate) topics: u32,
    /// Subscribers in all; number `n` is on topic `n % topics` first.
    pub(crate) subscribers: u32,
    /// Topics of each subscriber.
    pub(crate) topics_each: u32,
    /// Publishers of each topic.
    pub(crate) publishers: u32,
    /// Bytes of each payload, the stamp included.
    pub(crate) payload_bytes: usize,
    /// Text messages instead of binary ones.
    pub(crate) text: bool,
    /// What payloads are filled with behind their stamp.
    pub(crate) filler: Filler,
    /// Whether subscribers offer permessage-deflate; a hub that is started for the run has it switched on then.
    pub(crate) compress: bool,
    /// What stands around a payload where one can choose; `None` is as little as the topics allow.
    pub(crate) envelope: Option<Envelope>,
    /// When to publish.
    pub(crate) pace: Pace,
    /// Over what to publish.
    pub(crate) publish_by: PublishBy,
    /// Measured time.
    pub(crate) duration_s: f64,
    /// Time before it, published but not measured.
    pub(crate) warmup_s: f64,
    /// How long the last deliveries are waited for.
    pub(crate) stragglers_s: f64,
    /// Source addresses 127.0.0.1 … 127.0.0.K.
    pub(crate) source_addresses: u8,
    /// Handshakes at once.
    pub(crate) concurrency: usize,
    /// Topics are called PREFIX-0, PREFIX-1 …
    pub(crate) topic_prefix: String,
}

impl Scenario {
    /// Refuses what cannot be run or verified.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.topics > 0 && self.subscribers > 0 && self.publishers > 0, "nothing to do: a count is 0");
        ensure!(
            (1..=self.topics).contains(&self.topics_each),
            "{} topics each are not 1 to {}, of which there are",
            self.topics_each,
            self.topics
        );
        let seats = u64::from(self.subscribers) * u64::from(self.topics_each) * u64::from(self.publishers);
        ensure!(
            seats <= STREAM_LIMIT_COUNT,
            "{seats} pairs of subscriber and publisher are more than {STREAM_LIMIT_COUNT}"
        );
        let lanes = u64::from(self.topics) * u64::from(self.publishers);
        ensure!(
            u64::from(self.subscribers) >= lanes,
            "{} subscribers are too few: every topic needs at least as many as it has publishers ({lanes} in all)",
            self.subscribers
        );
        ensure!(
            self.subscribers as usize <= usize::from(self.source_addresses) * PORTS_PER_SOURCE,
            "{} connections need more than {} source addresses: each has about {PORTS_PER_SOURCE} ports",
            self.subscribers,
            self.source_addresses
        );
        match self.pace {
            Pace::Window(window) => {
                ensure!(window > 0, "a window of 0 publishes nothing");
                let bytes = window.saturating_mul(self.payload_bytes).saturating_mul(lanes as usize);
                ensure!(
                    bytes <= IN_FLIGHT_LIMIT_BYTES,
                    "{bytes} bytes in flight (window x payload x publishers) are too many: at most \
                     {IN_FLIGHT_LIMIT_BYTES}"
                );
            }
            Pace::WindowInAll(window) => {
                ensure!(window > 0, "a window of 0 publishes nothing");
                let bytes = window.saturating_mul(self.payload_bytes);
                ensure!(bytes <= IN_FLIGHT_LIMIT_BYTES, "{bytes} bytes in flight are too many");
                ensure!(
                    lanes.saturating_mul(window as u64) <= SLOT_LIMIT_COUNT,
                    "{window} in flight over {lanes} publishers are too many to be noted"
                );
            }
            Pace::Rate(rate) => ensure!(rate > 0.0 && rate.is_finite(), "a rate must be more than 0 per second"),
        }
        ensure!(self.duration_s > 0.0 && self.duration_s <= 3600.0, "--duration: more than 0, at most 3600 seconds");
        ensure!((0.0..=600.0).contains(&self.warmup_s), "--warmup: at most 600 seconds");
        ensure!((0.0..=600.0).contains(&self.stragglers_s), "--stragglers: at most 600 seconds");
        self.payloads(0).map(|_| ())
    }

    /// Makes the payloads of run number `run`.
    pub(crate) fn payloads(&self, run: u64) -> Result<Payloads> {
        let format = if self.text { Format::Text } else { Format::Binary };
        ensure!(!self.text || self.filler != Filler::Noise, "--filler noise: random bytes are no text");
        Payloads::of(run, format, self.payload_bytes, self.filler).context("--payload")
    }

    /// Publications of one lane that may be in flight. In an open loop this bounds the harness, not the schedule:
    /// what is late for it keeps its intended time.
    pub(crate) fn in_flight_limit(&self) -> usize {
        match self.pace {
            // They take turns, but one whose subscribers are slow may have all of them.
            Pace::Window(window) | Pace::WindowInAll(window) => window,
            Pace::Rate(_) => {
                let lanes = (self.topics * self.publishers) as usize;
                (64 * 1024 * 1024 / self.payload_bytes.max(1) / lanes).clamp(16, 65_536)
            }
        }
    }

    /// Whether several publications can be in flight: then some can be joined.
    pub(crate) fn is_in_bursts(&self) -> bool {
        match self.pace {
            Pace::Window(window) => window > 1 || self.topics_each > 1,
            Pace::WindowInAll(window) => window > 1,
            Pace::Rate(_) => true,
        }
    }

    /// This scenario as a server that speaks `dialect` takes it, and the dialect with its envelope.
    ///
    /// Errors: what the language has no words for.
    pub(crate) fn suited_to(&self, dialect: &Dialect) -> Result<(Self, Dialect)> {
        let fitting = if self.topics_each > 1 { Envelope::Json } else { Envelope::Plain };
        let dialect = match dialect {
            Dialect::Topics(_) => Dialect::Topics(self.envelope.unwrap_or(fitting)),
            Dialect::Template(_) | Dialect::Centrifuge(_) | Dialect::Pusher(_) => dialect.clone(),
        };
        match dialect {
            Dialect::Topics(Envelope::Json) | Dialect::Centrifuge(_) | Dialect::Pusher(_) => {}
            Dialect::Topics(Envelope::Plain) | Dialect::Template(_) => ensure!(
                self.topics_each == 1,
                "{} messages do not tell their topic: no more than one topic each",
                dialect.label()
            ),
        }
        let publish_by = match dialect.publishing() {
            Publishing::Either => self.publish_by,
            Publishing::Http => PublishBy::Http,
            Publishing::WebSocket => {
                ensure!(
                    self.publish_by == PublishBy::Ws,
                    "{} targets are published to over WebSockets",
                    dialect.label()
                );
                PublishBy::Ws
            }
        };
        // A JSON string would have them escaped, and a delivery is compared with what was published.
        let is_quoted = dialect.is_textual() && matches!(self.filler, Filler::Json | Filler::Html);
        ensure!(!is_quoted, "--filler json and html have quotes: {} messages would change them", dialect.label());
        let suited = Self { text: self.text || dialect.is_textual(), publish_by, ..self.clone() };
        suited.check()?;
        Ok((suited, dialect))
    }

    /// Who is on which topics.
    pub(crate) fn seating(&self) -> Seating {
        Seating::new(self.topics, self.subscribers, self.topics_each)
    }

    /// The ledger of a run.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::new(self.seating(), self.publishers, self.in_flight_limit())
    }

    /// The names of the topics.
    pub(crate) fn topic_names(&self) -> Vec<String> {
        (0..self.topics).map(|topic| topic_name(&self.topic_prefix, topic)).collect()
    }

    /// The names of the topics of subscriber `number`.
    pub(crate) fn topics_of(&self, seating: &Seating, number: usize) -> Vec<String> {
        seating.topics_of(SubscriberId(number as u32)).map(|topic| topic_name(&self.topic_prefix, topic)).collect()
    }

    /// How the subscribers of run number `run` connect.
    pub(crate) fn dialing(&self, run: u64) -> Dialing {
        Dialing {
            source_addresses: self.source_addresses,
            concurrency: self.concurrency,
            deadline_ns: CONNECT_DEADLINE_NS,
            run,
            compress: self.compress,
        }
    }

    /// The hub this needs.
    pub(crate) fn hub_settings(&self) -> HubSettings {
        HubSettings { compression: self.compress, ..HubSettings::for_load(self.subscribers, self.payload_bytes) }
    }

    /// What is in flight, for people.
    pub(crate) fn describe_pace(&self) -> String {
        match self.pace {
            Pace::Window(window) => format!("window {window}"),
            Pace::WindowInAll(window) => format!("{window} in flight in all"),
            Pace::Rate(rate) => format!("{rate} publications/s"),
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let pace = self.describe_pace();
        let publishers = if self.publishers == 1 { String::new() } else { format!(", {} publishers", self.publishers) };
        let each = if self.topics_each == 1 { String::new() } else { format!("{} each of ", self.topics_each) };
        format!(
            "{} subscribers{} on {each}{} topic{}{publishers}, {} B {}{}, {pace}, {} s after {} s of warm-up",
            self.subscribers,
            if self.compress { " that offer compression" } else { "" },
            self.topics,
            if self.topics == 1 { "" } else { "s" },
            self.payload_bytes,
            if self.text { "text" } else { "binary" },
            match self.filler {
                Filler::Letters => "",
                Filler::Chat => " (chat)",
                Filler::Json => " (json)",
                Filler::Html => " (html)",
                Filler::Noise => " (noise)",
            },
            self.duration_s,
            self.warmup_s,
        )
    }
}

/// The name of topic number `topic`.
pub(crate) fn topic_name(prefix: &str, topic: u32) -> String {
    format!("{prefix}-{topic}")
}

/// The URL path of topic number `topic` on a fanfare.
pub(crate) fn topic_path(prefix: &str, topic: u32) -> String {
    format!("/topics/{}", topic_name(prefix, topic))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::wire::dialect::{App, Template};

    /// A small run that passes its checks.
    pub(crate) fn small() -> Scenario {
        Scenario {
            name: "small".into(),
            topics: 2,
            subscribers: 10,
            topics_each: 1,
            publishers: 1,
            payload_bytes: 128,
            text: false,
            filler: Filler::Letters,
            compress: false,
            envelope: None,
            pace: Pace::Window(4),
            publish_by: PublishBy::Ws,
            duration_s: 0.2,
            warmup_s: 0.0,
            stragglers_s: 5.0,
            source_addresses: 3,
            concurrency: 4,
            topic_prefix: "load".into(),
        }
    }

    #[test]
    fn a_scenario_that_cannot_be_run_is_refused_with_its_reason() {
        small().check().unwrap();
        for (scenario, reason) in [
            (Scenario { topics: 11, ..small() }, "too few"),
            (Scenario { publishers: 6, ..small() }, "too few"),
            (Scenario { subscribers: 28_001, source_addresses: 1, ..small() }, "source addresses"),
            (Scenario { payload_bytes: 31, ..small() }, "--payload"),
            (Scenario { filler: Filler::Noise, text: true, ..small() }, "--filler"),
            (Scenario { payload_bytes: 63, text: true, ..small() }, "--payload"),
            (Scenario { topics_each: 3, ..small() }, "3 topics each"),
            (Scenario { topics_each: 0, ..small() }, "0 topics each"),
            (Scenario { pace: Pace::Window(0), ..small() }, "window of 0"),
            (Scenario { pace: Pace::WindowInAll(0), ..small() }, "window of 0"),
            (Scenario { pace: Pace::WindowInAll(1 << 26), payload_bytes: 32, ..small() }, "too many"),
            (Scenario { pace: Pace::Window(1 << 20), payload_bytes: 1 << 20, ..small() }, "in flight"),
            (Scenario { pace: Pace::Rate(0.0), ..small() }, "rate"),
            (Scenario { duration_s: 0.0, ..small() }, "--duration"),
        ] {
            let error = scenario.check().unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
    }

    #[test]
    fn an_open_loop_is_bounded_by_bytes_and_by_count() {
        let rate = |payload_bytes| Scenario { pace: Pace::Rate(1.0), payload_bytes, ..small() }.in_flight_limit();
        assert_eq!(rate(32), 65_536);
        assert_eq!(rate(1 << 20), 32);
        assert_eq!(rate(1 << 26), 16);
    }

    #[test]
    fn a_language_makes_of_a_scenario_what_it_can_say() {
        let topics = Dialect::Topics(Envelope::Plain);
        let (suited, dialect) = small().suited_to(&topics).unwrap();
        assert_eq!((suited.text, dialect), (false, topics.clone()));
        let several = Scenario { topics_each: 2, ..small() };
        let (suited, dialect) = several.suited_to(&topics).unwrap();
        assert_eq!((suited.text, dialect), (true, Dialect::Topics(Envelope::Json)));
        let plain = Scenario { envelope: Some(Envelope::Plain), ..several.clone() };
        assert!(plain.suited_to(&topics).unwrap_err().to_string().contains("one topic each"));
        let quoted = Scenario { filler: Filler::Json, ..several.clone() };
        assert!(quoted.suited_to(&topics).unwrap_err().to_string().contains("quotes"));
        let template = Dialect::Template(Template::new("/{topic}").unwrap());
        assert!(several.suited_to(&template).is_err());
        let by_http = Scenario { publish_by: PublishBy::Http, ..small() };
        assert!(by_http.suited_to(&template).is_err());
        let app = App { id: "1".into(), key: "k".into(), secret: "s".into() };
        let (suited, _) = small().suited_to(&Dialect::Pusher(app)).unwrap();
        assert_eq!((suited.text, suited.publish_by), (true, PublishBy::Http));
    }
}
