//! What is said about each mistake.

use std::fs;

use super::complaint;
use crate::config::{Config, ConfigError};

/// Asserts that the complaint about `text` has all of `said`.
fn assert_says(text: &str, said: &[&str]) {
    let complaint = complaint(text);
    for one in said {
        assert!(complaint.contains(one), "no {one:?} in:\n{complaint}");
    }
}

#[test]
fn an_unknown_key_is_told_with_line_caret_the_key_meant_and_the_keys_accepted() {
    let complaint = complaint("[limits]\nconnections = 5\nmesage = \"1MiB\"\n");
    let expected = "\
error: unknown key `limits.mesage`
 --> (configuration):3:1
  |
3 | mesage = \"1MiB\"
  | ^^^^^^ did you mean `message`?
  = accepted: byte_rate, close_timeout, connection_age, connections, connections_per_address, connections_per_user, control_rate, \
fragments, handshakes, handshakes_per_address, header, header_timeout, history_total, idle_timeout, keep_alive, mailbox, message, \
message_rate, message_timeout, outbound_total, over_rate, publish_wait, subscriptions, topic_name, topics
";
    assert_eq!(complaint, expected);
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    assert_says("[server]\nmailbox = \"1MiB\"", &["unknown key `server.mailbox`", "there is `limits.mailbox`"]);
    assert_says("[topic]\npattern = \"a\"", &["unknown key `topic`", "did you mean `topics`?"]);
    assert_says(
        "[[topics]]\nhistory = { siz = 3 }",
        &["unknown key `topics[0].history.siz`", "`size`", "accepted: size, store, ttl"],
    );
}

#[test]
fn a_rate_that_is_no_count_is_told() {
    for wrong in ["-1", "0.5", "4294967296"] {
        assert_says(&format!("[[topics]]\njoin_leave_rate = {wrong}"), &["`topics[0].join_leave_rate`", ":2:19"]);
    }
}

#[test]
fn all_wrong_keys_and_values_are_told_at_once_each_in_its_place() {
    let complaint = complaint(
        "[server]\nlisten = [\"nowhere\", \"127.0.0.1:1\", \":80\"]\nworkers = -1\n[[endpoints]]\ntopic = \"t\"\n[[endpoints]]\npath = \"/b\"\nwelcom = \"x\"\n[log]\nformat = \"jsn\"",
    );
    for said in [
        ":2:11",
        ":2:37",
        "`server.listen[2]`",
        "`server.workers`",
        "`endpoints[0]` has no `path`",
        "`endpoints[1].welcom`",
        "`log.format` cannot be \"jsn\"",
        "did you mean \"json\"?",
        "accepted: \"text\", \"json\"",
    ] {
        assert!(complaint.contains(said), "no {said:?} in:\n{complaint}");
    }
    assert_eq!(complaint.matches("error: ").count(), 6, "{complaint}");
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_its_key_and_what_is_wanted() {
    assert_says("limits.message = true", &["`limits.message`", "a size such as \"64KiB\"", ":1:18"]);
    assert_says("limits.message = \"64KB\"", &["`64KB` is not a size", "KiB"]);
    assert_says("limits.message = -1", &["cannot be negative"]);
    assert_says("liveness.ping_interval = 25", &["a duration with its unit"]);
    assert_says("liveness.ping_interval = \"25\"", &["`25` is not a duration", "\"25s\""]);
    assert_says("server.origins = \"*\"", &["`server.origins`", "a list in brackets"]);
    assert_says("limits = 3", &["`limits`", "a table"]);
    assert_says("[[topics]]\nhistory = 100", &["a table such as { size = 100, ttl = \"1h\" }"]);
    assert_says(
        "[[topics]]\npublish = \"everyone\"",
        &["cannot be \"everyone\"", "\"anyone\", \"subscribers\", \"authenticated\", \"api\""],
    );
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    assert_says("[server\nworkers = 1", &["not TOML", ":1:8"]);
    assert_says("[limits]\ntopics = 1\ntopics = 2", &["duplicate key", ":3:1"]);
    assert_says("x = ", &["not TOML", ":1:"]);
}

#[test]
fn the_same_path_twice_is_refused_also_between_endpoints_pages_and_what_is_built_in() {
    let page = "[[pages]]\npath = \"/a\"\ntext = \"x\"\n";
    assert_says(&format!("{page}{page}"), &["`pages[1].path`: \"/a\" is already the path of `pages[0]`", ":5:8"]);
    assert_says(&format!("{page}[[endpoints]]\npath = \"/a\"\nreply = \"x\""), &["already the path of `endpoints[0]`"]);
    assert_says("[[pages]]\npath = \"/metrics\"\ntext = \"x\"", &["served by fanfare itself"]);
    assert_says("[[endpoints]]\npath = \"/topics/x\"\nreply = \"x\"", &["served by fanfare itself (/topics/)"]);
    assert_says("[[endpoints]]\npath = \"a\"\nreply = \"x\"", &["did you mean \"/a\"?"]);
}

#[test]
fn a_page_needs_exactly_one_content() {
    assert_says("[[pages]]\npath = \"/\"", &["exactly one of text, file and directory", "has none of them"]);
    assert_says("[[pages]]\npath = \"/\"\ntext = \"x\"\nfile = \"y\"", &["has text and file", ":4:8"]);
}

#[test]
fn what_needs_a_topic_is_refused_without_one() {
    for (key, line) in
        [("replay", "replay = true"), ("announce", "announce = { join = \"x\" }"), ("template", "template = \"x\"")]
    {
        assert_says(
            &format!("[[endpoints]]\npath = \"/a\"\n{line}"),
            &[&format!("`endpoints[0].{key}` needs a topic"), ":3:"],
        );
    }
    assert_says("[[endpoints]]\npath = \"/a\"\ntopic = \"\"", &["at least one byte"]);
    assert_says(
        "[[endpoints]]\npath = \"/a\"\nreply = \"\"\nfields = [\"x\", \"\", \"x\"]",
        &["`endpoints[0].fields[1]` is empty", "has \"x\" twice", ":4:16", ":4:20"],
    );
}

#[test]
fn limits_without_room_are_refused_where_they_were_written() {
    for key in [
        "connections = 0",
        "topics = 0",
        "subscriptions = 0",
        "message = 0",
        "header = \"4KiB\"",
        "keep_alive = \"0s\"",
    ] {
        assert_says(&format!("[limits]\n{key}"), &[":2:"]);
    }
    assert_says("liveness.ping_interval = \"0s\"", &["`liveness.ping_interval` is zero"]);
    assert_says("liveness.pong_timeout = \"0ms\"", &["`liveness.pong_timeout` is zero"]);
    assert_says(
        "[[endpoints]]\npath = \"/\"\nreply = \"\"\nping_interval = \"0s\"",
        &["`endpoints[0].ping_interval` is zero", ":4:"],
    );
    // The lag is a default here, so the blame is on the limit that was raised.
    assert_says("limits.message = \"2MiB\"\n[[topics]]", &["`topics[0].slow_consumer.lag` (1MiB) is smaller", ":1:18"]);
    assert_says("[[topics]]\nslow_consumer = { lag = \"1KiB\" }", &["(1KiB) is smaller", ":2:25"]);
    assert_says("limits.mailbox = \"1KiB\"", &["smaller than one `limits.message` (64KiB)"]);
    assert_says("limits.history_total = 1\n[[topics]]\nhistory.size = 1", &["no room for one publication"]);
    assert_says("[[topics]]\nwrite_delay = \"1001ms\"", &["`topics[0].write_delay` is 1001ms", "at most 1s", ":2:"]);
    assert_says("[history]\nsync = \"61s\"", &["`history.sync` is 61s", "at most 1m", ":2:"]);
    assert_says("[history]\nsync = \"0s\"", &["`history.sync` is zero"]);
    assert_says("[history]\nsync = \"never\"", &["\"always\", or a duration such as \"100ms\""]);
    assert_says("[compression]\nlevel = 0", &["`compression.level` is 0", "1 (fast) to 9 (small)", ":2:"]);
    assert_says("[compression]\nlevel = 10", &["`compression.level` is 10"]);
    assert_says("[[topics]]\nhistory = { size = 1, ttl = \"0s\" }", &["`topics[0].history.ttl` is zero"]);
}

#[test]
fn no_more_thresholds_may_differ_than_there_is_room_for_and_those_of_listeners_without_compression_do_not_count() {
    let listeners = |count: usize, compression: bool| {
        let listener = |number: usize| {
            format!(
                "[[listeners]]\naddress = \"127.0.0.1:0\"\ncompression = {compression}\ncompression_threshold = \"{}B\"\n",
                1000 + number
            )
        };
        (0..count).map(listener).collect::<String>()
    };
    super::config(&listeners(256, true));
    super::config(&format!("{0}{0}", listeners(256, true)));
    super::config(&listeners(300, false));
    let said = ["`listeners[256].compression_threshold` differs from 256 others", ":1028:"];
    assert_says(&listeners(257, true), &said);
}

#[test]
fn a_level_of_the_log_that_is_none_is_refused_although_a_filter_would_take_it_for_a_module() {
    assert_says("log.level = \"inof\"", &["\"inof\" is not a level", "did you mean \"info\"?", ":1:13"]);
    assert_says("log.level = \"info,fanfare::hub=verbose\"", &["\"verbose\" is not a level", "\"trace\""]);
    super::config("log.level = \"warn, fanfare::hub=debug\"");
}

#[test]
fn a_pattern_that_an_earlier_one_takes_everything_from_is_refused() {
    let topics = "[[topics]]\npattern = \"chat*\"\n[[topics]]\npattern = \"chat/vip*\"";
    assert_says(topics, &["`topics[1]` never applies: \"chat*\" of `topics[0]` takes all its topics", ":4:11"]);
}

#[test]
fn a_name_that_topics_may_not_have_and_an_expression_for_nothing_are_told() {
    let topics = |pattern: &str, regex: &str| format!("[[topics]]\npattern = \"{pattern}\"\nname_regex = '{regex}'\n");
    let said = ["`topics[0].name_regex`", "\"[a\" is no regular expression: unclosed character class", ":3:14"];
    assert_says(&topics("a*", "[a"), &said);
    assert_says(&topics("a*", r"\w{1000}"), &["`topics[0].name_regex`", "more than 256 KiB", ":3:14"]);
    assert_says("[[topics]]\nname_regex = 7", &["`topics[0].name_regex`", "a regular expression such as"]);
    assert_says(&topics("news", "n.*"), &["`topics[0].name_regex` has nothing to be for: \"news\" is one name", ":3:"]);
    let endpoint = "[[endpoints]]\npath = \"/chat\"\ntopic = \"chat:main\"\n";
    let said = ["`endpoints[0].topic` is \"chat:main\"", "`name_regex` of \"chat:*\" allows no topic of this name"];
    assert_says(&(endpoint.to_owned() + &topics("chat:*", "[0-9]+")), &said);
    super::config(&(endpoint.to_owned() + &topics("chat:*", "[a-z]+")));
}

#[test]
fn an_origin_that_no_browser_sends_is_refused_with_the_one_it_sends() {
    assert_says(
        "server.origins = [\"*\", \"https://example.com/\"]",
        &["`server.origins[1]`", "\"https://example.com\"", ":1:24"],
    );
    assert_says("[[endpoints]]\npath=\"/a\"\nreply=\"\"\norigins = [\"example.com\"]", &["\"https://example.com\"?"]);
}

#[test]
fn publishing_by_anyone_on_a_public_address_is_refused_until_it_is_said_in_words() {
    let public = "[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:1\"]\n";
    let open = "[[topics]]\npublish = \"anyone\"\n";
    assert_says(
        &format!("{public}{open}"),
        &["0.0.0.0:1 can be reached", ":2:26", "anyone_may_publish_from_public_addresses = true"],
    );
    let endpoint = "[[endpoints]]\npath = \"/c\"\ntopic = \"t\"\n";
    assert_says(&format!("{public}{endpoint}"), &["anyone who connects to /c may publish to \"t\""]);
    super::config(&format!("{public}anyone_may_publish_from_public_addresses = true\n{open}"));
    super::config(&format!("{public}[[topics]]\npublish = \"api\"\n"));
    super::config(&format!("[server]\nlisten = [\"[::1]:1\", \"127.0.0.1:1\"]\n{open}"));
}

#[test]
fn files_that_are_missing_or_of_the_wrong_kind_are_told_with_the_key_that_names_them() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("broken.html"), "line\n{% if %}").unwrap();
    fs::write(directory.path().join("empty"), "\n\n").unwrap();
    let topics = "[[topics]]\npublish = \"subscribers\"\n";
    for (text, said) in [
        ("[[pages]]\npath = \"/\"\nfile = \"nope.html\"", "`pages[0].file`"),
        ("[[pages]]\npath = \"/\"\nfile = \".\"", "is a directory"),
        ("[[pages]]\npath = \"/\"\ndirectory = \"broken.html\"", "did you mean `file`?"),
        ("[[endpoints]]\npath = \"/\"\ntopic = \"t\"\ntemplate = \"nope.html\"", "`endpoints[0].template`"),
        ("[[endpoints]]\npath = \"/\"\ntopic = \"t\"\ntemplate = \"broken.html\"", "broken.html:2:"),
        ("[api]\nkeys_file = \"nope\"", "`api.keys_file`"),
        ("[api]\nkeys_file = \"empty\"", "has no key"),
    ] {
        let error = Config::from_toml(&format!("{text}\n{topics}"), directory.path()).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("-->"), "no {said:?} in:\n{error}");
    }
}

#[test]
fn keys_of_the_api_are_never_shown_in_a_mistake() {
    let complaint = complaint("[api]\nkeys = [\"s3cret\", \"\", 5]");
    assert!(!complaint.contains("s3cret") && complaint.contains("`api.keys[2]`"), "{complaint}");
    let complaint = super::complaint("[api]\nkeys = [\"s3cret\", \"\"]");
    assert!(!complaint.contains("s3cret") && complaint.contains("`api.keys[1]` is empty"), "{complaint}");
}

#[test]
fn a_file_that_is_not_there_not_text_or_not_a_configuration_by_its_size_is_an_error_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let load = |name: &str, bytes: &[u8]| {
        fs::write(directory.path().join(name), bytes).unwrap();
        Config::load(Some(&directory.path().join(name)), std::iter::empty()).unwrap_err()
    };
    let missing = Config::load(Some(&directory.path().join("nope.toml")), std::iter::empty()).unwrap_err();
    assert!(matches!(missing, ConfigError::Unreadable { .. }) && missing.to_string().contains("nope.toml"));
    let latin1 = load("latin1.toml", b"[log]\n# caf\xe9\n").to_string();
    assert!(latin1.contains("not UTF-8") && latin1.contains("latin1.toml:2:6"), "{latin1}");
    let large = vec![b'#'; usize::try_from(ConfigError::LARGEST_FILE_BYTES).unwrap() + 1];
    assert!(matches!(load("large.toml", &large), ConfigError::TooLarge { .. }));
}

#[test]
fn a_list_that_nobody_wrote_by_hand_is_refused_before_each_entry_is_compared_with_each() {
    let many = |count: usize| "[[topics]]\npattern = \"x\"\n".repeat(count);
    assert_says(&many(1_001), &["`topics` has 1001 entries", "at most 1000"]);
    assert_says(&many(1_000), &["`topics[1]` never applies"]);
}

#[test]
fn no_more_mistakes_are_told_than_a_person_reads() {
    let text: String = (0..1_000).map(|n| format!("wrong{n} = 1\n")).collect();
    let complaint = complaint(&text);
    assert_eq!(complaint.matches("error: ").count(), 20);
    assert!(complaint.contains("There may be more"));
}

#[test]
fn limits_of_one_connection_that_leave_room_for_nothing_or_end_what_others_allow_are_refused() {
    assert_says("limits.topic_name = 0", &["`limits.topic_name` is 0"]);
    assert_says("limits.topic_name = 256", &["`limits.topic_name` is 256", "at most 255"]);
    assert_says(
        "limits.topic_name = 3\nendpoints = [{ path = \"/c\", topic = \"chat\" }]",
        &["at most 3 bytes, this one has 4"],
    );
    assert_says("limits.fragments = 0", &["`limits.fragments` is 0"]);
    assert_says("limits.over_rate = \"drop\"", &["cannot be \"drop\"", "\"pause\", \"close\""]);
    let over = "[limits]\nbyte_rate = \"32KiB\"\nover_rate = \"close\"";
    assert_says(
        over,
        &["`limits.byte_rate` (32KiB) is smaller than one `limits.message` (64KiB)", "over_rate = \"pause\""],
    );
    let late = "[limits]\nbyte_rate = \"1KiB\"\nmessage_timeout = \"10s\"";
    assert_says(late, &["takes longer than `limits.message_timeout` (10s)"]);
}

#[test]
fn limits_of_one_connection_at_their_edges_are_taken() {
    for limits in [
        "topic_name = 1\nfragments = 1",
        "byte_rate = \"64KiB\"\nover_rate = \"close\"",
        "byte_rate = \"1KiB\"\nmessage_timeout = \"64s\"",
        "byte_rate = \"1B\"\nmessage_timeout = \"0s\"",
    ] {
        super::config(&format!("[limits]\n{limits}"));
    }
}

/// A listener with this `tls`.
fn with_tls(tls: &str) -> String {
    format!("[[listeners]]\naddress = \"127.0.0.1:1\"\ntls = {{ {tls} }}\n[[topics]]\npublish = \"subscribers\"\n")
}

#[test]
fn a_listener_with_tls_and_nothing_to_show_is_refused() {
    for tls in ["", "certificates = []"] {
        assert_says(&with_tls(tls), &["`listeners[0].tls.certificates` is empty", ":3:", "`acme`"]);
    }
}

#[cfg(not(feature = "acme"))]
#[test]
fn who_wants_certificates_issued_by_a_program_without_that_is_told_how_to_build_it() {
    let text = with_tls("acme = { domains = [\"push.example.com\"], cache = \"acme\" }");
    assert_says(&text, &["`listeners[0].tls.acme`", ":3:", "--features acme"]);
}

#[cfg(feature = "acme")]
#[test]
fn an_issued_certificate_that_no_authority_would_issue_is_refused_with_the_key_that_says_so() {
    let acme = |more: &str| with_tls(&format!("acme = {{ domains = [\"a.example\"], cache = \"acme\", {more} }}"));
    assert_says(
        &with_tls("acme = { domains = [], cache = \"acme\" }"),
        &["`listeners[0].tls.acme.domains` is empty", ":3:28"],
    );
    assert_says(&with_tls("acme = { domains = [\"a.example\"] }"), &["`listeners[0].tls.acme` has no `cache`"]);
    for (domain, said) in [
        ("*.a.example", "list them one by one"),
        ("192.0.2.1", "not a domain name"),
        ("A.example", "in lower case"),
        ("../a", "not a domain name"),
        ("", "not a domain name"),
    ] {
        let text = with_tls(&format!("acme = {{ domains = [\"a.example\", \"{domain}\"], cache = \"acme\" }}"));
        assert_says(&text, &["`listeners[0].tls.acme.domains[1]`", said]);
    }
    assert_says(&acme("contact = [\"ops@example.com\"]"), &["acme.contact[0]`", "mailto:ops@example.com"]);
    for directory in ["http://acme.example/directory", "acme.example", "https://"] {
        assert_says(&acme(&format!("directory = \"{directory}\"")), &["acme.directory`", "begins with https://"]);
    }
    assert_says(&acme("directory_ca = \"/nowhere/ca.pem\""), &["acme.directory_ca`", "/nowhere/ca.pem"]);
    let both =
        "certificates = [{ certificate = \"a\", key = \"b\" }], acme = { domains = [\"a.example\"], cache = \"acme\" }";
    assert_says(&with_tls(both), &["`listeners[0].tls.acme` beside `certificates`", "one of the two"]);
    let clients = "client_ca = \"a\", acme = { domains = [\"a.example\"], cache = \"acme\" }";
    assert_says(&with_tls(clients), &["`listeners[0].tls.client_ca` beside `acme`"]);
}

#[cfg(feature = "acme")]
#[test]
fn files_that_issuing_needs_are_looked_at_when_the_configuration_is_read() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "nothing").unwrap();
    for (keys, said) in [
        ("cache = \"file\"", "`listeners[0].tls.acme.cache`"),
        ("cache = \"acme\", directory_ca = \"file\"", "no certificate in it"),
    ] {
        let text = with_tls(&format!("acme = {{ domains = [\"a.example\"], {keys} }}"));
        let error = Config::from_toml(&text, directory.path()).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("-->"), "no {said:?} in:\n{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "reading a configuration makes nothing");
}

#[test]
fn a_key_of_tokens_that_is_of_no_use_is_told_where_it_stands() {
    let key = |keys: &str| format!("[[tokens.keys]]\n{keys}");
    for (text, said, place) in [
        ("algorithm = \"HS256\"", "`tokens.keys[0]`: exactly one of secret, secret_file, public_key", ":1:"),
        ("algorithm = \"HS256\"\nsecret = \"\"", "`tokens.keys[0].secret`: the secret is empty", ":3:10"),
        ("algorithm = \"RS256\"\nsecret = \"x\"", "RS256 takes a public key", ":3:10"),
        ("algorithm = \"HS256\"\npublic_key = \"x\"", "HS256 takes a secret", ":3:14"),
        ("algorithm = \"ES256\"\npublic_key = \"x\"", "`tokens.keys[0].public_key`: it is not PEM", ":3:14"),
        ("algorithm = \"HS256\"\nsecret_file = \"nope\"", "`tokens.keys[0].secret_file`: ", ":3:15"),
        ("algorithm = \"none\"\nsecret = \"x\"", "cannot be \"none\"", ":2:13"),
        ("algorithm = \"HS265\"\nsecret = \"x\"", "did you mean \"HS256\"?", ":2:13"),
        ("secret = \"x\"", "`tokens.keys[0]` has no `algorithm`", ":1:"),
        ("algorithm = \"HS256\"\nsecret = \"x\"\nid = \"\"", "`tokens.keys[0].id` is empty", ":4:6"),
    ] {
        assert_says(&key(text), &[said, place]);
    }
    let one = "[[tokens.keys]]\nalgorithm = \"HS256\"\nsecret = \"x\"\n";
    let named = format!("{one}id = \"a\"\n");
    assert_says(&format!("{named}{named}"), &["`tokens.keys[1].id`: another key has the id \"a\"", ":8:6"]);
    assert_says(&one.repeat(65), &["`tokens.keys` has 65 entries", "at most 64"]);
    super::config(&one.repeat(64));
}

#[test]
fn rules_that_no_token_could_meet_and_urls_that_are_none_are_refused() {
    assert_says("tokens.audience = \"\"", &["`tokens.audience` is empty", ":1:19"]);
    assert_says("tokens.issuer = \"\"", &["`tokens.issuer` is empty"]);
    assert_says("tokens.jwks_refresh = \"999ms\"", &["`tokens.jwks_refresh` is 999ms", "at least 1s"]);
    assert_says("tokens.leeway = \"61m\"", &["`tokens.leeway` is 61m", "at most 1h"]);
    super::config("tokens = { jwks_refresh = \"1s\", leeway = \"1h\" }");
    for url in ["", "auth.example.com", "/jwks.json", "ftp://a.example/", "https://", "https://user:pass@a.example/"] {
        assert_says(&format!("tokens.jwks_url = \"{url}\""), &["`tokens.jwks_url` is not the URL", ":1:19"]);
    }
    super::config("tokens.jwks_url = \"https://auth.example.com:8443/jwks.json?v=2\"");
}

#[test]
fn secrets_of_tokens_are_never_shown_in_a_mistake_nor_in_the_configuration_in_force() {
    for text in [
        "[tokens]\nkeys = [{ algorithm = \"HS256\", secret = \"s3cret\", idd = \"a\" }]",
        "[[tokens.keys]]\nalgorithm = \"HS256\"\nsecrte = \"s3cret\"",
        "[[tokens.keys]]\nalgorithm = \"RS256\"\nsecret = \"s3cret\"",
        "[tokens]\nkeys = [{ algorithm = \"HS257\", secret = \"s3cret\" }]",
    ] {
        let complaint = complaint(text);
        assert!(!complaint.contains("s3cret") && complaint.contains(":"), "{complaint}");
    }
    let config = super::config("[[tokens.keys]]\nalgorithm = \"HS256\"\nsecret = \"s3cret\"");
    let shown = config.to_toml();
    assert!(!shown.contains("s3cret") && shown.contains("secret = \"(redacted)\""), "{shown}");
    assert!(!format!("{config:?}").contains("s3cret"));
    super::config(&shown);
}

#[test]
fn a_secret_that_can_be_guessed_and_keys_fetched_in_the_open_are_warned_of() {
    let warnings = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fanfare.toml");
        fs::write(&file, text).unwrap();
        Config::load(Some(&file), std::iter::empty()).unwrap().warnings.join("\n")
    };
    let secret = |length| format!("[[tokens.keys]]\nalgorithm = \"HS256\"\nsecret = \"{}\"", "x".repeat(length));
    assert!(warnings(&secret(31)).contains("toml:3:10: `tokens.keys[0].secret` has fewer than 32 bytes"));
    assert_eq!(warnings(&secret(32)), "");
    assert!(warnings("tokens.jwks_url = \"http://a.example/jwks\"").contains("is not https"));
    for url in ["https://a.example/", "http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost/"] {
        assert_eq!(warnings(&format!("tokens.jwks_url = \"{url}\"")), "", "{url}");
    }
}

#[test]
fn hooks_that_cannot_be_called_are_told_and_what_they_may_not_pass_on() {
    assert_says("hooks.rpc = \"app.example.com\"", &["`app.example.com` is not a URL", "\"https://app", ":1:13"]);
    let password = complaint("[hooks]\nrpc = \"https://me:s3cret@app.example.com/\"");
    assert!(password.contains("cannot have a user or a password") && password.contains(":2:7"), "{password}");
    assert_says("hooks.timeout = \"0s\"", &["`hooks.timeout` is zero"]);
    assert_says("hooks.concurrency = 0", &["`hooks.concurrency` is 0", "1 to 10000"]);
    assert_says("hooks.concurrency = 10001", &["`hooks.concurrency` is 10001"]);
    assert_says("hooks.queue = \"63KiB\"", &["`hooks.queue` is 63KiB", "at least 64KiB"]);
    assert_says("hooks.answer = 0", &["`hooks.answer` is 0B"]);
    assert_says("hooks.answer = \"65MiB\"", &["`hooks.answer` is 65MiB", "64MiB"]);
    assert_says(
        "hooks.headers = [\"Cookie\", \"a b\", \"host\", \"x-a\", \"x-a\"]",
        &[
            "did you mean \"cookie\"?",
            "\"a b\" is not the name",
            "\"host\" belongs to one connection",
            "has \"x-a\" twice",
        ],
    );
    assert_says("hooks.emulated_headers = [\"content-length\"]", &["`hooks.emulated_headers[0]`", ":1:27"]);
    assert_says("[hooks]\nsecret = \"\"", &["`hooks.secret` is empty"]);
    assert_says("[hooks]\nsecret = \"a\"\nsecret_file = \"b\"", &["are both set", ":3:15"]);
    let complaint = complaint("[hooks]\nsecret = [\"s3cret\"]");
    assert!(!complaint.contains("s3cret") && complaint.contains("`hooks.secret`"), "{complaint}");
}

#[test]
fn a_topic_that_asks_a_backend_needs_one() {
    for hook in ["subscribe", "publish", "sub_refresh"] {
        let topic = format!("[[topics]]\npattern = \"a\"\nhooks = [\"{hook}\"]\n");
        let expected = format!("has \"{hook}\", and `hooks.{hook}` has no URL to ask");
        assert_says(&topic, &["`topics[0].hooks`", &expected, ":3:"]);
        super::config(&format!("{topic}[hooks]\n{hook} = \"http://127.0.0.1:1/\"\n"));
    }
}

#[test]
fn the_files_of_hooks_are_read_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), "s3cret\n").unwrap();
    fs::write(directory.path().join("empty"), "\n").unwrap();
    let load = |text: &str| Config::from_toml(text, directory.path());
    let config = load("hooks.secret_file = \"secret\"").unwrap();
    assert_eq!(config.hooks.secret.as_deref(), Some("s3cret"));
    assert!(!config.to_toml().contains("s3cret"));
    // What is printed can be read again.
    assert_eq!(load(&config.to_toml()).unwrap(), config);
    for (text, said) in [
        ("hooks.secret_file = \"empty\"", "is empty"),
        ("hooks.secret_file = \"nope\"", "`hooks.secret_file`"),
        ("hooks.ca_file = \"secret\"", "no certificate in it"),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("-->"), "no {said:?} in:\n{error}");
    }
}
