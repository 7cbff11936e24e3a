//! The command line: arguments in, exit code out. Data goes to stdout, talk to stderr.
//!
//! Reading order: `arguments` (what there is), `run` (which command does what), `exit` (with which code it ends);
//! then one file per command. The commands that talk to a hub (`publish`, `subscribe`, `health`) find it with
//! `hub_url`, over `pipeline` (HTTP) and `socket` (WebSocket). Imports `config`, `refusal`, `close_reason`,
//! `identity` (`token`) and, to serve, `server`.

mod arguments;
mod check;
mod close_codes;
mod completions;
mod create_token;
mod exit;
mod explain;
#[cfg(test)]
mod fake_hub;
mod from_centrifugo;
mod health;
mod hub_url;
mod inspect_token;
mod line;
mod moment;
mod output;
mod overview;
mod pipeline;
mod print_config;
mod problem;
mod publish;
mod response;
mod run;
mod serve;
mod socket;
mod subscribe;

pub use run::main;
