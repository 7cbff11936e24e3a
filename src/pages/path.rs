//! Which file below a directory a URL path may mean. Pure; the file system has the last word in [`super::file`].

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// The relative path that `rest`, the still encoded path after the directory's prefix, asks for.
///
/// `None` for everything that is not plainly a name after a name: empty segments, `.` and `..` (also encoded), slashes
/// and backslashes that hide in an encoding, control characters, what is not UTF-8, and names that start with a dot (such
/// as `.git` and `.env`), which are not meant for the public. The result has only normal components.
pub(super) fn below(rest: &str) -> Option<Wanted> {
    let mut path = PathBuf::new();
    let (names, is_directory) = match rest.strip_suffix('/') {
        Some(names) => (names, true),
        None => (rest, rest.is_empty()),
    };
    if rest == "/" {
        return None;
    }
    for segment in names.split('/').filter(|_| !names.is_empty()) {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(is_never_in_a_name);
        if !is_plain {
            return None;
        }
        path.push(name.as_ref());
    }
    Some(Wanted { path, is_directory })
}

/// A path that may be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Below the served directory; empty for itself.
    pub(super) path: PathBuf,
    /// It was written with a slash at its end: its `index.html` is meant.
    pub(super) is_directory: bool,
}

/// A colon is refused for the drives and streams of other systems.
fn is_never_in_a_name(c: char) -> bool {
    matches!(c, '/' | '\\' | ':') || c.is_control()
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_decoded_and_joined() {
        let file = |path: &str| Some(Wanted { path: path.into(), is_directory: false });
        let directory = |path: &str| Some(Wanted { path: path.into(), is_directory: true });
        assert_eq!(below("a.css"), file("a.css"));
        assert_eq!(below("deep/a%20b.css"), file("deep/a b.css"));
        assert_eq!(below("%E8%81%8A.html"), file("聊.html"));
        assert_eq!(below(""), directory(""));
        assert_eq!(below("deep/"), directory("deep"));
    }

    #[test]
    fn nothing_that_could_leave_the_directory_is_looked_for() {
        for escape in [
            "..",
            "../secret",
            "a/../../secret",
            "%2e%2e/secret",
            "%2E%2E%2Fsecret",
            "..%2fsecret",
            "..%5csecret",
            "..\\secret",
            "a\\b",
            "a%00.css",
            "a%0a",
            "%FF",
            "//etc/passwd",
            "/etc/passwd",
            "/",
            "a//b",
            "a//",
            "./a",
            ".",
            ".git/config",
            "a/.env",
            "C:/x",
            "a.txt:stream",
            "%252e%252e\\x",
        ] {
            assert_eq!(below(escape), None, "{escape}");
        }
    }

    proptest! {
        #[test]
        fn what_is_looked_for_is_only_names(rest in "[a-c./\\\\%0-9eEfF:~]{0,30}") {
            if let Some(wanted) = below(&rest) {
                prop_assert!(wanted.path.components().all(|part| matches!(part, Component::Normal(_))), "{:?}", wanted);
                prop_assert!(Path::new("/root").join(&wanted.path).starts_with("/root"));
            }
        }

        #[test]
        fn any_text_is_answered(rest in "\\PC{0,40}") {
            let _ = below(&rest);
        }
    }
}
