//! Runs that may be compared: the same kind of run with the same load on the same machine, against several targets.

use crate::report::page::findings::{Findings, Verdict};
use crate::report::plot::palette::Style;
use crate::report::record::Record;
use crate::report::spread::Spread;

/// A record and what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Kept<'a> {
    pub(crate) record: &'a Record,
    pub(crate) findings: Findings,
}

/// All runs against one target.
#[derive(Debug, Clone)]
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    /// The same target looks the same all over the page.
    pub(crate) style: Style,
    pub(crate) runs: Vec<Kept<'a>>,
}

/// One load, and those that had it.
#[derive(Debug, Clone)]
pub(crate) struct Comparison<'a> {
    pub(crate) kind: &'a str,
    pub(crate) scenario: &'a str,
    /// Index of the target that ratios are over, if there is another one to compare with it.
    pub(crate) yardstick: Option<usize>,
    pub(crate) targets: Vec<Target<'a>>,
}

/// Takes a figure out of what was found.
pub(crate) type Pick = fn(&Findings) -> Option<f64>;

impl<'a> Comparison<'a> {
    /// Sorts `records` into comparisons, in the order in which they come.
    pub(crate) fn all(records: &'a [Record]) -> Vec<Self> {
        let mut names: Vec<&str> = Vec::new();
        let mut all: Vec<(Self, &Record)> = Vec::new();
        for record in records {
            let kept = Kept { record, findings: Findings::of(record) };
            let style = Style(place(&mut names, |name| *name == record.target, || record.target.as_str()));
            let is_same = |(_, first): &(Self, &Record)| {
                (&first.kind, &first.scenario) == (&record.kind, &record.scenario)
                    && first.machine.at_rest() == record.machine.at_rest()
            };
            let begin = || {
                let Record { kind, scenario, .. } = record;
                (Self { kind, scenario, yardstick: None, targets: Vec::new() }, record)
            };
            let index = place(&mut all, is_same, begin);
            let targets = &mut all[index].0.targets;
            let index = place(
                targets,
                |target| target.name == record.target,
                || Target { name: &record.target, style, runs: Vec::new() },
            );
            targets[index].runs.push(kept);
        }
        let mut all: Vec<Self> = all.into_iter().map(|(comparison, _)| comparison).collect();
        for comparison in &mut all {
            comparison.yardstick = yardstick(&comparison.targets);
        }
        all
    }

    /// The targets beside the yardstick, if there is one.
    pub(crate) fn rivals(&self) -> impl Iterator<Item = &Target<'a>> {
        let rivals = self.targets.iter().enumerate().filter(|(index, _)| self.yardstick.is_some_and(|it| it != *index));
        rivals.map(|(_, target)| target)
    }

    /// The target that ratios are over.
    pub(crate) fn yardstick(&self) -> Option<&Target<'a>> {
        self.targets.get(self.yardstick?)
    }

    /// What `pick` finds in each run of `target`, over what it finds in the yardstick's run of the same round.
    ///
    /// Only within a round: what else the machine did then is the same for both.
    pub(crate) fn ratios(&self, target: &Target<'_>, pick: Pick) -> Vec<f64> {
        let Some(yardstick) = self.yardstick() else { return Vec::new() };
        let ratio = |run: &Kept<'_>| {
            let round = |kept: &Kept<'_>| (kept.record.round, kept.record.session.clone());
            let other = yardstick.runs.iter().find(|other| round(other) == round(run))?;
            let ratio = pick(&run.findings)? / pick(&other.findings)?;
            ratio.is_finite().then_some(ratio)
        };
        target.runs.iter().filter_map(ratio).collect()
    }
}

impl Target<'_> {
    /// Whether nothing is known to be wrong in any run.
    pub(crate) fn is_clean(&self) -> bool {
        !self.runs.iter().any(|run| matches!(run.findings.verdict(), Verdict::NotClean(_)))
    }

    /// The name in pictures, with a mark if it must not be trusted.
    pub(crate) fn shown_name(&self) -> String {
        if self.is_clean() { self.name.to_owned() } else { format!("✖ {}", self.name) }
    }

    /// What `pick` finds, over all runs.
    pub(crate) fn spread(&self, pick: Pick) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| pick(&run.findings)).filter(|value| value.is_finite()))
    }
}

/// The target that a record names, or else the first floor, or else the first target.
fn yardstick(targets: &[Target<'_>]) -> Option<usize> {
    let named = targets.iter().flat_map(|target| &target.runs).find_map(|run| run.record.yardstick.as_deref());
    let at = |is_it: &dyn Fn(&str) -> bool| targets.iter().position(|target| is_it(target.name));
    let found = named.and_then(|named| at(&|name| name == named)).or_else(|| at(&|name| name.starts_with("floor")));
    (targets.len() > 1).then(|| found.unwrap_or(0))
}

/// The index of the first of `all` that `is_it`, which is added at the end if it is not there.
fn place<T>(all: &mut Vec<T>, is_it: impl FnMut(&T) -> bool, begin: impl FnOnce() -> T) -> usize {
    all.iter().position(is_it).unwrap_or_else(|| {
        all.push(begin());
        all.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::record;
    use serde_json::json;

    const CPU: Pick = |findings| findings.server.as_ref()?.cpu_us_per_delivery;

    fn run(target: &str, round: u32, cpu: f64) -> Record {
        record("fanout", target, round, json!({"server": {"cpu_us_per_delivery": cpu}}))
    }

    #[test]
    fn ratios_are_made_within_a_round_of_a_session() {
        let mut elsewhen = run("hub", 1, 100.0);
        elsewhen.session = "2027-01-01T00:00:00Z".into();
        let records = [
            run("hub", 1, 3.0),
            run("floor", 1, 2.0),
            run("floor", 2, 4.0),
            run("hub", 2, 5.0),
            run("hub", 3, 9.0),
            elsewhen,
        ];
        let all = Comparison::all(&records);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].yardstick().unwrap().name, "floor");
        let hub = all[0].rivals().next().unwrap();
        assert_eq!(all[0].ratios(hub, CPU), [1.5, 1.25]);
        assert_eq!(hub.spread(CPU).unwrap().max, 100.0);
    }

    #[test]
    fn another_load_or_another_machine_is_not_compared() {
        let mut other_load = run("hub", 1, 3.0);
        other_load.scenario = "20 subscribers".into();
        let mut other_machine = run("hub", 1, 3.0);
        other_machine.machine.cpus = 64;
        let mut busier = run("hub", 1, 3.0);
        busier.machine.load_average = [9.0; 3];
        let records = [run("floor", 1, 2.0), other_load, other_machine, busier];
        let all = Comparison::all(&records);
        let targets: Vec<usize> = all.iter().map(|comparison| comparison.targets.len()).collect();
        assert_eq!(targets, [2, 1, 1]);
        assert!(all[1].yardstick().is_none() && all[1].rivals().next().is_none());
        let styles = [all[0].targets[1].style, all[1].targets[0].style, all[2].targets[0].style];
        assert_eq!(styles, [Style(1); 3]);
    }

    #[test]
    fn a_record_may_name_another_yardstick() {
        let mut hub = run("hub", 1, 3.0);
        hub.yardstick = Some("rival".into());
        let records = [run("floor", 1, 2.0), hub, run("rival", 1, 6.0)];
        assert_eq!(Comparison::all(&records)[0].yardstick().unwrap().name, "rival");
    }
}
