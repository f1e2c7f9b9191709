//! The names of the station's own snapshots of spans.

use std::path::{Path, PathBuf};

use hintdex_core::Span;

/// A name is this prefix, the beginning of the span, and the ending of snapshots.
const PREFIX: &str = "window-";

/// The file of the station's own snapshot of a span, beside the snapshot `own` that has no
/// span.
pub(super) fn span_file(own: &Path, span: &Span) -> PathBuf {
    own.with_file_name(format!("{PREFIX}{}.hdx", span.start))
}

/// Whether a path has the name of a span's snapshot.
pub(super) fn is_span_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let start = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(".hdx"));
    start.is_some_and(|start| start.parse::<u64>().is_ok())
}
