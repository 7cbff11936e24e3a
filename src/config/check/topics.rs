//! Rules of topics that never apply, or that no publication fits.

use super::super::history::Sync;
use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::pattern;
use super::super::settings::Config;
use super::super::topics::{PublishRule, TopicHook};
use super::super::units::Span;
use super::limits::positive;
use super::report::Report;

/// Beyond it nobody would call it live, and nothing more is saved.
const LONGEST_WRITE_DELAY: Span = Span::secs(1);

/// What waits for it is bounded in bytes, too; longer than this it would say nothing.
const LONGEST_SYNC: Span = Span::secs(60);

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    for (index, rules) in config.topics.iter().enumerate() {
        let path = KeyPath::of("topics").index(index);
        if rules.pattern.is_empty() {
            let mistake = Mistake::new(format!("`{path}.pattern` is empty")).remark("\"*\" stands for every topic");
            report.mistake(&path.key("pattern"), mistake);
        }
        if !rules.name_regex.is_any() && !rules.pattern.contains('*') {
            let mistake =
                Mistake::new(format!("`{path}.name_regex` has nothing to be for: \"{}\" is one name", rules.pattern));
            report.mistake(&path.key("name_regex"), mistake.fix("it is for what stands for the `*` of `pattern`"));
        }
        unreachable(config, index, &path, report);
        nobody_to_ask(config, index, &path, report);
        let history = path.key("history");
        if rules.history.size > 0 {
            positive(&history.key("ttl"), rules.history.ttl, report);
        }
        if rules.write_delay > LONGEST_WRITE_DELAY {
            let key = path.key("write_delay");
            let mistake = Mistake::new(format!("`{key}` is {}", rules.write_delay));
            report.mistake(
                &key,
                mistake.remark(format!("at most {LONGEST_WRITE_DELAY}: every publication waits for it")),
            );
        }
        let slow = path.key("slow_consumer");
        positive(&slow.key("age"), rules.slow_consumer.age, report);
        let (lag, message) = (rules.slow_consumer.lag, config.limits.message);
        if lag < message {
            let mistake =
                Mistake::new(format!("`{slow}.lag` ({lag}) is smaller than one `limits.message` ({message})"));
            let mistake = mistake
                .fix("a subscriber would be slow after a single message: raise the lag or lower `limits.message`");
            report.mistake_at_written(&[slow.key("lag"), KeyPath::of("limits").key("message")], mistake);
        }
    }
    if let Sync::Every(interval) = config.history.sync {
        let key = KeyPath::of("history").key("sync");
        positive(&key, interval, report);
        if interval > LONGEST_SYNC {
            let mistake = Mistake::new(format!("`{key}` is {interval}"));
            report.mistake(
                &key,
                mistake.remark(format!("at most {LONGEST_SYNC}: as much may be lost, and waits in memory")),
            );
        }
    }
    unpublishable(config, report);
}

fn unreachable(config: &Config, index: usize, path: &KeyPath, report: &mut Report<'_>) {
    let later = &config.topics[index].pattern;
    let earlier = config.topics[..index].iter().position(|earlier| pattern::shadows(&earlier.pattern, later));
    if let Some(earlier) = earlier {
        let caught = &config.topics[earlier].pattern;
        let mistake =
            Mistake::new(format!("`{path}` never applies: \"{caught}\" of `topics[{earlier}]` takes all its topics"));
        let mistake = mistake.fix("the first match wins: put the narrower pattern first");
        report.mistake(&path.key("pattern"), mistake);
    }
}

/// A topic that leaves a decision to the backend would refuse everybody if there is no URL to ask.
fn nobody_to_ask(config: &Config, index: usize, path: &KeyPath, report: &mut Report<'_>) {
    for hook in &config.topics[index].hooks {
        let (name, url) = match hook {
            TopicHook::Subscribe => ("subscribe", &config.hooks.subscribe),
            TopicHook::Publish => ("publish", &config.hooks.publish),
            TopicHook::SubRefresh => ("sub_refresh", &config.hooks.sub_refresh),
        };
        if url.is_none() {
            let key = path.key("hooks");
            let mistake = Mistake::new(format!("`{key}` has \"{name}\", and `hooks.{name}` has no URL to ask"));
            report.mistake(&key, mistake.fix(format!("set `hooks.{name}`, or leave \"{name}\" out")));
        }
    }
}

/// Without a key, topics that only the API may publish to stay silent, unless an endpoint feeds them.
fn unpublishable(config: &Config, report: &mut Report<'_>) {
    let no_keys = config.api.keys.is_empty() && config.api.keys_file.is_none();
    for (index, rules) in config.topics.iter().enumerate() {
        let mut fed = config.endpoints.iter().filter_map(|endpoint| endpoint.topic.as_deref());
        if no_keys && rules.publish == PublishRule::Api && !fed.any(|topic| rules.covers(topic)) {
            let what = format!("only the API may publish to \"{}\", and `api.keys` has no key", rules.pattern);
            report.warn(&KeyPath::of("topics").index(index), &what);
        }
    }
}
