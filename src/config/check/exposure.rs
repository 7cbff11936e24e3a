//! Publishing open to anyone, on an address that anyone may reach.

use super::super::key_path::KeyPath;
use super::super::listeners::{Listen, SurfaceName};
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::super::topics::PublishRule;
use super::report::Report;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    if config.server.anyone_may_publish_from_public_addresses {
        return;
    }
    let short = config.server.listen.len();
    // A listener through which nobody can publish is no concern of this rule.
    let opens = |listen: &Listen| {
        let publishes = [SurfaceName::Sockets, SurfaceName::Topics].iter().any(|name| listen.surfaces.contains(name));
        publishes && !listen.address.is_private_to_this_machine()
    };
    let everywhere = config.everywhere();
    let (Some(index), Some(opening)) = (everywhere.iter().position(opens), opening(config)) else { return };
    let address = &everywhere[index].address;
    let key = match index.checked_sub(short) {
        None => KeyPath::of("server").key("listen").index(index),
        Some(index) => KeyPath::of("listeners").index(index).key("address"),
    };
    let mistake = Mistake::new(format!("{address} can be reached from outside this machine, and {opening}"))
        .remark("public")
        .fix(
            "listen on 127.0.0.1 behind a proxy, or publish = \"api\", or say that it is meant: \
             server.anyone_may_publish_from_public_addresses = true",
        );
    report.mistake(&key, mistake);
}

/// What lets anyone publish, in words.
///
/// Endpoints with a topic count: they publish what their clients send, whatever the topic's rules say of others. And
/// `subscribers` counts: whoever can connect can subscribe, and so publish.
fn opening(config: &Config) -> Option<String> {
    let open = |rule: PublishRule| match rule {
        PublishRule::Anyone | PublishRule::Subscribers => true,
        PublishRule::Authenticated | PublishRule::Api => false,
    };
    let by_endpoint = config.endpoints.iter().find_map(|endpoint| {
        let topic = endpoint.topic.as_deref()?;
        Some(format!("anyone who connects to {} may publish to \"{topic}\"", endpoint.path))
    });
    by_endpoint.or_else(|| {
        let rules = config.topics.iter().find(|rules| open(rules.publish))?;
        Some(match rules.publish {
            PublishRule::Subscribers => {
                format!("anyone who subscribes to \"{}\" may publish (publish = \"subscribers\")", rules.pattern)
            }
            PublishRule::Anyone | PublishRule::Authenticated | PublishRule::Api => {
                format!("anyone may publish to \"{}\" (publish = \"anyone\")", rules.pattern)
            }
        })
    })
}
