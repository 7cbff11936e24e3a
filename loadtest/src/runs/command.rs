//! The runs whose settings are their command line, as commands.

use std::fmt::Display;

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use serde::Serialize;

use crate::report::keep;
use crate::report::record::Session;
use crate::runs::churn::{self, Churn};
use crate::runs::idle::{self, Idle};
use crate::runs::liveness::{self, Liveness};
use crate::runs::pong::{self, Pong};
use crate::runs::ramp::{self, Ramp};
use crate::runs::restart::{self, Restart};
use crate::runs::settings::{self, Settings};
use crate::runs::slow::{self, Slow};
use crate::runs::storm::{self, Storm};
use crate::runs::subscriptions::{self, Subscriptions};
use crate::server::hub_settings::HubSettings;
use crate::subject::Subject;

/// A run about subscribers who come, go, hang or do nothing, or one that goes faster and faster.
#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// Open connections that do nothing, and look at the server's memory
    Idle(With<Idle>),
    /// Ping idle connections, and compare the hub with a bare send and recv; needs HUB
    Liveness(With<Liveness>),
    /// Connect many at once: CPU per handshake beside a bare accept, and what others notice
    Storm(With<Storm>),
    /// End the hub and start it again, and wait until everybody is back; needs HUB
    Restart(With<Restart>),
    /// Stop reading on some connections, and look at the others
    Slow(With<Slow>),
    /// Join and leave all the time, every delivery in between verified
    Churn(With<Churn>),
    /// Raise the rate until latency or delivery breaks: the curve and its knee
    Ramp(With<Ramp>),
    /// Ping while a hot topic keeps the server busy
    Pong(With<Pong>),
    /// Join and leave topics of few and of many members, and publish where nobody listens
    Subscriptions(With<Subscriptions>),
}

/// A run and what it is against.
#[derive(Debug)]
pub(crate) struct With<S> {
    subject: Subject,
    settings: S,
}

impl<S: Settings> Args for With<S> {
    fn augment_args(command: clap::Command) -> clap::Command {
        S::augment_args(Subject::augment_args(command))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<S: Settings> FromArgMatches for With<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let subject = Subject::from_arg_matches(matches)?;
        let mut settings = match &subject.scenario {
            None => S::default(),
            Some(name) => settings::read(name)
                .map_err(|error| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error:#}\n")))?,
        };
        // Flags win over the file; but a flag's default value is no flag.
        let mut given = matches.clone();
        let defaults = matches.ids().filter(|id| matches.value_source(id.as_str()) == Some(ValueSource::DefaultValue));
        for id in defaults {
            // The id comes from these very matches.
            let _ = given.try_clear_id(id.as_str());
        }
        settings.update_from_arg_matches(&given)?;
        Ok(Self { subject, settings })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Whether everything was as promised.
pub(crate) fn run(command: &RunCommand) -> Result<bool> {
    let session = Session::begin();
    match command {
        RunCommand::Idle(With { subject, settings }) => {
            // What is started inherits the limit of descriptors.
            settings.make_room()?;
            let report = idle::run(settings, &subject.open(&settings.hub_settings())?)?;
            tell("idle", subject, &session, &report, report.is_clean())
        }
        RunCommand::Liveness(With { subject, settings }) => {
            let report = liveness::run(settings, subject)?;
            tell("liveness", subject, &session, &report, report.is_clean())
        }
        RunCommand::Storm(With { subject, settings }) => {
            let report = storm::run(settings, subject)?;
            tell("storm", subject, &session, &report, report.is_clean())
        }
        RunCommand::Restart(With { subject, settings }) => {
            let report = restart::run(settings, subject)?;
            tell("restart", subject, &session, &report, report.is_clean())
        }
        RunCommand::Slow(With { subject, settings }) => {
            crate::client::descriptors::make_room(settings.subscribers as usize)?;
            let report = slow::run(settings, &subject.open(&settings.hub_settings())?)?;
            tell("slow", subject, &session, &report, report.is_clean())
        }
        RunCommand::Churn(With { subject, settings }) => {
            crate::client::descriptors::make_room(settings.connections() as usize)?;
            let report = churn::run(settings, &subject.open(&HubSettings::for_connections(settings.connections()))?)?;
            tell("churn", subject, &session, &report, report.is_clean())
        }
        RunCommand::Ramp(With { subject, settings }) => {
            let report = ramp::run(settings, subject)?;
            crate::show(&report, subject.json)?;
            keep::keep(&report.records(&session)?, &subject.keep)?;
            Ok(report.is_clean())
        }
        RunCommand::Pong(With { subject, settings }) => {
            crate::client::descriptors::make_room(settings.subscribers as usize)?;
            let report = pong::run(settings, &subject.open(&HubSettings::for_connections(settings.subscribers))?)?;
            tell("pong", subject, &session, &report, report.is_clean())
        }
        RunCommand::Subscriptions(With { subject, settings }) => {
            let all = settings.members.last().copied().unwrap_or_default() + settings.churn;
            crate::client::descriptors::make_room(all as usize)?;
            let report = subscriptions::run(settings, &subject.open(&HubSettings::for_connections(all))?)?;
            tell("subscriptions", subject, &session, &report, report.is_clean())
        }
    }
}

/// Shows and keeps what a run of `kind` found; the first line of a report says what was done. Returns `is_clean`.
fn tell(
    kind: &str,
    subject: &Subject,
    session: &Session,
    report: &(impl Display + Serialize),
    is_clean: bool,
) -> Result<bool> {
    crate::show(report, subject.json)?;
    let text = report.to_string();
    let scenario = text.lines().next().unwrap_or_default().to_owned();
    keep::keep(&session.only(kind, "server", scenario, report)?, &subject.keep)?;
    Ok(is_clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: RunCommand,
    }

    fn churn(arguments: &[&str]) -> Churn {
        match Line::try_parse_from([&["x", "churn"], arguments].concat()).unwrap().command {
            RunCommand::Churn(With { settings, .. }) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let default = Churn::default();
        assert_eq!(churn(&[]).subscribers, default.subscribers);
        let path = std::env::temp_dir().join(format!("fanfare-churn-{}.toml", std::process::id()));
        std::fs::write(&path, "kind = \"churn\"\nsubscribers = 7\nrate = 3\n").unwrap();
        let file = path.display().to_string();
        let found = churn(&["--scenario", &file, "--rate", "4"]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((found.subscribers, found.rate, found.churn), (7, 4.0, default.churn));
    }

    #[test]
    fn a_scenario_of_another_run_is_refused() {
        let error = Line::try_parse_from(["x", "churn", "--scenario", "storm"]).unwrap_err().to_string();
        assert!(error.contains("storm"), "{error}");
    }
}
