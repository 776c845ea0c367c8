//! Shows the progress of long work on a terminal, and nothing elsewhere.

use std::time::Duration;

use domain::into_printable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One line with a spinner, which is cleared when it is dropped.
pub(crate) struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// Starts a spinner for work of unknown length.
    pub(crate) fn start(name: &str, quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {prefix:<10} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Shows a message beside the spinner.
    pub(crate) fn set_message(&self, text: String) {
        self.bar.set_message(into_printable(text));
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
