//! The environment over the file.

use std::io::Write;

use crate::config::{ByteSize, Config, LogFormat};

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(on_disk.path()), variables).map(|loaded| loaded.config).map_err(|error| error.to_string())
}

#[test]
fn a_variable_wins_over_the_file_and_is_read_as_toml_or_as_plain_text() {
    let config = load(
        "limits.message = \"1KiB\"\nlimits.topics = 7",
        &[
            ("FANFARE_LIMITS__MESSAGE", "2KiB"),
            ("FANFARE_LIMITS__MAILBOX", "1048576"),
            ("FANFARE_LOG__FORMAT", "\"json\""),
            ("FANFARE_SERVER__TRY_IT_PAGE", "false"),
            ("FANFARE_SERVER__WORKERS", "3"),
            ("FANFARE_SERVER__LISTEN", "127.0.0.1:1, [::1]:2"),
            ("FANFARE_API__KEYS", "[\"a,b\", \"c\"]"),
            ("FANFARE_TOPICS", "[{ pattern = \"x\", history.size = 9 }]"),
            ("HOME", "/"),
        ],
    )
    .unwrap();
    assert_eq!((config.limits.message, config.limits.topics), (ByteSize::kib(2), 7));
    assert_eq!(config.limits.mailbox, ByteSize::mib(1));
    assert_eq!((config.log.format, config.server.try_it_page, config.server.workers), (LogFormat::Json, false, 3));
    assert_eq!(config.server.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(config.api.keys, ["a,b", "c"]);
    assert_eq!(config.rules_for("x").unwrap().history.size, 9);
}

#[test]
fn a_wrong_value_is_told_with_its_variable_and_the_place_in_it() {
    let error =
        load("", &[("FANFARE_SERVER__LISTEN", "127.0.0.1:1,nowhere"), ("FANFARE_LIMITS__TOPICS", "many")]).unwrap_err();
    assert!(error.contains("$FANFARE_SERVER__LISTEN:1:13") && error.contains("$FANFARE_LIMITS__TOPICS:1:1"), "{error}");
    assert!(error.contains("`server.listen[1]`") && error.contains("`limits.topics`"), "{error}");
    let error = load("", &[("FANFARE_TOPICS", "[{ patern = \"x\" }]")]).unwrap_err();
    assert!(error.contains("$FANFARE_TOPICS:1:4") && error.contains("did you mean `pattern`?"), "{error}");
    let error = load("limits.message = \"1KiB\"", &[("FANFARE_LIMITS__MESSAGE", "64MiB")]).unwrap_err();
    assert!(error.contains("$FANFARE_LIMITS__MESSAGE:1:1"), "{error}");
}

#[test]
fn a_variable_that_names_no_key_is_refused_with_the_one_meant() {
    for (name, meant) in [
        ("FANFARE_LIMITS__MESAGE", "FANFARE_LIMITS__MESSAGE"),
        ("FANFARE_LIMITS_MESSAGE", "FANFARE_LIMITS__MESSAGE"),
        ("FANFARE_LISTEN", "FANFARE_SERVER__LISTEN"),
        ("FANFARE_TOPIC", "FANFARE_TOPICS"),
    ] {
        let error = load("", &[(name, "s3cret")]).unwrap_err();
        assert!(error.contains(&format!("did you mean {meant}?")), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_kubernetes_and_the_command_line_put_there_is_not_taken_for_a_key() {
    let config = load(
        "",
        &[
            ("FANFARE_PORT", "tcp://10.0.0.1:8000"),
            ("FANFARE_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
            ("FANFARE_PORT_8000_TCP_ADDR", "10.0.0.1"),
            ("FANFARE_SERVICE_HOST", "10.0.0.1"),
            ("FANFARE_SERVICE_PORT_HTTP", "8000"),
            ("FANFARE_URL", "http://127.0.0.1:8000"),
            ("FANFARE_CONFIG", "x.toml"),
        ],
    );
    assert_eq!(config, Ok(Config::default()));
    assert!(load("", &[("FANFARE_PORT", "8000")]).is_err());
}
