//! What is loaded, as the command line names it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Pid;

use crate::client::publisher::PublishBy;
use crate::server::endpoint::Endpoint;
use crate::server::floor::Sending;
use crate::server::place::Place;
use crate::server::way::{self, Way};
use crate::wire::dialect::{App, Dialect, Envelope, Template};

/// What can be written, for help and errors.
pub(crate) const FORMS: &str = "\
  floor             a bare send loop: one send per publication and subscriber
  floor-batch       the same, but everything a connection is owed at once goes in one send
  floor-uring       floor by io_uring: one io_uring_enter for 64 subscribers
  floor:WAY[,WAY…]  floor in other ways (floor-batch likewise): send, sendmsg (a slice per frame), uring:COUNT (one io_uring_enter
                    for COUNT subscribers). Several take turns by chance; what each cost is told on standard error at the end
  floors            floor where one publication is in flight, floor-batch where more are
  hub:PATH[,CONFIG] a fanfare program, started with one worker or with this configuration; an existing file means the same
  hub+tls:PATH      the same, but its subscribers connect over TLS, with a certificate made for it
  ws://127.0.0.1:PORT
                    a running fanfare
  ws://127.0.0.1:PORT/any/{topic}
                    a running hub with one topic per URL: what a client sends comes to all there, itself included
  centrifuge+ws://127.0.0.1:PORT/connection/websocket
                    a running server of the Centrifuge protocol
  pusher+ws://127.0.0.1:PORT/app/KEY?id=APP&secret=SECRET
                    a running server of the Pusher protocol
Any of them can be given a name (NAME=TARGET), and a running one its process (TARGET#pid=N), if its port does not tell.";

/// Sends of one system call of `floor-uring`: as many as a sweep of the hub has.
const SWEEP: u32 = 64;

/// One target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// What it is called in reports.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: Kind,
}

/// The kinds of target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A send loop of this harness, started for the run: what it sends at once, and the ways that take turns in sending it.
    Floor(Sending, Vec<Way>),
    /// Whichever floor fits the load.
    Floors,
    /// A hub's program, started for the run.
    Program {
        /// The program.
        path: PathBuf,
        /// Its configuration; a suitable one is written if `None`.
        config: Option<PathBuf>,
        /// Whether its subscribers connect over TLS.
        tls: bool,
    },
    /// A server that runs already.
    Running {
        /// Where, and what it speaks.
        endpoint: Endpoint,
        /// Its process, if it was told.
        pid: Option<Pid>,
    },
}

impl Target {
    /// The target that a load with several publications in flight, or with one, meets: floors differ.
    pub(crate) fn facing(&self, in_bursts: bool) -> Self {
        match self.kind {
            Kind::Floors => Self {
                name: self.name.clone(),
                kind: Kind::bare(if in_bursts { Sending::PerBurst } else { Sending::PerPublication }),
            },
            Kind::Floor(..) | Kind::Program { .. } | Kind::Running { .. } => self.clone(),
        }
    }

    /// Whether it is started for a run; else it runs already.
    pub(crate) fn is_started(&self) -> bool {
        match self.kind {
            Kind::Floor(..) | Kind::Floors | Kind::Program { .. } => true,
            Kind::Running { .. } => false,
        }
    }

    /// Refuses what a floor cannot do: it has no HTTP.
    pub(crate) fn check(&self, publish_by: PublishBy) -> Result<()> {
        match self.kind {
            Kind::Floor(..) | Kind::Floors => {
                ensure!(publish_by == PublishBy::Ws, "{}: a floor knows only WebSocket publishers", self.name);
            }
            Kind::Program { .. } | Kind::Running { .. } => {}
        }
        Ok(())
    }
}

impl Kind {
    /// A floor that calls `send`.
    fn bare(sending: Sending) -> Self {
        Self::Floor(sending, vec![Way::Send])
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = match text.split_once('=') {
            Some((name, rest)) if is_name(name) => (Some(name), rest),
            _ => (None, text),
        };
        let (kind, own_name) = parse(rest)?;
        Ok(Self { name: name.map_or(own_name, str::to_owned), kind })
    }
}

/// A kind, and what it is called unless it is given a name.
fn parse(text: &str) -> Result<(Kind, String)> {
    let kind = match text {
        "floor" => Kind::bare(Sending::PerPublication),
        "floor-batch" => Kind::bare(Sending::PerBurst),
        "floor-uring" => Kind::Floor(Sending::PerPublication, vec![Way::Uring(SWEEP)]),
        "floors" => Kind::Floors,
        _ => match text.split_once(':') {
            Some(("floor", ways)) => Kind::Floor(Sending::PerPublication, way::parse_list(ways)?),
            Some(("floor-batch", ways)) => Kind::Floor(Sending::PerBurst, way::parse_list(ways)?),
            None | Some(_) => return parse_server(text),
        },
    };
    Ok((kind, text.to_owned()))
}

fn parse_server(text: &str) -> Result<(Kind, String)> {
    if let Some(path) = text.strip_prefix("hub+tls:") {
        ensure!(
            Path::new(path).is_file(),
            "{path}: no such program; build the hub first (its configuration is written here)"
        );
        let (kind, name) = program_kind(path, None, true);
        return Ok((kind, format!("{name}+tls")));
    }
    if let Some(program) = text.strip_prefix("hub:") {
        let (path, config) = match program.split_once(',') {
            Some((path, config)) => (path, Some(PathBuf::from(config))),
            None => (program, None),
        };
        ensure!(Path::new(path).is_file(), "{path}: no such program; build the hub first");
        return Ok(program_kind(path, config, false));
    }
    if Path::new(text).is_file() {
        return Ok(program_kind(text, None, false));
    }
    let (url, pid) = match text.split_once("#pid=") {
        Some((url, pid)) => {
            let pid = pid.parse().ok().and_then(Pid::from_raw);
            (url, Some(pid.with_context(|| format!("{text}: what follows #pid= is not a process"))?))
        }
        None => (text, None),
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        bail!("{text}: neither a target nor an existing program. A target is one of\n{FORMS}")
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let dialect = match scheme {
        "ws" | "http" if path.is_empty() || path == "/" => Dialect::Topics(Envelope::Plain),
        "ws" => {
            let template = Template::new(path);
            Dialect::Template(template.with_context(|| format!("{url}: write {{topic}} where the topic goes"))?)
        }
        "centrifuge+ws" => {
            ensure!(!path.is_empty(), "{url}: the path is missing, usually /connection/websocket");
            Dialect::Centrifuge(path.to_owned())
        }
        "pusher+ws" => Dialect::Pusher(
            parse_app(path)
                .with_context(|| format!("{url}: a Pusher target ends with /app/KEY?id=APP&secret=SECRET"))?,
        ),
        "wss" | "https" => bail!("{url}: no TLS to servers that run already; see hub+tls:PATH"),
        _ => bail!("{url}: not a kind of URL that can be loaded. A target is one of\n{FORMS}"),
    };
    let place = Place::of_authority(authority, url)?;
    Ok((Kind::Running { endpoint: Endpoint { place, dialect }, pid }, authority.to_owned()))
}

fn program_kind(path: &str, config: Option<PathBuf>, tls: bool) -> (Kind, String) {
    let path = PathBuf::from(path);
    let name = path.file_name().map_or_else(|| "hub".to_owned(), |name| name.to_string_lossy().into_owned());
    (Kind::Program { path, config, tls }, name)
}

fn parse_app(path: &str) -> Option<App> {
    let (key, query) = path.strip_prefix("/app/")?.split_once('?')?;
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).filter(|value| !value.is_empty())
    };
    Some(App { id: parameter("id")?.to_owned(), key: key.to_owned(), secret: parameter("secret")?.to_owned() })
}

/// Names are short and plain, so that no URL or path with a `=` in it is taken for one.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b' '))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error:#}"))
    }

    fn dialect(text: &str) -> Dialect {
        match target(text).kind {
            Kind::Running { endpoint, .. } => endpoint.dialect,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn floors_are_known_by_name_and_chosen_by_load() {
        assert_eq!(target("floor").kind, Kind::bare(Sending::PerPublication));
        assert_eq!(target("floor-batch").kind, Kind::bare(Sending::PerBurst));
        let floors = target("bare=floors");
        assert_eq!(floors.facing(false), Target { name: "bare".into(), kind: Kind::bare(Sending::PerPublication) });
        assert_eq!(floors.facing(true).kind, Kind::bare(Sending::PerBurst));
        assert_eq!(target("floor").facing(true), target("floor"));
    }

    #[test]
    fn a_floor_sends_in_the_ways_that_are_named() {
        assert_eq!(target("floor-uring").kind, Kind::Floor(Sending::PerPublication, vec![Way::Uring(64)]));
        let ways = vec![Way::Send, Way::SendMsg, Way::Uring(1024)];
        assert_eq!(target("floor-batch:send,sendmsg,uring:1024").kind, Kind::Floor(Sending::PerBurst, ways));
        assert_eq!(target("ring=floor:uring:8").name, "ring");
    }

    #[test]
    fn a_url_tells_the_language() {
        assert_eq!(dialect("ws://127.0.0.1:8000"), Dialect::Topics(Envelope::Plain));
        assert_eq!(dialect("http://localhost:8000/"), Dialect::Topics(Envelope::Plain));
        let template = Template::new("/topics/{topic}").unwrap();
        assert_eq!(dialect("uws=ws://127.0.0.1:9001/topics/{topic}"), Dialect::Template(template));
        assert_eq!(
            dialect("centrifuge+ws://127.0.0.1:8000/connection/websocket"),
            Dialect::Centrifuge("/connection/websocket".into())
        );
        let app = App { id: "1".into(), key: "k".into(), secret: "s".into() };
        assert_eq!(dialect("pusher+ws://127.0.0.1:6001/app/k?id=1&secret=s"), Dialect::Pusher(app));
    }

    #[test]
    fn a_name_and_a_process_can_be_given() {
        let named = target("peer=ws://127.0.0.1:9001/t/{topic}?a=b#pid=77");
        assert_eq!(named.name, "peer");
        assert!(matches!(named.kind, Kind::Running { pid: Some(pid), .. } if pid.as_raw_nonzero().get() == 77));
        // No name in front: the = belongs to the URL.
        assert_eq!(target("ws://127.0.0.1:9001/t?x={topic}").name, "127.0.0.1:9001");
    }

    #[test]
    fn a_program_is_a_file_that_exists() {
        let own = std::env::current_exe().unwrap();
        let path = own.to_str().unwrap();
        let kind = Kind::Program { path: own.clone(), config: None, tls: false };
        assert_eq!(target(path).kind, kind);
        assert_eq!(target(&format!("new=hub:{path}")), Target { name: "new".into(), kind });
        let configured = Kind::Program { path: own.clone(), config: Some("a.toml".into()), tls: false };
        assert_eq!(target(&format!("hub:{path},a.toml")).kind, configured);
        let over_tls = target(&format!("hub+tls:{path}"));
        assert_eq!(over_tls.kind, Kind::Program { path: own.clone(), config: None, tls: true });
        assert_eq!(over_tls.name, format!("{}+tls", own.file_name().unwrap().to_str().unwrap()));
    }

    #[test]
    fn everything_else_is_refused_with_what_would_do() {
        for (text, reason) in [
            ("hub:/nowhere/fanfare", "/nowhere/fanfare"),
            ("hub+tls:/nowhere/fanfare,a.toml", "configuration"),
            ("/nowhere/fanfare", "one of"),
            ("ws://10.0.0.1:8000", "loopback"),
            ("centrifuge+ws://example.org/connection/websocket", "loopback"),
            ("wss://127.0.0.1:8000", "TLS"),
            ("ws://127.0.0.1:8000/topics/a", "{topic}"),
            ("centrifuge+ws://127.0.0.1:8000", "path"),
            ("pusher+ws://127.0.0.1:8000/app/k?id=1", "secret"),
            ("floor:uring", "uring:COUNT"),
            ("ftp://127.0.0.1:8000", "one of"),
            ("ws://127.0.0.1:8000#pid=x", "process"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{text}: {error:#}");
        }
    }
}
