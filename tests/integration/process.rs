//! The hub as a process: signals, exit codes, and one line for what keeps it from starting.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::client::{Heard, Http, WebSocket, masked};
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

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\ndrain = \"3s\"\n\
    [liveness]\nping_interval = \"300d\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

fn config_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fanfare.toml");
    std::fs::write(&file, text).unwrap();
    (directory, file)
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.env_clear();
    command
}

impl Process {
    /// Starts one with `config`, with at most `descriptors` of them, and waits until it listens.
    pub(crate) fn start(config: &str, descriptors: Option<u32>) -> Self {
        let (directory, file) = config_file(config);
        let mut command = match descriptors {
            None => binary(),
            Some(limit) => {
                let mut shell = Command::new("sh");
                // The hard limit as well: the hub raises the soft one to it.
                let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
                shell.env_clear().args(["-c", &script, env!("CARGO_BIN_EXE_fanfare")]);
                shell
            }
        };
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
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
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

/// Runs it to its end, which must not take long.
fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = eventually_is("the process has ended", || child.try_wait().unwrap());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status: ended, stdout, stderr }
}

#[test]
fn sigterm_drains_and_exits_0_before_the_deadline() {
    let mut process = Process::start(CONFIG, None);
    let mut reader = WebSocket::open(process.address, "/topics/news");
    Http::connect(process.address).publish("news", "the last word");
    let began = Instant::now();
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(reader.text(), "the last word");
    assert_eq!(reader.close_code(), 1001);
    reader.socket.send(&masked(0x88, &[]));
    assert_eq!(reader.hear(), Heard::End);
    assert_eq!(process.exit_code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn sigint_drains_as_well() {
    let mut process = Process::start(CONFIG, None);
    process.signal(rustix::process::Signal::INT);
    assert_eq!(process.exit_code(), Some(0));
}

#[test]
fn a_client_that_does_not_answer_holds_it_up_no_longer_than_the_deadline() {
    let mut process = Process::start(CONFIG, None);
    let mut silent = WebSocket::open(process.address, "/topics/news");
    let began = Instant::now();
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(silent.close_code(), 1001);
    assert_eq!(process.exit_code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut process = Process::start(&CONFIG.replace("\"3s\"", "\"1h\""), None);
    let mut silent = WebSocket::open(process.address, "/topics/news");
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(silent.close_code(), 1001);
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.exit_code(), Some(1));
}

#[test]
fn an_address_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (_directory, file) = config_file(&format!("[server]\nlisten = [\"{address}\"]\n"));
    let output = run(binary().arg("--config").arg(&file));
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let about: Vec<_> = stderr.lines().filter(|line| line.contains(&address.to_string())).collect();
    assert_eq!(about.len(), 1, "{stderr}");
    assert!(about[0].contains("in use"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_second_hub_on_the_same_port_is_refused_though_the_port_can_be_shared() {
    let first = Process::start(CONFIG, None);
    let (_directory, file) = config_file(&CONFIG.replace("127.0.0.1:0", &first.address.to_string()));
    let output = run(binary().arg("--config").arg(&file));
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wrong_configuration_is_exit_code_78_with_its_place() {
    let (_directory, file) = config_file("[limits]\nmesage = \"1MiB\"\n");
    let output = run(binary().arg("--config").arg(&file));
    assert_eq!(output.status.code(), Some(78));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(":2:1") && stderr.contains("message"), "{stderr}");
}

#[test]
fn a_missing_configuration_file_is_exit_code_78_with_its_name() {
    let output = run(binary().args(["--config", "no-such-file.toml"]));
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file.toml"));
}

#[test]
fn a_wrong_command_line_is_exit_code_64() {
    for arguments in [&["--no-such-flag"][..], &["no-such-command"], &["serve", "surplus"]] {
        let output = run(binary().args(arguments));
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty(), "complaints go to stderr");
    }
}

#[test]
fn check_starts_nothing_and_tells_by_its_exit_code() {
    let (_directory, file) = config_file(CONFIG);
    assert_eq!(run(binary().arg("--config").arg(&file).arg("check")).status.code(), Some(0));
    let (_directory, file) = config_file("[limits]\nmessage = 0\n");
    assert_eq!(run(binary().arg("--config").arg(&file).arg("check")).status.code(), Some(78));
}
