//! Regular expressions of Go, in which Centrifugo's are written, as those of fanfare.

use std::iter::Peekable;
use std::str::Chars;

use crate::config::NameRegex;

/// What allows the names that `go` finds itself in: Centrifugo looks for it anywhere in a name, `name_regex` is for all of one.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn convert(go: &str) -> Result<NameRegex, String> {
    let written = translate(go)?;
    written.parse::<NameRegex>().map_err(|error| error.to_string())?;
    whole(&written).parse::<NameRegex>().map_err(|error| error.to_string())
}

/// The same for a whole name, as short as it can be.
fn whole(regex: &str) -> String {
    // `^a|b$` is `^a` or `b$`: the ends of a text that has a choice are left where they are.
    let is_one = !regex.contains('|');
    let (begins, rest) = match regex.strip_prefix('^').filter(|_| is_one) {
        Some(rest) => (true, rest),
        None => (false, regex),
    };
    let (ends, inner) = match rest.strip_suffix('$').filter(|rest| is_one && !rest.ends_with('\\')) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let any = |is_end: bool| if is_end { "" } else { "(?s:.*)" };
    match (begins, ends) {
        // Without a character it would be no expression, and so allow everything.
        (true, true) if inner.is_empty() => "(?:)".to_owned(),
        (true, true) => inner.to_owned(),
        _ => format!("{}(?:{inner}){}", any(begins), any(ends)),
    }
}

/// The same in the words of the `regex` crate. There `\d`, `\w`, `\s` and `\b` are about all scripts, and a class may have classes
/// in it and be reckoned with; in Go none of that is so.
fn translate(go: &str) -> Result<String, String> {
    let mut regex = String::with_capacity(go.len() + 16);
    let mut rest = go.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '\\' => escape(&mut rest, &mut regex, false)?,
            '[' => class(&mut rest, &mut regex)?,
            '{' if !is_count(rest.clone()) => regex.push_str(r"\{"),
            char => regex.push(char),
        }
    }
    Ok(regex)
}

/// Whether a count stands behind `{`, as in `{2}` and `{2,}` and `{2,3}`: in Go it is a character if not.
fn is_count(rest: Peekable<Chars<'_>>) -> bool {
    let rest: String = rest.collect();
    let Some((count, _)) = rest.split_once('}') else { return false };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && are_digits(least) && are_digits(most)
}

/// What stands behind a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>, regex: &mut String, in_class: bool) -> Result<(), String> {
    match rest.next() {
        Some('d') => regex.push_str("[0-9]"),
        Some('D') => regex.push_str("[^0-9]"),
        Some('w') => regex.push_str("[0-9A-Za-z_]"),
        Some('W') => regex.push_str("[^0-9A-Za-z_]"),
        Some('s') => regex.push_str(r"[\t\n\f\r ]"),
        Some('S') => regex.push_str(r"[^\t\n\f\r ]"),
        Some('b') if !in_class => regex.push_str(r"(?-u:\b)"),
        Some('Q') if !in_class => {
            let literal: String = rest.by_ref().collect();
            let (literal, after) = literal.split_once(r"\E").unwrap_or((&literal, ""));
            regex.push_str(&regex::escape(literal));
            regex.push_str(&translate(after)?);
        }
        // Words of the crate's own, or of neither, where Go has the character itself or nothing.
        Some(char @ ('<' | '>')) => regex.push(char),
        Some(char @ ('B' | '0'..='7')) => return Err(format!("\\{char} has no counterpart")),
        Some(char) => {
            regex.extend(['\\', char]);
            // Its braces are no count: \p{Greek}, \x{e4}.
            if matches!(char, 'p' | 'P' | 'x') && rest.peek() == Some(&'{') {
                push_through(rest, '}', regex);
            }
        }
        None => return Err("it ends in a backslash".to_owned()),
    }
    Ok(())
}

/// Takes what comes as it is, up to `end` and with it.
fn push_through(rest: &mut Peekable<Chars<'_>>, end: char, regex: &mut String) {
    for char in rest.by_ref() {
        regex.push(char);
        if char == end {
            return;
        }
    }
}

/// A class, whose bracket has been read.
fn class(rest: &mut Peekable<Chars<'_>>, regex: &mut String) -> Result<(), String> {
    regex.push('[');
    if rest.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    // One in the first place is itself.
    if rest.next_if_eq(&']').is_some() {
        regex.push_str(r"\]");
    }
    while let Some(char) = rest.next() {
        match char {
            ']' => {
                regex.push(']');
                return Ok(());
            }
            '\\' => escape(rest, regex, true)?,
            // A class by name, such as [:alpha:]; alone it is a character.
            '[' if rest.peek() == Some(&':') => {
                regex.push('[');
                push_through(rest, ']', regex);
            }
            '[' | '&' | '~' => regex.extend(['\\', char]),
            '-' if rest.peek() == Some(&'-') => return Err("-- in a class has no counterpart".to_owned()),
            char => regex.push(char),
        }
    }
    Err("a class has no end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_allows_the_names_in_which_go_finds_it() {
        for (go, becomes, allowed, refused) in [
            ("^[a-z]+$", "[a-z]+", "abc", "abc1"),
            (r"^\d+$", "[0-9]+", "17", "١٧"),
            (r"^[\w-]+$", "[[0-9A-Za-z_]-]+", "a-b_1", "ä"),
            ("^user", "(?:user)(?s:.*)", "user:1", "a user"),
            ("room$", "(?s:.*)(?:room)", "my room", "room 1"),
            ("a", "(?s:.*)(?:a)(?s:.*)", "bab", "b"),
            ("^a$|^b$", "(?s:.*)(?:^a$|^b$)(?s:.*)", "b", "ab"),
            (r"^a\$", r"(?:a\$)(?s:.*)", "a$b", "ab"),
            (r"^\Qa.b\E\d$", r"a\.b[0-9]", "a.b1", "axb1"),
            (r"^[[a]$", r"[\[a]", "[", "b"),
            ("^[]a]$", r"[\]a]", "]", "b"),
            ("^[[:alpha:]&&b]$", r"[[:alpha:]\&\&b]", "&", "1"),
            (r"^\<a\>$", "<a>", "<a>", "a"),
            (r"^(?i)abc$", "(?i)abc", "ABC", "ab"),
            ("^$", "(?:)", "", "x"),
            (r"^\p{Greek}\x{e4}$", r"\p{Greek}\x{e4}", "λä", "lä"),
            ("^a{2}{b{,3}$", r"a{2}\{b\{,3}", "aa{b{,3}", "aa"),
            (r"^x \by$", r"x (?-u:\b)y", "x y", "xy"),
        ] {
            let regex = convert(go).unwrap_or_else(|why| panic!("{go}: {why}"));
            assert_eq!(regex.to_string(), becomes, "{go}");
            assert!(regex.matches(allowed) && !regex.matches(refused), "{go}: {regex}");
        }
    }

    #[test]
    fn what_has_no_counterpart_is_told() {
        for go in ["[a", "(a", r"\123", r"[+--]", "a\\", r"\Ba", r"^\pX$", "(a{1000}){50}"] {
            assert!(convert(go).is_err(), "{go}");
        }
    }
}
