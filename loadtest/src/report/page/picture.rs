//! The plots of a page: what was found, as lines and dots.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::page::comparison::{Comparison, Target};
use crate::report::page::figure::CPU_PER_DELIVERY;
use crate::report::page::findings::{Findings, Latency, Step};
use crate::report::page::unit;
use crate::report::plot::axis::Axis;
use crate::report::plot::chart::{Chart, Series};
use crate::report::plot::dots::{Dots, Row};
use crate::report::plot::palette::Style;
use crate::report::spread::Spread;

/// The range of the percentile plot, as 1 / (1 - share).
const PERCENTILES: std::ops::RangeInclusive<f64> = 1.999..=10_000.1;

/// Ratios further apart than this need a logarithmic axis.
const WIDE_RATIO: f64 = 10.0;

/// A plot and the words above and below it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Picture {
    title: String,
    svg: String,
    caption: String,
}

/// The plots of one comparison; `number` tells it from the others of the page.
pub(crate) fn all(comparison: &Comparison<'_>, number: usize) -> Vec<Picture> {
    let pictures = [
        cpu_ratios(comparison, &format!("cpu-{number}")),
        percentiles(comparison, &format!("latency-{number}")),
        phases(comparison, &format!("phases-{number}")),
        throughput(comparison, &format!("rate-{number}")),
        load_curve(comparison, &format!("load-{number}")),
    ];
    pictures.into_iter().flatten().collect()
}

/// CPU per delivery of every round, over that of the yardstick.
fn cpu_ratios(comparison: &Comparison<'_>, id: &str) -> Option<Picture> {
    let yardstick = comparison.yardstick()?.shown_name();
    let rows: Vec<Row> = comparison
        .targets
        .iter()
        .map(|target| Row {
            name: target.shown_name(),
            style: target.style,
            values: comparison.ratios(target, CPU_PER_DELIVERY.pick),
        })
        .filter(|row| !row.values.is_empty())
        .collect();
    // The yardstick over itself alone is no news.
    (rows.len() > 1).then_some(())?;
    let values = || rows.iter().flat_map(|row| row.values.iter().copied()).chain([1.0]);
    let spread = Spread::of(values())?;
    let label = "CPU per delivery, over the yardstick's of the same round";
    let x = if spread.max / spread.min > WIDE_RATIO {
        Axis::log(label, values(), |value| format!("{}×", unit::number(value)))
    } else {
        Axis::linear(label, values(), |value| format!("{}×", unit::number(value)))
    };
    let said: Vec<String> = rows.iter().filter_map(|row| said(row, unit::ratio)).collect();
    let title = format!("Server CPU per delivery, over {yardstick}");
    let description = format!("Median (lowest to highest) of the rounds: {}.", said.join("; "));
    let svg = Dots { id, title: &title, description: &description, x, reference: 1.0, rows, words: unit::ratio }.svg();
    Some(Picture { svg, title, caption: "A mark is a round, the line their median. Less is better.".into() })
}

fn said(row: &Row, words: fn(f64) -> String) -> Option<String> {
    let Spread { min, median, max } = Spread::of(row.values.iter().copied())?;
    Some(format!("{} {} ({} to {})", row.name, words(median), words(min), words(max)))
}

/// Latency by share of deliveries, each nine with the same room.
fn percentiles(comparison: &Comparison<'_>, id: &str) -> Option<Picture> {
    let series = medians(comparison, |findings| findings.latency.as_ref().map_or_else(Vec::new, by_nines))?;
    let title = "Latency by percentile".to_owned();
    let figures = |target: &Target<'_>| {
        let of = |pick| target.spread(pick).map_or_else(|| "unknown".into(), |s| unit::microseconds(s.median));
        format!(
            "{}: half within {}, 99 % within {}",
            target.shown_name(),
            of(|f: &Findings| f.latency.as_ref()?.p50_us),
            of(|f: &Findings| f.latency.as_ref()?.p99_us)
        )
    };
    let description = format!("{}.", comparison.targets.iter().map(figures).collect::<Vec<_>>().join("; "));
    let y = Axis::log("from the intended time to the read", heights(&series), unit::microseconds);
    let chart =
        Chart { id, title: &title, description: &description, x: Axis::percentiles("share of deliveries"), y, series };
    let svg = chart.svg();
    Some(Picture { title, svg, caption: of_rounds(comparison, "Lower is better.") })
}

/// Latency in each part of a run, for the runs that have parts.
fn phases(comparison: &Comparison<'_>, id: &str) -> Option<Picture> {
    let mut series: Vec<Series> = Vec::new();
    for target in &comparison.targets {
        let names = target.runs.first().map_or(&[][..], |run| &run.findings.phases);
        for (phase, _) in names {
            let of_phase = |findings: &Findings| findings.phases.iter().find(|(name, _)| name == phase).cloned();
            let runs = target.runs.iter().filter_map(|run| of_phase(&run.findings));
            let (points, band) = medians_by_index(&runs.map(|(_, latency)| by_nines(&latency)).collect::<Vec<_>>());
            let is_alone = comparison.targets.len() == 1 && target.is_clean();
            let name = if is_alone { phase.clone() } else { format!("{phase}, {}", target.shown_name()) };
            if !points.is_empty() {
                series.push(Series { name, style: Style(series.len()), points, band });
            }
        }
    }
    (!series.is_empty()).then_some(())?;
    let title = "Latency by percentile, part by part".to_owned();
    let said = series.iter().filter_map(|series| {
        let &(_, median) = series.points.first()?;
        Some(format!("{}: half within {}", series.name, unit::microseconds(median)))
    });
    let description = format!("{}.", said.collect::<Vec<_>>().join("; "));
    let (x, y) = (Axis::percentiles("share of all"), Axis::log("time", heights(&series), unit::microseconds));
    let svg = Chart { id, title: &title, description: &description, x, y, series }.svg();
    Some(Picture { title, svg, caption: of_rounds(comparison, "Lower is better.") })
}

/// The points of a distribution on the axis of percentiles.
fn by_nines(latency: &Latency) -> Line {
    let points = latency.distribution.iter().map(|&(share, us)| (1.0 / (1.0 - share), us));
    points.filter(|(x, us)| PERCENTILES.contains(x) && *us > 0.0).collect()
}

/// Deliveries per second over the measured time.
fn throughput(comparison: &Comparison<'_>, id: &str) -> Option<Picture> {
    let series = medians(comparison, |findings| findings.timeline.clone())?;
    let title = "Deliveries over time".to_owned();
    let said = series.iter().filter_map(|series| {
        let Spread { min, median, max } = Spread::of(series.points.iter().map(|&(_, y)| y))?;
        Some(format!("{}: {} ({} to {})", series.name, unit::count(median), unit::count(min), unit::count(max)))
    });
    let description =
        format!("Deliveries per second, median (lowest to highest): {}.", said.collect::<Vec<_>>().join("; "));
    let x = Axis::linear("seconds of measured time", widths(&series).chain([0.0]), unit::number);
    let y = Axis::linear("deliveries per second", heights(&series).chain([0.0]), unit::count);
    let svg = Chart { id, title: &title, description: &description, x, y, series }.svg();
    Some(Picture { title, svg, caption: of_rounds(comparison, "") })
}

/// The 99th percentile against the load that was asked for.
fn load_curve(comparison: &Comparison<'_>, id: &str) -> Option<Picture> {
    let point = |step: &Step| Some((step.offered_per_s, step.p99_us.filter(|us| *us > 0.0)?));
    let series = medians(comparison, |findings| findings.curve.iter().filter_map(point).collect())?;
    let title = "Latency against load".to_owned();
    let said = series.iter().filter_map(|series| {
        let (&(from, first), &(to, last)) = (series.points.first()?, series.points.last()?);
        let (from, to) = (unit::count(from), unit::count(to));
        let (first, last) = (unit::microseconds(first), unit::microseconds(last));
        Some(format!("{}: {first} at {from} deliveries per second, {last} at {to}", series.name))
    });
    let description = format!("99th percentile. {}.", said.collect::<Vec<_>>().join("; "));
    let x = Axis::linear("deliveries per second asked for", widths(&series).chain([0.0]), unit::count);
    let y = Axis::log("99th percentile of latency", heights(&series), unit::microseconds);
    let svg = Chart { id, title: &title, description: &description, x, y, series }.svg();
    let caption = of_rounds(comparison, "Where a line turns upwards, the server is at its limit.");
    Some(Picture { title, svg, caption })
}

/// Memory per connection by the number of connections, over all idle runs of the page; `None` if there is but one number.
pub(crate) fn memory(comparisons: &[Comparison<'_>]) -> Option<Picture> {
    let mut by_target: BTreeMap<(usize, String), Vec<(f64, f64)>> = BTreeMap::new();
    for target in comparisons.iter().flat_map(|comparison| &comparison.targets) {
        let points = by_target.entry((target.style.0, target.shown_name())).or_default();
        points.extend(target.runs.iter().flat_map(|run| run.findings.memory()));
    }
    by_target.retain(|_, points| !points.is_empty());
    let series: Vec<Series> = by_target
        .into_iter()
        .map(|((style, name), points)| {
            let (points, band) = merged(points);
            Series { name, style: Style(style), points, band }
        })
        .collect();
    let counts = Spread::of(widths(&series))?;
    (counts.min < counts.max).then_some(())?;
    let title = "Memory per idle connection".to_owned();
    let said = series.iter().filter_map(|series| {
        let &(connections, bytes) = series.points.last()?;
        Some(format!("{}: {} at {}", series.name, unit::bytes(bytes), unit::count(connections)))
    });
    let description = format!("With the most connections: {}.", said.collect::<Vec<_>>().join("; "));
    let x = Axis::log("connections", widths(&series), unit::count);
    let y = Axis::linear("resident bytes per connection", heights(&series).chain([0.0]), unit::bytes);
    let svg = Chart { id: "memory", title: &title, description: &description, x, y, series }.svg();
    Some(Picture { title, svg, caption: "Growth of the server's resident memory, divided by the connections.".into() })
}

/// A line per target: the medians of its runs, and a band from the lowest to the highest of them. `None` without any.
fn medians(comparison: &Comparison<'_>, points: impl Fn(&Findings) -> Vec<(f64, f64)>) -> Option<Vec<Series>> {
    let series: Vec<Series> = comparison
        .targets
        .iter()
        .filter_map(|target| {
            let runs: Vec<Vec<(f64, f64)>> = target.runs.iter().map(|run| points(&run.findings)).collect();
            let (points, band) = medians_by_index(&runs);
            let is_there = !points.is_empty();
            is_there.then(|| Series { name: target.shown_name(), style: target.style, points, band })
        })
        .collect();
    (!series.is_empty()).then_some(series)
}

type Line = Vec<(f64, f64)>;
type Band = Vec<(f64, f64, f64)>;

/// The runs of a target look at the same places, up to rounding, so the first points belong together, and the second ones.
/// A run that has fewer ends earlier; a place that not all runs have is left out, as its median would be of others.
fn medians_by_index(runs: &[Line]) -> (Line, Band) {
    let runs: Vec<&Line> = runs.iter().filter(|run| !run.is_empty()).collect();
    let length = runs.iter().map(|run| run.len()).min().unwrap_or(0);
    let at = |index: usize| {
        let x = Spread::of(runs.iter().map(|run| run[index].0))?.median;
        Some((x, Spread::of(runs.iter().map(|run| run[index].1))?))
    };
    let places: Vec<(f64, Spread)> = (0..length).filter_map(at).collect();
    line_and_band(&places, runs.len() > 1)
}

/// The same for points in no order: those with the same x belong together.
fn merged(mut points: Line) -> (Line, Band) {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups = points.chunk_by(|a, b| a.0 == b.0);
    let places: Vec<(f64, Spread)> =
        groups.filter_map(|group| Some((group[0].0, Spread::of(group.iter().map(|&(_, y)| y))?))).collect();
    line_and_band(&places, true)
}

fn line_and_band(places: &[(f64, Spread)], has_band: bool) -> (Line, Band) {
    let line = places.iter().map(|&(x, spread)| (x, spread.median)).collect();
    let band = places.iter().filter(|_| has_band).map(|&(x, spread)| (x, spread.min, spread.max)).collect();
    (line, band)
}

fn heights(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|series| {
        let band = series.band.iter().flat_map(|&(_, low, high)| [low, high]);
        series.points.iter().map(|&(_, y)| y).chain(band)
    })
}

fn widths(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|series| series.points.iter().map(|&(x, _)| x))
}

fn of_rounds(comparison: &Comparison<'_>, more: &str) -> String {
    let most = comparison.targets.iter().map(|target| target.runs.len()).max().unwrap_or(0);
    let rounds = if most > 1 {
        "A line is the median of the rounds, the band goes from the lowest to the highest. "
    } else {
        ""
    };
    format!("{rounds}{more}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::svg::tests::assert_is_well_formed;
    use crate::report::record::tests::record;
    use serde_json::{Value, json};

    fn pictures(records: &[(&str, u32, Value)]) -> Vec<Picture> {
        let records: Vec<_> =
            records.iter().map(|(target, round, result)| record("fanout", target, *round, result.clone())).collect();
        let comparisons = Comparison::all(&records);
        let mut pictures: Vec<Picture> =
            comparisons.iter().enumerate().flat_map(|(number, comparison)| all(comparison, number)).collect();
        pictures.extend(memory(&comparisons));
        pictures.iter().for_each(|picture| assert_is_well_formed(&picture.svg));
        pictures
    }

    fn titles(pictures: &[Picture]) -> Vec<&str> {
        pictures.iter().map(|picture| picture.title.as_str()).collect()
    }

    #[test]
    fn a_picture_is_drawn_for_what_was_found_and_for_nothing_else() {
        assert!(pictures(&[("hub", 1, json!({}))]).is_empty());
        let full = json!({
            "server": {"cpu_us_per_delivery": 2.0},
            "latency": {"p50_us": 10.0, "p99_us": 30.0, "distribution": [[0.5, 10.0], [0.9, 20.0], [0.99, 30.0]]},
            "timeline": [[1.0, 5000.0], [2.0, 6000.0]],
            "curve": [{"offered_per_s": 1e4, "p99_us": 300.0}, {"offered_per_s": 1e5, "p99_us": 9000.0}],
        });
        let found = pictures(&[("floor", 1, full.clone()), ("hub", 1, full)]);
        assert_eq!(
            titles(&found),
            [
                "Server CPU per delivery, over floor",
                "Latency by percentile",
                "Deliveries over time",
                "Latency against load"
            ]
        );
        assert!(found[1].svg.contains("hub: half within 10 µs, 99 % within 30 µs"), "{}", found[1].svg);
    }

    #[test]
    fn memory_needs_two_numbers_of_connections() {
        let idle = |connections: u64, bytes: f64| json!({"run": {"connections": connections}, "resident_bytes_per_connection": bytes});
        assert!(pictures(&[("hub", 1, idle(1000, 500.0))]).is_empty());
        let found = pictures(&[("hub", 1, idle(10_000, 400.0)), ("hub", 2, idle(1000, 500.0))]);
        assert_eq!(titles(&found), ["Memory per idle connection"]);
        assert!(found[0].svg.contains("hub: 400 B at 10k"), "{}", found[0].svg);
    }

    #[test]
    fn a_target_that_broke_a_promise_is_marked_in_every_picture() {
        let result = |lost: u64| json!({"timeline": [[1.0, 5.0], [2.0, 6.0]], "server": {"cpu_us_per_delivery": 2.0}, "verdict": {"lost": lost}});
        for picture in pictures(&[("floor", 1, result(0)), ("hub", 1, result(3))]) {
            assert!(picture.svg.contains(">✖ hub</text>"), "{}", picture.svg);
        }
    }

    #[test]
    fn the_line_is_the_median_and_the_band_has_all_rounds() {
        let runs = [vec![(1.0, 5.0), (2.0, 9.0)], vec![(1.0, 7.0)], vec![(1.0, 6.0), (2.0, 8.0)], vec![]];
        assert_eq!(medians_by_index(&runs), (vec![(1.0, 6.0)], vec![(1.0, 5.0, 7.0)]));
        assert_eq!(medians_by_index(&[]), (vec![], vec![]));
    }
}
