//! Progress bars, shown on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

use crate::console::Console;

/// A bar that counts `what`, with the rate and the time left.
pub fn bar(console: &Console<'_>, doing: &'static str, what: &str) -> ProgressBar {
    let bar = console.show(ProgressBar::new(0));
    let template =
        format!("{{msg}} {{wide_bar}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.with_message(doing)
}

/// A bar that counts the bytes read from a file.
pub fn bytes(console: &Console<'_>, doing: &'static str) -> ProgressBar {
    let bar = console.show(ProgressBar::new(0));
    let template = "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(doing)
}

/// A callback for the library that moves `bar`.
pub fn reporter(bar: &ProgressBar) -> impl Fn(u64, u64) + Sync + '_ {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}
