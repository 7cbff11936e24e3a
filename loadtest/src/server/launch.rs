//! Starts the servers under test as child processes on a CPU of their own, and ends them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::clock;
use crate::server::cpu;
use crate::server::floor::{LISTENING, Sending};
use crate::server::place::Place;
use crate::server::process;

const READY_DEADLINE_NS: u64 = 20_000_000_000;
const END_DEADLINE_NS: u64 = 3_000_000_000;
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A server this process started; it ends with this value.
#[derive(Debug)]
pub(crate) struct Launched {
    child: Child,
    /// Where it listens.
    pub(crate) place: Place,
    /// Its folder of configuration and log, removed at the end.
    folder: Option<PathBuf>,
}

impl Launched {
    /// The server's process.
    pub(crate) fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Starts the floor server, pinned to `server_cpu` if given.
    pub(crate) fn floor(sending: Sending, server_cpu: Option<usize>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.arg("floor-server").stdin(Stdio::piped()).stdout(Stdio::piped());
        match sending {
            Sending::PerPublication => {}
            Sending::PerBurst => {
                command.arg("--batch");
            }
        }
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
        Ok(Self { child, place: Place::local(port), folder: None })
    }

    /// Starts the hub `binary`, pinned to `server_cpu` if given, with `config`, or with one worker, a free port and
    /// topics that anyone may publish to; returns when it answers that it is ready.
    pub(crate) fn hub(
        binary: &Path,
        config: Option<&Path>,
        connections: u32,
        server_cpu: Option<usize>,
    ) -> Result<Self> {
        ensure!(binary.is_file(), "{}: no such program; build the hub first", binary.display());
        let folder = std::env::temp_dir().join(format!("fanfare-loadtest-{}-{}", std::process::id(), clock::now_ns()));
        fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        let mut port = None;
        let config = match config {
            Some(config) => config.to_owned(),
            None => {
                let free = free_port()?;
                port = Some(free);
                let path = folder.join("fanfare.toml");
                fs::write(&path, hub_config(free, connections)).with_context(|| format!("{}", path.display()))?;
                path
            }
        };
        let log_path = folder.join("hub.log");
        let log = File::create(&log_path)?;
        // Through this program, so that the hub ends when this process does, even if it is killed.
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.arg("run-tied").arg("--").arg(binary).arg("--config").arg(&config).arg("serve");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = spawn_pinned(&mut command, server_cpu).with_context(|| format!("starting {}", binary.display()))?;
        let mut launched = Self { child, place: Place::local(port.unwrap_or(0)), folder: Some(folder) };
        launched.wait_until_ready(port).with_context(|| {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("the hub did not get ready; it said:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
        })?;
        if let Some(cpu) = server_cpu {
            let off = cpu::threads_off(launched.pid(), cpu);
            if !off.is_empty() {
                eprintln!("warning: threads of the hub are not on CPU {cpu} alone: {}", off.join(", "));
            }
        }
        Ok(launched)
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
    // The floor server ends when its standard input does.
    drop(child.stdin.take());
    let _ = kill_process(pid_of(child), Signal::TERM);
    let deadline_ns = clock::now_ns() + END_DEADLINE_NS;
    while clock::now_ns() < deadline_ns {
        match child.try_wait() {
            Ok(None) => thread::sleep(POLL_EVERY),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
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

fn hub_config(port: u16, connections: u32) -> String {
    // Twice what is asked for: those of the run before may not be gone when the next ones come.
    let connections = connections.saturating_mul(2).saturating_add(1_000);
    format!(
        "[server]\nlisten = [\"127.0.0.1:{port}\"]\nworkers = 1\n\n[limits]\nconnections = {connections}\n\n\
         [[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = {{ size = 0 }}\n"
    )
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
    fn the_hub_gets_one_worker_and_room_for_all_connections() {
        let config = hub_config(4711, 30_000);
        for line in ["listen = [\"127.0.0.1:4711\"]", "workers = 1", "connections = 61000", "publish = \"anyone\""] {
            assert!(config.lines().any(|found| found == line), "{line} in {config}");
        }
    }

    #[test]
    fn a_hub_that_is_not_there_is_named() {
        let error = Launched::hub(Path::new("/nowhere/fanfare"), None, 1, None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/fanfare"), "{error}");
    }
}
