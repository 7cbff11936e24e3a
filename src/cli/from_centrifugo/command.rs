//! Reads Centrifugo's file, prints fanfare's.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::super::exit::Failure;
use super::super::output;
use super::note::NoteKind;
use super::{Converted, convert};
use crate::config::{Config, ConfigError};

/// Prints what the file at `path` says as TOML on stdout, and what that leaves out on stderr.
pub(in crate::cli) fn from_centrifugo(path: &Path) -> Result<(), Failure> {
    let converted = convert(&read(path)?);
    // It was checked key by key; what is printed is what counts.
    if let Err(error) = Config::from_toml(&converted.toml, Path::new("")) {
        return Err(Failure::Runtime(format!(
            "the converted configuration does not load, which is a mistake of fanfare: {error}"
        )));
    }
    output::print(converted.toml.as_bytes())?;
    for note in &converted.notes {
        eprintln!("{note}");
    }
    outcome(&converted)
}

fn outcome(converted: &Converted) -> Result<(), Failure> {
    let count = |kind| converted.notes.iter().filter(|note| note.kind == kind).count();
    let (missing, differs) = (count(NoteKind::Missing), count(NoteKind::Differs));
    match missing {
        0 => {
            eprintln!(
                "all was converted; {differs} of it differ in meaning (docs/from-centrifugo.md has what always differs)"
            );
            Ok(())
        }
        _ => Err(Failure::Incomplete(format!("{missing} have no counterpart, {differs} differ in meaning"))),
    }
}

fn read(path: &Path) -> Result<Value, Failure> {
    let wrong = |what: String| Failure::Configuration(format!("fanfare: {}: {what}", path.display()));
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    if matches!(extension.as_str(), "yaml" | "yml") {
        return Err(wrong("YAML is not read: convert it to JSON first, such as with `yq -o json`".to_owned()));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    file.take(ConfigError::LARGEST_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > ConfigError::LARGEST_FILE_BYTES {
        return Err(wrong(format!("it has more than {} bytes: that cannot be meant", ConfigError::LARGEST_FILE_BYTES)));
    }
    // Where it is wrong and not what stands there: it may be a secret.
    let parsed = match extension.as_str() {
        "toml" => toml::from_str(&text).map_err(|error| format!("not TOML: {}", error.message())),
        _ => serde_json::from_str(&text)
            .map_err(|error| format!("not JSON: line {}, column {}", error.line(), error.column())),
    };
    let json: Value = parsed.map_err(wrong)?;
    if json.is_object() { Ok(json) } else { Err(wrong("it is not an object, as every configuration is".to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::ExitCode;

    use super::*;

    fn code(name: &str, text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        format!("{:?}", from_centrifugo(&path).map_or_else(|failure| failure.code(), |()| ExitCode::SUCCESS))
    }

    #[test]
    fn the_exit_code_tells_whether_all_was_converted() {
        let is = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code("config.json", r#"{"http_api": {"key": "k"}}"#), is(0));
        assert_eq!(code("config.toml", "[http_api]\nkey = \"k\""), is(0));
        assert_eq!(code("config.json", r#"{"redis": {"address": "x"}}"#), is(65));
        for (name, text) in [("c.json", "{"), ("c.json", "[]"), ("c.toml", "="), ("c.yaml", "a: 1"), ("c.yml", "{}")] {
            assert_eq!(code(name, text), is(78), "{name} {text}");
        }
        let missing = from_centrifugo(Path::new("/nonexistent/config.json")).unwrap_err();
        assert_eq!(format!("{:?}", missing.code()), is(78));
    }
}
