//! What a client may do on a topic: the topic's rules, its name, and who the client is.

use crate::config::{PublishRule, ReadRule, SubscribeRule, TopicHook, TopicRules};
use crate::protocol::centrifuge::ErrorCode;

/// What has to be asked before something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Permission {
    /// Nothing: it is allowed.
    Granted,
    /// The token that the client brought.
    ByToken,
    /// The application's backend.
    ByHook,
}

/// Who wants something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker<'a> {
    /// Its user; empty if it is anonymous.
    pub user: &'a str,
    /// Whether it subscribes to the topic.
    pub is_subscriber: bool,
}

impl Asker<'_> {
    fn is_known(&self) -> bool {
        !self.user.is_empty()
    }
}

/// Whether a client may subscribe to the topic `name`, which has these rules.
///
/// A token for the topic is the application's word, and stands above the rules. Names that begin with `$` need one. Where the
/// backend is asked, it alone decides of the others.
///
/// # Errors
/// [`ErrorCode::PermissionDenied`].
pub fn subscribe(rules: &TopicRules, name: &str, asker: Asker<'_>, has_token: bool) -> Result<Permission, ErrorCode> {
    if has_token {
        return Ok(Permission::ByToken);
    }
    if name.starts_with('$') {
        return Err(ErrorCode::PermissionDenied);
    }
    if let (true, Some(users)) = (rules.user_limited, users_of(name)) {
        let is_meant = asker.is_known() && users.split(',').any(|user| user == asker.user);
        return if is_meant { Ok(Permission::Granted) } else { Err(ErrorCode::PermissionDenied) };
    }
    if rules.hooks.contains(&TopicHook::Subscribe) {
        return Ok(Permission::ByHook);
    }
    match rules.subscribe {
        SubscribeRule::Anyone => Ok(Permission::Granted),
        SubscribeRule::Authenticated if asker.is_known() => Ok(Permission::Granted),
        SubscribeRule::Authenticated | SubscribeRule::Token | SubscribeRule::Api => Err(ErrorCode::PermissionDenied),
    }
}

/// Whether a client may publish to a topic with these rules.
///
/// # Errors
/// [`ErrorCode::PermissionDenied`].
pub fn publish(rules: &TopicRules, asker: Asker<'_>) -> Result<Permission, ErrorCode> {
    if rules.hooks.contains(&TopicHook::Publish) {
        return Ok(Permission::ByHook);
    }
    let may = match rules.publish {
        PublishRule::Anyone => true,
        PublishRule::Subscribers => asker.is_subscriber,
        PublishRule::Authenticated => asker.is_known(),
        PublishRule::Api => false,
    };
    if may { Ok(Permission::Granted) } else { Err(ErrorCode::PermissionDenied) }
}

/// Whether a client may read what `rule` is about: the history of a topic, or who is there.
///
/// # Errors
/// [`ErrorCode::PermissionDenied`].
pub fn read(rule: ReadRule, asker: Asker<'_>) -> Result<(), ErrorCode> {
    let may = match rule {
        ReadRule::Anyone => true,
        ReadRule::Subscribers => asker.is_subscriber,
        ReadRule::Authenticated => asker.is_known(),
        ReadRule::Api => false,
    };
    if may { Ok(()) } else { Err(ErrorCode::PermissionDenied) }
}

/// Whether `name` is in a namespace: what stands before a colon, and a `$` before that.
pub fn has_namespace(name: &str) -> bool {
    name.strip_prefix('$').unwrap_or(name).contains(':')
}

/// The users that `name` is for: what stands behind the last `#`.
fn users_of(name: &str) -> Option<&str> {
    name.rsplit_once('#').map(|(_, users)| users)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Asker<'_> = Asker { user: "ann", is_subscriber: false };
    const NOBODY: Asker<'_> = Asker { user: "", is_subscriber: false };
    const DENIED: Result<Permission, ErrorCode> = Err(ErrorCode::PermissionDenied);

    fn rules(change: impl FnOnce(&mut TopicRules)) -> TopicRules {
        let mut rules = TopicRules::default();
        change(&mut rules);
        rules
    }

    #[test]
    fn a_name_with_a_dollar_needs_a_token_whatever_the_rules_are() {
        let open = TopicRules::default();
        assert_eq!(subscribe(&open, "news", NOBODY, false), Ok(Permission::Granted));
        assert_eq!(subscribe(&open, "$news", ANN, false), DENIED);
        assert_eq!(subscribe(&open, "$news", NOBODY, true), Ok(Permission::ByToken));
    }

    #[test]
    fn a_token_stands_above_the_rules_and_the_hook() {
        for rule in [SubscribeRule::Token, SubscribeRule::Api, SubscribeRule::Authenticated] {
            let rules = rules(|rules| {
                rules.subscribe = rule;
                rules.hooks = vec![TopicHook::Subscribe];
            });
            assert_eq!(subscribe(&rules, "news", NOBODY, true), Ok(Permission::ByToken));
        }
        assert_eq!(subscribe(&rules(|rules| rules.subscribe = SubscribeRule::Token), "news", ANN, false), DENIED);
    }

    #[test]
    fn a_topic_of_the_server_is_subscribed_to_by_nobody_on_their_own() {
        let api = rules(|rules| rules.subscribe = SubscribeRule::Api);
        assert_eq!(subscribe(&api, "news", ANN, false), DENIED);
        let known = rules(|rules| rules.subscribe = SubscribeRule::Authenticated);
        assert_eq!(subscribe(&known, "news", ANN, false), Ok(Permission::Granted));
        assert_eq!(subscribe(&known, "news", NOBODY, false), DENIED);
    }

    #[test]
    fn a_name_with_users_is_for_them_only_if_the_rules_say_so() {
        let limited = rules(|rules| {
            rules.user_limited = true;
            rules.subscribe = SubscribeRule::Api;
        });
        for (name, allowed) in
            [("chat#ann", true), ("chat#bob,ann", true), ("chat#bob", false), ("a#ann#bob", false), ("chat#", false)]
        {
            let expected = if allowed { Ok(Permission::Granted) } else { DENIED };
            assert_eq!(subscribe(&limited, name, ANN, false), expected, "{name}");
        }
        assert_eq!(subscribe(&limited, "chat#", NOBODY, false), DENIED, "the empty user is nobody's");
        assert_eq!(subscribe(&limited, "chat", ANN, false), DENIED, "without # the rest of the rules counts");
        assert_eq!(subscribe(&TopicRules::default(), "chat#bob", ANN, false), Ok(Permission::Granted));
    }

    #[test]
    fn the_backend_is_asked_where_the_rules_say_so() {
        let asked = rules(|rules| rules.hooks = vec![TopicHook::Subscribe, TopicHook::Publish]);
        assert_eq!(subscribe(&asked, "news", NOBODY, false), Ok(Permission::ByHook));
        assert_eq!(publish(&asked, NOBODY), Ok(Permission::ByHook));
    }

    #[test]
    fn who_publishes_and_who_reads_is_said_by_the_rules() {
        let subscriber = Asker { user: "", is_subscriber: true };
        for (rule, expected) in [
            (PublishRule::Anyone, [true, true, true]),
            (PublishRule::Subscribers, [false, false, true]),
            (PublishRule::Authenticated, [false, true, false]),
            (PublishRule::Api, [false, false, false]),
        ] {
            let rules = rules(|rules| rules.publish = rule);
            assert_eq!([NOBODY, ANN, subscriber].map(|asker| publish(&rules, asker).is_ok()), expected, "{rule:?}");
        }
        for (rule, expected) in [
            (ReadRule::Anyone, [true, true, true]),
            (ReadRule::Subscribers, [false, false, true]),
            (ReadRule::Authenticated, [false, true, false]),
            (ReadRule::Api, [false, false, false]),
        ] {
            assert_eq!([NOBODY, ANN, subscriber].map(|asker| read(rule, asker).is_ok()), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_namespace_stands_before_a_colon() {
        assert!(has_namespace("news:a") && has_namespace("$news:a") && has_namespace(":"));
        assert!(!has_namespace("news") && !has_namespace("$news"));
    }
}
