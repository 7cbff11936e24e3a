//! Deliveries over the measured time, step by step.

use serde::{Serialize, Serializer};

/// The shortest step.
const STEP_NS: u64 = 100_000_000;

/// How many steps there are at most; a long run has longer ones.
const STEP_LIMIT_COUNT: u64 = 200;

/// How many deliveries came in each step of the measured time. Serializes as pairs: the second at which the step ended, and
/// the deliveries per second in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timeline {
    deliveries: Vec<u64>,
    step_ns: u64,
    /// When the step that goes on ends; `None` until the measured time begins.
    until_ns: Option<u64>,
    /// Deliveries before that step.
    before: u64,
}

impl Timeline {
    /// The time line of a measured time of about `measured_ns`.
    pub(crate) fn new(measured_ns: u64) -> Self {
        let step_ns = STEP_NS.max(measured_ns.div_ceil(STEP_LIMIT_COUNT));
        Self { deliveries: Vec::new(), step_ns, until_ns: None, before: 0 }
    }

    /// The measured time begins at `now_ns`, after `delivered` deliveries.
    pub(crate) fn begin(&mut self, now_ns: u64, delivered: u64) {
        self.until_ns = Some(now_ns + self.step_ns);
        self.before = delivered;
    }

    /// At `now_ns` there have been `delivered` deliveries. What came late for its step counts in the step that ends now.
    pub(crate) fn at(&mut self, now_ns: u64, delivered: u64) {
        while let Some(until_ns) = self.until_ns
            && now_ns >= until_ns
        {
            self.deliveries.push(delivered - self.before);
            self.before = delivered;
            self.until_ns = Some(until_ns + self.step_ns);
        }
    }
}

impl Serialize for Timeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let step_s = self.step_ns as f64 / 1e9;
        let pairs = self.deliveries.iter().enumerate().map(|(step, &deliveries)| {
            let rounded = |value: f64| (value * 1e3).round() / 1e3;
            (rounded((step + 1) as f64 * step_s), rounded(deliveries as f64 / step_s))
        });
        serializer.collect_seq(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_step_by_step_from_the_begin() {
        let mut timeline = Timeline::new(1_000_000_000);
        timeline.at(5, 100);
        timeline.begin(10, 100);
        for (now_ns, delivered) in [(50_000_000, 130), (100_000_010, 140), (150_000_000, 150), (300_000_010, 170)] {
            timeline.at(now_ns, delivered);
        }
        // The third step was over before anybody looked.
        assert_eq!(timeline.deliveries, [40, 30, 0]);
        assert_eq!(serde_json::to_string(&timeline).unwrap(), "[[0.1,400.0],[0.2,300.0],[0.3,0.0]]");
    }

    #[test]
    fn a_long_run_has_long_steps() {
        assert_eq!(Timeline::new(1_000_000_000).step_ns, 100_000_000);
        assert_eq!(Timeline::new(3_600_000_000_000).step_ns, 18_000_000_000);
    }
}
