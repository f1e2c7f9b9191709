//! The points: which slot and which nonce a number stands for.
//!
//! A *run* is a slot and some nonces in a row. Runs lie in *tables*, and a slot has at most
//! one run in each: where nonces tell time, a slot may have a run for each of two days.
//! Points are numbered table by table, slot by slot, nonce by nonce.
//!
//! If all slots of a table have as many nonces, a division finds the slot of a point. If
//! they begin with the same nonce, too, nothing else is stored. Otherwise the slots lie in
//! *blocks* of 256: a block stores its first nonce and the distances of its slots to it in
//! as few bits as they need, and, where runs differ in length, the ends of its runs.

use core::cmp::Ordering;
use core::mem::size_of;
use core::ops::Range;

use hintdex_wire::{Nonce, Slot};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::header::ChainHeader;
use super::parts::Parts;
use crate::Damage;
use crate::format::Checked;
use crate::packed;
use crate::padding::Padding;
use crate::section::Section;

/// The slots of a block.
pub(super) const BLOCK_LEN_SLOTS: u32 = 256;

/// The most tables that a file has: as many runs as a slot may have.
pub(super) const MAX_TABLES: usize = 64;

/// A table as it stands in the file.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct TableRecord {
    /// The first slot with a run.
    pub first_slot: U32,
    /// The slots from the first to the last with a run.
    pub slot_count: U32,
    /// The points of all runs.
    pub point_count: U64,
    /// The first nonce of every run, if there are no blocks.
    pub first_nonce: U64,
    /// The length of what the blocks pack.
    pub packed_len_bytes: U64,
    /// The length of every run; 0 if runs differ.
    pub run_len: U32,
    /// If runs differ: the block of the first of every 2 to the power of this points is
    /// stored.
    pub chunk_bits: u8,
    /// 1 if there are blocks, else 0.
    pub has_blocks: u8,
    /// Zero.
    pub reserved: [u8; 26],
}

/// 256 slots of a table as they stand in the file.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct BlockRecord {
    /// The first point, counted from the first of the table.
    pub first_point: U64,
    /// The least first nonce.
    pub first_nonce: U64,
    /// Where the packed numbers of the block begin.
    pub packed_at: U64,
    /// The length of every run of the block; 0 if runs differ.
    pub run_len: U32,
    /// The width of a distance to the first nonce, in bits.
    pub nonce_bits: u8,
    /// The width of the end of a run, in bits; 0 if all runs are as long.
    pub end_bits: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// The length of a table's record.
pub(crate) const TABLE_RECORD_LEN_BYTES: usize = 64;

/// The length of a block's record.
pub(crate) const BLOCK_RECORD_LEN_BYTES: usize = 32;

const _: () = assert!(size_of::<TableRecord>() == TABLE_RECORD_LEN_BYTES, "no drift");
const _: () = assert!(size_of::<BlockRecord>() == BLOCK_RECORD_LEN_BYTES, "no drift");

/// The length of the zeros that end a block's record.
const RESERVED_LEN_BYTES: usize = 2;

/// The length of the number of a block in the list of chunks.
const CHUNK_LEN_BYTES: usize = 4;

/// The points of a file.
#[derive(Debug)]
pub(super) struct Points {
    tables: Box<[Table]>,
    count: u64,
    tables_len_bytes: usize,
}

/// A table of a file.
#[derive(Debug)]
struct Table {
    /// The first point and the end.
    points: Range<u64>,
    first_slot: u32,
    slot_count: u32,
    first_nonce: Nonce,
    /// Runs of one length.
    run_len: Option<Divisor>,
    blocks: Range<usize>,
    packed: Range<usize>,
    chunks: Range<usize>,
    chunk_bits: u32,
}

impl Points {
    /// Where the records of the tables are, which are the next part.
    pub fn records(header: &ChainHeader, parts: &mut Parts) -> Option<Range<usize>> {
        let table_count = usize::from(header.table_count.get());
        let len_bytes = table_count * TABLE_RECORD_LEN_BYTES;
        if table_count > MAX_TABLES { None } else { parts.take(len_bytes as u64) }
    }

    /// The tables with these `records`; their blocks, packed numbers and chunks are the next
    /// parts.
    pub fn open(
        header: &ChainHeader,
        records: &[u8],
        slots: &Range<u32>,
        parts: &mut Parts,
    ) -> Option<Self> {
        let tables_len_bytes = records.len();
        let table_count = usize::from(header.table_count.get());
        let records = <[TableRecord]>::ref_from_bytes(records).ok()?;
        let (mut tables, mut count) = (Vec::with_capacity(table_count), 0_u64);
        for record in records {
            let table = Table::open(record, count, slots, parts)?;
            count = table.points.end;
            tables.push(table);
        }
        let is_whole = count == header.point_count.get();
        is_whole.then(|| Self { tables: tables.into_boxed_slice(), count, tables_len_bytes })
    }

    /// How many points there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The slot and the nonce of a point. A number past the last point gets some point.
    #[inline(always)]
    pub fn point(&self, bytes: &Checked<'_>, number: u64) -> Result<(Slot, Nonce), Damage> {
        let number = number.min(self.count.saturating_sub(1));
        let table = match &*self.tables {
            [] => return Ok((Slot(0), 0)),
            [table] => table,
            tables => {
                let at = tables.partition_point(|table| table.points.end <= number);
                match tables.get(at).or(tables.last()) {
                    Some(table) => table,
                    None => return Ok((Slot(0), 0)),
                }
            }
        };
        table.point(bytes, number.saturating_sub(table.points.start))
    }

    /// Whether a point is of `slot`.
    pub fn has_slot(&self, bytes: &Checked<'_>, slot: Slot) -> Result<bool, Damage> {
        for table in &self.tables {
            if table.has_slot(bytes, slot)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Calls `each` with the padding of the blocks.
    pub fn each_padding(&self, bytes: &Checked<'_>, each: &mut dyn FnMut(Padding)) {
        self.tables.iter().for_each(|table| table.each_padding(bytes, each));
    }

    pub fn measure(&self, sections: &mut Vec<Section>) {
        let tables = self.tables.iter();
        let len = |table: &Table| table.blocks.len() + table.packed.len() + table.chunks.len();
        Section::add(sections, "runs", self.tables_len_bytes + tables.map(len).sum::<usize>());
    }
}

impl Table {
    fn open(
        record: &TableRecord,
        first_point: u64,
        slots: &Range<u32>,
        parts: &mut Parts,
    ) -> Option<Self> {
        let (first_slot, slot_count) = (record.first_slot.get(), record.slot_count.get());
        let run_len = record.run_len.get();
        let point_count = record.point_count.get();
        let end_slot = first_slot.checked_add(slot_count)?;
        let is_uniform = run_len != 0;
        let is_right = slot_count != 0
            && first_slot >= slots.start
            && end_slot <= slots.end
            && record.reserved == [0; 26]
            && record.has_blocks <= 1
            && record.chunk_bits < 64
            && (is_uniform || record.has_blocks == 1)
            && (!is_uniform || u64::from(run_len) * u64::from(slot_count) == point_count);
        if !is_right {
            return None;
        }
        let block_count = u64::from(record.has_blocks) * u64::from(block_count(slot_count));
        let chunk_bits = u32::from(record.chunk_bits);
        let chunk_count = if is_uniform { 0 } else { chunk_count(point_count, chunk_bits) };
        let blocks = parts.take(block_count.checked_mul(BLOCK_RECORD_LEN_BYTES as u64)?)?;
        let packed = parts.take(record.packed_len_bytes.get())?;
        let chunks = parts.take(chunk_count.checked_mul(CHUNK_LEN_BYTES as u64)?)?;
        Some(Self {
            points: first_point..first_point.checked_add(point_count)?,
            first_slot,
            slot_count,
            first_nonce: record.first_nonce.get(),
            run_len: is_uniform.then(|| Divisor::new(run_len, point_count)),
            blocks,
            packed,
            chunks,
            chunk_bits,
        })
    }

    /// Calls `each` with the reserved bytes of each block, and with the bits behind its packed
    /// numbers.
    fn each_padding(&self, bytes: &Checked<'_>, each: &mut dyn FnMut(Padding)) {
        for (number, at) in (0..).zip(self.blocks.clone().step_by(BLOCK_RECORD_LEN_BYTES)) {
            // Every block of the file has passed its check.
            let Ok(block) = self.block(bytes, number) else { return };
            let reserved = at + BLOCK_RECORD_LEN_BYTES - RESERVED_LEN_BYTES;
            each(Padding::of_bytes("block of runs", reserved..reserved + RESERVED_LEN_BYTES));
            let slots = (self.slot_count - number * BLOCK_LEN_SLOTS).min(BLOCK_LEN_SLOTS);
            let mut offset_bytes = 0;
            for width in [block.nonce_bits, block.end_bits] {
                let used_bits = u64::from(slots) * u64::from(width);
                let numbers = self.packed_from(&block, offset_bytes);
                offset_bytes += packed::len_bytes(slots.into(), width.into());
                let numbers = numbers.start..self.packed_from(&block, offset_bytes).start;
                each(Padding::behind_bits("runs", &numbers, used_bits));
            }
        }
    }

    /// Point `number` of the table.
    #[inline(always)]
    fn point(&self, bytes: &Checked<'_>, number: u64) -> Result<(Slot, Nonce), Damage> {
        let Some(run_len) = &self.run_len else { return self.point_in_blocks(bytes, number) };
        let (at, offset) = run_len.divide(number);
        // Only a number past the last point has a slot past the last.
        #[expect(clippy::cast_possible_truncation, reason = "at most the number of slots")]
        let at = at.min(u64::from(self.slot_count - 1)) as u32;
        let first_nonce = if self.blocks.is_empty() {
            self.first_nonce
        } else {
            self.first_nonce(
                bytes,
                &self.block(bytes, at / BLOCK_LEN_SLOTS)?,
                at % BLOCK_LEN_SLOTS,
            )?
        };
        Ok((Slot(self.first_slot + at), first_nonce.wrapping_add(offset)))
    }

    /// Whether a point of the table is of `slot`: the slots of the points ascend.
    fn has_slot(&self, bytes: &Checked<'_>, slot: Slot) -> Result<bool, Damage> {
        let (mut low, mut high) = (0, self.points.end - self.points.start);
        while low < high {
            let middle = low.midpoint(high);
            match self.point(bytes, middle)?.0.cmp(&slot) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(true),
                Ordering::Greater => high = middle,
            }
        }
        Ok(false)
    }

    /// Point `number` of a table whose runs differ in length.
    #[inline(never)]
    fn point_in_blocks(&self, bytes: &Checked<'_>, number: u64) -> Result<(Slot, Nonce), Damage> {
        let chunk = number >> self.chunk_bits;
        // The last block that begins at or before the point, among those of the chunk.
        let (mut at, last) = (self.chunk(bytes, chunk)?, self.chunk(bytes, chunk + 1)?);
        let mut behind = last.max(at) + 1;
        while behind - at > 1 {
            let middle = at.midpoint(behind);
            let is_behind = self.block(bytes, middle)?.first_point.get() > number;
            *(if is_behind { &mut behind } else { &mut at }) = middle;
        }
        let block = self.block(bytes, at)?;
        let number = number.saturating_sub(block.first_point.get());
        let slots = (self.slot_count - at * BLOCK_LEN_SLOTS).min(BLOCK_LEN_SLOTS);
        let (within, offset) = match u64::from(block.run_len.get()) {
            0 => self.run_of(bytes, &block, slots, number)?,
            run_len => (number / run_len, number % run_len),
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most the number of slots")]
        let within = within.min(u64::from(slots - 1)) as u32;
        let first_nonce = self.first_nonce(bytes, &block, within)?;
        let slot = Slot(self.first_slot + at * BLOCK_LEN_SLOTS + within);
        Ok((slot, first_nonce.wrapping_add(offset)))
    }

    /// The block that holds the first point of chunk `number`; the last block past the end.
    fn chunk(&self, bytes: &Checked<'_>, number: u64) -> Result<u32, Damage> {
        let last = block_count(self.slot_count) - 1;
        let at = usize::try_from(number).ok().and_then(|at| at.checked_mul(CHUNK_LEN_BYTES));
        let at = at.and_then(|at| at.checked_add(self.chunks.start)).unwrap_or(usize::MAX);
        if at > self.chunks.end.saturating_sub(CHUNK_LEN_BYTES) {
            return Ok(last);
        }
        let block = bytes.touch(at..at + CHUNK_LEN_BYTES)?;
        Ok(block.first_chunk().map_or(last, |bytes| u32::from_le_bytes(*bytes).min(last)))
    }

    /// Which of the `slots` runs of a block has point `number` of the block, and how many
    /// points of the run come before.
    fn run_of(
        &self,
        bytes: &Checked<'_>,
        block: &BlockRecord,
        slots: u32,
        number: u64,
    ) -> Result<(u64, u64), Damage> {
        let ends =
            self.packed_from(block, packed::len_bytes(slots.into(), block.nonce_bits.into()));
        let end_of = |at: u64| packed::get(bytes, &ends, at, block.end_bits.into());
        let (mut low, mut high) = (0, u64::from(slots));
        while low < high {
            let middle = low.midpoint(high);
            if end_of(middle)? <= number { low = middle + 1 } else { high = middle }
        }
        let start = if low == 0 { 0 } else { end_of(low - 1)? };
        Ok((low, number.saturating_sub(start)))
    }

    /// The first nonce of slot `within` of a block.
    #[inline(always)]
    fn first_nonce(
        &self,
        bytes: &Checked<'_>,
        block: &BlockRecord,
        within: u32,
    ) -> Result<Nonce, Damage> {
        let nonces = self.packed_from(block, 0);
        let distance = packed::get(bytes, &nonces, within.into(), block.nonce_bits.into())?;
        Ok(block.first_nonce.get().wrapping_add(distance))
    }

    /// The packed numbers of a block from `offset_bytes` on.
    #[inline(always)]
    fn packed_from(&self, block: &BlockRecord, offset_bytes: u64) -> Range<usize> {
        let offset = block.packed_at.get().saturating_add(offset_bytes);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.packed.len());
        self.packed.start + offset..self.packed.end
    }

    /// The record of block `number`.
    #[inline(always)]
    fn block(&self, bytes: &Checked<'_>, number: u32) -> Result<BlockRecord, Damage> {
        let at = self.blocks.start + number as usize * BLOCK_RECORD_LEN_BYTES;
        let record = bytes.touch(at..at + BLOCK_RECORD_LEN_BYTES)?;
        Ok(BlockRecord::read_from_bytes(record).unwrap_or_default())
    }
}

/// How many blocks so many slots make.
pub(super) const fn block_count(slots: u32) -> u32 {
    slots.div_ceil(BLOCK_LEN_SLOTS)
}

/// How many chunks so many points make.
pub(super) const fn chunk_count(points: u64, chunk_bits: u32) -> u64 {
    points.div_ceil(1 << chunk_bits)
}

/// Divides by one number again and again: a multiplication and a subtraction.
#[derive(Clone, Copy, Debug)]
struct Divisor {
    by: u64,
    /// 2⁶⁴ / `by`, rounded up; 0 where the product would be wrong, and the processor
    /// divides.
    reciprocal: u64,
}

impl Divisor {
    /// Divides numbers below `end` by `by`, which is not 0.
    ///
    /// The reciprocal exceeds 2⁶⁴ / `by` by less than 1, so the product exceeds the
    /// quotient by less than `end` / 2⁶⁴, and that is less than 1 / `by`, the least distance
    /// to the next whole number, if `end` · `by` ≤ 2⁶⁴.
    fn new(by: u32, end: u64) -> Self {
        let by = u64::from(by.max(1));
        let is_exact = by > 1 && end.checked_mul(by).is_some();
        Self { by, reciprocal: if is_exact { u64::MAX / by + 1 } else { 0 } }
    }

    /// The quotient and the remainder.
    #[inline(always)]
    fn divide(&self, number: u64) -> (u64, u64) {
        let quotient = if self.reciprocal == 0 {
            number / self.by
        } else {
            ((u128::from(number) * u128::from(self.reciprocal)) >> 64) as u64
        };
        (quotient, number.wrapping_sub(quotient.wrapping_mul(self.by)))
    }
}

/// Every field of the records: what the format's tables are held against.
#[cfg(test)]
pub(crate) const TABLE_RECORD_FIELDS: &[(&str, usize)] = crate::format::fields!(
    TableRecord: first_slot, slot_count, point_count, first_nonce, packed_len_bytes, run_len,
    chunk_bits, has_blocks, reserved
);
#[cfg(test)]
pub(crate) const BLOCK_RECORD_FIELDS: &[(&str, usize)] = crate::format::fields!(
    BlockRecord: first_point, first_nonce, packed_at, run_len, nonce_bits, end_bits, reserved
);
