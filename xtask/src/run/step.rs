//! One command, announced, timed and bounded.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// One command of a run, with a name for people and a deadline.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    command: Command,
    deadline: Duration,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) name: String,
    /// Exit status 0 before the deadline.
    pub(crate) succeeded: bool,
    /// Standard output and standard error, in the order they came.
    pub(crate) output: String,
    pub(crate) took: Duration,
}

impl Step {
    /// A step that runs `program`, for at most ten minutes unless told otherwise.
    pub(crate) fn new(name: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { name: name.into(), command, deadline: Duration::from_secs(600) }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn without_env(mut self, key: &str) -> Self {
        self.command.env_remove(key);
        self
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn at_most(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Announces and runs the step. Its output is shown as it comes, and kept.
    ///
    /// At the deadline the command and all it started are killed, and the step has failed. Errors only when the
    /// command cannot be started at all.
    pub(crate) fn run(self) -> anyhow::Result<Finished> {
        self.run_showing(&mut io::stdout())
    }

    /// Runs the step without a word, for one of very many; its output is kept. Else as [`Step::run`].
    pub(crate) fn quietly(self) -> anyhow::Result<Finished> {
        self.run_into(&mut io::sink())
    }

    fn run_showing(self, shown: &mut impl Write) -> anyhow::Result<Finished> {
        println!("\n==> {}: {}", self.name, self.shown());
        let finished = self.run_into(shown)?;
        let Finished { name, succeeded, took, .. } = &finished;
        println!("<== {name}: {} in {:.1} s", if *succeeded { "ok" } else { "FAILED" }, took.as_secs_f64());
        Ok(finished)
    }

    fn run_into(mut self, shown: &mut impl Write) -> anyhow::Result<Finished> {
        let start = Instant::now();
        // One pipe for both, so that a failure reads in the order it happened.
        let (mut reader, writer) = io::pipe().context("pipe")?;
        self.command.stdout(writer.try_clone().context("pipe")?).stderr(writer);
        let program = self.command.get_program().to_string_lossy().into_owned();
        let mut child = self.command.spawn().with_context(|| format!("{}: cannot start {program}", self.name))?;
        // The command holds the writing end; the end of file comes when the last descendant closes it.
        drop(self.command);

        let (chunks, arriving) = mpsc::sync_channel::<Vec<u8>>(64);
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if chunks.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });

        let mut output = Vec::new();
        let in_time = loop {
            let left = self.deadline.saturating_sub(start.elapsed());
            match arriving.recv_timeout(left) {
                Ok(chunk) => {
                    // Nobody may be reading any more; the verdict is still wanted.
                    let _closed = shown.write_all(&chunk).and_then(|()| shown.flush());
                    output.extend_from_slice(&chunk);
                }
                Err(RecvTimeoutError::Disconnected) => break true,
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        let status = end(&mut child, in_time, self.deadline.saturating_sub(start.elapsed()))?;
        let mut output = String::from_utf8_lossy(&output).into_owned();
        if status.is_none() {
            output.push_str(&format!("\nstill running after {} s: killed\n", self.deadline.as_secs()));
        }
        let succeeded = status.is_some_and(|status| status.success());
        let took = start.elapsed();
        Ok(Finished { name: self.name, succeeded, output, took })
    }

    /// The command as a person would type it.
    fn shown(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// Waits for the child if it closed its output in time, else kills it with its descendants.
fn end(child: &mut Child, in_time: bool, left: Duration) -> anyhow::Result<Option<ExitStatus>> {
    if in_time {
        // Output closed but still alive: rare, and bounded like the rest.
        let deadline = Instant::now() + left;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().context("wait")? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    for process in descendants(child.id()) {
        // It may have ended by itself meanwhile.
        let _gone = Pid::from_raw(process).map(|process| kill_process(process, Signal::KILL));
    }
    let _gone = child.kill();
    child.wait().context("wait")?;
    Ok(None)
}

/// The processes started by `root`, directly or not, as far as `/proc` tells.
fn descendants(root: u32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent_in(&stat) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![i32::try_from(root).unwrap_or_default()];
    while let Some(process) = open.pop() {
        for child in children.remove(&process).unwrap_or_default() {
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// The parent named in a `/proc/PID/stat` line: the second field after the command name, which ends at the last `)`.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept_in_order_and_the_exit_status_decides() {
        let finished = Step::new("t", "sh")
            .args(["-c", "echo one; echo two >&2; echo three; exit 3"])
            .run_showing(&mut io::sink())
            .unwrap();
        assert_eq!(finished.output, "one\ntwo\nthree\n");
        assert!(!finished.succeeded);
        assert!(Step::new("t", "true").run_showing(&mut io::sink()).unwrap().succeeded);
    }

    #[test]
    fn a_step_past_its_deadline_is_killed_with_what_it_started() {
        let step = Step::new("t", "sh").args(["-c", "sleep 60 & echo $!; wait"]).at_most(Duration::from_millis(300));
        let finished = step.run_showing(&mut io::sink()).unwrap();
        assert!(!finished.succeeded);
        assert!(finished.output.contains("killed"), "{}", finished.output);
        let grandchild = finished.output.lines().next().unwrap().to_owned();
        let ended = || match fs::read_to_string(format!("/proc/{grandchild}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ended() {
            assert!(Instant::now() < deadline, "process {grandchild} is still there");
            thread::yield_now();
        }
    }

    #[test]
    fn the_parent_is_found_whatever_the_command_is_called() {
        assert_eq!(parent_in("12 (a) b (c) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in(""), None);
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error_that_names_it() {
        let error = Step::new("t", "no-such-program-at-all").run_showing(&mut io::sink()).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-at-all"));
    }
}
