//! Endpoints whose keys do not fit together.

use super::super::endpoints::Endpoint;
use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::super::topics::PublishRule;
use super::limits::positive;
use super::report::Report;
use crate::hub::TopicName;

pub(super) fn check(config: &mut Config, report: &mut Report<'_>) {
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let path = KeyPath::of("endpoints").index(index);
        topic(config, endpoint, &path, report);
        fields(endpoint, &path, report);
        if let Some(interval) = endpoint.ping_interval {
            positive(&path.key("ping_interval"), interval, report);
        }
        let speaks = endpoint.identify || endpoint.welcome.is_some() || endpoint.reply.is_some();
        if endpoint.topic.is_none() && !speaks {
            report.warn(&path, &format!("`{path}` does nothing: it has no topic, reply, welcome or identify"));
        }
    }
    for endpoint in &mut config.endpoints {
        if endpoint.template.is_some() && endpoint.fields.is_empty() {
            endpoint.fields = Endpoint::DEFAULT_FIELDS.map(str::to_owned).to_vec();
        }
    }
}

fn topic(config: &Config, endpoint: &Endpoint, path: &KeyPath, report: &mut Report<'_>) {
    let Some(topic) = &endpoint.topic else {
        let wants = [
            ("replay", endpoint.replay),
            ("announce", !endpoint.announce.is_silent()),
            ("template", endpoint.template.is_some()),
        ];
        for (key, wanted) in wants {
            if wanted {
                let mistake = Mistake::new(format!("`{path}.{key}` needs a topic")).remark("of which topic?");
                report.mistake(&path.key(key), mistake.fix(format!("add `topic = \"…\"` to `{path}`")));
            }
        }
        return;
    };
    if let Err(error) = TopicName::new(topic).and_then(|name| name.at_most(config.limits.topic_name)) {
        report.mistake(&path.key("topic"), Mistake::new(format!("`{path}.topic`: {error}")));
    }
    let rules = config.rules_for(topic);
    if let Some(rules) = rules
        && !rules.allow(topic)
    {
        let what = format!(
            "`{path}.topic` is \"{topic}\", and `name_regex` of \"{}\" allows no topic of this name",
            rules.pattern
        );
        report.mistake(&path.key("topic"), Mistake::new(what));
    }
    if endpoint.replay && rules.is_none_or(|rules| rules.history.size == 0) {
        let what = format!("`{path}.replay` has nothing to replay: no [[topics]] entry gives \"{topic}\" a history");
        report.warn(&path.key("replay"), &what);
    }
    let open = rules.is_some_and(|rules| rules.publish != PublishRule::Api);
    if endpoint.template.is_some() && open {
        let what = format!(
            "what is published at /topics/{topic} passes by the template of `{path}`, so anyone can send HTML to its \
             clients; publish = \"api\" in the topic's rules closes that"
        );
        report.warn(&path.key("template"), &what);
    }
}

fn fields(endpoint: &Endpoint, path: &KeyPath, report: &mut Report<'_>) {
    for (index, field) in endpoint.fields.iter().enumerate() {
        let here = path.key("fields").index(index);
        if field.is_empty() {
            report.mistake(&here, Mistake::new(format!("`{here}` is empty")));
        } else if endpoint.fields[..index].contains(field) {
            report.mistake(&here, Mistake::new(format!("`{path}.fields` has \"{field}\" twice")));
        }
    }
}
