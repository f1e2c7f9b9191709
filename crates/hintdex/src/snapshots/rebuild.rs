//! Building a snapshot of the coming hints.

use std::path::Path;

use hintdex_core::{LiveIndex, Report};
use hintdex_scan::KeyTable;
use hintdex_snapshot::{
    BuildReport, Builder, Dial, Encoding, ManifestKey, Progress, SnapshotParams,
};

use super::coming_hints::ComingHints;
use super::table_hints::TableHints;
use crate::Error;

/// The parameters of a snapshot.
///
/// See the example of [`Station::rebuild`](crate::Station::rebuild).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildOptions {
    /// How hints are stored.
    pub encoding: Encoding,
    /// The bytes or the tries of the snapshot: each determines the other. For a chain
    /// ([`Encoding::Chain`]), the evaluations of a lookup.
    pub dial: Dial,
    /// [`Encoding::Sorted`] only: bits of a hint that are compared beyond those that place it.
    pub check_bits: u8,
    /// How many coming nonces of each device the snapshot holds. Used with counter nonces.
    pub horizon_nonces: u64,
    /// The span of station time that the snapshot is for, in seconds since 1970. Used with
    /// clocked nonces; `None` for the present window.
    pub span: Option<(u64, u64)>,
    /// The memory that the build may take, in bytes.
    pub memory_bytes: usize,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        Self {
            encoding: Encoding::Ribbon,
            dial: Dial::Tries(32),
            check_bits: 8,
            horizon_nonces: 64,
            span: None,
            memory_bytes: 256 << 20,
        }
    }
}

/// Builds a snapshot of the coming hints and publishes it as `path`.
///
/// A chain needs `table`, with the keys of all slots of `coming`.
pub(crate) fn rebuild(
    index: &LiveIndex,
    coming: &ComingHints,
    table: Option<&KeyTable>,
    path: &Path,
    options: &RebuildOptions,
    report: Option<Report<'_>>,
) -> Result<BuildReport, Error> {
    let params = SnapshotParams {
        encoding: options.encoding,
        dial: options.dial,
        check_bits: options.check_bits,
        hint_scheme: coming.params.scheme,
        nonce_kind: coming.params.nonces.number(),
        horizon_nonces: coming.longest_nonces(),
        slots: 0..coming.slot_count(),
        fleet_id: *index.id(),
        origin: coming.digest(),
        built_at_unix_s: index.now_s(),
        time_unix_s: coming.span.clone().unwrap_or_default(),
    };
    let key = ManifestKey::of_fleet(index.key_source().as_ref());
    let progress = |Progress { hints_done, hints_all }| {
        if let Some(report) = report {
            report(hints_done, hints_all);
        }
    };
    let builder = Builder::new(params, &key)
        .memory_bytes(options.memory_bytes as u64)
        .threads(rayon::current_num_threads())
        .progress(&progress);
    let built = match table {
        Some(table) => builder.build_chain(coming.runs(), &TableHints(table), path),
        None => builder.build(coming, path),
    };
    built.map_err(Error::Rebuild)
}
