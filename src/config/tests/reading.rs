//! What a configuration that is right is read as.

use std::path::Path;

use proptest::prelude::*;

use super::config;
use crate::config::{Api, ByteSize, Config, Endpoint, PublishRule, SlowPolicy, Source, Span};

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(config(""), Config::default());
}

#[test]
fn without_a_file_there_is_the_demo_on_loopback_with_history_and_open_to_anyone() {
    let loaded = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(loaded.source, Source::Demo);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.config.server.listen, ["127.0.0.1:8000".parse().unwrap()]);
    let rules = loaded.config.rules_for("anything").unwrap();
    assert_eq!((rules.publish, rules.history.size, rules.history.ttl), (PublishRule::Anyone, 100, Span::secs(600)));
}

#[test]
fn keys_are_read_and_what_is_left_out_has_its_default() {
    let config = config(
        "limits.message = 1024\n[[topics]]\npattern = \"a*\"\nslow_consumer = { policy = \"latest\" }\n[[topics]]\nhistory.size = 3",
    );
    assert_eq!(config.limits.message, ByteSize::kib(1));
    assert_eq!(config.limits.header, ByteSize::kib(16));
    let rules = config.rules_for("abc").unwrap();
    assert_eq!((rules.slow_consumer.policy, rules.slow_consumer.lag), (SlowPolicy::Latest, ByteSize::mib(1)));
    assert_eq!(config.rules_for("b").unwrap().history.size, 3);
}

#[test]
fn paths_start_at_the_directory_of_the_file_and_keys_of_a_file_are_added() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("page.html"), "<p>").unwrap();
    std::fs::write(at("message.html"), "{{ message }}").unwrap();
    std::fs::write(at("keys"), "two\n\n three \n").unwrap();
    let file = at("fanfare.toml");
    let text = "[api]\nkeys = [\"one\"]\nkeys_file = \"keys\"\n[[pages]]\npath = \"/\"\nfile = \"page.html\"\n\
        [[endpoints]]\npath = \"/c\"\ntopic = \"c\"\ntemplate = \"message.html\"\n\
        [[endpoints]]\npath = \"/d\"\ntopic = \"c\"\ntemplate = \"message.html\"\nfields = [\"text\"]\n\
        [[topics]]\npattern = \"c\"\npublish = \"subscribers\"";
    std::fs::write(&file, text).unwrap();
    let loaded = Config::load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(loaded.source, Source::File(file));
    assert_eq!(loaded.config.api.keys, ["one", "two", "three"]);
    assert_eq!(loaded.config.pages[0].file, Some(at("page.html")));
    assert_eq!(loaded.config.endpoints[0].template, Some(at("message.html")));
    assert_eq!(loaded.config.endpoints[0].fields, Endpoint::DEFAULT_FIELDS);
    assert_eq!(loaded.config.endpoints[1].fields, ["text"]);
    let around = "passes by the template of `endpoints[0]`";
    assert!(loaded.warnings.iter().any(|warning| warning.contains(around)), "{:?}", loaded.warnings);
}

#[test]
fn what_is_probably_not_meant_is_a_warning_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.toml");
    let text = "[[endpoints]]\npath = \"/a\"\n[[endpoints]]\npath = \"/b\"\ntopic = \"b\"\nreplay = true\n\
                [[topics]]\npattern = \"b\"\n[[topics]]\npattern = \"c\"";
    std::fs::write(&file, text).unwrap();
    let warnings = Config::load(Some(&file), std::iter::empty()).unwrap().warnings;
    for said in [
        "f.toml:1:1: `endpoints[0]` does nothing",
        "f.toml:6:10: `endpoints[1].replay` has nothing",
        "only the API may publish to \"c\"",
    ] {
        assert!(warnings.iter().any(|warning| warning.contains(said)), "no {said:?} in {warnings:#?}");
    }
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
}

#[test]
fn what_is_printed_reads_back_as_the_same_without_the_secrets() {
    let text = include_str!("../../../config/fanfare.toml");
    let mut all = config(text);
    all.api.keys = vec!["s3cret".to_owned()];
    all.hooks.secret = Some("s3cret".to_owned());
    all.topics.push(crate::config::TopicRules::default());
    let printed = all.to_toml();
    assert!(!printed.contains("s3cret"), "{printed}");
    all.api.keys = vec![Api::REDACTED.to_owned()];
    all.hooks.secret = Some(Api::REDACTED.to_owned());
    assert_eq!(config(&printed), all, "{printed}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Config::from_toml(&String::from_utf8_lossy(&bytes), Path::new("")).map_err(|error| error.to_string());
    }

    #[test]
    fn no_mutation_of_a_real_file_makes_the_loader_panic(
        at in 0usize..4_000, cut in 0usize..80, put in "[\\[\\]{}\"'=.#,0-9a-z\\n聊-]{0,12}"
    ) {
        let text: Vec<char> = include_str!("../../../config/fanfare.toml").replace("\n#", "\n").chars().collect();
        let (at, end) = (at.min(text.len()), (at + cut).min(text.len()));
        let mutated: String = text[..at].iter().copied().chain(put.chars()).chain(text[end..].iter().copied()).collect();
        let _ = Config::from_toml(&mutated, Path::new("")).map_err(|error| error.to_string());
    }

    #[test]
    fn keys_with_values_of_any_kind_are_read_or_refused(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec!["server.listen", "limits.message", "topics", "endpoints", "pages", "log", "api.keys", "server.origins"]),
                prop::sample::select(vec!["1", "\"x\"", "[]", "{}", "[1]", "[{}]", "[{path=\"/\"}]", "true", "[[]]", "1979-05-27", "nan", "{a={b=1}}"]),
            ),
            0..5,
        )
    ) {
        let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let _ = Config::from_toml(&text, Path::new("")).map_err(|error| error.to_string());
    }
}

#[cfg(feature = "acme")]
#[test]
fn an_issued_certificate_needs_names_and_a_folder_beside_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[[topics]]\npublish = \"subscribers\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\n\
        tls = { acme = { domains = [\"push.example.com\"], cache = \"acme\" } }";
    let config = Config::from_toml(text, directory.path()).unwrap();
    let acme = config.listeners[0].tls.clone().unwrap().acme.unwrap();
    assert_eq!(acme.cache, directory.path().join("acme"));
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!((acme.contact, acme.directory_ca), (Vec::new(), None));
}
