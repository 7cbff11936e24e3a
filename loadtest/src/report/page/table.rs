//! The tables of a page: figures by target, every run in full, latencies by percentile, steps of a ramp.

use serde::Serialize;

use crate::report::page::comparison::{Comparison, Kept, Target};
use crate::report::page::figure::{FIGURES, Figure, Ratio};
use crate::report::page::findings::{self, Verdict};
use crate::report::page::unit;
use crate::report::plot::palette::Style;
use crate::report::plot::svg::Svg;
use crate::report::spread::Spread;

/// Figures down, targets across.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Serialize)]
struct Column {
    name: String,
    class: String,
    sample: String,
    is_yardstick: bool,
    is_clean: bool,
    verdict: String,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    label: &'static str,
    cells: Vec<Option<Cell>>,
}

#[derive(Debug, Clone, Serialize)]
struct Cell {
    median: String,
    /// Empty if there is one value.
    range: String,
    ratio: String,
}

/// Words in rows and columns.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plain {
    pub(crate) title: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// The figures of `comparison`: median, range and ratio of each that any target has. `number` is its number on the page.
pub(crate) fn figures(comparison: &Comparison<'_>, number: usize) -> Figures {
    let columns = comparison.targets.iter().enumerate().map(|(index, target)| Column {
        name: target.name.to_owned(),
        class: target.style.class(),
        sample: sample(&format!("sample-{number}-{index}"), target.name, target.style),
        is_yardstick: comparison.yardstick == Some(index),
        is_clean: target.is_clean(),
        verdict: verdict_of(target),
    });
    let row = |figure: &Figure| {
        let cells: Vec<_> = comparison.targets.iter().map(|target| cell(comparison, target, figure)).collect();
        cells.iter().any(Option::is_some).then_some(Row { label: figure.label, cells })
    };
    Figures { columns: columns.collect(), rows: FIGURES.iter().filter_map(row).collect() }
}

fn cell(comparison: &Comparison<'_>, target: &Target<'_>, figure: &Figure) -> Option<Cell> {
    let Spread { min, median, max } = target.spread(figure.pick)?;
    let words = figure.words;
    let is_rival = comparison.rivals().any(|rival| rival.name == target.name);
    let ratio = match figure.use_of_ratio {
        Ratio::Headline | Ratio::Table if is_rival => Spread::of(comparison.ratios(target, figure.pick)),
        Ratio::Headline | Ratio::Table | Ratio::Meaningless => None,
    };
    Some(Cell {
        median: words(median),
        range: if words(min) == words(max) { String::new() } else { format!("{} – {}", words(min), words(max)) },
        ratio: ratio.map_or_else(String::new, |spread| unit::ratio(spread.median)),
    })
}

fn verdict_of(target: &Target<'_>) -> String {
    let (mut unclean, mut unknown) = (0, 0);
    for run in &target.runs {
        match run.findings.verdict() {
            Verdict::Clean(_) => {}
            Verdict::NotClean(_) => unclean += 1,
            Verdict::Unknown => unknown += 1,
        }
    }
    let runs = target.runs.len();
    match (unclean, unknown) {
        (0, 0) => format!("✔ clean, {runs} of {runs}"),
        (0, unknown) => format!("not verified in {unknown} of {runs}"),
        (unclean, _) => format!("✖ NOT CLEAN in {unclean} of {runs}"),
    }
}

/// What the target's lines look like, for the head of a column.
fn sample(id: &str, name: &str, style: Style) -> String {
    let mut svg = Svg::new(id, 28.0, 12.0, name, "How its lines and marks look");
    style.draw_sample(&mut svg, (1.0, 6.0));
    svg.finish()
}

/// The raw numbers, which nobody needs at first sight.
pub(crate) fn raw(comparison: &Comparison<'_>) -> Vec<Plain> {
    let tables = [runs(comparison), percentiles(comparison), steps(comparison), everything(comparison)];
    tables.into_iter().flatten().collect()
}

fn all_runs<'c, 'a>(comparison: &'c Comparison<'a>) -> impl Iterator<Item = (&'c Target<'a>, &'c Kept<'a>)> {
    comparison.targets.iter().flat_map(|target| target.runs.iter().map(move |run| (target, run)))
}

/// Every run, figure by figure.
fn runs(comparison: &Comparison<'_>) -> Option<Plain> {
    let is_there = |figure: &&Figure| all_runs(comparison).any(|(_, run)| (figure.pick)(&run.findings).is_some());
    let figures: Vec<&Figure> = FIGURES.iter().filter(is_there).collect();
    let head = ["target", "round", "at"].into_iter().chain(figures.iter().map(|figure| figure.label));
    let row = |(target, run): (&Target<'_>, &Kept<'_>)| {
        let words = |figure: &&Figure| (figure.pick)(&run.findings).map_or_else(|| "–".to_owned(), figure.words);
        let first = [target.name.to_owned(), run.record.round.to_string(), run.record.at.clone()];
        first.into_iter().chain(figures.iter().map(words)).collect()
    };
    (!figures.is_empty()).then(|| Plain {
        title: "Every run".into(),
        head: head.map(str::to_owned).collect(),
        rows: all_runs(comparison).map(row).collect(),
    })
}

/// The median of the rounds at every percentile that all of them have.
fn percentiles(comparison: &Comparison<'_>) -> Option<Plain> {
    let points = |run: &Kept<'_>| run.findings.latency.as_ref().map(|latency| latency.distribution.clone());
    let mut shares: Vec<f64> =
        all_runs(comparison).filter_map(|(_, run)| points(run)).flatten().map(|(share, _)| share).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    let at = |target: &Target<'_>, share: f64| {
        let found = target.runs.iter().filter_map(|run| points(run)?.into_iter().find(|point| point.0 == share));
        Spread::of(found.map(|(_, us)| us)).map_or_else(|| "–".to_owned(), |spread| unit::microseconds(spread.median))
    };
    let row = |&share: &f64| {
        let name = format!("{:.4}", share * 100.0);
        let name = format!("{} %", name.trim_end_matches('0').trim_end_matches('.'));
        [name].into_iter().chain(comparison.targets.iter().map(|target| at(target, share))).collect()
    };
    let head = [String::from("share of deliveries within")];
    let head = head.into_iter().chain(comparison.targets.iter().map(|target| target.name.to_owned())).collect();
    let rows: Vec<Vec<String>> = shares.iter().map(row).collect();
    (!rows.is_empty()).then(|| Plain { title: "Latency by percentile, median of the rounds".into(), head, rows })
}

/// The steps of a ramp.
fn steps(comparison: &Comparison<'_>) -> Option<Plain> {
    let words = |value: Option<f64>, words: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), words);
    let rows: Vec<Vec<String>> = all_runs(comparison)
        .flat_map(|(target, run)| {
            run.findings.curve.iter().map(move |step| {
                vec![
                    target.name.to_owned(),
                    run.record.round.to_string(),
                    unit::count(step.offered_per_s),
                    words(step.deliveries_per_s, unit::count),
                    words(step.p50_us, unit::microseconds),
                    words(step.p99_us, unit::microseconds),
                    words(step.cpu_share, unit::percent),
                ]
            })
        })
        .collect();
    let head = ["target", "round", "asked for, /s", "delivered, /s", "p50", "p99", "server's share of a CPU"];
    let head = head.map(str::to_owned).to_vec();
    (!rows.is_empty()).then(|| Plain { title: "Latency against load".into(), head, rows })
}

/// All figures of the first run of each target: whatever the other tables do not know is here.
fn everything(comparison: &Comparison<'_>) -> Option<Plain> {
    let firsts = comparison.targets.iter().filter_map(|target| target.runs.first());
    let rows: Vec<Vec<String>> = firsts
        .flat_map(|run| {
            let leaves = findings::leaves(&run.record.result).into_iter();
            leaves.map(|(path, value)| vec![run.record.target.clone(), path, value])
        })
        .collect();
    let head = ["target", "figure", "value"].map(str::to_owned).to_vec();
    (!rows.is_empty()).then(|| Plain { title: "Everything the first run found".into(), head, rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::record;
    use serde_json::json;

    #[test]
    fn a_cell_has_median_range_and_the_median_of_the_ratios() {
        let run = |target, round, p99: f64| record("fanout", target, round, json!({"latency": {"p99_us": p99}}));
        let records = [run("floor", 1, 10.0), run("floor", 2, 20.0), run("hub", 1, 30.0), run("hub", 2, 20.0)];
        let comparisons = Comparison::all(&records);
        let table = figures(&comparisons[0], 0);
        assert_eq!(table.rows.len(), 1);
        let cells: Vec<&Cell> = table.rows[0].cells.iter().flatten().collect();
        let said = |cell: &Cell| [cell.median.clone(), cell.range.clone(), cell.ratio.clone()].join("|");
        assert_eq!(said(cells[0]), "15 µs|10 µs – 20 µs|");
        assert_eq!(said(cells[1]), "25 µs|20 µs – 30 µs|2.00×");
        assert!(table.columns[0].is_yardstick && !table.columns[1].is_yardstick);
        assert_eq!(table.columns[1].verdict, "not verified in 2 of 2");
    }

    #[test]
    fn raw_tables_are_rectangular() {
        let full = json!({
            "latency": {"p50_us": 1.0, "distribution": [[0.5, 1.0], [0.99, 2.0]]},
            "curve": [{"offered_per_s": 10.0}, {"offered_per_s": 20.0, "p99_us": 5.0}],
        });
        let records = [record("ramp", "a", 1, full), record("ramp", "b", 1, json!({}))];
        let tables = raw(&Comparison::all(&records)[0]);
        assert_eq!(tables.len(), 4);
        for table in &tables[..3] {
            assert!(table.rows.len() == 2 && table.rows.iter().all(|row| row.len() == table.head.len()), "{table:?}");
        }
    }
}
