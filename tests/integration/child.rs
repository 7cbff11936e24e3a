//! A hub in a process of its own, with its log.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use crate::deadline::{PATIENCE, eventually_is};

/// A running `fanfare`. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Lines of its log.
    log: mpsc::Receiver<String>,
    _directory: tempfile::TempDir,
}

/// A configuration file with this text, and the directory that it goes with.
pub(crate) fn config_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fanfare.toml");
    fs::write(&file, text).unwrap();
    (directory, file)
}

/// The program that was built for these tests.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.env_clear();
    command
}

/// The same under limits of the shell, such as `ulimit -n 64`.
fn binary_under(limits: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("{limits} && exec \"$0\" \"$@\"");
    shell.env_clear().args(["-c", &script, env!("CARGO_BIN_EXE_fanfare")]);
    shell
}

impl Process {
    /// Starts one with `config`, and waits until it listens.
    pub(crate) fn start(config: &str) -> Self {
        Self::run(binary(), config)
    }

    /// The same under limits of the shell. `ulimit` sets the hard limit as well: the hub raises the soft one to it.
    pub(crate) fn start_under(limits: &str, config: &str) -> Self {
        Self::run(binary_under(limits), config)
    }

    /// The same with variables of the environment.
    pub(crate) fn start_with(variables: &[(&str, &Path)], config: &str) -> Self {
        let mut command = binary();
        command.envs(variables.iter().copied());
        Self::run(command, config)
    }

    fn run(mut command: Command, config: &str) -> Self {
        let (directory, file) = config_file(config);
        command.arg("--config").arg(&file).env("FANFARE_LOG__FORMAT", "json");
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (line, log) = mpsc::channel();
        // Read on to the end: a full pipe would stop the hub.
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|one| line.send(one)));
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log, _directory: directory };
        process.address = process.logged("listening", |line| line["address"].as_str()?.parse().ok());
        process
    }

    /// Starts one whose log goes to `log`, and waits until it listens. It says so where nobody reads, so its port is
    /// chosen here: `config` has none.
    pub(crate) fn start_logging_to(log: fs::File, config: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (directory, file) = config_file(config);
        let mut command = binary();
        command.arg("--config").arg(&file).env("FANFARE_SERVER__LISTEN", format!("[\"{address}\"]"));
        let mut child = command.stderr(log).stdout(Stdio::null()).spawn().unwrap();
        eventually_is("it listens", || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            TcpStream::connect(address).ok()
        });
        Self { child, address, log: mpsc::channel().1, _directory: directory }
    }

    /// Waits for a line of the log with this message, and takes something from it.
    pub(crate) fn logged<T>(&self, message: &str, take: impl Fn(&serde_json::Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut before = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else { panic!("no {message:?} in the log: {before:#?}") };
            if let Ok(json) = serde_json::from_str::<serde_json::Value>(&line)
                && json["message"].as_str().is_some_and(|text| text.contains(message))
                && let Some(taken) = take(&json)
            {
                return taken;
            }
            before.push(line);
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.id(), signal).unwrap();
    }

    pub(crate) fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Its exit code, once it has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        eventually_is("the process has ended", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
