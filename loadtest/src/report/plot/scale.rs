//! From values to a length between 0 and 1, linear or logarithmic, with ticks a reader would choose.

/// A range of values on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    from: f64,
    to: f64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// With ticks at the multiples of a step.
    Linear { step: f64 },
    /// With ticks at some numbers of each decade.
    Log,
}

impl Scale {
    /// Covers `values` from tick to tick, with about `tick_count` of them.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, tick_count: usize) -> Self {
        let (mut from, mut to) = range(values).unwrap_or((0.0, 1.0));
        if to - from <= from.abs().max(to.abs()) * 1e-9 {
            // One value: some room around it, so that it has a place.
            let room = if from == 0.0 { 1.0 } else { from.abs() / 2.0 };
            (from, to) = (from - room, to + room);
        }
        let step = nice_step((to - from) / tick_count.max(1) as f64);
        let (from, to) = ((from / step + 1e-9).floor() * step, (to / step - 1e-9).ceil() * step);
        Self { from, to, kind: Kind::Linear { step } }
    }

    /// Covers the positive ones of `values`, from 1, 2 or 5 of a decade to another.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let (from, to) = range(values.into_iter().filter(|&value| value > 0.0)).unwrap_or((1.0, 10.0));
        let mut scale = Self { from: step_down(from), to: step_up(to), kind: Kind::Log };
        if scale.to <= scale.from * 1.000_001 {
            scale = Self { from: step_down(from / 2.0), to: step_up(to * 2.0), ..scale };
        }
        scale
    }

    /// From `from` to `to` exactly, logarithmic. Both are positive.
    pub(crate) fn log_exactly(from: f64, to: f64) -> Self {
        Self { from, to, kind: Kind::Log }
    }

    /// Where `value` is: 0 at the beginning, 1 at the end, and never beyond.
    pub(crate) fn at(self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Linear { .. } => (value - self.from) / (self.to - self.from),
            Kind::Log if value <= 0.0 => 0.0,
            Kind::Log => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// Where to put ticks, in order.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self.kind {
            Kind::Linear { step } => {
                let count = ((self.to - self.from) / step).round() as i64;
                let first = (self.from / step).round() as i64;
                (first..=first + count).map(|index| index as f64 * step).collect()
            }
            Kind::Log => {
                let decades = (self.to / self.from).log10();
                let of_decade: &[f64] = if decades <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let powers = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
                let all = powers.flat_map(|power| of_decade.iter().map(move |of| of * 10f64.powi(power)));
                all.filter(|tick| (self.from * 0.999_999..=self.to * 1.000_001).contains(tick)).collect()
            }
        }
    }
}

/// The finite ones: a ratio over nothing must not take the whole axis.
fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let values = values.into_iter().filter(|value| value.is_finite());
    values.fold(None, |range, value| {
        Some(range.map_or((value, value), |(from, to): (f64, f64)| (from.min(value), to.max(value))))
    })
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn nice_step(step: f64) -> f64 {
    step_up(step)
}

fn step_up(value: f64) -> f64 {
    let power = decade(value);
    let of = [1.0, 2.0, 5.0].into_iter().find(|of| of * power >= value * 0.999_999).unwrap_or(10.0);
    of * power
}

fn step_down(value: f64) -> f64 {
    let power = decade(value);
    let of = [5.0, 2.0].into_iter().find(|of| of * power <= value * 1.000_001).unwrap_or(1.0);
    of * power
}

fn decade(value: f64) -> f64 {
    10f64.powi((value * 1.000_000_1).log10().floor() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_about(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= expected.abs() * 1e-9 + 1e-12, "{found} is not {expected}");
        }
    }

    #[test]
    fn linear_ticks_are_round_and_cover_all_values() {
        assert_about(&Scale::linear([0.0, 97.0], 5).ticks(), &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_about(&Scale::linear([0.88, 1.153], 5).ticks(), &[0.8, 0.9, 1.0, 1.1, 1.2]);
        assert_about(&Scale::linear([-3.0, 4.0], 4).ticks(), &[-4.0, -2.0, 0.0, 2.0, 4.0]);
        assert_about(&Scale::linear([0.0, 100.0], 5).ticks(), &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    }

    #[test]
    fn log_ticks_are_decades_or_some_numbers_of_each() {
        assert_about(&Scale::log([80.0, 12_000.0]).ticks(), &[50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4]);
        assert_about(&Scale::log([3.0, 4e5]).ticks(), &[10.0, 100.0, 1e3, 1e4, 1e5]);
        assert_about(&Scale::log([1.0, 10.0]).ticks(), &[1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn every_value_has_its_place_and_order_is_kept() {
        for scale in [Scale::linear([3.0, 250.0], 5), Scale::log([3.0, 250.0])] {
            let places: Vec<f64> = [3.0, 10.0, 99.0, 250.0].into_iter().map(|value| scale.at(value)).collect();
            assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
            assert_eq!((scale.at(-1e9), scale.at(1e9)), (0.0, 1.0));
            assert!(scale.ticks().into_iter().all(|tick| (0.0..=1.0).contains(&scale.at(tick))));
        }
    }

    #[test]
    fn no_value_one_value_and_what_is_no_number_still_make_an_axis() {
        for scale in [
            Scale::linear([], 5),
            Scale::linear([7.0], 5),
            Scale::linear([0.0], 5),
            Scale::linear([f64::NAN, f64::INFINITY, 2.0], 5),
            Scale::log([]),
            Scale::log([7.0]),
            Scale::log([10.0]),
            Scale::log([0.0, -1.0]),
        ] {
            let ticks = scale.ticks();
            assert!((2..=12).contains(&ticks.len()), "{scale:?} {ticks:?}");
            assert!((0.0..=1.0).contains(&scale.at(7.0)), "{scale:?}");
        }
    }
}
