//! The reader.

use std::fmt;
use std::io::{self, Read};
use std::num::TryFromIntError;
use std::ops::Range;
use std::path::Path;

use hintdex_wire::Hint;
use zerocopy::FromBytes;

use crate::candidates::Found;
use crate::encoding::{Padding, Shape, Shards, View};
use crate::format::{
    BLOCK_CRC_LEN_BYTES, Checked, Checks, DATA_OFFSET_BYTES, Header, Manifest, SHARD_ALIGN_BYTES,
    SHARD_RECORD_LEN_BYTES, ShardRecord,
};
use crate::kernel::{Kernel, Lookup, Retrieve, Work};
use crate::storage::{SnapshotFile, Storage};
use crate::{
    CandidateBatch, Candidates, Damage, Encoding, ManifestKey, OpenError, SnapshotParams,
    VerifyError,
};

/// How many hints ahead of the one looked up a batch asks for memory: enough to
/// hide its latency, few enough that nothing is evicted unused.
const AHEAD_LEN_HINTS: usize = 16;

/// The longest file that is copied although this program keeps it to itself: the coming
/// 64 hints of half a million devices at 32 tries.
const MOST_COPIED_LEN_BYTES: u64 = 64 << 20;

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
    /// [`FindQuick`] for the kernel and the number of columns.
    find_quick: fn(&Self, u64) -> Option<u32>,
}

/// A part of the file and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What the part is.
    pub name: &'static str,
    /// How long it is.
    pub bytes: u64,
}

impl Section {
    /// Adds `bytes` to the section called `name`.
    pub(crate) fn add(sections: &mut Vec<Self>, name: &'static str, bytes: usize) {
        match sections.iter_mut().find(|section| section.name == name) {
            Some(section) => section.bytes += bytes as u64,
            None if bytes == 0 => {}
            None => sections.push(Self { name, bytes: bytes as u64 }),
        }
    }
}

/// What a snapshot holds and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotStats {
    /// How hints are stored.
    pub encoding: Encoding,
    /// Bits of a value.
    pub value_bits: u8,
    /// Slots tried a lookup.
    pub tries: u32,
    /// Slots the snapshot covers.
    pub slots: u32,
    /// Hints it was built from.
    pub hints: u64,
    /// Hints that several groups have, an entry for each group.
    pub duplicates: u64,
    /// The length of the file.
    pub bytes: u64,
    /// The same in bits, for each hint.
    pub bits_per_hint: f64,
    /// log2(slots / tries): what any index takes that leaves so many tries.
    pub bound_bits_per_hint: f64,
    /// What the bytes are spent on; they add up.
    pub sections: Vec<Section>,
}

impl Snapshot {
    /// Maps the file and checks everything but the data.
    ///
    /// Costs the manifest, 0.05 % of the file. The mapping stays good when
    /// another snapshot is renamed over the file. It does not when somebody
    /// *writes into* the file or truncates it: the system then ends the process
    /// (SIGBUS) at the next lookup. So this is for files that nobody but their
    /// maker can write, or that everybody promises to publish by rename, as
    /// [`Builder`](crate::Builder) does. For a file of anybody else's
    /// [`open_in_memory`](Self::open_in_memory) needs no promise.
    ///
    /// # Errors
    /// [`OpenError`] when the file cannot be read, is no snapshot, is damaged,
    /// or is not of the fleet of `key`.
    pub fn open(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load_mapped(&SnapshotFile::open(path.as_ref())?, key)
    }

    /// Opens a file that this program made and keeps to itself: copies one of up to
    /// 64 MiB, and maps a longer one.
    ///
    /// Whoever operates the machine may still copy a file over it, so what is small
    /// enough is safe from that; of the others [`open`](Self::open) says what happens.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_own(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        let file = SnapshotFile::open(path.as_ref())?;
        if file.len_bytes <= MOST_COPIED_LEN_BYTES {
            Self::load_copied(&file, Some(key))
        } else {
            Self::load_mapped(&file, key)
        }
    }

    /// Reads the file into memory of its own, in huge pages where the system
    /// gives them, and checks everything but the data. Whatever happens to the file
    /// then, lookups go on.
    ///
    /// Costs the reading of the file, and its length in memory. Nothing but the header
    /// is read, and no memory taken, of a file that is not `key`'s or not as long as
    /// its header says.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in_memory(path: impl AsRef<Path>, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load_copied(&SnapshotFile::open(path.as_ref())?, Some(key))
    }

    /// Copies a file that is in memory, and checks everything but the data.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(mut bytes: &[u8], key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load(Storage::copy(bytes.len(), &mut bytes).map_err(OpenError::Io)?, Some(key))
    }

    /// Reads a file for inspection, as [`open_in_memory`](Self::open_in_memory) does,
    /// without knowing whose it is: every check but the HMAC's. Whoever can write the
    /// file can make it say anything.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for [`OpenError::WrongKey`].
    pub fn open_unauthenticated(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::load_copied(&SnapshotFile::open(path.as_ref())?, None)
    }

    fn load_mapped(file: &SnapshotFile, key: &ManifestKey) -> Result<Self, OpenError> {
        Self::load(Storage::map(file).map_err(OpenError::Io)?, Some(key))
    }

    fn load_copied(file: &SnapshotFile, key: Option<&ManifestKey>) -> Result<Self, OpenError> {
        let head = file.head(DATA_OFFSET_BYTES as u64)?;
        let header = Header::read(&head)?;
        if let Some(key) = key {
            header.authenticate(key)?;
        }
        header.check_len(file.len_bytes)?;
        let too_long = |error: TryFromIntError| OpenError::Io(io::Error::other(error));
        let len_bytes = usize::try_from(file.len_bytes).map_err(too_long)?;
        let storage = Storage::copy(len_bytes, &mut head.as_slice().chain(file.rest()));
        Self::load(storage.map_err(OpenError::Io)?, key)
    }

    fn load(storage: Storage, key: Option<&ManifestKey>) -> Result<Self, OpenError> {
        let header = Header::read(&storage)?;
        if let Some(key) = key {
            header.authenticate(key)?;
        }
        let params = header.params()?;
        let Manifest { directory, crcs } = header.manifest(&storage)?;
        let shape = Shape::new(&params, &header);
        let data = DATA_OFFSET_BYTES..directory.start;
        let damaged = |at: usize| OpenError::Damaged {
            what: "shard directory",
            offset_bytes: (directory.start + at * SHARD_RECORD_LEN_BYTES) as u64,
        };
        let records = records(&storage, &directory).ok_or_else(|| damaged(0))?;
        check_places(records, data.len() as u64).map_err(damaged)?;
        let shards = Shards::open(params.encoding, &shape, records).map_err(damaged)?;
        let checks = Checks::new(header.file_id, data, crcs);
        let kernel = Kernel::best();
        let find_quick = find_quick_for(kernel, shape.columns());
        Ok(Self { storage, checks, directory, header, params, shape, shards, kernel, find_quick })
    }

    /// Has lookups use this kernel instead of the fastest. All give the same answers.
    pub fn with_kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self.find_quick = find_quick_for(kernel, self.shape.columns());
        self
    }

    #[inline]
    fn view(&self) -> View<'_> {
        View { bytes: Checked::new(&self.storage, &self.checks), shape: &self.shape }
    }

    /// The slots to try for a hint.
    ///
    /// The hint's own slot is one of them, if the hint is in the snapshot; a
    /// foreign hint gets candidates like any other ([`Encoding::Sorted`] spares
    /// nearly all of them). Ribbon: 50 to 65 ns with AVX-512 or AVX2 and
    /// 100 without, once every block has been checked, and most of it is a wait for
    /// three or four neighbouring lines of memory; dense and sorted several times that.
    ///
    /// # Errors
    /// [`Damage`] when a block that the answer needs is not what was written.
    #[inline]
    pub fn candidates(&self, hint: &Hint) -> Result<Candidates<'_>, Damage> {
        let head = hint.head();
        // A group comes back in a register, and whoever asked turns it into
        // slots; the way through memory would cost as much as the lookup.
        if let Some(group) = (self.find_quick)(self, head) {
            return Ok(Candidates::one(self.shape.slots_of(group)));
        }
        let slow = self.find_slow(head)?;
        Ok(slow)
    }

    /// The candidates of any hint.
    #[inline(never)]
    fn find_slow(&self, head: u64) -> Result<Candidates<'_>, Damage> {
        self.find(head).map(Candidates::of)
    }

    fn find(&self, head: u64) -> Result<Found<'_>, Damage> {
        self.kernel.run(Find { snapshot: self, head })
    }

    /// The slots to try for many hints, in the place of what `out` had.
    ///
    /// Asks for the memory of later hints while it looks up earlier ones:
    /// about half the time of as many calls of [`candidates`](Self::candidates).
    ///
    /// # Errors
    /// [`Damage`] as there; `out` then ends before the hint that met it.
    pub fn candidates_batch(&self, hints: &[Hint], out: &mut CandidateBatch) -> Result<(), Damage> {
        out.clear();
        self.kernel.run(FindBatch { snapshot: self, hints, out })
    }

    /// Checks every block of the data now, some GB a second, also those that
    /// were found whole before, and that what fills parts of the data up is zero.
    ///
    /// Opening has checked the other bytes that are zero.
    ///
    /// # Errors
    /// [`VerifyError`] with the first block that is not what was written, or the first
    /// byte of the padding that is not zero.
    pub fn verify(&self) -> Result<(), VerifyError> {
        let bytes = self.view().bytes;
        (0..self.checks.block_count()).try_for_each(|block| bytes.check(block))?;
        let mut first = None;
        let mut check = |padding: Padding| {
            let found = padding.not_zero(&self.storage).map(|at| (at, padding.behind));
            first = first.into_iter().chain(found).min();
        };
        self.shards.each_padding(&mut check);
        records(&self.storage, &self.directory)
            .unwrap_or_default()
            .iter()
            .for_each(|record| check(Padding::of_bytes("shard", record.padding())));
        match first {
            None => Ok(()),
            Some((offset_bytes, behind)) => Err(VerifyError::Padding { behind, offset_bytes }),
        }
    }

    /// The file's own id: a pseudo-random function of its parameters, origin and
    /// time among them.
    pub const fn id(&self) -> &[u8; 16] {
        &self.header.file_id
    }

    /// What the snapshot holds and what it costs.
    pub fn stats(&self) -> SnapshotStats {
        let bytes = self.storage.len() as u64;
        let hints = self.header.hint_count.get();
        let mut sections = self.shards.sections(&self.shape);
        let named: u64 = sections.iter().map(|section| section.bytes).sum();
        let checks = self.checks.block_count() * BLOCK_CRC_LEN_BYTES;
        let directory = self.header.manifest_len_bytes.get() - checks as u64;
        let data = self.header.data_len_bytes.get();
        sections.extend([
            Section { name: "padding", bytes: data - named },
            Section { name: "header", bytes: DATA_OFFSET_BYTES as u64 },
            Section { name: "directory", bytes: directory },
            Section { name: "block checks", bytes: checks as u64 },
        ]);
        let slots = self.params.slot_count();
        let bits = |bytes: u64| bytes as f64 * 8.0 / (hints as f64).max(1.0);
        SnapshotStats {
            encoding: self.params.encoding,
            value_bits: self.params.value_bits(),
            tries: self.params.tries(),
            slots,
            hints,
            duplicates: self.shards.duplicate_count(),
            bytes,
            bits_per_hint: bits(bytes),
            bound_bits_per_hint: (f64::from(slots) / f64::from(self.params.tries()))
                .log2()
                .max(0.0),
            sections,
        }
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

/// A lookup of a hint that is easily found, compiled for each kernel and each
/// number of columns: what is known then need not be computed, and a processor
/// that looks some hundred instructions ahead sees the next lookup sooner.
struct FindQuick<const COLUMNS: usize>;

impl<const COLUMNS: usize> Lookup for FindQuick<COLUMNS> {
    type Subject = Snapshot;

    #[inline(always)]
    fn run<P: Retrieve>(path: P, snapshot: &Snapshot, head: u64) -> Option<u32> {
        snapshot.shards.find_quick(&snapshot.view(), path, COLUMNS, head)
    }
}

/// [`FindQuick`] for one of each number of columns.
macro_rules! find_quick_for {
    ($kernel:expr, $columns:expr, $($number:literal)*) => {
        match $columns {
            $($number => $kernel.compile::<FindQuick<$number>>(),)*
            // There is no other number; without columns nothing is found quickly.
            _ => |_, _| None,
        }
    };
}

fn find_quick_for(kernel: Kernel, columns: usize) -> fn(&Snapshot, u64) -> Option<u32> {
    find_quick_for!(
        kernel, columns,
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
    )
}

/// A lookup of any hint, compiled for each kernel.
struct Find<'s> {
    snapshot: &'s Snapshot,
    head: u64,
}

impl<'s> Work for Find<'s> {
    type Output = Result<Found<'s>, Damage>;

    #[inline(always)]
    fn run<P: Retrieve>(self, path: P) -> Self::Output {
        self.snapshot.shards.find(&self.snapshot.view(), path, self.head)
    }
}

/// Lookups of many hints, compiled for each kernel.
struct FindBatch<'s> {
    snapshot: &'s Snapshot,
    hints: &'s [Hint],
    out: &'s mut CandidateBatch,
}

impl Work for FindBatch<'_> {
    type Output = Result<(), Damage>;

    /// Asks for the bytes of some hints ahead of the one being looked up, so
    /// that the memory works while we do.
    #[inline(always)]
    fn run<P: Retrieve>(self, path: P) -> Self::Output {
        let Self { snapshot, hints, out } = self;
        let view = snapshot.view();
        let columns = snapshot.shape.columns();
        let prefetch = |hint: &Hint| snapshot.shards.prefetch(&view, hint.head());
        hints.iter().take(AHEAD_LEN_HINTS).for_each(prefetch);
        for (at, hint) in hints.iter().enumerate() {
            if let Some(hint) = hints.get(at + AHEAD_LEN_HINTS) {
                prefetch(hint);
            }
            let head = hint.head();
            match snapshot.shards.find_quick(&view, path, columns, head) {
                Some(group) => out.push_one(snapshot.shape.slots_of(group)),
                None => out.push(snapshot.find(head)?),
            }
        }
        Ok(())
    }
}

/// The shard directory of `file`.
fn records<'f>(file: &'f [u8], directory: &Range<usize>) -> Option<&'f [ShardRecord]> {
    <[ShardRecord]>::ref_from_bytes(file.get(directory.clone())?).ok()
}

/// Whether the shards fill the data, one after the other.
fn check_places(records: &[ShardRecord], data_len_bytes: u64) -> Result<(), usize> {
    let mut end = 0_u64;
    for (at, record) in records.iter().enumerate() {
        if record.offset_bytes.get() != end {
            return Err(at);
        }
        let len = record.len_bytes.get();
        end = len
            .checked_next_multiple_of(SHARD_ALIGN_BYTES as u64)
            .and_then(|len| len.checked_add(end))
            .ok_or(at)?;
    }
    if end == data_len_bytes { Ok(()) } else { Err(0) }
}
