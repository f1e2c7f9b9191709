//! sux `VFunc`: a static function that stores nothing of its keys.

use std::ops::Range;

use hintdex_wire::Hint;
use mem_dbg::{MemSize, SizeFlags};
use sux::bits::BitFieldVec;
use sux::func::{VBuilder, VFunc};
use sux::traits::{TryIntoUnaligned, Unaligned};

use super::named::{Named, Names};
use super::{Entry, Home, Kind, Peer};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

type Function = VFunc<u64, BitFieldVec<Box<[usize]>>>;

struct Retrieval(Unaligned<Function>);

pub fn entries() -> [Entry; 1] {
    [Entry {
        order: Order::Fleet,
        names_candidates: true,
        has_batch: true,
        note: "first 8 bytes of a hint → device, two threads build; no call for many hints, so \
               only the confirmation is batched",
        why: "three reads that do not depend on each other and no checks of blocks, in memory alone; \
              larger than a ribbon for as many tries, and rebuilt for every change",
        ..Entry::new("vfunc", "sux VFunc", Kind::Static, Home::Process(make))
    }]
}

/// The first eight bytes of a hint, which is uniform.
pub fn head((hint, _): &Row) -> u64 {
    hint.iter().take(8).fold(0, |head, byte| head << 8 | u64::from(*byte))
}

fn make(site: &Site, rows: Vec<Row>) -> Outcome<Box<dyn Peer>> {
    let heads: Vec<u64> = rows.iter().map(head).collect();
    let devices: Vec<usize> = rows.iter().map(|(_, device)| *device as usize).collect();
    drop(rows);
    let function = Function::try_par_new_with_builder(
        &heads,
        &devices,
        VBuilder::default().max_num_threads(2),
        dsi_progress_logger::no_logging![],
    )
    .map_err(|error| error.to_string())?;
    let function = function.try_into_unaligned().map_err(|error| error.to_string())?;
    Ok(Box::new(Named::new(Retrieval(function), site)))
}

impl Names for Retrieval {
    fn name(&self, hint: &Hint, named: &mut impl FnMut(Range<u32>)) -> Outcome<()> {
        let device = self.0.get(hint.head()) as u32;
        named(device..device + 1);
        Ok(())
    }

    fn name_batch(
        &mut self,
        hints: &[Hint],
        named: &mut impl FnMut(usize, Range<u32>),
    ) -> Outcome<()> {
        for (owner, hint) in hints.iter().enumerate() {
            self.name(hint, &mut |range| named(owner, range))?;
        }
        Ok(())
    }

    fn stored_bytes(&self) -> Option<u64> {
        Some(self.0.mem_size(SizeFlags::default()) as u64)
    }
}
