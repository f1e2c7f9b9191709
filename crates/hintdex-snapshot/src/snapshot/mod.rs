//! The reader: an open file, and its lookups, checks and figures.

mod lookup;
mod open;
mod stats;
mod verify;

use std::fmt;
use std::ops::Range;

pub use self::stats::SnapshotStats;
use crate::SnapshotParams;
use crate::encoding::{Shape, Shards, View};
use crate::format::{Checked, Checks, Header};
use crate::kernel::Kernel;
use crate::storage::Storage;

/// A snapshot, open for lookups; shared by reference between threads.
///
/// In memory it takes the file's pages as they are touched, 64 bytes a shard,
/// and a bit for every 8 KiB.
///
/// A file is checked in two steps. Opening checks the header, the manifest and
/// their HMAC. A block of the data is checked when a lookup first needs it, or
/// by [`verify`](Self::verify) with all the others; when no block is left to
/// check, lookups stop looking, so verifying first makes them faster.
pub struct Snapshot {
    storage: Storage,
    checks: Checks,
    directory: Range<usize>,
    header: Header,
    params: SnapshotParams,
    shape: Shape,
    shards: Shards,
    kernel: Kernel,
    /// `FindQuick` for the kernel and the number of columns.
    find_quick: fn(&Self, u64) -> Option<u32>,
}

impl Snapshot {
    #[inline]
    fn view(&self) -> View<'_> {
        View { bytes: Checked::new(&self.storage, &self.checks), shape: &self.shape }
    }

    /// The file's own id: a pseudo-random function of its parameters, origin and
    /// time among them.
    pub const fn id(&self) -> &[u8; 16] {
        &self.header.file_id
    }

    /// What the snapshot was built from and for.
    pub const fn params(&self) -> &SnapshotParams {
        &self.params
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, kernel, .. } = self;
        f.debug_struct("Snapshot")
            .field("params", params)
            .field("bytes", &self.storage.len())
            .field("kernel", kernel)
            .finish_non_exhaustive()
    }
}
