//! The hub as a process: signals, exit codes, and one line for what keeps it from starting.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::child::{Process, binary, config_file};
use crate::client::{Heard, Http, WebSocket, masked};
use crate::deadline::eventually_is;

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\ndrain = \"3s\"\n\
    [liveness]\nping_interval = \"300d\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

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
    let mut process = Process::start(CONFIG);
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
    let mut process = Process::start(CONFIG);
    process.signal(rustix::process::Signal::INT);
    assert_eq!(process.exit_code(), Some(0));
}

#[test]
fn a_client_that_does_not_answer_holds_it_up_no_longer_than_the_deadline() {
    let mut process = Process::start(CONFIG);
    let mut silent = WebSocket::open(process.address, "/topics/news");
    let began = Instant::now();
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(silent.close_code(), 1001);
    assert_eq!(process.exit_code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut process = Process::start(&CONFIG.replace("\"3s\"", "\"1h\""));
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
    let first = Process::start(CONFIG);
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
