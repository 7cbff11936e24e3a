//! What can be written behind `fanfare`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::hub_url::HubUrl;
use crate::config::Span;
use crate::hub::{Position, TopicName};
use crate::identity::Algorithm;

/// A WebSocket broadcast hub: what is published on a topic reaches everyone who subscribed to it.
#[derive(Debug, Parser)]
#[command(name = "fanfare", version, max_term_width = 100, after_help = EXAMPLES, after_long_help = LONG_EXAMPLES)]
pub(super) struct Arguments {
    /// Configuration file; $FANFARE_CONFIG if not given, and without either the built-in demo on this machine only
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  fanfare                                    serve the demo on http://127.0.0.1:8000/
  fanfare --config fanfare.toml              serve what the file says
  fanfare subscribe news                     print what is published on news
  fanfare publish news 'hello, world'        publish on news

`fanfare help COMMAND` tells more about each; `fanfare --help` has more examples.";

const LONG_EXAMPLES: &str = "\
Examples:
  fanfare                                    serve the demo on http://127.0.0.1:8000/
  fanfare --config fanfare.toml              serve what the file says
  fanfare --config fanfare.toml check        tell mistakes, warnings and what would listen where
  FANFARE_LIMITS__MESSAGE=1MiB fanfare       a key of the configuration from the environment
  fanfare subscribe news                     print what is published on news
  fanfare subscribe --json --history 10 news sport
  fanfare publish news 'hello, world'        publish on news
  tail -f app.log | fanfare publish logs -   publish each line
  fanfare --config fanfare.toml token create --user ada
  fanfare --config fanfare.toml token inspect TOKEN
  fanfare explain origin-refused             what a refusal means, and what to do
  fanfare explain 4008                       what a close code means
  fanfare health && echo up                  for scripts and containers

Exit codes: 0 done, 1 it went wrong, 64 the command line is wrong, 65 not all was converted, 78 the configuration is wrong.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve (the default command)
    Serve,

    /// Check the configuration: mistakes, warnings, what would listen where, and the memory its limits allow
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),

    /// Print the configuration in force as TOML: file, environment and defaults; secrets are left out
    Config,

    /// Publish on a topic
    #[command(after_help = PUBLISH_EXAMPLES)]
    Publish(Publish),

    /// Print what is published on topics, and come back after a lost connection without missing anything
    #[command(after_help = SUBSCRIBE_EXAMPLES)]
    Subscribe(Subscribe),

    /// Make or look at a token, which tells a hub who a client is
    Token {
        #[command(subcommand)]
        token: Token,
    },

    /// Tell what a refusal or a close code means, and what to do about it
    #[command(
        after_help = "Examples:\n  fanfare explain                  list all codes\n  fanfare explain origin-refused\n  fanfare explain 4008"
    )]
    Explain {
        /// A refusal such as origin-refused, or a close code such as 4008; without it, all are listed
        code: Option<String>,
    },

    /// Ask a hub whether it is ready: exit code 0 if it is, 1 if not
    Health {
        #[command(flatten)]
        hub: Hub,
    },

    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  fanfare completions bash > ~/.local/share/bash-completion/completions/fanfare")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

const CHECK_EXAMPLES: &str = "\
Examples:
  fanfare --config fanfare.toml check
  fanfare check --from-centrifugo config.json > fanfare.toml
      the TOML goes to stdout, what it cannot say or says differently to stderr

Exit codes: 0 it can be served, or all was converted; 65 some of it has no counterpart; 78 it cannot be served, or read.";

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Convert a configuration of Centrifugo v6 (JSON, or TOML by its ending) instead, and print it as fanfare's
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(super) from_centrifugo: Option<PathBuf>,
}

/// Where the hub is.
#[derive(Debug, Args)]
pub(super) struct Hub {
    /// The hub; $FANFARE_URL if not given, else http://127.0.0.1:8000
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<HubUrl>,
}

const PUBLISH_EXAMPLES: &str = "\
Examples:
  fanfare publish news 'hello, world'        one text
  fanfare publish news < article.txt         all of stdin as one text
  tail -f app.log | fanfare publish logs -   each line of stdin as one text
  fanfare publish --binary images < cat.jpg  bytes
  fanfare publish --json news hello          print {\"topic\",\"epoch\",\"offset\",\"receivers\"}

Exit codes: 0 all was accepted, 1 something was not.";

#[derive(Debug, Args)]
pub(super) struct Publish {
    /// The topic
    #[arg(value_parser = topic)]
    pub(super) topic: TopicName,

    /// What to publish; `-` publishes each line of stdin, and without it all of stdin is one publication
    #[arg(allow_hyphen_values = true)]
    pub(super) data: Option<String>,

    #[command(flatten)]
    pub(super) hub: Hub,

    /// A key of the hub's API; $FANFARE_KEY if not given, which other users of this machine cannot see
    #[arg(long)]
    pub(super) key: Option<String>,

    /// Publish as binary, not as text
    #[arg(long)]
    pub(super) binary: bool,

    /// Print the hub's answer to each publication, one JSON object per line
    #[arg(long)]
    pub(super) json: bool,
}

const SUBSCRIBE_EXAMPLES: &str = "\
Examples:
  fanfare subscribe news                     payloads, one per line
  fanfare subscribe --json news sport        {\"topic\",\"epoch\",\"offset\",\"data\"}, one per line
  fanfare subscribe --history 10 news        the last ten first
  fanfare subscribe --since 1763726400:42 news
  fanfare subscribe --count 1 news           wait for one, then end

Binary payloads are printed as they are, or as \"base64\" with --json. Notices, of lost connections
or missed publications, go to stderr.";

#[derive(Debug, Args)]
pub(super) struct Subscribe {
    /// The topics; each has a connection of its own
    #[arg(required = true, value_parser = topic)]
    pub(super) topics: Vec<TopicName>,

    #[command(flatten)]
    pub(super) hub: Hub,

    /// Print {"topic","epoch","offset","data"} for each publication, one per line
    #[arg(long)]
    pub(super) json: bool,

    /// Begin after this position, as the hub gave it; for one topic
    #[arg(long, value_name = "EPOCH:OFFSET", conflicts_with = "history")]
    pub(super) since: Option<Position>,

    /// Begin with the last N publications that the hub kept
    #[arg(long, value_name = "N")]
    pub(super) history: Option<usize>,

    /// End after N publications
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) count: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print it, for trying out and for scripts; services make their own with a JWT library
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<CreateToken>),

    /// Show what a token says, and whether a hub with this configuration takes it, and if not why
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectToken),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  fanfare -c fanfare.toml token create --user ada
      a connection token, signed with the first secret of tokens.keys
  fanfare -c fanfare.toml token create --user ada --ttl 15m --info '{\"name\":\"Ada\"}' --channel news
      what others see of her, and a topic that the server subscribes her to
  fanfare -c fanfare.toml token create --user ada --subscribe '$orders:ada'
      a subscription token: lets her subscribe to this one topic
  fanfare token create --user ada --secret-file secret.txt --algorithm HS512
  fanfare token create --user ada --private-key-file key.pem --key 2027
      without a hub's configuration; --key is the kid that the public key is known by

`aud` and `iss` are those that the configuration wants, unless given here. Only the secrets of a
configuration can sign: its public keys verify what somebody else's private key signed.";

#[derive(Debug, Args)]
pub(super) struct CreateToken {
    /// Who the client is (sub); '' is nobody in particular
    #[arg(long, short)]
    pub(super) user: String,

    /// For how long it is good (exp), such as 15m, 1h, 7d; 0s is for ever
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = span)]
    pub(super) ttl: Span,

    /// What others see of the client in presence, JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(super) info: Option<serde_json::Value>,

    /// What only the hub and its hooks see of the client, JSON
    #[arg(long, value_name = "JSON", value_parser = json, conflicts_with = "subscribe")]
    pub(super) meta: Option<serde_json::Value>,

    /// A topic that the server subscribes the client to; may be given several times
    #[arg(long = "channel", value_name = "TOPIC", value_parser = topic)]
    pub(super) channels: Vec<TopicName>,

    /// Make a subscription token, which lets the client subscribe to this topic
    #[arg(long, value_name = "TOPIC", value_parser = topic, conflicts_with = "channels")]
    pub(super) subscribe: Option<TopicName>,

    /// The token's id (jti), by which it can be revoked
    #[arg(long, value_name = "JTI")]
    pub(super) id: Option<String>,

    /// Whom it is for (aud); tokens.audience if not given
    #[arg(long, value_name = "AUD")]
    pub(super) audience: Option<String>,

    /// Who made it (iss); tokens.issuer if not given
    #[arg(long, value_name = "ISS")]
    pub(super) issuer: Option<String>,

    /// Which entry of tokens.keys signs, by its id; with a secret or private key given here, the kid to name it by
    #[arg(long, value_name = "ID")]
    pub(super) key: Option<String>,

    /// Sign with this secret, not with one of the configuration; other users of this machine can see it
    #[arg(long, group = "signer")]
    pub(super) secret: Option<String>,

    /// Sign with the secret in this file
    #[arg(long, value_name = "FILE", group = "signer")]
    pub(super) secret_file: Option<PathBuf>,

    /// Sign with the private key in this file: PEM, RSA, P-256, P-384 or Ed25519
    #[arg(long, value_name = "FILE", group = "signer")]
    pub(super) private_key_file: Option<PathBuf>,

    /// How to sign; HS256 for a secret, and what fits for a private key, if not given
    #[arg(long, value_name = "ALGORITHM", value_parser = algorithm, requires = "signer")]
    pub(super) algorithm: Option<Algorithm>,

    /// Print {"token","header","claims"}
    #[arg(long)]
    pub(super) json: bool,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  fanfare -c fanfare.toml token inspect eyJhbGciOi...
  fanfare -c fanfare.toml token create --user ada | fanfare -c fanfare.toml token inspect -
  fanfare -c fanfare.toml token inspect --json - < token.txt
      print {\"header\",\"claims\",\"kind\",\"accepted\",\"code\",\"reason\"}

A token with a `channel` is judged as a subscription token, every other as a connection token. What
was blocked or revoked in a running hub is not known here. tokens.jwks_url is fetched, if the key
may be there.

Exit codes: 0 it is taken, 1 it is not.";

#[derive(Debug, Args)]
pub(super) struct InspectToken {
    /// The token; `-` reads it from stdin, where other users of this machine cannot see it
    pub(super) token: String,

    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|error: crate::config::ParseUnitError| error.to_string())
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(text).ok_or_else(|| {
        let names = Algorithm::ALL.map(Algorithm::name);
        format!("there is {}", names.join(", "))
    })
}

fn topic(text: &str) -> Result<TopicName, String> {
    TopicName::new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["fanfare"], arguments].concat())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_config_file_may_stand_on_either_side_of_the_command() {
        for arguments in [&["--config", "x", "check"][..], &["check", "--config", "x"], &["-c", "x"]] {
            assert_eq!(parse(arguments).unwrap().config, Some(PathBuf::from("x")), "{arguments:?}");
        }
    }

    #[test]
    fn data_may_begin_with_a_hyphen() {
        for data in ["-", "-1", "--x"] {
            let Some(Command::Publish(publish)) = parse(&["publish", "t", data]).unwrap().command else { panic!() };
            assert_eq!(publish.data.as_deref(), Some(data));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in [
            &["subscribe"][..],
            &["subscribe", ""],
            &["subscribe", "t", "--since", "1"],
            &["subscribe", "t", "--since", "1:2", "--history", "3"],
            &["publish"],
            &["check", "--from-centrifugo"],
            &["check", "--from-centrifugo", "x", "--config", "y"],
            &["health", "--url", "ftp://x"],
            &["token"],
            &["token", "create"],
            &["token", "create", "--user", "u", "--ttl", "1"],
            &["token", "create", "--user", "u", "--info", "{"],
            &["token", "create", "--user", "u", "--channel", ""],
            &["token", "create", "--user", "u", "--channel", "a", "--subscribe", "b"],
            &["token", "create", "--user", "u", "--secret", "a", "--secret-file", "b"],
            &["token", "create", "--user", "u", "--secret", "a", "--algorithm", "none"],
            &["token", "create", "--user", "u", "--algorithm", "HS256"],
            &["token", "inspect"],
            &["nonsense"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
