//! Lines over an axis, with a legend above and each name at the end of its line.

use crate::report::plot::axis::Axis;
use crate::report::plot::palette::Style;
use crate::report::plot::svg::{Anchor, Svg, shortened, text_width};

/// As narrow as a telephone, so that the text can still be read when the picture is.
const WIDTH: f64 = 460.0;
const PLOT_HEIGHT: f64 = 230.0;
/// Size of the text; the page's style sheet sets the same.
pub(crate) const TEXT_SIZE: f64 = 12.0;
const LEGEND_ROW: f64 = 20.0;
/// The names at the ends of lines are shortened to this.
const NAME_WIDTH: f64 = 84.0;
/// Names at the ends of lines are this far apart.
const NAME_ROW: f64 = 14.0;
/// Of the places with a marker, as many as can be told apart.
const MARKER_COUNT: usize = 8;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// What the legend says.
    pub(crate) name: String,
    /// Its look.
    pub(crate) style: Style,
    /// Its points, from left to right.
    pub(crate) points: Vec<(f64, f64)>,
    /// Lowest and highest value at some places, drawn as a band behind the line.
    pub(crate) band: Vec<(f64, f64, f64)>,
}

/// A picture of lines.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    /// Unique on the page.
    pub(crate) id: &'a str,
    /// What it shows.
    pub(crate) title: &'a str,
    /// What a reader sees in it, for those who cannot.
    pub(crate) description: &'a str,
    /// To the right.
    pub(crate) x: Axis,
    /// Upwards.
    pub(crate) y: Axis,
    /// The lines.
    pub(crate) series: Vec<Series>,
}

/// The rectangle the lines are in.
#[derive(Debug, Clone, Copy)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    fn x(self, place: f64) -> f64 {
        self.left + place * (self.right - self.left)
    }

    fn y(self, place: f64) -> f64 {
        self.bottom - place * (self.bottom - self.top)
    }
}

impl Chart<'_> {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let legend = legend_places(self.series.iter().map(|series| series.name.as_str()));
        let legend_height = legend.last().map_or(0.0, |(_, y)| y + LEGEND_ROW);
        let names: Vec<String> =
            self.series.iter().map(|series| shortened(&series.name, TEXT_SIZE, NAME_WIDTH)).collect();
        let names_width = names.iter().map(|name| text_width(name, TEXT_SIZE)).fold(0.0, f64::max);
        let top = legend_height + 30.0;
        let area = Area {
            left: text_width(self.y.widest(), TEXT_SIZE) + 14.0,
            // Half of the last tick's words stand beyond the axis.
            right: WIDTH - (names_width + 14.0).max(26.0),
            top,
            bottom: top + PLOT_HEIGHT,
        };
        let mut svg = Svg::new(self.id, WIDTH, area.bottom + 44.0, self.title, self.description);
        for (series, &(x, y)) in self.series.iter().zip(&legend) {
            svg.open(&series.style.class());
            series.style.draw_sample(&mut svg, (x, y + 10.0));
            svg.text("word", Anchor::Start, (x + 32.0, y + 14.0), &shortened(&series.name, TEXT_SIZE, WIDTH - 40.0));
            svg.close();
        }
        self.draw_axes(&mut svg, area);
        for series in &self.series {
            self.draw_series(&mut svg, area, series);
        }
        let ends = self.series.iter().filter_map(|series| Some(area.y(self.y.at(series.points.last()?.1))));
        let places = apart(&ends.collect::<Vec<f64>>(), NAME_ROW, area.top, area.bottom);
        let drawn = self.series.iter().zip(&names).filter(|(series, _)| !series.points.is_empty());
        for ((series, name), y) in drawn.zip(places) {
            let end = series.points.last().map_or(1.0, |&(x, _)| self.x.at(x));
            svg.open(&series.style.class());
            svg.text("word", Anchor::Start, (area.x(end) + 8.0, y + 4.0), name);
            svg.close();
        }
        svg.finish()
    }

    fn draw_axes(&self, svg: &mut Svg, area: Area) {
        svg.text("tick", Anchor::Start, (2.0, area.top - 14.0), self.y.label);
        for (place, words) in self.y.ticks() {
            let y = area.y(place);
            svg.line("grid", (area.left, y), (area.right, y));
            svg.text("tick", Anchor::End, (area.left - 6.0, y + 4.0), words);
        }
        let mut free_from = 0.0;
        for (place, words) in self.x.ticks() {
            let x = area.x(place);
            svg.line("grid", (x, area.top), (x, area.bottom));
            let half = text_width(words, TEXT_SIZE) / 2.0;
            if x - half >= free_from && x + half <= WIDTH {
                svg.text("tick", Anchor::Middle, (x, area.bottom + 17.0), words);
                free_from = x + half + 4.0;
            }
        }
        svg.line("axis", (area.left, area.bottom), (area.right, area.bottom));
        svg.text("tick", Anchor::Middle, (f64::midpoint(area.left, area.right), area.bottom + 36.0), self.x.label);
    }

    fn draw_series(&self, svg: &mut Svg, area: Area, series: &Series) {
        let at = |x: f64, y: f64| (area.x(self.x.at(x)), area.y(self.y.at(y)));
        svg.open(&series.style.class());
        let above = series.band.iter().map(|&(x, _, high)| at(x, high));
        let below = series.band.iter().rev().map(|&(x, low, _)| at(x, low));
        svg.polygon("band", &above.chain(below).collect::<Vec<_>>());
        let points: Vec<(f64, f64)> = series.points.iter().map(|&(x, y)| at(x, y)).collect();
        svg.polyline("line", series.style.dash(), &points);
        let every = points.len().div_ceil(MARKER_COUNT).max(1);
        // From the end, so that the last point, the one with the name, has one.
        for &point in points.iter().rev().step_by(every) {
            svg.shape("dot", series.style.marker(), point);
        }
        svg.close();
    }
}

/// The top left corners of the entries of a legend: as many in a row as there is room for.
fn legend_places<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (0.0, 0.0);
    let mut places = Vec::new();
    for name in names {
        let width = 46.0 + text_width(name, TEXT_SIZE);
        if x > 0.0 && x + width > WIDTH {
            (x, y) = (0.0, y + LEGEND_ROW);
        }
        places.push((x, y));
        x += width;
    }
    places
}

/// Moves `wanted` so that no two are closer than `row` and all are between `top` and `bottom`, as far as there is room.
fn apart(wanted: &[f64], row: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut places = wanted.to_vec();
    let mut least = top;
    for &index in &order {
        places[index] = places[index].max(least);
        least = places[index] + row;
    }
    let mut most = bottom;
    for &index in order.iter().rev() {
        places[index] = places[index].min(most);
        most = places[index] - row;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::svg::tests::assert_is_well_formed;

    fn chart(series: Vec<Series>) -> String {
        let values = || series.iter().flat_map(|series| series.points.iter().map(|&(_, y)| y)).collect::<Vec<_>>();
        let y = Axis::log("latency", values(), |value| format!("{value} µs"));
        let (id, title, description) = ("c1", "Latency <of> all", "It \"rises\" & falls");
        Chart { id, title, description, x: Axis::percentiles("share of deliveries"), y, series }.svg()
    }

    fn series(name: &str, style: usize, points: &[(f64, f64)]) -> Series {
        let band = points.iter().map(|&(x, y)| (x, y * 0.9, y * 1.1)).collect();
        Series { name: name.into(), style: Style(style), points: points.to_vec(), band }
    }

    #[test]
    fn a_chart_is_well_formed_and_tells_what_it_shows() {
        let svg = chart(vec![
            series("floor", 0, &[(2.0, 100.0), (100.0, 900.0), (1e4, 4000.0)]),
            series("a <b> & \"c\"", 1, &[(2.0, 120.0), (100.0, 1900.0)]),
        ]);
        assert_is_well_formed(&svg);
        assert!(svg.contains("role=\"img\" aria-labelledby=\"c1-t c1-d\""), "{svg}");
        assert!(svg.contains("<title id=\"c1-t\">Latency &lt;of&gt; all</title>"), "{svg}");
        // Once in the legend and once at the end of the line.
        assert_eq!(svg.matches(">floor</text>").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"band\"").count(), 2, "{svg}");
    }

    #[test]
    fn nothing_and_a_single_point_and_what_is_no_number_make_a_picture_too() {
        assert_is_well_formed(&chart(vec![]));
        assert_is_well_formed(&chart(vec![series("empty", 0, &[])]));
        assert_is_well_formed(&chart(vec![series("one", 0, &[(10.0, 5.0)]), series("zero", 1, &[(2.0, 0.0)])]));
    }

    #[test]
    fn long_legends_take_several_rows_within_the_picture() {
        let names = ["a-target-with-a-long-name"; 5];
        let places = legend_places(names.into_iter());
        assert!(places.last().unwrap().1 > 0.0);
        assert!(places.iter().all(|(x, _)| x + 46.0 + text_width(names[0], TEXT_SIZE) <= WIDTH), "{places:?}");
    }

    #[test]
    fn names_at_the_ends_of_close_lines_do_not_overlap() {
        assert_eq!(apart(&[50.0, 51.0, 10.0], 14.0, 0.0, 100.0), [50.0, 64.0, 10.0]);
        assert_eq!(apart(&[99.0, 98.0], 14.0, 0.0, 100.0), [100.0, 86.0]);
        assert!(apart(&[], 14.0, 0.0, 100.0).is_empty());
    }
}
