//! Writes SVG: elements, text, and nothing unescaped.

use std::fmt::Write as _;

/// An average character of a sans-serif font is about this wide, in its size. Rather too wide: text that is thought longer
/// than it is wastes room, text that is longer is cut off.
const CHARACTER_EM: f64 = 0.58;

/// A picture being written.
#[derive(Debug)]
pub(crate) struct Svg {
    text: String,
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

impl Svg {
    /// A picture of `width` by `height` that says what it shows also to who cannot see it. `id` is unique on the page.
    pub(crate) fn new(id: &str, width: f64, height: f64, title: &str, description: &str) -> Self {
        let (id, title, description) = (escaped(id), escaped(title), escaped(description));
        Self {
            text: format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
                 aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
                 <desc id=\"{id}-d\">{description}</desc>"
            ),
        }
    }

    /// Opens a group of `class`.
    pub(crate) fn open(&mut self, class: &str) {
        self.write(format_args!("<g class=\"{class}\">"));
    }

    /// Closes the innermost open group.
    pub(crate) fn close(&mut self) {
        self.write(format_args!("</g>"));
    }

    /// A straight line.
    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.write(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A line through `points`, dashed as `dash` says; nothing if there are fewer than two.
    pub(crate) fn polyline(&mut self, class: &str, dash: &str, points: &[(f64, f64)]) {
        if points.len() > 1 {
            let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
            self.write(format_args!("<path class=\"{class}\"{dash} d=\"{}\"/>", path(points)));
        }
    }

    /// A filled shape with corners at `points`.
    pub(crate) fn polygon(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() > 2 {
            self.write(format_args!("<path class=\"{class}\" d=\"{}Z\"/>", path(points)));
        }
    }

    /// A path with the given data, moved to `at`.
    pub(crate) fn shape(&mut self, class: &str, data: &str, (x, y): (f64, f64)) {
        self.write(format_args!("<path class=\"{class}\" transform=\"translate({x:.1} {y:.1})\" d=\"{data}\"/>"));
    }

    /// A line of text.
    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let (anchor, text) = (anchor.name(), escaped(text));
        self.write(format_args!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
        ));
    }

    /// The finished picture.
    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }

    fn write(&mut self, element: std::fmt::Arguments<'_>) {
        self.text.write_fmt(element).expect("invariant: a String takes all that is written");
    }
}

/// About how wide `text` is in a font of `size`.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * CHARACTER_EM
}

/// `text`, or its beginning and an ellipsis, so that it is about `width` at most.
pub(crate) fn shortened(text: &str, size: f64, width: f64) -> String {
    let room = (width / (size * CHARACTER_EM)).floor().max(1.0) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

fn path(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        write!(data, "{command}{x:.1} {y:.1}").expect("invariant: a String takes all that is written");
    }
    data
}

/// For text and for attributes in double quotes. Control characters, which XML does not know, are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Panics unless `svg` is one element whose parts are closed in order, with quoted attributes, escaped text and numbers
    /// that are numbers.
    pub(crate) fn assert_is_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        assert!(svg.starts_with("<svg "), "{svg}");
        while let Some(start) = rest.find('<') {
            assert_text(&rest[..start]);
            let end = start + rest[start..].find('>').expect("every tag ends");
            let tag = &rest[start + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closed in order");
            } else {
                let (name, attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
                assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{tag}");
                let quotes: Vec<&str> = attributes.split('"').collect();
                assert!(quotes.len() % 2 == 1 && quotes.last() == Some(&""), "attributes are quoted: {tag}");
                quotes.chunks(2).for_each(|pair| assert!(pair[0].is_empty() || pair[0].ends_with('='), "{tag}"));
                assert!(!attributes.contains("NaN") && !attributes.contains("inf"), "{tag}");
                assert_text(attributes);
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
            assert!(!open.is_empty() || rest.is_empty(), "one element: {rest}");
        }
        assert!(open.is_empty() && rest.is_empty(), "{open:?} {rest}");
    }

    fn assert_text(text: &str) {
        for entity in text.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|known| entity.starts_with(known)), "{text}");
        }
        assert!(!text.contains('\u{7}'), "{text}");
    }

    #[test]
    fn what_is_written_is_well_formed_whatever_the_words() {
        let mut svg = Svg::new("p<\"1", 10.0, 20.0, "a < b & \"c\"", "it's\u{7} > this");
        svg.open("s0");
        svg.line("axis", (0.0, 0.0), (1.0, 1.0));
        svg.polyline("line", "4 2", &[(0.0, 0.0), (1.0, 1.0)]);
        svg.polyline("line", "", &[(0.0, 0.0)]);
        svg.text("tick", Anchor::End, (0.0, 0.0), "</text><script>");
        svg.close();
        let svg = svg.finish();
        assert_is_well_formed(&svg);
        assert!(!svg.contains("<script"), "{svg}");
        assert_eq!(svg.matches("<path").count(), 1);
    }

    #[test]
    fn a_long_name_is_shortened_to_its_room() {
        assert_eq!(shortened("floor", 10.0, 100.0), "floor");
        let short = shortened("a-very-long-target-name", 10.0, 58.0);
        assert_eq!(short, "a-very-lo…");
        assert!(text_width(&short, 10.0) <= 58.1);
    }
}
