//! Topic patterns: a name in which `*` stands for any run of characters, also none.

/// Whether `name` matches `pattern`. No recursion; worst case the product of both lengths.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    glob(pattern.as_bytes(), name.as_bytes(), |_| true)
}

/// Whether everything that matches `later` matches `earlier`, too.
///
/// Reads `later` as a name in which its `*` is a character that only a `*` of `earlier` can take: a run of characters
/// without end can be taken by nothing else.
pub(super) fn shadows(earlier: &str, later: &str) -> bool {
    glob(earlier.as_bytes(), later.as_bytes(), |byte| byte != b'*')
}

/// The usual two-pointer match: on a mismatch, the last `*` takes one byte more. `literal` says whether a byte of
/// `name` may be matched by an equal byte of `pattern`.
fn glob(pattern: &[u8], name: &[u8], literal: impl Fn(u8) -> bool) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && pattern[p] == name[n] && literal(name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_takes_any_run_of_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "news"),
            ("chat*", "chat"),
            ("chat*", "chat/1"),
            ("a*b*c", "aXbYc"),
            ("**", "x"),
            ("聊*", "聊天"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "x"), ("chat", "chat1"), ("chat*", "cha"), ("a*b", "abc"), ("*x", "xy")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn an_earlier_pattern_shadows_a_later_one_only_if_nothing_is_left_for_it() {
        for (earlier, later) in [("*", "chat*"), ("chat*", "chat/1"), ("chat*", "chat*"), ("a*", "a*b*"), ("*", "*")] {
            assert!(shadows(earlier, later), "{earlier} {later}");
        }
        for (earlier, later) in [("chat*", "*"), ("chat", "chat*"), ("a*c", "a*"), ("chat/*", "chat*"), ("a*b", "a*c")]
        {
            assert!(!shadows(earlier, later), "{earlier} {later}");
        }
    }

    /// What a pattern means, in the slow and obvious way.
    fn means(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], rest) => rest.is_empty(),
            (['*', after @ ..], rest) => (0..=rest.len()).any(|skip| means(after, &rest[skip..])),
            ([one, after @ ..], [first, rest @ ..]) => one == first && means(after, rest),
            ([_, ..], []) => false,
        }
    }

    proptest! {
        #[test]
        fn matching_means_what_it_says(pattern in "[ab*é]{0,8}", name in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), means(&chars(&pattern), &chars(&name)));
        }

        #[test]
        fn what_matches_a_shadowed_pattern_matches_the_shadowing_one(
            earlier in "[ab*]{0,5}", later in "[ab*]{0,5}", name in "[abc]{0,6}"
        ) {
            if shadows(&earlier, &later) && matches(&later, &name) {
                prop_assert!(matches(&earlier, &name), "{} {} {}", earlier, later, name);
            }
        }
    }
}
