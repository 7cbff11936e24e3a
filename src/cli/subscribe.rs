//! `fanfare subscribe`.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::arguments::Subscribe;
use super::exit::Failure;
use super::hub_url::HubUrl;
use super::line::Line;
use super::output;
use super::socket::{Incoming, NotConnected, Socket};
use crate::hub::{Position, TopicName};

/// Publications between the connections and stdout. When stdout is slow, the hub notices, not this process's memory.
const QUEUE: usize = 256;

/// Bytes that are collected for one write to stdout while more are waiting.
const BATCH_BYTES: usize = 64 * 1024;

/// Delays between attempts to reconnect.
const DELAYS: Delays = Delays { next: Duration::from_millis(500), longest: Duration::from_secs(15) };

/// Prints publications until `--count` of them came, or until it is stopped.
pub(super) fn subscribe(subscribe: Subscribe) -> Result<(), Failure> {
    if subscribe.since.is_some() && subscribe.topics.len() > 1 {
        return Err(Failure::Usage("--since is a position in one topic, and there are several".to_owned()));
    }
    let url = HubUrl::or_default(subscribe.hub.url.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(error.to_string()))?;
    runtime.block_on(async {
        let (to, from) = mpsc::channel(QUEUE);
        let mut followers = JoinSet::new();
        for topic in subscribe.topics {
            let start = match (subscribe.since, subscribe.history) {
                (Some(position), _) => Start::Since(position),
                (None, Some(count)) => Start::History(count),
                (None, None) => Start::Now,
            };
            let follower = Follower { url: url.clone(), topic, start, json: subscribe.json, delays: DELAYS, to: to.clone() };
            followers.spawn(follower.run());
        }
        drop(to);
        tokio::select! {
            printed = print(from, subscribe.count) => printed,
            // Followers only end when they have to.
            Some(ended) = followers.join_next() => ended.unwrap_or_else(|error| Err(Failure::Runtime(error.to_string()))),
        }
    })
}

/// Writes what comes to stdout, several at once when they are there, until there were `count`.
async fn print(mut from: mpsc::Receiver<Vec<u8>>, mut count: Option<u64>) -> Result<(), Failure> {
    while count != Some(0) {
        // The senders go away only when a follower failed; that failure is told by whoever waits for it.
        let Some(mut batch) = from.recv().await else { return std::future::pending().await };
        count = count.map(|left| left - 1);
        while batch.len() < BATCH_BYTES && count != Some(0) {
            let Ok(more) = from.try_recv() else { break };
            batch.extend_from_slice(&more);
            count = count.map(|left| left - 1);
        }
        output::print(&batch)?;
    }
    Ok(())
}

/// Where the next connection starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Now,
    History(usize),
    Since(Position),
}

/// Follows one topic through as many connections as it takes.
struct Follower {
    url: HubUrl,
    topic: TopicName,
    start: Start,
    json: bool,
    delays: Delays,
    to: mpsc::Sender<Vec<u8>>,
}

impl Follower {
    /// Ends only with what no reconnection would mend.
    async fn run(mut self) -> Result<(), Failure> {
        let mut delays = self.delays;
        let mut connected_before = false;
        loop {
            match Socket::connect(&self.url, &self.path()).await {
                Ok(socket) => {
                    if connected_before {
                        self.say(&match self.start {
                            Start::Since(position) => format!("connected again, going on after {position}"),
                            Start::History(_) | Start::Now => {
                                "connected again; what was published in between may be missing".to_owned()
                            }
                        });
                    }
                    connected_before = true;
                    delays = self.delays;
                    self.follow(socket).await?;
                }
                Err(NotConnected::Refused(problem)) if !problem.is_temporary() => {
                    return Err(Failure::Runtime(format!("{}: refused: {problem}", self.topic)));
                }
                // The first time it is probably the address that is wrong.
                Err(error) if !connected_before => return Err(Failure::Runtime(format!("{}: {error}", self.topic))),
                Err(error) => self.say(&error.to_string()),
            }
            tokio::time::sleep(delays.next()).await;
        }
    }

    fn path(&self) -> String {
        let path = self.url.topic_path(&self.topic);
        match self.start {
            // No epoch is 0: the answer is the position of this moment, from which a connection that is lost before its
            // first publication is resumed.
            Start::Now => format!("{path}?format=json&since=0:0"),
            Start::History(count) => format!("{path}?format=json&history={count}"),
            Start::Since(position) => format!("{path}?format=json&since={position}"),
        }
    }

    /// Reads one connection to its end.
    async fn follow(&mut self, mut socket: Socket) -> Result<(), Failure> {
        loop {
            match socket.next().await {
                Incoming::Message(message) => self.take(&message).await?,
                Incoming::Closed { code, reason } => {
                    let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                    let told = format!("closed by the hub: {code} {reason}");
                    // 1002, 1003, 1007 to 1009: something about this client that would be the same next time.
                    if matches!(code.as_str(), "1002" | "1003" | "1007" | "1008" | "1009") {
                        let more = format!("`fanfare explain {code}` tells more");
                        return Err(Failure::Runtime(format!("{}: {told}; {more}", self.topic)));
                    }
                    self.say(told.trim_end());
                    return Ok(());
                }
                Incoming::Lost(error) => {
                    self.say(&format!("connection lost: {error}"));
                    return Ok(());
                }
            }
        }
    }

    async fn take(&mut self, message: &[u8]) -> Result<(), Failure> {
        match Line::read(message) {
            Line::Publication { position, payload } => {
                if let Some(missing) = gap(self.start, position) {
                    self.say(&format!("{missing} publications before {position} did not come"));
                }
                let mut printed = if self.json { message.to_vec() } else { payload };
                printed.push(b'\n');
                // Nobody takes it any more: the count is full, and this is about to be stopped.
                let _ = self.to.send(printed).await;
                self.start = Start::Since(position);
            }
            // The position is that of the topic's newest publication. What leads up to it is still to come, so it is no
            // place to resume from if the connection breaks now.
            Line::Recovered { recovered: true, .. } => {}
            Line::Recovered { position, recovered: false } => {
                if let Start::Since(wanted) = self.start {
                    self.say(&format!(
                        "not recovered: what came after {wanted} is no longer kept; going on after {position}"
                    ));
                }
                self.start = Start::Since(position);
            }
            Line::Missed { last, count } => {
                self.say(&format!("missed {count} publications, up to {last}: this reader was too slow"));
                self.start = Start::Since(last);
            }
            Line::Error { code, message } => self.say(&format!("{message} ({code})")),
            Line::Unknown => self.say("a message that this version does not know"),
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        eprintln!("{}: {what}", self.topic);
    }
}

/// How many publications are missing between where we are and `next`, if any. A new epoch starts anew.
fn gap(at: Start, next: Position) -> Option<u64> {
    let Start::Since(at) = at else { return None };
    let missing = next.offset.0.saturating_sub(at.offset.0 + 1);
    (at.epoch == next.epoch && missing > 0).then_some(missing)
}

/// Delays between attempts: doubling, and spread, so that the clients of a hub that restarts do not come at once.
#[derive(Debug, Clone, Copy)]
struct Delays {
    /// The mean of the next one.
    next: Duration,
    longest: Duration,
}

impl Delays {
    /// Between half and one and a half times the mean, which doubles up to the longest.
    fn next(&mut self) -> Duration {
        let mean = self.next;
        self.next = (mean * 2).min(self.longest);
        // A fresh RandomState is the standard library's source of randomness.
        let random = RandomState::new().hash_one(0_u8) % 1_000;
        mean / 2 + mean * u32::try_from(random).unwrap_or(0) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake_hub::{self, Play};
    use super::*;
    use crate::hub::{Epoch, Offset};

    fn at(epoch: u64, offset: u64) -> Position {
        Position { epoch: Epoch(epoch), offset: Offset(offset) }
    }

    #[test]
    fn a_gap_is_noticed_within_an_epoch_only() {
        assert_eq!(gap(Start::Since(at(1, 4)), at(1, 5)), None);
        assert_eq!(gap(Start::Since(at(1, 4)), at(1, 8)), Some(3));
        assert_eq!(gap(Start::Since(at(1, 4)), at(2, 8)), None);
        assert_eq!(gap(Start::History(3), at(1, 8)), None);
    }

    #[test]
    fn delays_double_to_their_longest_and_are_spread() {
        let mut delays = DELAYS;
        for mean in [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0] {
            let delay = delays.next().as_secs_f64();
            assert!(delay >= mean / 2.0 && delay < mean * 1.5, "{delay} around {mean}");
        }
    }

    /// Follows `topic` through the connections of a scripted hub until `count` lines came, or it gave up.
    async fn follow(plays: Vec<Play>, start: Start, count: usize) -> (Vec<String>, Vec<String>, Result<(), Failure>) {
        let (url, asked) = fake_hub::websockets(plays).await;
        let (to, mut from) = mpsc::channel(QUEUE);
        let topic = TopicName::new("a/b").unwrap();
        let delays = Delays { next: Duration::ZERO, longest: Duration::ZERO };
        let follower = Follower { url, topic, start, json: false, delays, to };
        let mut running = JoinSet::new();
        running.spawn(follower.run());
        let mut lines = Vec::new();
        let mut ended = Ok(());
        while lines.len() < count {
            tokio::select! {
                biased;
                Some(line) = from.recv() => lines.push(String::from_utf8(line).unwrap()),
                Some(end) = running.join_next() => {
                    ended = end.unwrap();
                    break;
                }
            }
        }
        let asked = asked.lock().unwrap().clone();
        (lines, asked, ended)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    const ONE: &str = r#"{"topic":"a/b","epoch":"7","offset":1,"data":"one"}"#;
    const TWO: &str = r#"{"topic":"a/b","epoch":"7","offset":2,"data":"two"}"#;
    const THREE: &str = r#"{"topic":"a/b","epoch":"7","offset":3,"data":"three"}"#;

    #[test]
    fn a_lost_connection_is_made_again_after_the_last_position() {
        let recovered = r#"{"topic":"a/b","epoch":"7","offset":3,"recovered":true}"#;
        let plays = vec![
            Play::Break(vec![ONE]),
            // Breaks after the notice and before what it announces: nothing of that may be skipped.
            Play::Close(vec![recovered], 1001),
            Play::Stay(vec![recovered, TWO, THREE]),
        ];
        let (lines, asked, _) = runtime().block_on(follow(plays, Start::Now, 3));
        assert_eq!(lines, ["one\n", "two\n", "three\n"]);
        let again = "/topics/a%2Fb?format=json&since=7:1";
        assert_eq!(asked, ["/topics/a%2Fb?format=json&since=0:0", again, again]);
    }

    #[test]
    fn a_connection_lost_before_its_first_publication_is_resumed_as_well() {
        let here = r#"{"topic":"a/b","epoch":"7","offset":1,"recovered":false}"#;
        let (lines, asked, _) =
            runtime().block_on(follow(vec![Play::Break(vec![here]), Play::Stay(vec![TWO])], Start::Now, 1));
        assert_eq!(lines, ["two\n"]);
        assert_eq!(asked[1], "/topics/a%2Fb?format=json&since=7:1");
    }

    #[test]
    fn what_is_not_recovered_or_missed_is_where_it_goes_on() {
        let not = r#"{"topic":"a/b","epoch":"9","offset":5,"recovered":false}"#;
        let missed = r#"{"missed":{"topic":"a/b","epoch":"9","from":6,"to":8,"count":3}}"#;
        let plays = vec![Play::Break(vec![not]), Play::Break(vec![missed]), Play::Stay(vec![ONE])];
        let since = Start::Since(at(7, 1));
        let (_, asked, _) = runtime().block_on(follow(plays, since, 1));
        let targets: Vec<_> = asked.iter().map(|target| target.rsplit('=').next().unwrap()).collect();
        assert_eq!(targets, ["7:1", "9:5", "9:8"]);
    }

    #[test]
    fn a_refusal_that_would_be_the_same_again_ends_it() {
        let body = r#"{"code":"origin-refused","title":"no"}"#;
        let (lines, asked, ended) = runtime().block_on(follow(vec![Play::Refuse(403, body)], Start::History(2), 1));
        assert_eq!((lines.len(), asked.len()), (0, 1));
        let told = ended.unwrap_err().to_string();
        assert!(told.contains("fanfare explain origin-refused"), "{told}");
        let (_, _, ended) = runtime().block_on(follow(vec![Play::Close(vec![], 1008)], Start::Now, 1));
        assert!(ended.unwrap_err().to_string().contains("1008"));
    }

    #[test]
    fn a_hub_that_is_not_there_at_first_ends_it_and_one_that_is_away_later_does_not() {
        let (_, asked, ended) = runtime().block_on(follow(vec![Play::Refuse(503, "")], Start::Now, 1));
        assert!(ended.is_err() && asked.len() == 1);
        let plays = vec![Play::Break(vec![ONE]), Play::Refuse(503, ""), Play::Stay(vec![TWO])];
        let (lines, _, _) = runtime().block_on(follow(plays, Start::Now, 2));
        assert_eq!(lines, ["one\n", "two\n"]);
    }
}
