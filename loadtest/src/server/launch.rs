//! Starts the servers under test as child processes on a CPU of their own, and ends them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::clock;
use crate::server::certificate::Certificate;
use crate::server::cpu;
use crate::server::door::Door;
use crate::server::floor::{LISTENING, Sending};
use crate::server::hub_settings::{HubSettings, SecureListener};
use crate::server::idle_floor::Duties;
use crate::server::place::Place;
use crate::server::process;
use crate::server::way::{self, Way};

const READY_DEADLINE_NS: u64 = 20_000_000_000;
const END_DEADLINE_NS: u64 = 3_000_000_000;
/// Where a hub's words go, in its folder.
const LOG: &str = "hub.log";
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A server this process started; it ends with this value.
#[derive(Debug)]
pub(crate) struct Launched {
    child: Child,
    /// Where it listens.
    pub(crate) place: Place,
    /// Where subscribers come in, if not there.
    secure: Option<Door>,
    /// Its folder of configuration, log and certificate, removed at the end.
    folder: Option<PathBuf>,
}

impl Launched {
    /// The server's process.
    pub(crate) fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Where subscribers come in.
    pub(crate) fn door(&self) -> Door {
        self.secure.clone().unwrap_or_else(|| Door::plain(&self.place))
    }

    /// Starts the floor server, sending by `ways` in turn, pinned to `server_cpu` if given.
    pub(crate) fn floor(sending: Sending, ways: &[Way], server_cpu: Option<usize>) -> Result<Self> {
        let mut arguments = vec!["floor-server".to_owned(), "--ways".to_owned(), way::listed(ways)];
        match sending {
            Sending::PerPublication => {}
            Sending::PerBurst => arguments.push("--batch".to_owned()),
        }
        Self::own(&arguments, server_cpu)
    }

    /// Starts the floor of connections that do nothing, pinned to `server_cpu` if given.
    pub(crate) fn idle_floor(duties: Duties, server_cpu: Option<usize>) -> Result<Self> {
        let mut arguments = vec!["idle-floor-server".to_owned()];
        if let Some(every_ms) = duties.ping_every_ms {
            arguments.push(format!("--ping-every={every_ms}"));
        }
        if duties.computes_accept {
            arguments.push("--compute-accept".to_owned());
        }
        Self::own(&arguments, server_cpu)
    }

    /// Starts this program as a server, which says where it listens.
    fn own(arguments: &[impl AsRef<OsStr>], server_cpu: Option<usize>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_pinned(&mut command, server_cpu).context("starting the floor server")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // Blocks until the line or the end of the child: it says one or does the other at once.
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let port = line.strip_prefix(LISTENING).and_then(|port| port.trim().parse().ok());
        let Some(port) = port else {
            end(&mut child);
            bail!("the floor server did not start: it said {line:?}");
        };
        Ok(Self { child, place: Place::local(port), secure: None, folder: None })
    }

    /// Starts the hub `binary`, pinned to `server_cpu` if given, with `config`, or with `settings` on a free port;
    /// returns when it answers that it is ready.
    ///
    /// Errors: TLS with a configuration of somebody else, too.
    pub(crate) fn hub(
        binary: &Path,
        config: Option<&Path>,
        settings: &HubSettings,
        server_cpu: Option<usize>,
    ) -> Result<Self> {
        match config {
            None => Self::hub_with(binary, settings, server_cpu),
            Some(config) => {
                ensure!(!settings.tls, "TLS: the hub must be started without {}", config.display());
                let launched = Self::spawn_hub(binary, temporary_folder()?, config, None, None, server_cpu)?;
                launched.ready(None, server_cpu)
            }
        }
    }

    /// Starts the hub `binary` with `settings` on a free port; returns when it answers that it is ready.
    pub(crate) fn hub_with(binary: &Path, settings: &HubSettings, server_cpu: Option<usize>) -> Result<Self> {
        let port = free_port()?;
        Self::hub_on(binary, settings, port, server_cpu)?.ready(Some(port), server_cpu)
    }

    /// Starts the hub `binary` with `settings` on `port`, and does not wait for it.
    pub(crate) fn hub_on(binary: &Path, settings: &HubSettings, port: u16, server_cpu: Option<usize>) -> Result<Self> {
        let folder = temporary_folder()?;
        let path = folder.join("fanfare.toml");
        let secure = if settings.tls { Some((free_port()?, Certificate::write(&folder)?)) } else { None };
        let listener = secure.as_ref().map(|(port, files)| SecureListener {
            port: *port,
            certificate: &files.certificate,
            key: &files.key,
        });
        fs::write(&path, settings.to_toml(port, listener)).with_context(|| format!("{}", path.display()))?;
        let door = match secure {
            Some((port, files)) => Some(Door::secure(&Place::local(port), files.client()?)),
            None => None,
        };
        Self::spawn_hub(binary, folder, &path, Some(port), door, server_cpu)
    }

    fn spawn_hub(
        binary: &Path,
        folder: PathBuf,
        config: &Path,
        port: Option<u16>,
        secure: Option<Door>,
        server_cpu: Option<usize>,
    ) -> Result<Self> {
        ensure!(binary.is_file(), "{}: no such program; build the hub first", binary.display());
        let log = File::create(folder.join(LOG))?;
        // Through this program, so that the hub ends when this process does, even if it is killed.
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.arg("run-tied").arg("--").arg(binary).arg("--config").arg(config).arg("serve");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = spawn_pinned(&mut command, server_cpu).with_context(|| format!("starting {}", binary.display()))?;
        Ok(Self { child, place: Place::local(port.unwrap_or(0)), secure, folder: Some(folder) })
    }

    fn ready(mut self, port: Option<u16>, server_cpu: Option<usize>) -> Result<Self> {
        self.wait_until_ready(port).with_context(|| {
            let log = self.folder.as_ref().and_then(|folder| fs::read_to_string(folder.join(LOG)).ok());
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("the hub did not get ready; it said:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
        })?;
        if let Some(cpu) = server_cpu {
            let off = cpu::threads_off(self.pid(), cpu);
            if !off.is_empty() {
                eprintln!("warning: threads of the hub are not on CPU {cpu} alone: {}", off.join(", "));
            }
        }
        Ok(self)
    }

    /// Sends `signal` to the server.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid(), signal).context("signalling the server")
    }

    /// Whether the server has ended, and how.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    fn wait_until_ready(&mut self, mut port: Option<u16>) -> Result<()> {
        let deadline_ns = clock::now_ns() + READY_DEADLINE_NS;
        while clock::now_ns() < deadline_ns {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended: {status}");
            }
            if port.is_none() {
                port = process::listening_port(self.pid());
            }
            if let Some(port) = port {
                self.place = Place::local(port);
                if is_ready(&self.place) {
                    return Ok(());
                }
            }
            thread::sleep(POLL_EVERY);
        }
        bail!("GET /health/ready did not answer 200 in {} s", READY_DEADLINE_NS / 1_000_000_000)
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        end(&mut self.child);
        if let Some(folder) = &self.folder {
            // A temporary folder left behind is no reason to fail.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Becomes `program` with `arguments`, in a process that gets SIGTERM when its parent ends.
///
/// Returns only if that fails.
pub(crate) fn run_tied(command: &[OsString]) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("no program to run") };
    set_parent_process_death_signal(Some(Signal::TERM))?;
    Err(Command::new(program).args(arguments).exec()).with_context(|| format!("{}", program.display()))
}

/// SIGTERM, a little patience, SIGKILL.
fn end(child: &mut Child) {
    // The floor server ends when its standard input does, and may have something to say before.
    if child.stdin.take().is_some() && has_ended(child) {
        return;
    }
    let _ = kill_process(pid_of(child), Signal::TERM);
    if !has_ended(child) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Whether it ends within the deadline.
fn has_ended(child: &mut Child) -> bool {
    let deadline_ns = clock::now_ns() + END_DEADLINE_NS;
    while clock::now_ns() < deadline_ns {
        match child.try_wait() {
            Ok(None) => thread::sleep(POLL_EVERY),
            Ok(Some(_)) | Err(_) => return true,
        }
    }
    false
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// The child inherits the affinity of this thread: pinning it afterwards would miss the threads it has started.
fn spawn_pinned(command: &mut Command, server_cpu: Option<usize>) -> Result<Child> {
    let Some(server_cpu) = server_cpu else { return Ok(command.spawn()?) };
    let own = cpu::available()?;
    cpu::pin(&[server_cpu])?;
    let child = command.spawn();
    cpu::pin(&own)?;
    Ok(child?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn temporary_folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("fanfare-loadtest-{}-{}", std::process::id(), clock::now_ns()));
    fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
    Ok(folder)
}

fn is_ready(place: &Place) -> bool {
    let asked = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&place.address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /health/ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", place.authority)?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(&status == b"HTTP/1.1 200")
    };
    asked().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_is_not_there_is_named() {
        let error =
            Launched::hub(Path::new("/nowhere/fanfare"), None, &HubSettings::for_connections(1), None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/fanfare"), "{error}");
    }
}
