//! The kinds of topics there are, and the configuration that makes them.

use std::path::Path;
use std::time::Duration;

use super::topic::{RECOVERY_LIMIT, Recovery, Rules};

const MINUTE: Duration = Duration::from_secs(60);

const PLAIN: Rules = Rules {
    name: "sized",
    size: 4,
    ttl: MINUTE.saturating_mul(60),
    recovery: Recovery::Asked,
    delta: false,
    on_disk: false,
    clients_publish: true,
};

/// One topic of each kind. Each has a time to live of its own, so that one can expire and another not.
pub(super) const KINDS: [Rules; 7] = [
    PLAIN,
    // Only the server publishes there: then it is certain which publication is older than a moment.
    Rules {
        name: "timed",
        size: 1000,
        ttl: MINUTE.saturating_mul(10),
        recovery: Recovery::Always,
        clients_publish: false,
        ..PLAIN
    },
    Rules { name: "delta", size: 5, ttl: MINUTE.saturating_mul(120), delta: true, ..PLAIN },
    Rules { name: "newest", size: 3, ttl: MINUTE.saturating_mul(20), recovery: Recovery::Cache, delta: true, ..PLAIN },
    Rules { name: "none", size: 0, ..PLAIN },
    Rules { name: "unrecovered", recovery: Recovery::Off, ttl: MINUTE.saturating_mul(30), ..PLAIN },
    // What has expired in memory only comes back from the disk, whose clock is the wall's: so nothing expires there.
    Rules { name: "disk", size: 6, ttl: MINUTE.saturating_mul(500_000), delta: true, on_disk: true, ..PLAIN },
];

/// The configuration of a hub with these topics.
pub(super) fn config(directory: &Path, sync: &str, topics: &[Rules]) -> String {
    let mut config = format!(
        "drain = \"20s\"\n[centrifuge]\nanonymous = true\nrecovery_limit = {RECOVERY_LIMIT}\n[api]\nkeys = [\"key\"]\n\
         [history]\npath = \"{}\"\nsync = \"{sync}\"\n",
        directory.join("history.redb").display()
    );
    for Rules { name, size, ttl, recovery, delta, on_disk, clients_publish } in topics {
        let recovery = match recovery {
            Recovery::Off => "off",
            Recovery::Asked => "asked",
            Recovery::Always => "always",
            Recovery::Cache => "cache",
        };
        let store = if *on_disk { "disk" } else { "memory" };
        let publish = if *clients_publish { "anyone" } else { "api" };
        config.push_str(&format!(
            "[[topics]]\npattern = \"{name}\"\npublish = \"{publish}\"\nrecovery = \"{recovery}\"\ndelta = {delta}\n\
             history = {{ size = {size}, ttl = \"{}s\", store = \"{store}\" }}\n",
            ttl.as_secs()
        ));
    }
    config
}
