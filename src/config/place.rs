//! Where a mistake stands: which file or variable, line, column, and the text of the line.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Where a piece of configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    File(PathBuf),
    Demo,
    Text,
    Variable(String),
}

/// All texts that make up one configuration, laid end to end, so that a span tells its text.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    all: Vec<(Origin, String)>,
}

/// One place in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    origin: Origin,
    line: usize,
    column: usize,
    /// The line, cut to what fits a terminal; `None` if it may hold a secret.
    shown: Option<String>,
    /// Where the caret goes under `shown`, in characters.
    caret: usize,
    /// How many carets.
    width: usize,
}

impl Texts {
    /// Adds a text and returns what its own spans have to be shifted by.
    pub(super) fn add(&mut self, origin: Origin, text: String) -> usize {
        // One byte between two texts, so that the end of one is not the start of the next.
        let base = self.all.iter().map(|(_, text)| text.len() + 1).sum();
        self.all.push((origin, text));
        base
    }

    /// The place of `span`, or `None` if no text reaches that far.
    pub(super) fn place(&self, span: &Range<usize>) -> Option<Place> {
        let mut base = 0;
        for (origin, text) in &self.all {
            if span.start <= base + text.len() {
                let local = span.start.checked_sub(base)?..span.end.saturating_sub(base);
                return Some(Place::new(origin.clone(), text, local));
            }
            base += text.len() + 1;
        }
        None
    }
}

impl Place {
    /// Characters of a line that are shown.
    const SHOWN_CHARS: usize = 110;

    fn new(origin: Origin, text: &str, span: Range<usize>) -> Self {
        // Spans are on character boundaries in text that was parsed; rounding down keeps this true for any other.
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line_text = text[line_start..line_end].trim_end_matches('\r');
        let before = text[line_start..start].chars().count();
        let width = text[start..end.min(line_end)].trim_end().chars().count().max(1);
        let from = before.saturating_sub(Self::SHOWN_CHARS / 2);
        let from = if line_text.chars().count() <= Self::SHOWN_CHARS { 0 } else { from };
        // A tab or control character would move the caret.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self {
            origin,
            line: text[..start].matches('\n').count() + 1,
            column: before + 1,
            shown: Some(line_text.chars().skip(from).take(Self::SHOWN_CHARS).map(plain).collect()),
            caret: before - from,
            width: width.min(Self::SHOWN_CHARS - (before - from).min(Self::SHOWN_CHARS - 1)),
        }
    }

    /// The same place, without the text of the line.
    pub(super) fn without_line(self) -> Self {
        Self { shown: None, ..self }
    }

    /// Writes the arrow, the line and the caret, and `remark` beside the caret.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, remark: &str) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin}--> {self}")?;
        let Some(shown) = &self.shown else {
            return if remark.is_empty() { Ok(()) } else { writeln!(f, "{margin} = {remark}") };
        };
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {shown}")?;
        let underline = format!("{margin} | {}{} {remark}", " ".repeat(self.caret), "^".repeat(self.width));
        writeln!(f, "{}", underline.trim_end())
    }

    /// How far lines under the caret are to be indented.
    pub(super) fn margin(&self) -> usize {
        self.line.to_string().len()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.origin, self.line, self.column)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Demo => f.write_str("(built-in demo configuration)"),
            Self::Text => f.write_str("(configuration)"),
            Self::Variable(name) => write!(f, "${name}"),
        }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(all: &[&str]) -> (Texts, Vec<usize>) {
        let mut texts = Texts::default();
        let bases = all.iter().map(|text| texts.add(Origin::Text, (*text).to_owned())).collect();
        (texts, bases)
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let (texts, _) = texts(&["a = 1\r\nb = \"聊天\" # c"]);
        let place = texts.place(&(20..21)).unwrap();
        assert_eq!((place.line, place.column), (2, 10));
        assert_eq!(place.shown.as_deref(), Some("b = \"聊天\" # c"));
    }

    #[test]
    fn a_span_in_the_second_text_is_placed_there() {
        let (texts, bases) = texts(&["first\n", "second"]);
        let place = texts.place(&(bases[1]..bases[1] + 6)).unwrap();
        assert_eq!((place.line, place.column, place.shown.as_deref(), place.width), (1, 1, Some("second"), 6));
        assert_eq!(texts.place(&(bases[1] + 7..bases[1] + 8)), None);
    }

    #[test]
    fn a_very_long_line_is_cut_around_the_caret() {
        let line = format!("x = \"{}\"", "y".repeat(5_000));
        let (texts, _) = texts(&[&line]);
        let place = texts.place(&(4_000..5_000)).unwrap();
        assert_eq!(place.column, 4_001);
        assert!(place.shown.unwrap().chars().count() <= Place::SHOWN_CHARS);
        assert!(place.caret + place.width <= Place::SHOWN_CHARS);
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_has_a_place_inside_it(text in "[a\n\r\t聊]{0,300}", start in 0usize..400, length in 0usize..400) {
            let (texts, _) = texts(&[&text]);
            if let Some(place) = texts.place(&(start..start + length)) {
                prop_assert!(place.caret < Place::SHOWN_CHARS && place.width >= 1);
                prop_assert!(place.line <= text.matches('\n').count() + 1);
            } else {
                prop_assert!(start > text.len());
            }
        }
    }
}
