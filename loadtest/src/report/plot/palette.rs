//! How series are told apart: by colour, by dash and by marker, so that colour alone is never needed.

use std::fmt::Write as _;

use crate::report::plot::svg::Svg;

/// The background of each theme; the page takes it from here.
const BACKGROUND: [&str; 2] = ["#ffffff", "#14171c"];

/// Colours on the light and on the dark background. Neighbours differ in lightness or along blue and yellow, which
/// almost everybody sees; each has at least 4.5 : 1 against its background, so that it can carry text.
const COLOURS: [[&str; 2]; 8] = [
    ["#0062a8", "#6cb8f0"],
    ["#b34700", "#f59a52"],
    ["#00735a", "#3ccb9f"],
    ["#8e3a8c", "#dd97dc"],
    ["#6b5900", "#e3c34c"],
    ["#1f2a6b", "#a9b4ff"],
    ["#b0205a", "#ff85ae"],
    ["#4a525c", "#b9c0c9"],
];

const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// Circle, square, triangle, diamond, cross: around 0 0, about 8 wide.
const MARKERS: [&str; 5] = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "M-3.5 -3.5H3.5V3.5H-3.5Z",
    "M0 -4.5L4.5 3.5H-4.5Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M-4 -2L-2 -4L0 -2L2 -4L4 -2L2 0L4 2L2 4L0 2L-2 4L-4 2L-2 0Z",
];

/// The look of one series. Numbers beyond the colours begin again with other dashes and markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style(pub(crate) usize);

impl Style {
    /// The class that sets the colour.
    pub(crate) fn class(self) -> String {
        format!("s{}", self.0 % COLOURS.len())
    }

    /// Its `stroke-dasharray`; empty is a solid line.
    pub(crate) fn dash(self) -> &'static str {
        DASHES[self.0 % DASHES.len()]
    }

    /// The path of its marker.
    pub(crate) fn marker(self) -> &'static str {
        MARKERS[self.0 % MARKERS.len()]
    }

    /// Line and marker for the middle of a legend's entry, 30 wide.
    pub(crate) fn draw_sample(self, svg: &mut Svg, (x, y): (f64, f64)) {
        svg.polyline("line", self.dash(), &[(x, y), (x + 26.0, y)]);
        svg.shape("dot", self.marker(), (x + 13.0, y));
    }
}

/// The colours of both themes as CSS variables and classes; print is always light.
pub(crate) fn css() -> String {
    let variables = |theme: usize| {
        let mut css = format!("--bg:{};", BACKGROUND[theme]);
        for (index, colour) in COLOURS.iter().enumerate() {
            write!(css, "--s{index}:{};", colour[theme]).expect("invariant: a String takes all that is written");
        }
        css
    };
    let classes: String = (0..COLOURS.len()).map(|index| format!(".s{index}{{--c:var(--s{index})}}")).collect();
    format!(
        ":root{{{}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n{classes}\n",
        variables(0),
        variables(1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance as WCAG 2 defines it.
    fn luminance(colour: &str) -> f64 {
        let linear = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_colour_can_carry_text_on_its_background() {
        for colours in COLOURS {
            for theme in 0..2 {
                let found = contrast(colours[theme], BACKGROUND[theme]);
                assert!(found >= 4.5, "{} on {}: {found:.2}", colours[theme], BACKGROUND[theme]);
            }
        }
    }

    #[test]
    fn forty_series_all_look_different() {
        let look = |number| {
            let style = Style(number);
            (style.class(), style.dash(), style.marker())
        };
        for a in 0..40 {
            for b in 0..a {
                assert_ne!(look(a), look(b), "{a} and {b}");
            }
        }
    }

    #[test]
    fn the_css_has_both_themes_and_prints_light() {
        let css = css();
        assert!(
            css.contains("@media screen and (prefers-color-scheme:dark){:root{--bg:#14171c;--s0:#6cb8f0;"),
            "{css}"
        );
        assert!(css.starts_with(":root{--bg:#ffffff;--s0:#0062a8;"), "{css}");
    }
}
