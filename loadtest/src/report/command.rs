//! The command line as a record keeps it: enough to run it again, nothing about whose machine it was. Pure.

/// The arguments in one line, the first of them the program. Paths are cut to their file names: they name people and
/// places, and are others elsewhere. What stands behind `secret=` in a URL is left out.
pub(crate) fn shown(arguments: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> =
        arguments.into_iter().map(|argument| quoted(without_paths(&without_secret(argument)))).collect();
    words.join(" ")
}

fn without_secret(argument: String) -> String {
    let Some((before, secret)) = argument.split_once("secret=") else { return argument };
    let after = secret.find(['&', '#']).map_or("", |end| &secret[end..]);
    format!("{before}secret=…{after}")
}

/// Cuts every path in `argument`, also behind `--option=` and `name:`, and within a quoted command.
fn without_paths(argument: &str) -> String {
    let is_between = |c: char| c.is_whitespace() || matches!(c, '=' | ',' | ';' | '\'' | '"');
    argument.split_inclusive(is_between).map(cut_word).collect()
}

/// `word` may end with what separates it from the next one.
fn cut_word(word: &str) -> String {
    if ["ws://", "wss://", "http://", "https://"].iter().any(|scheme| word.contains(scheme)) {
        return word.to_owned();
    }
    word.split_inclusive(':')
        .map(|part| {
            // A folder given as `target/` is still its last name.
            let end = part.trim_end_matches('/');
            end.rsplit_once('/').map_or(part, |(_, name)| name)
        })
        .collect()
}

/// As a shell would take it.
fn quoted(word: String) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+…".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    fn shown(arguments: &[&str]) -> String {
        super::shown(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn paths_are_cut_to_file_names_wherever_they_stand() {
        assert_eq!(
            shown(&["/home/me/target/release/fanfare-loadtest", "compare", "--rounds", "5", "--", "../x/fanfare"]),
            "fanfare-loadtest compare --rounds 5 -- fanfare"
        );
        assert_eq!(shown(&["x", "--save=/srv/a/b.jsonl", "hub:/opt/hub", "dir/"]), "x --save=b.jsonl hub:hub dir/");
        assert_eq!(shown(&["x", "/opt/py/bin/python3 /home/me/server.py --port 1"]), "x 'python3 server.py --port 1'");
    }

    #[test]
    fn secrets_are_left_out() {
        assert_eq!(
            shown(&["x", "pusher+ws://127.0.0.1:1/app/k?secret=hush&id=1", "secret=hush"]),
            "x 'pusher+ws://127.0.0.1:1/app/k?secret=…&id=1' secret=…"
        );
    }

    #[test]
    fn urls_stay_whole_and_odd_words_are_quoted() {
        assert_eq!(shown(&["x", "--url", "ws://127.0.0.1:8000/a/b"]), "x --url ws://127.0.0.1:8000/a/b");
        assert_eq!(shown(&["x", "it's", ""]), r"x 'it'\''s' ''");
    }
}
