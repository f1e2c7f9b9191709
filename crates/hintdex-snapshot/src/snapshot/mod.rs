//! The reader: an open file, and its lookups, checks and figures.

mod lookup;
mod open;
mod stats;
mod verify;

use std::fmt;
use std::ops::Range;

pub use self::stats::SnapshotStats;
use crate::SnapshotParams;
use crate::chain::Chain;
use crate::encoding::{Shape, Shards, View};
use crate::format::{Checked, Checks, Header};
use crate::kernel::Kernel;
use crate::storage::Storage;

/// A snapshot, open for lookups. Threads share it by reference.
///
/// Its memory is the pages of the file that lookups touch, 64 bytes a shard, and a bit for
/// each block of 8 KiB.
///
/// A file is checked in two steps. Opening checks the header, the manifest and their HMAC. A
/// block of the data is checked when a lookup first needs it; [`verify`](Self::verify) checks
/// all blocks. Once all blocks have passed, lookups skip the bookkeeping and are faster.
pub struct Snapshot {
    storage: Storage,
    checks: Checks,
    directory: Range<usize>,
    header: Header,
    params: SnapshotParams,
    shape: Shape,
    shards: Shards,
    /// Of [`Encoding::Chain`](crate::Encoding::Chain) only.
    chain: Option<Chain>,
    kernel: Kernel,
    /// The quick lookup, compiled for the kernel and the number of columns.
    find_quick: fn(&Self, u64) -> Option<u32>,
}

impl Snapshot {
    #[inline]
    fn view(&self) -> View<'_> {
        View { bytes: Checked::new(&self.storage, &self.checks), shape: &self.shape }
    }

    /// The id of the file: a pseudo-random function of its parameters, which include the
    /// origin and the time.
    pub const fn id(&self) -> &[u8; 16] {
        &self.header.file_id
    }

    /// The parameters of the build.
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
