//! What a configuration would do, in a screenful.

use std::fmt::{self, Write as _};
use std::thread;

use crate::config::{
    Config, Endpoint, Listen, ListenAddress, Loaded, Page, PublishRule, SlowPolicy, Source, SurfaceName, TokenKey,
    Tokens, TopicRules,
};

/// What listens where, how many workers, which topics, endpoints and pages, and the memory that the limits allow.
#[derive(Debug)]
pub(super) struct Overview<'a> {
    loaded: &'a Loaded,
    cores: usize,
}

impl<'a> Overview<'a> {
    /// An overview of `loaded` on this machine.
    pub(super) fn new(loaded: &'a Loaded) -> Self {
        Self { loaded, cores: thread::available_parallelism().map_or(1, usize::from) }
    }
}

impl fmt::Display for Overview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.loaded.config;
        let workers = if config.server.workers == 0 { self.cores } else { config.server.workers };
        let mut table = Table { f, last: "" };
        table.row(
            "configuration",
            match &self.loaded.source {
                Source::Demo => "built-in demo: no file was given".to_owned(),
                Source::File(path) => path.display().to_string(),
            },
        )?;
        for one in config.everywhere() {
            table.row("listen", listen(&one))?;
        }
        table.row(
            "workers",
            match config.server.workers {
                0 => format!("{workers}, one per core"),
                _ => workers.to_string(),
            },
        )?;
        if let Some(keys) = keys(&config.tokens) {
            table.row("tokens", keys)?;
        }
        for rules in &config.topics {
            table.row("topics", topics(rules))?;
        }
        if !config.topics.iter().any(|rules| rules.pattern == "*") {
            let built_in = TopicRules { pattern: "any other".to_owned(), ..TopicRules::default() };
            table.row("topics", topics(&built_in))?;
        }
        for one in &config.endpoints {
            table.row("endpoints", endpoint(one))?;
        }
        for one in &config.pages {
            table.row("pages", page(one))?;
        }
        for (hook, url) in config.hooks.urls() {
            if let Some(url) = url {
                table.row("hooks", format!("{hook}  {}", url.without_query()))?;
            }
        }
        if config.server.try_it_page && !config.pages.iter().any(|page| page.path == "/") {
            table.row("pages", "/  the try-it page".to_owned())?;
        }
        limits(config, &mut table)?;
        memory(config, workers, &mut table)
    }
}

/// Two columns; a label stands once for all its rows.
struct Table<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    last: &'static str,
}

impl Table<'_, '_> {
    fn row(&mut self, label: &'static str, text: String) -> fmt::Result {
        let shown = if label == self.last { "" } else { label };
        self.last = label;
        writeln!(self.f, "{shown:<13}  {text}")
    }
}

/// What tokens are verified with, if there is anything.
pub(super) fn keys(tokens: &Tokens) -> Option<String> {
    let one = |entry: &TokenKey| match &entry.id {
        Some(id) => format!("{} ({id})", entry.algorithm),
        None => entry.algorithm.to_string(),
    };
    let fetched = tokens.jwks_url.iter().map(|url| format!("those at {url}"));
    let all: Vec<String> = tokens.keys.iter().map(one).chain(fetched).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn listen(listen: &Listen) -> String {
    let reach = match &listen.address {
        ListenAddress::Tcp(address) => match (address.ip().is_loopback(), address.ip().is_unspecified()) {
            (true, _) => "this machine only",
            (false, true) => "every address of this machine",
            (false, false) => "reachable from other machines",
        },
        ListenAddress::Unix(_) => "programs on this machine that may open it",
        ListenAddress::Systemd(_) => "wherever the .socket unit listens",
    };
    let scheme = match (&listen.address, &listen.tls) {
        (ListenAddress::Tcp(_), Some(_)) => "https://",
        (ListenAddress::Tcp(_), None) => "http://",
        (ListenAddress::Unix(_) | ListenAddress::Systemd(_), _) => "",
    };
    let mut text = format!("{scheme}{}{}  {reach}", listen.address, listen.base_path);
    if let Some(tls) = &listen.tls {
        let clients = if tls.client_ca.is_some() { ", clients have certificates" } else { "" };
        let issued = tls.acme.as_ref().map(|acme| format!(", issued for {}", acme.domains.join(", ")));
        let _ = write!(text, "; TLS{}{clients}", issued.unwrap_or_default());
    }
    if listen.surfaces.len() < SurfaceName::ALL.len() {
        let names: Vec<&str> = listen.surfaces.iter().map(|surface| surface.name()).collect();
        let _ = write!(text, "; only {}", names.join(", "));
    }
    text
}

fn topics(rules: &TopicRules) -> String {
    let history = match rules.history.size {
        0 => "no history".to_owned(),
        size => format!("the last {size} for {}", rules.history.ttl),
    };
    let publish = match rules.publish {
        PublishRule::Anyone => "anyone publishes",
        PublishRule::Subscribers => "subscribers publish",
        PublishRule::Authenticated => "clients with a user publish",
        PublishRule::Api => "the API publishes",
    };
    let slow = match rules.slow_consumer.policy {
        SlowPolicy::Disconnect => "are disconnected",
        SlowPolicy::Skip => "skip to the newest",
        SlowPolicy::Latest => "get only the newest",
    };
    let (lag, age) = (rules.slow_consumer.lag, rules.slow_consumer.age);
    let delay = match rules.write_delay.0.is_zero() {
        true => String::new(),
        false => format!("; written after {}", rules.write_delay),
    };
    format!("{}  {history}; {publish}; slow subscribers ({lag} or {age} behind) {slow}{delay}", rules.pattern)
}

fn endpoint(endpoint: &Endpoint) -> String {
    let topic = endpoint.topic.as_ref().map(|topic| format!("topic {topic}"));
    let named = [
        ("identify", endpoint.identify),
        ("welcome", endpoint.welcome.is_some()),
        ("replay", endpoint.replay),
        ("reply", endpoint.reply.is_some()),
        ("announce", !endpoint.announce.is_silent()),
        ("template", endpoint.template.is_some()),
    ];
    let named = named.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned());
    let all: Vec<String> = topic.into_iter().chain(named).collect();
    format!("{}  {}", endpoint.path, all.join(", "))
}

fn page(page: &Page) -> String {
    let content = match (&page.file, &page.directory) {
        (Some(file), _) => format!("file {}", file.display()),
        (None, Some(directory)) => format!("directory {}", directory.display()),
        (None, None) => "a text".to_owned(),
    };
    format!("{}  {content}", page.path)
}

fn limits(config: &Config, table: &mut Table<'_, '_>) -> fmt::Result {
    let limits = &config.limits;
    table.row(
        "limits",
        format!("{} connections, {} topics, {} topics each", limits.connections, limits.topics, limits.subscriptions),
    )?;
    table.row("limits", format!("{} per message, {} per request head", limits.message, limits.header))
}

fn memory(config: &Config, workers: usize, table: &mut Table<'_, '_>) -> fmt::Result {
    let bound = config.memory_bound(workers);
    table.row("memory", format!("{} at most, by the limits", bound.total().rounded()))?;
    for item in &bound.items {
        table.row("memory", format!("{:>9}  {} ({})", item.bytes.rounded(), item.purpose, item.keys))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_demo_is_told_with_its_address_its_page_and_its_memory() {
        let loaded = Config::load(None, std::iter::empty()).unwrap();
        let shown = Overview { loaded: &loaded, cores: 4 }.to_string();
        for said in [
            "configuration  built-in demo",
            "listen         http://127.0.0.1:8000  this machine only",
            "workers        4, one per core",
            "topics         *  the last 100 for 10m; anyone publishes; slow subscribers (1MiB or 1m behind) are disconnected",
            "pages          /  the try-it page",
            "64MiB  publications on their way to workers (workers × limits.mailbox)",
        ] {
            assert!(shown.contains(said), "no {said:?} in:\n{shown}");
        }
    }

    #[test]
    fn hooks_are_told_with_their_url_and_no_secret_of_it() {
        let text = "[hooks]\nconnect = \"https://app.example.com/hooks?key=s3cret\"";
        let config = Config::from_toml(text, std::path::Path::new("")).unwrap();
        let loaded = Loaded { config, source: Source::Demo, warnings: Vec::new() };
        let shown = Overview { loaded: &loaded, cores: 4 }.to_string();
        assert!(shown.contains("hooks          connect  https://app.example.com/hooks\n"), "{shown}");
    }

    #[test]
    fn the_keys_of_tokens_are_told_by_algorithm_and_id_and_never_shown() {
        let text = "tokens.jwks_url = \"https://a.example/\"\n[[tokens.keys]]\nalgorithm = \"HS512\"\nsecret = \"s3cret\"\n\
            [[tokens.keys]]\nalgorithm = \"HS256\"\nsecret = \"s3cret\"\nid = \"b\"\n";
        let tokens = Config::from_toml(text, std::path::Path::new("")).unwrap().tokens;
        assert_eq!(keys(&tokens).unwrap(), "HS512, HS256 (b), those at https://a.example/");
        assert_eq!(keys(&Tokens::default()), None);
    }
}
