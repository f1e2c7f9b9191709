//! PtrHash: a minimal perfect hash function, and devices packed in its order.

use std::ops::Range;

use hintdex_wire::Hint;
use mem_dbg::{MemSize, SizeFlags};
use ptr_hash::{CompactPtrHash, DefaultPtrHash, PtrHashParams, hash::NoHash};
use sux::bits::BitFieldVec;
use sux::traits::value_traits::slices::{SliceByValue, SliceByValueMut};
use sux::traits::{TryIntoUnaligned, Unaligned};

use super::named::{Named, Names};
use super::vfunc::head;
use super::{Entry, Home, Kind, Peer};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

/// Hashes whose places are waited for together; what its documentation advises.
const AHEAD: usize = 32;

type Devices = BitFieldVec<Box<[usize]>>;
type Compact = CompactPtrHash<NoHash>;
type Fast = DefaultPtrHash<NoHash>;

struct Places<H> {
    hash: H,
    devices: Unaligned<Devices>,
}

pub fn entries() -> [Entry; 2] {
    let entry = |name, title, note, make| Entry {
        order: Order::Fleet,
        names_candidates: true,
        has_batch: true,
        note,
        why: "two reads, a pilot and a packed device, in memory alone, without checks of blocks; \
              larger than a ribbon for as many tries, and rebuilt for every change",
        ..Entry::new(name, title, Kind::Static, Home::Process(make))
    };
    [
        entry(
            "ptrhash-compact",
            "PtrHash, compact, + array",
            "`CompactPtrHash`, first 8 bytes of a hint, and as many bits a device as there are; \
             batches by index_stream",
            |site, rows| {
                make(site, rows, |keys| Compact::new(keys, PtrHashParams::default_compact()))
            },
        ),
        entry(
            "ptrhash-fast",
            "PtrHash, default, + array",
            "`DefaultPtrHash`, the rest as above",
            |site, rows| make(site, rows, |keys| Fast::new(keys, PtrHashParams::default_fast())),
        ),
    ]
}

/// What the two kinds have in common.
trait Hash {
    fn stored_bits(&self) -> f64;

    fn place(&self, head: u64) -> usize;

    fn each_place(&self, hints: &[Hint], place: impl FnMut(usize));
}

macro_rules! hash {
    ($($kind:ty),*) => {$(
        impl Hash for $kind {
            fn stored_bits(&self) -> f64 {
                let (pilots, remap) = self.bits_per_element();
                (pilots + remap) * self.n() as f64
            }

            #[inline]
            fn place(&self, head: u64) -> usize {
                self.index(&head)
            }

            #[inline]
            fn each_place(&self, hints: &[Hint], place: impl FnMut(usize)) {
                self.index_stream::<AHEAD, u64>(hints.iter().map(Hint::head)).for_each(place);
            }
        }
    )*};
}
hash!(Compact, Fast);

fn make<H: Hash + 'static>(
    site: &Site,
    rows: Vec<Row>,
    hash: impl FnOnce(&[u64]) -> H,
) -> Outcome<Box<dyn Peer>> {
    let heads: Vec<u64> = rows.iter().map(head).collect();
    let hash = hash(&heads);
    let bits = u32::BITS - site.size.devices.saturating_sub(1).leading_zeros();
    let mut devices = Devices::new_padded(bits.max(1) as usize, rows.len());
    for (head, (_, device)) in heads.iter().zip(&rows) {
        devices.set_value(hash.place(*head), *device as usize);
    }
    let devices = devices.try_into_unaligned().map_err(|error| error.to_string())?;
    Ok(Box::new(Named::new(Places { hash, devices }, site)))
}

impl<H> Places<H> {
    #[inline]
    fn slot(&self, place: usize) -> Range<u32> {
        let device = self.devices.index_value(place) as u32;
        device..device + 1
    }
}

impl<H: Hash> Names for Places<H> {
    fn name(&self, hint: &Hint, named: &mut impl FnMut(Range<u32>)) -> Outcome<()> {
        named(self.slot(self.hash.place(hint.head())));
        Ok(())
    }

    fn name_batch(
        &mut self,
        hints: &[Hint],
        named: &mut impl FnMut(usize, Range<u32>),
    ) -> Outcome<()> {
        let mut owner = 0;
        self.hash.each_place(hints, |place| {
            named(owner, self.slot(place));
            owner += 1;
        });
        Ok(())
    }

    fn stored_bytes(&self) -> Option<u64> {
        let hash = (self.hash.stored_bits() / 8.0).ceil() as u64;
        Some(hash + self.devices.mem_size(SizeFlags::default()) as u64)
    }
}
