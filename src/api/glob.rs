//! Patterns for names of topics that are looked for: `*`, `?` and classes like `[a-z]`. Pure.

/// A pattern: `*` takes any characters, also none; `?` takes one; `[abc]`, `[a-z]` and `[!a-z]` take one of those, or one
/// that is none of those; `\` makes what follows stand for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Many,
    One,
    Char(char),
    Class { ranges: Vec<(char, char)>, is_negated: bool },
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    /// It is longer than any name.
    #[error("it is over {} bytes", Glob::LIMIT_BYTES)]
    TooLong,
    /// A class has no end, or nothing in it.
    #[error("a class is written [abc], [a-z] or [!a-z]")]
    Class,
    /// A range ends before it begins.
    #[error("the range {0}-{1} is empty")]
    Range(char, char),
    /// It ends in a backslash.
    #[error("nothing stands behind the last backslash")]
    Escape,
    /// Alternatives are not supported.
    #[error("{{a,b}} is not supported: look for each, or use a class; a brace itself is written \\{{")]
    Alternatives,
}

impl Glob {
    /// The longest pattern, in bytes.
    pub const LIMIT_BYTES: usize = 1024;

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`BadGlob`].
    pub fn new(pattern: &str) -> Result<Self, BadGlob> {
        if pattern.len() > Self::LIMIT_BYTES {
            return Err(BadGlob::TooLong);
        }
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            parts.push(match char {
                // Two in a row are one.
                '*' if parts.last() == Some(&Part::Many) => continue,
                '*' => Part::Many,
                '?' => Part::One,
                '[' => class(&mut chars)?,
                '{' | '}' => return Err(BadGlob::Alternatives),
                '\\' => Part::Char(chars.next().ok_or(BadGlob::Escape)?),
                char => Part::Char(char),
            });
        }
        Ok(Self { parts })
    }

    /// Whether `name` matches. No recursion; worst case the product of both lengths.
    pub fn matches(&self, name: &str) -> bool {
        let (mut part, mut rest) = (0, name);
        // Behind the last `*`, and what it has not taken yet.
        let mut star: Option<(usize, &str)> = None;
        loop {
            let mut after = rest.chars();
            match (self.parts.get(part), after.next()) {
                (Some(Part::Many), _) => {
                    part += 1;
                    star = Some((part, rest));
                    continue;
                }
                (Some(one), Some(char)) if one.takes(char) => {
                    part += 1;
                    rest = after.as_str();
                    continue;
                }
                (None, None) => return true,
                (Some(_), Some(_)) | (None, Some(_)) | (Some(_), None) => {}
            }
            // A mismatch: the last `*` takes one character more.
            let Some((behind, untaken)) = star else { return false };
            let mut untaken = untaken.chars();
            if untaken.next().is_none() {
                return false;
            }
            (part, rest) = (behind, untaken.as_str());
            star = Some((behind, rest));
        }
    }
}

impl Part {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Many | Self::One => true,
            Self::Char(own) => *own == char,
            Self::Class { ranges, is_negated } => {
                ranges.iter().any(|&(first, last)| (first..=last).contains(&char)) != *is_negated
            }
        }
    }
}

/// What stands behind an opening bracket, up to the closing one.
fn class(chars: &mut std::str::Chars<'_>) -> Result<Part, BadGlob> {
    let is_negated = chars.as_str().starts_with(['!', '^']);
    if is_negated {
        chars.next();
    }
    let mut ranges = Vec::new();
    loop {
        let first = match chars.next().ok_or(BadGlob::Class)? {
            ']' if ranges.is_empty() => return Err(BadGlob::Class),
            ']' => return Ok(Part::Class { ranges, is_negated }),
            '\\' => chars.next().ok_or(BadGlob::Escape)?,
            char => char,
        };
        let mut ahead = chars.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                *chars = ahead;
                last
            }
            _ => first,
        };
        if last < first {
            return Err(BadGlob::Range(first, last));
        }
        ranges.push((first, last));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn each_sign_takes_what_it_says() {
        for (pattern, name) in [
            ("*", "a"),
            ("*", ""),
            ("", ""),
            ("a*", "a"),
            ("*:x", "a:b:x"),
            ("a?c", "a聊c"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[^a]", "b"),
            ("[a-]", "-"),
            ("[-a]", "-"),
            ("\\*", "*"),
            ("[\\]]", "]"),
            ("**a", "bca"),
            ("a*b*c", "aXbYbZc"),
            ("\\{a\\}", "{a}"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("?", ""),
            ("?", "ab"),
            ("a*", "ba"),
            ("[a-c]x", "dx"),
            ("[!a-c]x", "ax"),
            ("\\*", "a"),
            ("a*b", "abc"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said_so() {
        for (pattern, error) in [
            ("[", BadGlob::Class),
            ("[]", BadGlob::Class),
            ("[a", BadGlob::Class),
            ("[z-a]", BadGlob::Range('z', 'a')),
            ("a\\", BadGlob::Escape),
            ("{a,b}", BadGlob::Alternatives),
        ] {
            assert_eq!(Glob::new(pattern), Err(error), "{pattern}");
        }
        assert!(Glob::new(&"a".repeat(Glob::LIMIT_BYTES)).is_ok());
        assert_eq!(Glob::new(&"a".repeat(Glob::LIMIT_BYTES + 1)), Err(BadGlob::TooLong));
    }

    /// What a pattern means, in the slow and obvious way.
    fn means(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], rest) => rest.is_empty(),
            (['*', after @ ..], rest) => (0..=rest.len()).any(|skip| means(after, &rest[skip..])),
            (['?', after @ ..], [_, rest @ ..]) => means(after, rest),
            ([one, after @ ..], [first, rest @ ..]) => one == first && means(after, rest),
            ([_, ..], []) => false,
        }
    }

    proptest! {
        #[test]
        fn matching_means_what_it_says(pattern in "[ab*?é]{0,8}", name in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), means(&chars(&pattern), &chars(&name)));
        }

        #[test]
        fn any_text_is_a_pattern_or_none(pattern in "\\PC{0,20}", name in "\\PC{0,20}") {
            if let Ok(glob) = Glob::new(&pattern) {
                let _ = glob.matches(&name);
            }
        }
    }
}
