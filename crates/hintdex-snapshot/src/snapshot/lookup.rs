//! Lookups: one hint at a time, or many.

use hintdex_wire::{Hint, Nonce, Slot};

use super::Snapshot;
use crate::chain::ChainView;
use crate::encoding::{CandidateSet, Several};
use crate::kernel::{Kernel, Lookup, Retrieve, Work};
use crate::{CandidateBatch, Candidates, Damage, PointHints};

/// How many hints ahead of the current hint a batch prefetches: enough to hide the latency of
/// the memory, few enough that no cache line is evicted before its use.
const AHEAD_LEN_HINTS: usize = 16;

impl Snapshot {
    /// Selects the kernel of the lookups; the default is the fastest. All kernels return the
    /// same candidates.
    pub fn with_kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self.find_quick = find_quick_for(kernel, self.shape.columns());
        self
    }

    /// The candidates of a hint: the slots whose keys are to be tried.
    ///
    /// If the hint is in the snapshot, its slot is one of them. A foreign hint has candidates,
    /// too; with [`Encoding::Sorted`](crate::Encoding::Sorted) it rarely has any. Once every
    /// block has been checked, a ribbon takes 50 to 65 ns with AVX-512 or AVX2 and 100 ns
    /// without. Most of that is latency of three or four neighbouring cache lines. Dense and
    /// sorted take several times as long.
    ///
    /// # Errors
    /// [`Damage`] when a block that the lookup needs fails its CRC.
    #[inline]
    pub fn candidates(&self, hint: &Hint) -> Result<Candidates<'_>, Damage> {
        let head = hint.head();
        // The group is returned in a register and converted to slots here. Returning the
        // slots through memory would cost as much as the lookup.
        if let Some(group) = (self.find_quick)(self, head) {
            return Ok(Candidates::one(self.shape.slots_of(group)));
        }
        let slow = self.find_slow(head)?;
        Ok(slow)
    }

    /// Calls `found` with the index of each of `hints` that is in a chain
    /// ([`Encoding::Chain`](crate::Encoding::Chain)), and with the slot and the nonce that made
    /// the hint. A snapshot in another encoding finds no hint.
    ///
    /// `source` computes hints, by the keys of all slots of the snapshot: as many for each of
    /// `hints` as [`Dial::Evaluations`](crate::Dial::Evaluations) says, 64 at a time. If
    /// `found` is not called for a hint, the snapshot does not have the hint, as long as the
    /// keys are those that the snapshot was built with.
    ///
    /// ```
    /// use hintdex_snapshot::{Builder, PointHints, Snapshot};
    /// use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, Nonce, Slot};
    /// # use hintdex_snapshot::{Dial, Encoding, ManifestKey, SnapshotParams};
    /// # let params = SnapshotParams {
    /// #     encoding: Encoding::Chain, dial: Dial::Evaluations(5), check_bits: 0,
    /// #     hint_scheme: HintScheme::Aes128, nonce_kind: 0, horizon_nonces: 10, slots: 0..100,
    /// #     fleet_id: [0; 16], origin: [0; 16], built_at_unix_s: 0, time_unix_s: 0..0,
    /// # };
    /// # let key = ManifestKey::from_bytes([1; 32]);
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("fleet.hdx");
    ///
    /// /// Hints under the keys of all slots.
    /// struct Keys(Vec<HintCipher>);
    ///
    /// impl PointHints for Keys {
    ///     fn prefetch(&self, _: Slot) {}
    ///
    ///     fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
    ///         for ((slot, nonce), hint) in points.iter().zip(hints) {
    ///             *hint = self.0[slot.index()].hint(*nonce).unwrap_or(Hint::ZERO);
    ///         }
    ///     }
    /// }
    ///
    /// let key_of = |slot| HintKey::from_bytes([slot; 16]);
    /// let keys = Keys((0..100).map(|slot| HintCipher::new(HintScheme::Aes128, &key_of(slot))).collect());
    /// let runs: Vec<_> = (0..100).map(|slot| (Slot(slot), 0..10)).collect();
    /// Builder::new(params, &key).build_chain(&runs, &keys, &path)?;
    ///
    /// let chain = Snapshot::open(&path, &key)?;
    /// let hint = keys.0[70].hint(3).unwrap();
    /// chain.points(&keys, &[hint], |_, slot, nonce| assert_eq!((slot, nonce), (Slot(70), 3)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Damage`] of the first block that a lookup needed and that fails its check. Hints whose
    /// lookups need no damaged block are found all the same.
    pub fn points(
        &self,
        source: &dyn PointHints,
        hints: &[Hint],
        mut found: impl FnMut(usize, Slot, Nonce),
    ) -> Result<(), Damage> {
        let Some(view) = self.chain_view() else { return Ok(()) };
        view.find(source, hints, &mut |index, (slot, nonce)| found(index, slot, nonce))
    }

    /// Whether lookups of a chain compute hints of `slot`. If so, the key of the slot must stay
    /// available to them, even after the slot is retired. Takes some microseconds.
    ///
    /// Returns false for a snapshot in another encoding: its lookups need no key.
    ///
    /// # Errors
    /// [`Damage`] when a block that the search needs fails its CRC.
    pub fn needs_key_of(&self, slot: Slot) -> Result<bool, Damage> {
        self.chain_view().map_or(Ok(false), |view| view.has_slot(slot))
    }

    fn chain_view(&self) -> Option<ChainView<'_>> {
        let (chain, shards) = (self.chain.as_ref()?, self.shards.chain()?);
        Some(ChainView { bytes: self.view().bytes, shards, chain })
    }

    /// The candidates of any hint. Not inlined, so that `candidates` stays small.
    #[inline(never)]
    fn find_slow(&self, head: u64) -> Result<Candidates<'_>, Damage> {
        self.find(head).map(Candidates::of)
    }

    fn find(&self, head: u64) -> Result<CandidateSet<Several<'_>>, Damage> {
        self.kernel.run(Find { snapshot: self, head })
    }

    /// The candidates of many hints; they replace the content of `out`.
    ///
    /// Prefetches the bytes of later hints: about half the time of as many calls of
    /// [`candidates`](Self::candidates).
    ///
    /// # Errors
    /// [`Damage`] as for `candidates`; `out` then ends before the hint that needs the block.
    pub fn candidates_batch(&self, hints: &[Hint], out: &mut CandidateBatch) -> Result<(), Damage> {
        out.clear();
        self.kernel.run(FindBatch { snapshot: self, hints, out })
    }
}

/// The quick lookup of a hint, compiled for each kernel and each number of columns. With the
/// number of columns constant a lookup takes fewer instructions, so a processor that executes
/// some hundred instructions ahead starts the next lookup sooner.
struct FindQuick<const COLUMNS: usize>;

impl<const COLUMNS: usize> Lookup for FindQuick<COLUMNS> {
    type Subject = Snapshot;

    #[inline(always)]
    fn run<P: Retrieve>(path: P, snapshot: &Snapshot, head: u64) -> Option<u32> {
        snapshot.shards.find_quick(&snapshot.view(), path, COLUMNS, head)
    }
}

/// Selects the [`FindQuick`] of a number of columns.
macro_rules! find_quick_for {
    ($kernel:expr, $columns:expr, $($number:literal)*) => {
        match $columns {
            $($number => $kernel.compile::<FindQuick<$number>>(),)*
            // Unreachable: a value has 1 to 32 bits.
            _ => |_, _| None,
        }
    };
}

pub(super) fn find_quick_for(kernel: Kernel, columns: usize) -> fn(&Snapshot, u64) -> Option<u32> {
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
    type Output = Result<CandidateSet<Several<'s>>, Damage>;

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

    /// Prefetches the bytes of the hint that comes [`AHEAD_LEN_HINTS`] later, then looks the
    /// current hint up.
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
