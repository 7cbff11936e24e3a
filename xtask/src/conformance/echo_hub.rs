//! The hub as an echo server, for as long as the suite runs.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A running hub with an echo endpoint; ended when dropped.
#[derive(Debug)]
pub(super) struct EchoHub {
    process: Child,
    address: SocketAddr,
}

impl EchoHub {
    /// Starts the program at `hub` and waits until it is ready. Its configuration and log go into `folder`.
    pub(super) fn start(hub: &Path, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let address = free_address()?;
        let (configuration, log) = (folder.join("echo.toml"), folder.join("hub.log"));
        fs::write(&configuration, configuration_for(address)).context("the echo configuration")?;
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(hub);
        // This command's own variables, and what somebody tried by hand, are no configuration of this hub.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FANFARE_")) {
            command.env_remove(name);
        }
        let process = command
            .arg("--config")
            .arg(&configuration)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("log")?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", hub.display()))?;
        let mut hub = Self { process, address };
        hub.wait_until_ready(&log)?;
        Ok(hub)
    }

    /// The echo endpoint.
    pub(super) fn url(&self) -> String {
        format!("ws://{}/echo", self.address)
    }

    /// An endpoint whose topic gives back to a client what it sends.
    pub(super) fn topic_url(&self) -> String {
        format!("ws://{}/topic", self.address)
    }

    fn wait_until_ready(&mut self, log: &PathBuf) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.process.try_wait().context("the hub")? {
                let log = fs::read_to_string(log).unwrap_or_default();
                bail!("the hub ended ({status}) before it was ready:\n{log}");
            }
            if is_ready(self.address) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(log).unwrap_or_default();
                bail!("the hub is not ready after 20 s:\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for EchoHub {
    fn drop(&mut self) {
        // It may have ended by itself; what it did is in the results.
        let _ended = self.process.kill().and_then(|()| self.process.wait());
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

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    listener.local_addr().context("no free port")
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(
            format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
