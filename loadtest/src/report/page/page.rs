//! The page: what is on it from top to bottom, poured into the template.

use anyhow::{Context as _, Result, ensure};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use crate::report::machine::Machine;
use crate::report::page::comparison::{Comparison, Target};
use crate::report::page::figure::{FIGURES, Figure, Ratio};
use crate::report::page::findings::Verdict;
use crate::report::page::picture::{self, Picture};
use crate::report::page::table::{self, Figures, Plain};
use crate::report::page::unit;
use crate::report::plot::palette;
use crate::report::record::Record;
use crate::report::spread::Spread;

/// The name ends with what decides how values are escaped.
const TEMPLATE: (&str, &str) = ("page.html", include_str!("page.html"));
const STYLE: &str = include_str!("page.css");

/// Load of one minute, over the number of CPUs, from which a machine does not rest.
const BUSY_LOAD: f64 = 0.3;

#[derive(Debug, Serialize)]
struct Page {
    style: String,
    title: String,
    sentence: String,
    /// What went wrong, run by run.
    alarms: Vec<Judged>,
    unverified_count: usize,
    headlines: Vec<Headline>,
    sections: Vec<Section>,
    memory: Option<Picture>,
    machines: Vec<Facts>,
    commands: Vec<Started>,
    verdicts: Vec<Judged>,
}

#[derive(Debug, Clone, Serialize)]
struct Judged {
    kind: String,
    target: String,
    scenario: String,
    round: u32,
    at: String,
    said: String,
    is_clean: bool,
}

/// The one figure of a target that a reader remembers.
#[derive(Debug, Serialize)]
struct Headline {
    class: String,
    value: String,
    what: String,
    range: String,
    scenario: String,
    is_clean: bool,
}

#[derive(Debug, Serialize)]
struct Section {
    kind: String,
    scenario: String,
    yardstick: Option<String>,
    warnings: Vec<String>,
    figures: Figures,
    pictures: Vec<Picture>,
    raw: Vec<Plain>,
}

#[derive(Debug, Serialize)]
struct Facts {
    facts: Vec<(&'static str, String)>,
    settings: Vec<(String, String)>,
}

/// One start of the program.
#[derive(Debug, PartialEq, Serialize)]
struct Started {
    session: String,
    command: String,
    load: String,
    machine: usize,
}

/// `records` as one HTML page. Errors: none to show.
pub(crate) fn render(records: &[Record]) -> Result<String> {
    ensure!(!records.is_empty(), "no records: there is nothing to report");
    let comparisons = Comparison::all(records);
    let page = Page::of(records, &comparisons);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template(TEMPLATE.0, TEMPLATE.1).context("invariant: the template is a constant")?;
    let template = environment.get_template(TEMPLATE.0)?;
    template.render(Value::from(Serde(&page))).context("rendering the page")
}

impl Page {
    fn of(records: &[Record], comparisons: &[Comparison<'_>]) -> Self {
        let judged = || comparisons.iter().flat_map(judged);
        let mut machines: Vec<Machine> = Vec::new();
        let mut commands = Vec::new();
        for record in records {
            let machine = record.machine.at_rest();
            let number = machines.iter().position(|known| *known == machine).unwrap_or_else(|| {
                machines.push(machine);
                machines.len() - 1
            });
            let started = started(record, number + 1);
            if !commands.contains(&started) {
                commands.push(started);
            }
        }
        Self {
            style: palette::css() + STYLE,
            title: title(comparisons),
            sentence: sentence(records, comparisons, machines.len()),
            alarms: judged().filter(|(_, verdict)| matches!(verdict, Verdict::NotClean(_))).map(|(it, _)| it).collect(),
            unverified_count: judged().filter(|(_, verdict)| *verdict == Verdict::Unknown).count(),
            headlines: comparisons.iter().flat_map(headlines).collect(),
            sections: comparisons.iter().enumerate().map(|(number, it)| section(it, number)).collect(),
            memory: picture::memory(comparisons),
            machines: machines.iter().map(facts).collect(),
            commands,
            verdicts: judged().map(|(it, _)| it).collect(),
        }
    }
}

fn title(comparisons: &[Comparison<'_>]) -> String {
    let mut kinds: Vec<&str> = comparisons.iter().map(|comparison| comparison.kind).collect();
    kinds.dedup();
    format!("fanfare load report: {}", listed(&distinct(kinds)))
}

/// What was measured, in one sentence.
fn sentence(records: &[Record], comparisons: &[Comparison<'_>], machine_count: usize) -> String {
    let mut targets = distinct(comparisons.iter().flat_map(|it| it.targets.iter().map(|target| target.name)));
    targets.sort_by_key(|name| !name.starts_with("floor"));
    let mut days: Vec<&str> = records.iter().map(|record| record.at.get(..10).unwrap_or(&record.at)).collect();
    days.sort_unstable();
    let when = match (days.first(), days.last()) {
        (Some(first), Some(last)) if first != last => format!("from {first} to {last}"),
        (first, _) => format!("on {}", first.unwrap_or(&"?")),
    };
    let machines = if machine_count == 1 { "one machine".to_owned() } else { format!("{machine_count} machines") };
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!(
        "{} of {} against {}, on {machines}, {when}.",
        plural(records.len(), "run"),
        plural(comparisons.len(), "load"),
        listed(&targets)
    )
}

/// Each once, in the order in which they come.
fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => (*name).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn judged(comparison: &Comparison<'_>) -> Vec<(Judged, Verdict)> {
    let runs = comparison.targets.iter().flat_map(|target| &target.runs);
    runs.map(|run| {
        let verdict = run.findings.verdict();
        let (is_clean, said) = match &verdict {
            Verdict::Clean(said) => (true, said.clone()),
            Verdict::NotClean(said) => (false, said.clone()),
            Verdict::Unknown => (true, "not verified".to_owned()),
        };
        let Record { kind, target, scenario, round, at, .. } = run.record.clone();
        (Judged { kind, target, scenario, round, at, said, is_clean }, verdict)
    })
    .collect()
}

/// The ratios of all rivals; of a target that stands alone its figures.
fn headlines(comparison: &Comparison<'_>) -> Vec<Headline> {
    let figures = || FIGURES.iter().filter(|figure| figure.use_of_ratio == Ratio::Headline);
    match comparison.yardstick() {
        Some(yardstick) => comparison
            .rivals()
            .flat_map(|rival| figures().filter_map(|figure| ratio(comparison, rival, yardstick, figure)))
            .collect(),
        None => comparison
            .targets
            .iter()
            .flat_map(|target| figures().filter_map(|figure| figure_alone(comparison, target, figure)))
            .collect(),
    }
}

fn ratio(comparison: &Comparison<'_>, rival: &Target<'_>, yardstick: &Target<'_>, figure: &Figure) -> Option<Headline> {
    let ratios = comparison.ratios(rival, figure.pick);
    let spread = Spread::of(ratios.iter().copied())?;
    let what = format!("{} over {}: {}", rival.name, yardstick.name, figure.label);
    let is_clean = rival.is_clean() && yardstick.is_clean();
    Some(headline(comparison, rival, what, spread, ratios.len(), unit::ratio, is_clean))
}

fn figure_alone(comparison: &Comparison<'_>, target: &Target<'_>, figure: &Figure) -> Option<Headline> {
    let spread = target.spread(figure.pick)?;
    let what = format!("{}: {}", target.name, figure.label);
    Some(headline(comparison, target, what, spread, target.runs.len(), figure.words, target.is_clean()))
}

fn headline(
    comparison: &Comparison<'_>,
    target: &Target<'_>,
    what: String,
    spread: Spread,
    round_count: usize,
    words: fn(f64) -> String,
    is_clean: bool,
) -> Headline {
    let range = match round_count {
        1 => "one round".to_owned(),
        count => format!("{} to {} in {count} rounds", words(spread.min), words(spread.max)),
    };
    Headline {
        class: target.style.class(),
        value: words(spread.median),
        what,
        range,
        scenario: comparison.scenario.to_owned(),
        is_clean,
    }
}

fn section(comparison: &Comparison<'_>, number: usize) -> Section {
    let mut warnings = Vec::new();
    for target in &comparison.targets {
        let said = target.runs.iter().flat_map(|run| run.findings.warnings());
        let mut said: Vec<String> = said.collect();
        said.sort();
        for group in said.chunk_by(|a, b| a == b) {
            warnings.push(format!("{} ({} of {} runs): {}", target.name, group.len(), target.runs.len(), group[0]));
        }
    }
    Section {
        kind: comparison.kind.to_owned(),
        scenario: comparison.scenario.to_owned(),
        yardstick: comparison.yardstick().map(|target| target.name.to_owned()),
        warnings,
        figures: table::figures(comparison, number),
        pictures: picture::all(comparison, number),
        raw: table::raw(comparison),
    }
}

fn facts(machine: &Machine) -> Facts {
    let Machine {
        cpu_model,
        architecture,
        cpus,
        cpus_available,
        is_virtual,
        memory_bytes,
        kernel,
        open_files: (soft, hard),
        transparent_huge_pages,
        settings,
        load_average: _,
        harness,
    } = machine;
    let limit = |limit: &Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let facts = [
        ("processor", format!("{cpu_model} ({architecture})")),
        ("CPUs", format!("{cpus}, {cpus_available} of them for this program")),
        (
            "virtual",
            match is_virtual {
                Some(true) => "yes: other guests share the processor".to_owned(),
                Some(false) => "no".to_owned(),
                None => "unknown".to_owned(),
            },
        ),
        ("memory", unit::bytes(*memory_bytes as f64)),
        ("kernel", format!("Linux {kernel}")),
        ("open files", format!("{} (hard limit {})", limit(soft), limit(hard))),
        ("transparent huge pages", transparent_huge_pages.clone()),
        ("fanfare-loadtest", harness.clone()),
    ];
    Facts {
        facts: facts.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        settings: settings.clone().into_iter().collect(),
    }
}

fn started(record: &Record, machine: usize) -> Started {
    let [one, five, fifteen] = record.machine.load_average;
    let is_busy = one > BUSY_LOAD * f64::from(record.machine.cpus.max(1));
    let load = format!("{one} {five} {fifteen}{}", if is_busy { ": the machine was not at rest" } else { "" });
    Started { session: record.session.clone(), command: record.command.clone(), load, machine }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::record;
    use serde_json::json;

    fn two_rounds(lost: u64) -> Vec<Record> {
        let run = |target, round, cpu: f64, lost: u64| {
            let verdict = json!({"in_order": 100, "lost": lost});
            record("fanout", target, round, json!({"server": {"cpu_us_per_delivery": cpu}, "verdict": verdict}))
        };
        vec![run("floor", 1, 2.0, 0), run("hub", 1, 3.0, 0), run("floor", 2, 2.0, 0), run("hub", 2, 2.5, lost)]
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = render(&two_rounds(0)).unwrap();
        for outside in ["src=", "href=", "url(", "@import", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
        // The namespace of SVG is a name, not a place to fetch from.
        assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    }

    #[test]
    fn ratios_head_the_page_with_their_range() {
        let page = render(&two_rounds(0)).unwrap();
        assert!(page.contains("1.38×") && page.contains("1.25× to 1.50× in 2 rounds"), "{page}");
        assert!(page.contains("hub over floor: server CPU per delivery"), "{page}");
        assert!(page.contains("4 runs of 1 load against floor and hub, on one machine, on 2026-11-25."), "{page}");
    }

    #[test]
    fn a_run_that_is_not_clean_cannot_be_overlooked() {
        let clean = render(&two_rounds(0)).unwrap();
        assert!(!clean.contains("NOT CLEAN") && clean.contains("✔ clean, 2 of 2"));
        let page = render(&two_rounds(7)).unwrap();
        assert!(page.contains("<title>NOT CLEAN"), "{page}");
        assert!(page.contains("role=\"alert\"") && page.contains("lost 7"), "{page}");
        assert!(page.contains("✖ NOT CLEAN in 1 of 2"), "{page}");
    }

    #[test]
    fn whatever_stands_in_a_record_is_text_and_no_markup() {
        let mut records = two_rounds(1);
        for record in &mut records {
            record.scenario = "<script>alert(1)</script>".into();
            record.command = "x --url '\"><img>'".into();
            record.machine.cpu_model = "A & B <b>".into();
            record.result["endings"] = json!(["</td><script>"]);
            record.target = format!("<i>{}</i>", record.target);
        }
        let page = render(&records).unwrap();
        for markup in ["<script", "<img", "<b>", "<i>"] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert!(page.contains("A &amp; B &lt;b&gt;"), "{page}");
    }

    #[test]
    fn every_element_of_the_page_has_its_own_id() {
        let mut records = two_rounds(0);
        let mut more = two_rounds(0);
        more.iter_mut().for_each(|record| record.scenario = "another".into());
        records.extend(more);
        let page = render(&records).unwrap();
        let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert!(count > 4 && ids.len() == count, "{ids:?}");
    }

    #[test]
    fn no_records_are_an_error() {
        assert!(render(&[]).is_err());
    }
}
