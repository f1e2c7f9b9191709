//! Writing the tables of runs.

use core::ops::Range;

use hintdex_wire::{Nonce, Slot};
use zerocopy::IntoBytes;

use super::points::{BLOCK_LEN_SLOTS, BlockRecord, TableRecord, block_count, chunk_count};
use crate::packed::{self, pad};

/// The tables of a file: the records, and the parts of each table behind them.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub count: u16,
    pub point_count: u64,
    /// The records, then blocks, packed numbers and chunks of each table, each on a word.
    pub bytes: Vec<u8>,
}

/// One run for each slot from the first on; empty where a slot has none.
struct Table {
    first_slot: u32,
    runs: Vec<Range<Nonce>>,
}

/// The tables of `runs`, which are in the order of slots and not empty.
///
/// The *n*-th run of a slot goes to table *n*.
pub(super) fn write(runs: &[(Slot, Range<Nonce>)]) -> Tables {
    let mut tables: Vec<Table> = Vec::new();
    for same in runs.chunk_by(|one, other| one.0 == other.0) {
        for (number, (Slot(slot), nonces)) in same.iter().enumerate() {
            if tables.len() == number {
                tables.push(Table { first_slot: *slot, runs: Vec::new() });
            }
            if let Some(table) = tables.get_mut(number) {
                let at = (slot - table.first_slot) as usize;
                table.runs.resize(at, 0..0);
                table.runs.push(nonces.clone());
            }
        }
    }
    let (mut records, mut rest) = (Vec::new(), Vec::new());
    let mut all =
        Tables { count: u16::try_from(tables.len()).unwrap_or(u16::MAX), ..Tables::default() };
    for table in &tables {
        let record = table.write(&mut rest);
        all.point_count += record.point_count.get();
        records.extend_from_slice(record.as_bytes());
    }
    all.bytes = [records, rest].concat();
    all
}

fn len(run: &Range<Nonce>) -> u64 {
    run.end.saturating_sub(run.start)
}

/// The length that all runs have, if they have one and it is not 0.
fn same_len(runs: &[Range<Nonce>]) -> Option<u32> {
    let first = len(runs.first()?);
    let is_same = runs.iter().all(|run| len(run) == first);
    u32::try_from(first).ok().filter(|&len| is_same && len != 0)
}

impl Table {
    /// Appends blocks, packed numbers and chunks to `out` and returns the record.
    fn write(&self, out: &mut Vec<u8>) -> TableRecord {
        let run_len = same_len(&self.runs);
        let first_nonce = self.runs.first().map_or(0, |run| run.start);
        let is_plain = run_len.is_some() && self.runs.iter().all(|run| run.start == first_nonce);
        let slot_count = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        let point_count: u64 = self.runs.iter().map(len).sum();
        let mut record = TableRecord {
            first_slot: self.first_slot.into(),
            slot_count: slot_count.into(),
            point_count: point_count.into(),
            run_len: run_len.unwrap_or(0).into(),
            ..TableRecord::default()
        };
        if is_plain {
            record.first_nonce = first_nonce.into();
            return record;
        }
        record.has_blocks = 1;
        let (blocks, packed) = self.blocks();
        record.packed_len_bytes = (packed.len() as u64).into();
        if run_len.is_none() {
            // As many chunks as blocks, or up to twice as many.
            let mean = point_count / u64::from(block_count(slot_count).max(1));
            record.chunk_bits = u8::try_from(mean.max(1).ilog2()).unwrap_or(0);
        }
        blocks.iter().for_each(|block| out.extend(block.as_bytes()));
        out.extend(packed);
        pad(out);
        if run_len.is_none() {
            let chunk_bits = record.chunk_bits.into();
            for chunk in 0..chunk_count(point_count, chunk_bits) {
                let first = chunk << chunk_bits;
                let block = blocks.partition_point(|block| block.first_point.get() <= first);
                let block = u32::try_from(block.saturating_sub(1)).unwrap_or(u32::MAX);
                out.extend(block.to_le_bytes());
            }
            pad(out);
        }
        record
    }

    fn blocks(&self) -> (Vec<BlockRecord>, Vec<u8>) {
        let (mut blocks, mut packed, mut first_point) = (Vec::new(), Vec::new(), 0);
        for runs in self.runs.chunks(BLOCK_LEN_SLOTS as usize) {
            // An empty run begins anywhere.
            let starts = runs.iter().filter(|run| len(run) != 0).map(|run| run.start);
            let first_nonce = starts.clone().min().unwrap_or(0);
            let distances = runs.iter().map(|run| run.start.saturating_sub(first_nonce));
            let nonce_bits = packed::width(starts.max().unwrap_or(0) - first_nonce);
            let run_len = same_len(runs);
            let block_len: u64 = runs.iter().map(len).sum();
            let end_bits = if run_len.is_some() { 0 } else { packed::width(block_len) };
            blocks.push(BlockRecord {
                first_point: first_point.into(),
                first_nonce: first_nonce.into(),
                packed_at: (packed.len() as u64).into(),
                run_len: run_len.unwrap_or(0).into(),
                nonce_bits: u8::try_from(nonce_bits).unwrap_or(0),
                end_bits: u8::try_from(end_bits).unwrap_or(0),
                reserved: [0; 2],
            });
            packed::pack(
                distances.map(|distance| distance & low_mask(nonce_bits)),
                nonce_bits,
                &mut packed,
            );
            let ends = runs.iter().scan(0, |end, run| {
                *end += len(run);
                Some(*end)
            });
            if run_len.is_none() {
                packed::pack(ends, end_bits, &mut packed);
            }
            first_point += block_len;
        }
        (blocks, packed)
    }
}

/// The lower `bits` bits of a word.
const fn low_mask(bits: u32) -> u64 {
    if bits == 64 { u64::MAX } else { (1 << bits) - 1 }
}
