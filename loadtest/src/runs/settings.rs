//! Settings of a run: its command line and its scenario file are the same struct.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The files that come with this program.
const BUILT_IN: [(&str, &str); 11] = [
    ("idle", include_str!("../../scenarios/idle.toml")),
    ("many-topics", include_str!("../../scenarios/many-topics.toml")),
    ("liveness", include_str!("../../scenarios/liveness.toml")),
    ("storm", include_str!("../../scenarios/storm.toml")),
    ("restart", include_str!("../../scenarios/restart.toml")),
    ("slow", include_str!("../../scenarios/slow.toml")),
    ("churn", include_str!("../../scenarios/churn.toml")),
    ("ramp", include_str!("../../scenarios/ramp.toml")),
    ("half-load", include_str!("../../scenarios/half-load.toml")),
    ("pong", include_str!("../../scenarios/pong.toml")),
    ("subscriptions", include_str!("../../scenarios/subscriptions.toml")),
];

/// The kinds of run a file can describe here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Memory of connections that do nothing.
    Idle,
    /// What their pings cost.
    Liveness,
    /// Many at once.
    Storm,
    /// The server ends and comes back.
    Restart,
    /// Some stop reading.
    Slow,
    /// Some come and go.
    Churn,
    /// Faster and faster.
    Ramp,
    /// Pongs beside a hot topic.
    Pong,
    /// Joining and leaving topics of many members.
    Subscriptions,
}

/// The settings of one kind of run.
pub(crate) trait Settings: clap::Args + DeserializeOwned + Default {
    /// The kind.
    const KIND: Kind;

    /// The kind that the file was for.
    fn kind(&self) -> Option<Kind>;
}

/// The settings called `name_or_path`: some that come with this program, or a file.
///
/// Errors name file, line and key; a file for another kind of run is one.
pub(crate) fn read<S: Settings>(name_or_path: &str) -> Result<S> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return parse(&format!("{name}.toml"), text);
    }
    let text = fs::read_to_string(name_or_path).with_context(|| {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        format!("{name_or_path}: neither a file that can be read nor one of {}", names.join(", "))
    })?;
    parse(name_or_path, &text)
}

fn parse<S: Settings>(file: &str, text: &str) -> Result<S> {
    // The kind first: without it the mistake would be told as one of keys.
    #[derive(Deserialize)]
    struct Head {
        kind: Kind,
    }
    let Head { kind } = toml::from_str(text).with_context(|| file.to_owned())?;
    ensure!(kind == S::KIND, "{file} is for another kind of run: {kind:?}, not {:?}", S::KIND);
    let settings: S = toml::from_str(text).with_context(|| file.to_owned())?;
    debug_assert_eq!(settings.kind(), Some(S::KIND));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::churn::Churn;
    use crate::runs::idle::Idle;
    use crate::runs::liveness::Liveness;
    use crate::runs::pong::Pong;
    use crate::runs::ramp::Ramp;
    use crate::runs::restart::Restart;
    use crate::runs::slow::Slow;
    use crate::runs::storm::Storm;
    use crate::runs::subscriptions::Subscriptions;

    #[test]
    fn every_scenario_that_comes_with_the_program_is_understood() {
        for name in ["idle", "many-topics"] {
            read::<Idle>(name).unwrap();
        }
        for name in ["ramp", "half-load"] {
            read::<Ramp>(name).unwrap();
        }
        read::<Liveness>("liveness").unwrap();
        read::<Storm>("storm").unwrap();
        read::<Restart>("restart").unwrap();
        read::<Slow>("slow").unwrap();
        read::<Churn>("churn").unwrap();
        read::<Pong>("pong").unwrap();
        read::<Subscriptions>("subscriptions").unwrap();
    }

    #[test]
    fn a_mistake_names_the_file_and_the_key() {
        let error = format!("{:#}", parse::<Pong>("a.toml", "kind = \"pong\"\nsubscribrs = 3\n").unwrap_err());
        assert!(error.contains("a.toml") && error.contains("subscribrs"), "{error}");
        let error = format!("{:#}", read::<Pong>("storm").unwrap_err());
        assert!(error.contains("Storm") && error.contains("Pong"), "{error}");
        let error = format!("{:#}", read::<Pong>("nothing-like-it").unwrap_err());
        assert!(error.contains("liveness"), "{error}");
    }
}
