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
///
/// ```
/// use hintdex_snapshot::{
///     CandidateBatch, Candidates, Damage, Kernel, OpenError, Section, Snapshot, SnapshotStats,
///     VerifyError,
/// };
/// # use std::ops::Range;
/// # use hintdex_snapshot::{Dial, Encoding, HintSource, ManifestKey, SnapshotParams};
/// # use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Slot};
/// # fn hint(slot: u32) -> Hint {
/// #     let cipher = HintCipher::new(HintScheme::Aes128, &HintKey::from_bytes([7; 16]));
/// #     cipher.hint(slot.into()).unwrap()
/// # }
/// # struct Fleet;
/// # impl HintSource for Fleet {
/// #     fn hint_count(&self) -> u64 { 1000 }
/// #     fn hints(&self, slots: Range<u32>, each: &mut dyn FnMut(u64, Slot)) {
/// #         slots.for_each(|slot| each(hint(slot).head(), Slot(slot)));
/// #     }
/// # }
/// # let params = SnapshotParams {
/// #     encoding: Encoding::Ribbon, dial: Dial::Tries(1), check_bits: 0,
/// #     hint_scheme: HintScheme::Aes128, nonce_kind: 0, horizon_nonces: 1, slots: 0..1000,
/// #     fleet_id: [0; 16], origin: [0; 16], built_at_unix_s: 0, time_unix_s: 0..0,
/// # };
/// # let key = ManifestKey::from_bytes([1; 32]);
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("fleet.hdx");
/// # hintdex_snapshot::Builder::new(params, &key).build(&Fleet, &path)?;
/// let snapshot = Snapshot::open(&path, &key)?;
/// let mut candidates: Candidates<'_> = snapshot.candidates(&hint(700))?;
/// assert_eq!(candidates.next(), Some(700..701));
///
/// // Many hints at once, in half the time; by the kernel of the oldest processor.
/// let portable: Kernel = Kernel::all().next().unwrap();
/// let (snapshot, mut batch) = (snapshot.with_kernel(portable), CandidateBatch::default());
/// snapshot.candidates_batch(&[hint(5), hint(6)], &mut batch)?;
/// assert_eq!(batch.get(1), [6..7]);
///
/// let stats: SnapshotStats = snapshot.stats();
/// let sections = stats.sections.iter();
/// assert_eq!(sections.map(|Section { bytes, .. }| bytes).sum::<u64>(), stats.bytes);
///
/// // One flipped bit: `verify` reports the place. A lookup reports the damage that it meets.
/// snapshot.verify()?;
/// let mut file = std::fs::read(&path)?;
/// let end = file.len() - 100;
/// file[end] ^= 1;
/// let damaged = Snapshot::from_bytes(&file, &key)?;
/// let Err(VerifyError::Damaged(Damage { offset_bytes, .. })) = damaged.verify() else { panic!() };
/// assert!(offset_bytes <= end as u64);
///
/// let other_key = ManifestKey::from_bytes([2; 32]);
/// assert!(matches!(Snapshot::open(&path, &other_key), Err(OpenError::WrongKey)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
