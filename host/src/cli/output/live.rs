//! The bars at the bottom of a terminal, and how lines are printed above them.

use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// All bars of this process.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes something to the terminal while no bar is there.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// Adds a bar with a template of `indicatif`.
pub fn add(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    BARS.add(bar)
}

/// Adds a line that is nothing but its message, below all bars.
pub fn add_line() -> ProgressBar {
    add(0, "{msg}")
}

/// Adds a bar above another one.
pub fn add_before(before: &ProgressBar, length: u64, template: &str) -> ProgressBar {
    let bar = add(length, template);
    BARS.remove(&bar);
    BARS.insert_before(before, bar)
}

/// Removes a bar, and its line from the terminal.
pub fn remove(bar: &ProgressBar) {
    bar.finish_and_clear();
    BARS.remove(bar);
}
