//! The hub as an echo server, for as long as the suite runs.

use std::net::SocketAddr;
use std::path::Path;

use crate::machine::RunningHub;

/// A running hub with an echo endpoint; ended when dropped.
#[derive(Debug)]
pub(super) struct EchoHub(RunningHub);

impl EchoHub {
    /// Starts the program at `hub` and waits until it is ready. Its configuration and log go into `folder`.
    pub(super) fn start(hub: &Path, folder: &Path) -> anyhow::Result<Self> {
        RunningHub::start(hub, folder, configuration_for).map(Self)
    }

    /// The echo endpoint.
    pub(super) fn url(&self) -> String {
        format!("ws://{}/echo", self.0.address())
    }

    /// An endpoint whose topic gives back to a client what it sends.
    pub(super) fn topic_url(&self) -> String {
        format!("ws://{}/topic", self.0.address())
    }
}

/// The largest messages, of cases 9.*, have 16 MiB: just what is allowed. Those of 9.3.1 and 9.4.1 have 65,536 fragments.
fn configuration_for(address: SocketAddr) -> String {
    format!(
        r#"[server]
listen = ["{address}"]
workers = 1

[limits]
message = "16MiB"
fragments = 100000
mailbox = "32MiB"

[compression]
enabled = true

[[topics]]
pattern = "*"
slow_consumer = {{ lag = "64MiB" }}

[[endpoints]]
path = "/echo"
reply = "{{message}}"

[[endpoints]]
path = "/topic"
topic = "conformance"
"#
    )
}
