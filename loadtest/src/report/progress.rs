//! What a person sees on stderr while a run goes on. Nothing if stderr is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The time between two updates of the bar.
pub(crate) const UPDATE_NS: u64 = 100_000_000;

/// A bar for one stage after another.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar with `label` in front.
    pub(crate) fn new(label: &str) -> Self {
        let bar = ProgressBar::new(0);
        // The template is a constant: if it were wrong, the default bar would do.
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:32}] {percent:>3} % {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(label.to_owned());
        Self { bar }
    }

    /// Begins a stage of `steps`.
    pub(crate) fn stage(&self, what: &'static str, steps: u64) {
        self.bar.set_length(steps);
        self.bar.set_position(0);
        self.bar.set_message(what);
    }

    /// The stage has come to `step`.
    pub(crate) fn at(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// The stage has come to `step`; say `message` beside the bar.
    pub(crate) fn say(&self, step: u64, message: String) {
        self.bar.set_message(message);
        self.bar.set_position(step);
    }

    /// Removes the bar.
    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }
}
