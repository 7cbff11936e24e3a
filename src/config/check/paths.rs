//! Paths that are not paths, and paths that are served twice.

use std::collections::HashMap;

use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::report::Report;

/// What is served without being configured: a path, or everything below it if it ends with `/`. `/` itself is the
/// try-it page and gives way to a page of the configuration.
const BUILT_IN: [&str; 9] =
    ["/topics/", "/api/", "/connection/", "/app/", "/apps/", "/health/", "/admin", "/emulation", "/metrics"];

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let mut taken: HashMap<&str, KeyPath> = HashMap::new();
    let endpoints = config.endpoints.iter().enumerate().map(|(index, endpoint)| {
        let path = KeyPath::of("endpoints").index(index);
        (endpoint.path.as_str(), path)
    });
    let pages = config.pages.iter().enumerate().map(|(index, page)| {
        let shown =
            if page.directory.is_some() && page.path.len() > 1 { page.path.trim_end_matches('/') } else { &page.path };
        (shown, KeyPath::of("pages").index(index))
    });
    for (path, entry) in endpoints.chain(pages) {
        let key = entry.key("path");
        if let Some(complaint) = complaint(path) {
            report.mistake(&key, Mistake::new(format!("`{key}`: \"{path}\" is not a path")).remark(complaint));
        } else if let Some(built_in) = built_in(path) {
            let mistake = Mistake::new(format!("`{key}`: \"{path}\" is served by fanfare itself ({built_in})"));
            report.mistake(&key, mistake.remark("choose another path"));
        } else if let Some(first) = taken.get(path) {
            let mistake = Mistake::new(format!("`{key}`: \"{path}\" is already the path of `{first}`"));
            report.mistake(&key, mistake.remark("choose another path"));
        } else {
            taken.insert(path, entry);
        }
    }
    for (index, page) in config.pages.iter().enumerate() {
        let entry = KeyPath::of("pages").index(index);
        let given: Vec<&str> =
            [("text", page.text.is_some()), ("file", page.file.is_some()), ("directory", page.directory.is_some())]
                .into_iter()
                .filter_map(|(key, given)| given.then_some(key))
                .collect();
        let said = match given[..] {
            [_] => continue,
            [] => "none of them".to_owned(),
            [..] => given.join(" and "),
        };
        let mistake = Mistake::new(format!("`{entry}` needs exactly one of text, file and directory, and has {said}"));
        // The second one is the one too many.
        report.mistake(&given.get(1).map_or(entry.clone(), |key| entry.key(key)), mistake);
    }
}

fn built_in(path: &str) -> Option<&'static str> {
    BUILT_IN.into_iter().find(|known| {
        let bare = known.trim_end_matches('/');
        path == bare || path.strip_prefix(bare).is_some_and(|rest| rest.starts_with('/'))
    })
}

fn complaint(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some(format!("did you mean \"/{path}\"?"));
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") || path.contains("//") {
        return Some("without `.`, `..` and empty segments: clients resolve these before they ask".to_owned());
    }
    let odd = path.chars().find(|c| !c.is_ascii_graphic() || "?#\"<>\\^`{}|".contains(*c))?;
    let encoded =
        percent_encoding::utf8_percent_encode(odd.encode_utf8(&mut [0; 4]), percent_encoding::NON_ALPHANUMERIC)
            .to_string();
    Some(format!("{odd:?} cannot stand in a path; in a URL it is written {encoded}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_a_client_can_ask_for_pass_and_others_are_mended() {
        for path in ["/", "/chat", "/socket/", "/a/b-c_d~e.f", "/caf%C3%A9"] {
            assert_eq!(complaint(path), None, "{path}");
        }
        for (path, said) in [
            ("chat", "\"/chat\""),
            ("/a/../b", ".."),
            ("/a//b", "empty"),
            ("/a b", "%20"),
            ("/a?b", "%3F"),
            ("", "\"/\""),
        ] {
            let complaint = complaint(path).unwrap_or_default();
            assert!(complaint.contains(said), "{path}: {complaint}");
        }
    }

    #[test]
    fn built_in_paths_take_what_is_below_them_but_not_what_only_begins_alike() {
        for path in ["/topics/news", "/topics", "/api/publish", "/metrics", "/admin/x"] {
            assert!(built_in(path).is_some(), "{path}");
        }
        for path in ["/", "/apiary", "/metrics2", "/application", "/topic"] {
            assert_eq!(built_in(path), None, "{path}");
        }
    }
}
