//! The loads of a round, each for about a quarter of a minute, at rates far below what a core can do.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::deliveries::{Audience, Seen, Verdict};
use super::interrupt::Interrupt;
use super::streams::Streams;

/// A load takes 15 seconds; a machine that is busy elsewhere gets time.
const DEADLINE: Duration = Duration::from_secs(120);

const POLL_EVERY: Duration = Duration::from_millis(50);

/// What clients do to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Subscribers come and go beside others who stay; all publish on WebSockets. Each round has topics of its own, whose
    /// history is gone some seconds after it.
    Churn,
    /// A quarter of the subscribers stops reading, and is given up.
    Slow,
    /// Event streams, published to over HTTP.
    Streams,
    /// Subscribers with compression, published to over HTTP, on topics with history.
    Publishing,
}

impl Load {
    /// In the order of a round.
    pub(super) const ALL: [Self; 4] = [Self::Churn, Self::Slow, Self::Streams, Self::Publishing];

    /// What it is called in lines and tables.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Churn => "churn",
            Self::Slow => "slow",
            Self::Streams => "streams",
            Self::Publishing => "publishing",
        }
    }

    /// Runs it against the hub at `address` and says what its clients saw.
    ///
    /// Errors: a load that did not get to its end.
    pub(super) fn run(
        self,
        round: usize,
        address: SocketAddr,
        harness: &Harness,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Seen> {
        let seen = |verdict, audience| Seen { verdict, audience, stopped: 0 };
        match self {
            Self::Churn => {
                let told = harness.run(
                    round,
                    &format!(
                        "churn --subscribers 80 --topics 4 --churn 150 --stay 0.5 --rate 160 --payload 256 --before 2 \
                         --during 11 --topic-prefix brief-{round} --json --url ws://{address}"
                    ),
                    interrupt,
                )?;
                // 20 on each topic.
                Ok(seen(verdict(&told)?, Audience::AtLeast(20)))
            }
            Self::Slow => {
                let told = harness.run(
                    round,
                    &format!(
                        "slow --subscribers 40 --stopped-share 0.25 --rate 150 --payload 8192 --before 1 --during 10 \
                         --topic-prefix slow-{round} --json --url ws://{address}"
                    ),
                    interrupt,
                )?;
                let stopped = count(&told, "/stopped")?;
                Ok(Seen { stopped, ..seen(verdict(&told)?, Audience::AtLeast(40 - stopped)) })
            }
            Self::Streams => {
                let streams = Streams {
                    topic: "kept-streams",
                    count: 50,
                    publications: 500,
                    interval: Duration::from_millis(20),
                    payload_bytes: 512,
                };
                Ok(seen(streams.run(address, interrupt)?, Audience::Constant(streams.count)))
            }
            Self::Publishing => {
                let told = harness.run(
                    round,
                    &format!(
                        "run fanout --subscribers 100 --topics 5 --rate 100 --payload 1024 --filler json --compress \
                         --publish-by http --duration 12 --topic-prefix kept --json ws://{address}"
                    ),
                    interrupt,
                )?;
                // 20 on each topic.
                Ok(seen(verdict(&told)?, Audience::Constant(20)))
            }
        }
    }
}

/// The load harness.
#[derive(Debug)]
pub(super) struct Harness {
    program: PathBuf,
    /// For its reports.
    folder: PathBuf,
}

impl Harness {
    pub(super) fn new(program: &Path, folder: &Path) -> Self {
        Self { program: program.to_owned(), folder: folder.to_owned() }
    }

    /// Runs it with these words in `round` and returns its report.
    fn run(&self, round: usize, words: &str, interrupt: &Interrupt) -> anyhow::Result<Value> {
        // All are kept: what a round that fails was like cannot be asked again.
        let run = words.split(' ').next().unwrap_or_default();
        let [report, talk] = ["json", "log"].map(|ending| self.folder.join(format!("round-{round}-{run}.{ending}")));
        let create = |path: &Path| File::create(path).with_context(|| path.display().to_string());
        let mut child = Command::new(&self.program)
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(create(&report)?)
            .stderr(create(&talk)?)
            // Ctrl-C is for us.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            let why = if interrupt.has_come() { "interrupted" } else { "still running long after its end: killed" };
            if interrupt.has_come() || Instant::now() > deadline {
                child.kill().and_then(|()| child.wait())?;
                bail!("{why}");
            }
            thread::sleep(POLL_EVERY);
        };
        let report = fs::read_to_string(&report).context("the report of the harness")?;
        // A run that is not clean ends with 1 as well, and with a report.
        serde_json::from_str(&report).with_context(|| {
            let talk = fs::read_to_string(&talk).unwrap_or_default();
            format!("the harness ended without a report ({status}): {}", talk.trim())
        })
    }
}

fn verdict(report: &Value) -> anyhow::Result<Verdict> {
    let count = |name: &str| count(report, &format!("/verdict/{name}"));
    Ok(Verdict {
        in_order: count("in_order")?,
        lost: count("lost")?,
        duplicated: count("duplicated")?,
        reordered: count("reordered")?,
        wrong: count("wrong")?,
        closed: count("closed")?,
        disagreeing: count("disagreeing")?,
    })
}

fn count(report: &Value, pointer: &str) -> anyhow::Result<u64> {
    let value = report.pointer(pointer).and_then(Value::as_u64);
    value.with_context(|| format!("the report of the harness has no {pointer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_from_the_report_and_never_guessed() {
        let report = serde_json::json!({ "stopped": 3, "verdict": {
            "in_order": 7, "lost": 1, "duplicated": 2, "reordered": 3, "wrong": 4, "foreign": 9, "closed": 5, "disagreeing": 6,
        } });
        let expected =
            Verdict { in_order: 7, lost: 1, duplicated: 2, reordered: 3, wrong: 4, closed: 5, disagreeing: 6 };
        assert_eq!(verdict(&report).unwrap(), expected);
        assert_eq!(count(&report, "/stopped").unwrap(), 3);
        assert!(verdict(&serde_json::json!({ "verdict": { "in_order": 7 } })).is_err());
    }
}
