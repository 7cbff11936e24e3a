//! The limit of open descriptors, checked before the first connection and not by the one that fails.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors besides the connections: standard streams, pollers, files of `/proc`, some slack.
const OTHERS: u64 = 64;

/// Makes room for `connections` sockets, by raising the soft limit as far as the hard limit allows.
///
/// What is started from here on inherits it. Errors if the hard limit is too low; the message says what to change.
pub(crate) fn make_room(connections: usize) -> Result<()> {
    let needed = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    match plan(limit.current, limit.maximum, needed) {
        Plan::Enough => Ok(()),
        Plan::Raise(soft) => Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: limit.maximum })?),
        Plan::Impossible(hard) => bail!(
            "{connections} connections need {needed} descriptors, but the hard limit is {hard}: raise it \
             (`ulimit -Hn {needed}` as root before starting this, or `nofile` in /etc/security/limits.conf), \
             or ask for fewer connections"
        ),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Enough,
    Raise(u64),
    Impossible(u64),
}

/// `None` is no limit.
fn plan(soft: Option<u64>, hard: Option<u64>, needed: u64) -> Plan {
    match (soft, hard) {
        (None, _) => Plan::Enough,
        (Some(soft), _) if soft >= needed => Plan::Enough,
        (_, Some(hard)) if hard < needed => Plan::Impossible(hard),
        (_, Some(hard)) => Plan::Raise(hard),
        (_, None) => Plan::Raise(needed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_only_when_it_must_and_can_be() {
        assert_eq!(plan(Some(1024), Some(4096), 1024), Plan::Enough);
        assert_eq!(plan(None, None, 1 << 30), Plan::Enough);
        assert_eq!(plan(Some(1024), Some(4096), 1025), Plan::Raise(4096));
        assert_eq!(plan(Some(1024), None, 1025), Plan::Raise(1025));
        assert_eq!(plan(Some(1024), Some(4096), 4097), Plan::Impossible(4096));
    }
}
