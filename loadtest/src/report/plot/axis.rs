//! An axis: a scale, what it counts, and the words at its ticks.

use crate::report::plot::scale::Scale;

/// About so many ticks fit a small picture.
const TICK_COUNT: usize = 5;

/// One direction of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// What it counts, with the unit unless the ticks have it.
    pub(crate) label: &'static str,
    scale: Scale,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Evenly divided, covering `values`.
    pub(crate) fn linear(
        label: &'static str,
        values: impl IntoIterator<Item = f64>,
        words: impl Fn(f64) -> String,
    ) -> Self {
        Self::with(label, Scale::linear(values, TICK_COUNT), words)
    }

    /// By decades, covering the positive ones of `values`.
    pub(crate) fn log(
        label: &'static str,
        values: impl IntoIterator<Item = f64>,
        words: impl Fn(f64) -> String,
    ) -> Self {
        Self::with(label, Scale::log(values), words)
    }

    /// Shares of all values below, by 1 / (1 - share): from a half to 99.99 % each nine has the same room.
    pub(crate) fn percentiles(label: &'static str) -> Self {
        let ticks = [(2.0, "50 %"), (10.0, "90 %"), (100.0, "99 %"), (1e3, "99.9 %"), (1e4, "99.99 %")];
        let ticks = ticks.into_iter().map(|(at, words)| (at, words.to_owned())).collect();
        Self { label, scale: Scale::log_exactly(2.0, 1e4), ticks }
    }

    fn with(label: &'static str, scale: Scale, words: impl Fn(f64) -> String) -> Self {
        let ticks = scale.ticks().into_iter().map(|tick| (tick, words(tick))).collect();
        Self { label, scale, ticks }
    }

    /// Where `value` is on it, from 0 to 1.
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.scale.at(value)
    }

    /// The places of the ticks, from 0 to 1, and their words.
    pub(crate) fn ticks(&self) -> impl Iterator<Item = (f64, &str)> {
        self.ticks.iter().map(|(value, words)| (self.at(*value), words.as_str()))
    }

    /// The longest words at a tick.
    pub(crate) fn widest(&self) -> &str {
        self.ticks.iter().map(|(_, words)| words.as_str()).max_by_key(|words| words.chars().count()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_of_a_percentile_has_the_same_room() {
        let axis = Axis::percentiles("share");
        let places: Vec<f64> = axis.ticks().map(|(place, _)| place).collect();
        assert!((places[0], places[4]) == (0.0, 1.0));
        assert!((places[2] - places[1] - (places[3] - places[2])).abs() < 1e-9);
    }

    #[test]
    fn ticks_carry_the_words_of_their_values() {
        let axis = Axis::linear("seconds", [0.0, 10.0], |value| format!("{value} s"));
        let words: Vec<&str> = axis.ticks().map(|(_, words)| words).collect();
        assert_eq!(words, ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]);
        assert_eq!(axis.widest(), "10 s");
    }
}
