//! A hub that runs for as long as a command needs it.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

const READY_DEADLINE: Duration = Duration::from_secs(20);

const POLL_EVERY: Duration = Duration::from_millis(20);

/// A hub on a port of 127.0.0.1; killed when dropped.
#[derive(Debug)]
pub(crate) struct RunningHub {
    process: Child,
    address: SocketAddr,
}

impl RunningHub {
    /// Starts `program` with what `configuration` says for its address, and waits until it is ready. The configuration and
    /// `hub.log` go into `folder`.
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        configuration: impl FnOnce(SocketAddr) -> String,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let address = free_address()?;
        let (file, log) = (folder.join("hub.toml"), folder.join("hub.log"));
        fs::write(&file, configuration(address)).with_context(|| file.display().to_string())?;
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(program);
        // This command's own variables, and what somebody tried by hand, are no configuration of this hub.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FANFARE_")) {
            command.env_remove(name);
        }
        let process = command
            .arg("--config")
            .arg(&file)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("log")?)
            .stderr(output)
            // Ctrl-C is for the command, which then ends the hub.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut hub = Self { process, address };
        hub.wait_until_ready(&log)?;
        Ok(hub)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to drain, and waits until it has ended; killed after `deadline`, which is an error, and so is a hub that has
    /// ended already: somebody else told it to, or it failed.
    pub(crate) fn drain(mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.process.try_wait().context("the hub")? {
            bail!("the hub had ended before it was told to ({status}); its last words are in hub.log");
        }
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("the hub's process")?;
        kill_process(id, Signal::TERM).context("the hub cannot be told to end")?;
        let deadline = Instant::now() + deadline;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().context("the hub")? {
                return Ok(status);
            }
            thread::sleep(POLL_EVERY);
        }
        bail!("the hub did not end after SIGTERM")
    }

    fn wait_until_ready(&mut self, log: &PathBuf) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_DEADLINE;
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
                bail!("the hub is not ready after {} s:\n{log}", READY_DEADLINE.as_secs());
            }
            thread::sleep(POLL_EVERY);
        }
    }
}

impl Drop for RunningHub {
    fn drop(&mut self) {
        // It may have ended by itself; what it did is in the results.
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
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
