//! Lookups: one hint at a time, or many.

use hintdex_wire::Hint;

use super::Snapshot;
use crate::encoding::{CandidateSet, Several};
use crate::kernel::{Kernel, Lookup, Retrieve, Work};
use crate::{CandidateBatch, Candidates, Damage};

/// How many hints ahead of the one looked up a batch asks for memory: enough to
/// hide its latency, few enough that nothing is evicted unused.
const AHEAD_LEN_HINTS: usize = 16;

impl Snapshot {
    /// Has lookups use this kernel instead of the fastest. All give the same answers.
    pub fn with_kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self.find_quick = find_quick_for(kernel, self.shape.columns());
        self
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

    fn find(&self, head: u64) -> Result<CandidateSet<Several<'_>>, Damage> {
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
