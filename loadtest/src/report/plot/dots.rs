//! Rows of dots: every single value, and a line at the median of each row.

use crate::report::plot::axis::Axis;
use crate::report::plot::chart::TEXT_SIZE;
use crate::report::plot::palette::Style;
use crate::report::plot::svg::{Anchor, Svg, shortened, text_width};
use crate::report::spread::Spread;

const WIDTH: f64 = 460.0;
const ROW: f64 = 38.0;
/// Names are shortened to this.
const NAME_WIDTH: f64 = 110.0;

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Whose values.
    pub(crate) name: String,
    /// Their look.
    pub(crate) style: Style,
    /// In the order of the rounds.
    pub(crate) values: Vec<f64>,
}

/// A picture of rows of dots.
#[derive(Debug)]
pub(crate) struct Dots<'a> {
    /// Unique on the page.
    pub(crate) id: &'a str,
    /// What it shows.
    pub(crate) title: &'a str,
    /// What a reader sees in it, for those who cannot.
    pub(crate) description: &'a str,
    /// To the right.
    pub(crate) x: Axis,
    /// The value everything is compared with.
    pub(crate) reference: f64,
    /// The rows, from the top.
    pub(crate) rows: Vec<Row>,
    /// How a value is written, for the medians at the right.
    pub(crate) words: fn(f64) -> String,
}

impl Dots<'_> {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let names: Vec<String> = self.rows.iter().map(|row| shortened(&row.name, TEXT_SIZE, NAME_WIDTH)).collect();
        let medians: Vec<Option<f64>> =
            self.rows.iter().map(|row| Spread::of(row.values.iter().copied()).map(|spread| spread.median)).collect();
        let said: Vec<String> = medians.iter().map(|median| median.map_or_else(String::new, self.words)).collect();
        let widest = |texts: &[String]| texts.iter().map(|text| text_width(text, TEXT_SIZE)).fold(0.0, f64::max);
        let (left, right) = (widest(&names) + 22.0, WIDTH - widest(&said) - 16.0);
        let (top, bottom) = (6.0, 6.0 + self.rows.len() as f64 * ROW);
        let x = |value: f64| left + self.x.at(value) * (right - left);

        let mut svg = Svg::new(self.id, WIDTH, bottom + 44.0, self.title, self.description);
        let mut free_from = 0.0;
        for (place, words) in self.x.ticks() {
            let at = left + place * (right - left);
            svg.line("grid", (at, top), (at, bottom));
            let half = text_width(words, TEXT_SIZE) / 2.0;
            if at - half >= free_from {
                svg.text("tick", Anchor::Middle, (at, bottom + 17.0), words);
                free_from = at + half + 4.0;
            }
        }
        svg.line("axis", (left, bottom), (right, bottom));
        svg.text("tick", Anchor::Middle, (f64::midpoint(left, right), bottom + 36.0), self.x.label);
        svg.line("reference", (x(self.reference), top), (x(self.reference), bottom));
        for (index, row) in self.rows.iter().enumerate() {
            let middle = top + (index as f64 + 0.5) * ROW;
            svg.open(&row.style.class());
            svg.text("word", Anchor::End, (left - 14.0, middle + 4.0), &names[index]);
            for (round, &value) in row.values.iter().enumerate() {
                // Equal values would hide each other on one line.
                let offset = (round % 3) as f64 * 7.0 - 7.0;
                svg.shape("dot open", row.style.marker(), (x(value), middle + offset));
            }
            if let Some(median) = medians[index] {
                svg.line("median", (x(median), middle - 15.0), (x(median), middle + 15.0));
                svg.text("word", Anchor::End, (WIDTH - 2.0, middle + 4.0), &said[index]);
            }
            svg.close();
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::svg::tests::assert_is_well_formed;

    #[test]
    fn every_value_has_a_dot_and_every_row_a_median() {
        let rows = vec![
            Row { name: "floor".into(), style: Style(0), values: vec![1.0; 5] },
            Row {
                name: "hub & co with a name beyond all measure".into(),
                style: Style(1),
                values: vec![1.1, 0.9, 1.3],
            },
            Row { name: "nothing".into(), style: Style(2), values: vec![] },
        ];
        let x = Axis::linear("ratio", rows.iter().flat_map(|row| row.values.clone()), |value| format!("{value:.1}"));
        let words = |value: f64| format!("{value:.2}×");
        let dots = Dots { id: "d", title: "CPU", description: "Ratios", x, reference: 1.0, rows, words };
        let svg = dots.svg();
        assert_is_well_formed(&svg);
        assert_eq!(svg.matches("class=\"dot open\"").count(), 8);
        assert_eq!(svg.matches("class=\"median\"").count(), 2);
        assert!(svg.contains(">1.10×</text>"), "{svg}");
    }
}
