//! `[[topics]]`: rules per topic pattern; the first match wins.

use serde::{Deserialize, Serialize};

use super::name_regex::NameRegex;
use super::pattern;
use super::units::{ByteSize, Span};

/// One `[[topics]]` entry: the rules of the topics that match its pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct TopicRules {
    /// A topic name, where `*` stands for any run of characters. Default `"*"`.
    pub pattern: String,
    /// What may stand for the first `*` of the pattern and what is behind it. Default `""`: anything.
    pub name_regex: NameRegex,
    /// Who may publish. Default `api`.
    pub publish: PublishRule,
    /// What is kept for those who join or come back. Default: nothing.
    pub history: History,
    /// What happens to a subscriber that lags. Default: disconnect at 1 MiB or 60 s.
    pub slow_consumer: SlowConsumer,
    /// How long a publication may wait for others, to go out with them in one write. Default `"0s"`: not at all.
    pub write_delay: Span,
    /// Whether publications are compressed for subscribers that agreed on it. Default true; false is for what is
    /// compressed already, such as images.
    pub compress: bool,
    /// Who may subscribe. Default `anyone`.
    pub subscribe: SubscribeRule,
    /// Who may read the history. Default `subscribers`.
    pub read_history: ReadRule,
    /// Who may ask who is there. Default `subscribers`.
    pub read_presence: ReadRule,
    /// Whether it is known who is there. Default false.
    pub presence: bool,
    /// Who is told who comes and goes. Default `off`.
    pub join_leave: JoinLeave,
    /// Joins told per second on one topic, and as many leaves; 0 tells all. Default 50.
    pub join_leave_rate: u32,
    /// Whether clients that come back get what they missed. Default `asked`.
    pub recovery: RecoveryRule,
    /// Whether subscribers may get what differs from the publication before, instead of all of it. Default false.
    pub delta: bool,
    /// Whether subscribers may ask for publications of certain tags only. Default false.
    pub filter: bool,
    /// Whether a name such as `chat#u1,u2` is for these users only. Default false.
    pub user_limited: bool,
    /// Whether a name such as `news.*` is a wildcard: who subscribes to it gets what is published on all topics whose names
    /// begin with `news.`. Default false.
    pub wildcards: bool,
    /// What the application's backend is asked about. Default: nothing.
    pub hooks: Vec<TopicHook>,
}

/// Who may subscribe to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscribeRule {
    /// Anyone.
    Anyone,
    /// Clients with a user.
    Authenticated,
    /// Clients with a token for this topic.
    Token,
    /// Nobody on their own: the server subscribes clients.
    Api,
}

/// Who may read what a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadRule {
    /// Anyone.
    Anyone,
    /// Clients that subscribe to it (over HTTP: whoever may).
    Subscribers,
    /// Clients with a user.
    Authenticated,
    /// Only the API with a key.
    Api,
}

/// Who is told who comes to a topic and leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinLeave {
    /// Nobody.
    Off,
    /// Those who ask for it.
    Asked,
    /// Every subscriber.
    Always,
}

/// Whether clients that come back get what they missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryRule {
    /// No.
    Off,
    /// Those that ask for it when they subscribe.
    Asked,
    /// All.
    Always,
    /// All get the newest publication, instead of all they missed.
    Cache,
}

/// What the application's backend is asked about, per topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicHook {
    /// Whether a client may subscribe.
    Subscribe,
    /// Whether a client may publish, and what becomes of it.
    Publish,
    /// Whether a subscription goes on when its time is over.
    SubRefresh,
}

/// How much of a topic is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table such as { size = 100, ttl = \"1h\" }")]
pub struct History {
    /// Publications kept; 0 keeps none. Default 0.
    pub size: usize,
    /// How long each is kept. Default `"1h"`.
    pub ttl: Span,
    /// Where. Default `memory`.
    pub store: HistoryStore,
}

/// Where history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryStore {
    /// In memory: a restart begins a new epoch.
    Memory,
    /// In memory, and in the file of `history.path`: it outlives the process.
    Disk,
}

/// Who may publish to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishRule {
    /// Anyone: over HTTP without a key, and any subscribed client.
    Anyone,
    /// Subscribed clients, and the API with a key.
    Subscribers,
    /// Clients with a user, and the API with a key.
    Authenticated,
    /// Only the API with a key.
    Api,
}

/// What happens to a subscriber that lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { policy = \"disconnect\", lag = \"1MiB\", age = \"60s\" }"
)]
pub struct SlowConsumer {
    /// Default `disconnect`.
    pub policy: SlowPolicy,
    /// Bytes a blocked subscriber may lag behind. Default `"1MiB"`.
    pub lag: ByteSize,
    /// How long the oldest unsent byte may wait. Default `"60s"`.
    pub age: Span,
}

/// The slow-consumer policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlowPolicy {
    /// Close with a code that makes clients come back and resume.
    Disconnect,
    /// Jump to the newest publication, with a notice of what was missed.
    Skip,
    /// Keep only the newest publication.
    Latest,
}

impl TopicRules {
    /// Whether anything is kept.
    pub fn keeps_history(&self) -> bool {
        self.history.size > 0 && !self.history.ttl.0.is_zero()
    }

    /// Whether these rules are for the topic `name`, earlier entries aside. Linear in both, worst case their product.
    pub fn covers(&self, name: &str) -> bool {
        pattern::matches(&self.pattern, name)
    }

    /// Whether a topic that these rules are for may have this name. Linear in it.
    pub fn allow(&self, name: &str) -> bool {
        let begins_at = self.pattern.find('*').unwrap_or(self.pattern.len());
        self.name_regex.is_any() || self.name_regex.matches(name.get(begins_at..).unwrap_or_default())
    }
}

impl Default for TopicRules {
    fn default() -> Self {
        Self {
            pattern: "*".to_owned(),
            name_regex: NameRegex::default(),
            publish: PublishRule::Api,
            history: History::default(),
            slow_consumer: SlowConsumer::default(),
            write_delay: Span::secs(0),
            compress: true,
            subscribe: SubscribeRule::Anyone,
            read_history: ReadRule::Subscribers,
            read_presence: ReadRule::Subscribers,
            presence: false,
            join_leave: JoinLeave::Off,
            join_leave_rate: 50,
            recovery: RecoveryRule::Asked,
            delta: false,
            filter: false,
            user_limited: false,
            wildcards: false,
            hooks: Vec::new(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { size: 0, ttl: Span::secs(3600), store: HistoryStore::Memory }
    }
}

impl Default for SlowConsumer {
    fn default() -> Self {
        Self { policy: SlowPolicy::Disconnect, lag: ByteSize::mib(1), age: Span::secs(60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regular_expression_is_for_what_stands_behind_the_beginning_of_the_pattern() {
        let allow = |pattern: &str, regex: &str, name: &str| {
            let name_regex = regex.parse().unwrap();
            let rules = TopicRules { pattern: pattern.to_owned(), name_regex, ..TopicRules::default() };
            assert!(rules.covers(name), "{pattern} {name}");
            rules.allow(name)
        };
        assert!(allow("chat:*", "[0-9]+", "chat:17"));
        assert!(!allow("chat:*", "[0-9]+", "chat:") && !allow("chat:*", "[0-9]+", "chat:x"));
        assert!(allow("*", "[a-z]+", "news") && !allow("*", "[a-z]+", "news:1"));
        assert!(allow("a*:log", "x*:log", "axx:log") && !allow("a*:log", "x*", "axx:log"));
        assert!(allow("ä*", "b", "äb") && allow("x*", "", "x:anything"));
    }
}
