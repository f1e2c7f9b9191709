//! Buckets: the hints that share a radix prefix, in one row.
//!
//! A bucket is a set of (hint suffix, slot) in two parts. The *packed* part is sorted. Its
//! suffixes are uniform, so they are stored as an Elias–Fano sequence (Elias 1974, Fano 1971).
//! With `n` entries, the upper log₂ n bits of a suffix are coded in unary, about two bits an
//! entry. The lower bits of each suffix follow as they are, then the slots in the same order.
//! An entry costs two bits above its information. A lookup finds the entries of a suffix by
//! counting zeros in a few words. The *loose* part holds later additions: whole words,
//! unsorted.
//!
//! ```text
//! count (LEB128) · suffix_bits (u8) · [slot_bits (u8) · unary · low bits · slots] · loose entries (u64)*
//! ```
//!
//! The bracket is absent if `count`, the number of packed entries, is 0. Each part starts on a
//! byte; bit *i* of a part is bit *i* mod 8 of its byte *i* / 8. A packed set has one encoding
//! only: `slot_bits` is the width of its largest slot.
//!
//! A merge operand is a bucket of loose entries. Merging appends the operands' entries, so a
//! lookup that meets operands costs little more. Once the loose part has more than 64 entries
//! and more than half as many as the packed part, both are packed again.

use std::hint::black_box;

use hintdex_wire::Slot;

use crate::bits::{
    BitWriter, after_zeros_in, low_byte, mask, read_bits, read_word, zero_sums, zeros_of,
};

/// (suffix, slot) in one word, which sorts by suffix first.
pub(crate) type Entry = u64;

/// The widest suffix that a bucket can hold.
pub(crate) const MAX_SUFFIX_BITS: u32 = 31;

/// The longest LEB128 encoding of a count, which is a `u32`.
const MAX_COUNT_LEN_BYTES: usize = 5;

pub(crate) const fn entry(suffix: u32, slot: Slot) -> Entry {
    (suffix as u64) << 32 | slot.0 as u64
}

const fn suffix_of(entry: Entry) -> u64 {
    entry >> 32
}

/// The slot of an entry.
pub(crate) const fn slot_of(entry: Entry) -> Slot {
    Slot((entry & 0xffff_ffff) as u32)
}

/// The length of a loose entry in bytes.
const LOOSE_LEN_BYTES: usize = size_of::<Entry>();

/// A bucket with at most this many loose entries is not packed again, whatever its size.
const MAX_FEW_LOOSE: usize = 64;

/// The layout of the packed part of a bucket, read from its first bytes.
#[derive(Clone, Copy)]
struct Layout {
    count: u64,
    /// The upper bits of a suffix, coded in unary.
    high_bits: u32,
    /// The lower bits of a suffix, stored as they are.
    low_bits: u32,
    slot_bits: u32,
    header_len_bytes: usize,
}

impl Layout {
    fn new(count: u64, suffix_bits: u32, slot_bits: u32, header_len_bytes: usize) -> Self {
        let high_bits = count.max(1).ilog2().min(suffix_bits);
        Self { count, high_bits, low_bits: suffix_bits - high_bits, slot_bits, header_len_bytes }
    }

    /// Reads the first bytes of a bucket; `None` if they are not a bucket's.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (count, count_len) = read_count(bytes)?;
        let header = bytes.get(count_len..)?;
        let (suffix_bits, slot_bits) = match (count, header) {
            (0, [suffix_bits, ..]) => (*suffix_bits, 0),
            (_, [suffix_bits, slot_bits, ..]) => (*suffix_bits, *slot_bits),
            _ => return None,
        };
        if u32::from(suffix_bits) > MAX_SUFFIX_BITS || slot_bits > 32 {
            return None;
        }
        let header_len_bytes = count_len + 1 + usize::from(count > 0);
        Some(Self::new(count.into(), suffix_bits.into(), slot_bits.into(), header_len_bytes))
    }

    const fn suffix_bits(&self) -> u32 {
        self.high_bits + self.low_bits
    }

    /// The ends of the unary part, the low bits and the slots, in bytes.
    fn part_ends(&self) -> [usize; 3] {
        let unary_bits = if self.count == 0 { 0 } else { self.count + (1 << self.high_bits) };
        let widths = [
            unary_bits,
            self.count * u64::from(self.low_bits),
            self.count * u64::from(self.slot_bits),
        ];
        let mut end = self.header_len_bytes;
        widths.map(|bits| {
            end += usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX / 8);
            end
        })
    }
}

/// A bucket's bytes: checked once, then read in place.
#[derive(Clone, Copy)]
pub(crate) struct Bucket<'a> {
    layout: Layout,
    unary: &'a [u8],
    low: &'a [u8],
    slots: &'a [u8],
    loose: &'a [[u8; LOOSE_LEN_BYTES]],
}

impl<'a> Bucket<'a> {
    /// Reads a bucket; `None` if the bytes are not a bucket.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let layout = Layout::read(bytes)?;
        let [unary_end, low_end, packed_end] = layout.part_ends();
        let (loose, rest) = bytes.get(packed_end..)?.as_chunks();
        rest.is_empty().then_some(())?;
        Some(Self {
            layout,
            unary: bytes.get(layout.header_len_bytes..unary_end)?,
            low: bytes.get(unary_end..low_end)?,
            slots: bytes.get(low_end..packed_end)?,
            loose,
        })
    }

    /// The width of the suffix of its entries, in bits.
    pub(crate) const fn suffix_bits(&self) -> u32 {
        self.layout.suffix_bits()
    }

    /// Calls `found` with the slot of every entry that has this suffix.
    ///
    /// Costs a walk over `count / 32` words and the loose entries. Calls `found` twice for a
    /// slot that is both packed and loose.
    pub(crate) fn find(&self, suffix: u32, mut found: impl FnMut(Slot)) {
        let suffix = u64::from(suffix);
        let high = suffix >> self.layout.low_bits;
        let low = suffix & mask(self.layout.low_bits);
        self.fetch_around(high);
        for entry in self.loose.iter().map(|bytes| Entry::from_le_bytes(*bytes)) {
            if suffix_of(entry) == suffix {
                found(slot_of(entry));
            }
        }
        let mut at_bit = self.after_zeros(high);
        let mut run = read_word(self.unary, at_bit);
        while run & 1 == 1 {
            let index = at_bit - high;
            if self.low_at(index) == low {
                found(self.slot_at(index));
            }
            at_bit += 1;
            run = if run == 1 { read_word(self.unary, at_bit) } else { run >> 1 };
        }
    }

    /// Brings the entries that may have this suffix to the cache of the processor.
    pub(crate) fn fetch(&self, suffix: u32) {
        self.fetch_around(u64::from(suffix) >> self.layout.low_bits);
    }

    /// Prefetches the low bits and the slots where entries with these high bits most likely
    /// are, while the unary part is counted: three cache misses then take as long as one.
    fn fetch_around(&self, high: u64) {
        let entries_before = (high * self.layout.count) >> self.layout.high_bits;
        let byte_of = |width: u32| {
            usize::try_from(entries_before * u64::from(width) / 8).unwrap_or(usize::MAX)
        };
        black_box(self.low.get(byte_of(self.layout.low_bits)).copied());
        black_box(self.slots.get(byte_of(self.layout.slot_bits)).copied());
    }

    /// Every entry in order, each once; `None` if the parts contradict one another.
    pub(crate) fn entries(&self) -> Option<Vec<Entry>> {
        let mut entries = self.packed_entries()?;
        if !self.loose.is_empty() {
            entries.extend(self.loose.iter().map(|bytes| Entry::from_le_bytes(*bytes)));
            entries.sort();
            entries.dedup();
            let last = entries.last().copied().unwrap_or(0);
            (suffix_of(last) >> self.suffix_bits() == 0).then_some(())?;
        }
        Some(entries)
    }

    fn packed_entries(&self) -> Option<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.unary.len().saturating_mul(8));
        let (mut high, mut at_bit) = (0, 0);
        while (entries.len() as u64) < self.layout.count {
            if read_bits(self.unary, at_bit, 1) == 1 {
                let index = entries.len() as u64;
                let suffix = high << self.layout.low_bits | self.low_at(index);
                let next = suffix << 32 | u64::from(self.slot_at(index).0);
                if entries.last().is_some_and(|last| *last >= next) {
                    return None;
                }
                entries.push(next);
            } else {
                high += 1;
                if high >> self.layout.high_bits != 0 {
                    return None;
                }
            }
            at_bit += 1;
        }
        Some(entries)
    }

    fn low_at(&self, index: u64) -> u64 {
        read_bits(self.low, index * u64::from(self.layout.low_bits), self.layout.low_bits)
    }

    fn slot_at(&self, index: u64) -> Slot {
        let bits =
            read_bits(self.slots, index * u64::from(self.layout.slot_bits), self.layout.slot_bits);
        slot_of(bits)
    }

    /// The position in the unary part behind its first `zeros` zeros.
    fn after_zeros(&self, zeros: u64) -> u64 {
        if zeros == 0 {
            return 0;
        }
        let mut left = zeros;
        let mut at_bit = 0;
        // The reader returns zeros past the end, so a damaged bucket ends the loop, too.
        loop {
            let word = read_word(self.unary, at_bit);
            let sums = zero_sums(word);
            if left <= zeros_of(sums) {
                return at_bit + after_zeros_in(word, sums, left);
            }
            left -= zeros_of(sums);
            at_bit += 64;
        }
    }
}

/// Appends the bucket of `entries`, which must be sorted, distinct and not empty.
pub(crate) fn encode(entries: &[Entry], suffix_bits: u32, out: &mut Vec<u8>) {
    let count = entries.len() as u64;
    let slot_bits =
        64 - entries.iter().fold(0, |all, entry| all | entry & mask(32)).leading_zeros();
    let start = out.len();
    write_count(count, out);
    out.push(low_byte(u64::from(suffix_bits)));
    out.push(low_byte(u64::from(slot_bits)));
    let layout = Layout::new(count, suffix_bits, slot_bits, out.len() - start);

    let mut unary = BitWriter::new(out);
    let mut high = 0;
    for entry in entries {
        let next = suffix_of(*entry) >> layout.low_bits;
        while high < next {
            unary.push(0, 1);
            high += 1;
        }
        unary.push(1, 1);
    }
    while high < 1 << layout.high_bits {
        unary.push(0, 1);
        high += 1;
    }
    unary.finish();

    let mut low = BitWriter::new(out);
    entries
        .iter()
        .for_each(|entry| low.push(suffix_of(*entry) & mask(layout.low_bits), layout.low_bits));
    low.finish();

    let mut slots = BitWriter::new(out);
    entries.iter().for_each(|entry| slots.push(*entry & mask(slot_bits), slot_bits));
    slots.finish();
}

/// Appends a merge operand: the bucket of `entries` with all of them loose.
pub(crate) fn encode_loose(entries: &[Entry], suffix_bits: u32, out: &mut Vec<u8>) {
    write_count(0, out);
    out.push(low_byte(u64::from(suffix_bits)));
    out.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
}

/// The union of buckets that share their prefix; `None` if one is damaged.
///
/// The loose entries of all buckets follow the packed ones of the first. Many loose entries
/// are packed with them.
pub(crate) fn union<'a>(mut buckets: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let base = buckets.next()?;
    let first = Bucket::parse(base)?;
    // Most unions add one entry.
    let mut all = Vec::with_capacity(base.len() + LOOSE_LEN_BYTES);
    all.extend_from_slice(base);
    let mut loose_count = first.loose.len();
    let mut others_packed: Vec<Entry> = Vec::new();
    for bytes in buckets {
        let bucket = Bucket::parse(bytes)?;
        (bucket.suffix_bits() == first.suffix_bits()).then_some(())?;
        others_packed.extend(bucket.packed_entries()?);
        all.extend_from_slice(bucket.loose.as_flattened());
        loose_count += bucket.loose.len();
    }
    let packed_count = usize::try_from(first.layout.count).unwrap_or(usize::MAX);
    if others_packed.is_empty() && loose_count <= MAX_FEW_LOOSE.max(packed_count / 2) {
        return Some(all);
    }
    let mut entries = Bucket::parse(&all)?.entries()?;
    entries.extend(others_packed);
    entries.sort();
    entries.dedup();
    let mut out = Vec::with_capacity(entries.len() * 5 + MAX_COUNT_LEN_BYTES + 2);
    encode(&entries, first.suffix_bits(), &mut out);
    Some(out)
}

/// Reads a LEB128 `u32` in its shortest form; returns the number and its length in bytes.
fn read_count(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut count = 0u64;
    for (at, byte) in bytes.iter().take(MAX_COUNT_LEN_BYTES).enumerate() {
        count |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let padded = *byte == 0 && at > 0;
            return u32::try_from(count).ok().filter(|_| !padded).map(|count| (count, at + 1));
        }
    }
    None
}

fn write_count(mut count: u64, out: &mut Vec<u8>) {
    while count >= 0x80 {
        out.push(low_byte(count) | 0x80);
        count >>= 7;
    }
    out.push(low_byte(count));
}

#[cfg(test)]
#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn packed(set: &BTreeSet<Entry>, suffix_bits: u32) -> Vec<u8> {
        let entries: Vec<_> = set.iter().copied().collect();
        let mut out = Vec::new();
        encode(&entries, suffix_bits, &mut out);
        out
    }

    fn operand(set: &BTreeSet<Entry>, suffix_bits: u32) -> Vec<u8> {
        let entries: Vec<_> = set.iter().copied().collect();
        let mut out = Vec::new();
        encode_loose(&entries, suffix_bits, &mut out);
        out
    }

    /// Sets of up to `max_count` entries with suffixes and slots of random widths.
    fn sets(max_count: usize) -> impl Strategy<Value = (u32, BTreeSet<Entry>)> {
        (0u32..=20, 0u32..=32).prop_flat_map(move |(suffix_bits, slot_bits)| {
            let one = (any::<u64>(), any::<u64>()).prop_map(move |(suffix, slot)| {
                (suffix & mask(suffix_bits)) << 32 | slot & mask(slot_bits)
            });
            (Just(suffix_bits), prop::collection::btree_set(one, 1..max_count))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_lookup_finds_exactly_the_slots_of_its_suffix(
            (suffix_bits, set) in sets(400), probes in prop::collection::vec(any::<u32>(), 20)
        ) {
            let bytes = packed(&set, suffix_bits);
            let bucket = Bucket::parse(&bytes).expect("a sound bucket");
            prop_assert_eq!(bucket.entries(), Some(set.iter().copied().collect::<Vec<_>>()));
            let stored = set.iter().map(|entry| u32::try_from(suffix_of(*entry)).expect("31 bits"));
            let width = u32::try_from(mask(suffix_bits)).expect("31 bits");
            for suffix in stored.chain(probes.into_iter().map(|probe| probe & width)) {
                let mut found = Vec::new();
                bucket.find(suffix, |slot| found.push(slot));
                let range = entry(suffix, Slot(0))..=entry(suffix, Slot(u32::MAX));
                let expected: Vec<_> = set.range(range).map(|entry| slot_of(*entry)).collect();
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn union_is_set_union_in_any_grouping(
            (suffix_bits, set) in sets(300), cut in any::<prop::sample::Index>(), again in any::<bool>(),
            loose in any::<[bool; 3]>(), partial in any::<bool>()
        ) {
            let cut = cut.index(set.len());
            let mut parts: Vec<BTreeSet<Entry>> = vec![
                set.iter().copied().take(cut).collect(), set.iter().copied().skip(cut).collect(),
            ];
            if again { parts.push(set.iter().copied().step_by(3).collect()); }
            parts.retain(|part| !part.is_empty());
            let parts = parts.iter().zip(loose).map(|(part, loose)| {
                if loose { operand(part, suffix_bits) } else { packed(part, suffix_bits) }
            });
            let mut parts: Vec<_> = parts.collect();
            if partial {
                let tail = parts.split_off(parts.len() / 2);
                parts.push(union(tail.iter().map(Vec::as_slice)).expect("sound"));
            }
            let all = union(parts.iter().map(Vec::as_slice)).expect("sound");
            let bucket = Bucket::parse(&all).expect("a sound bucket");
            prop_assert_eq!(bucket.entries(), Some(set.iter().copied().collect::<Vec<_>>()));
            prop_assert!(bucket.loose.len() <= MAX_FEW_LOOSE.max(set.len() / 2) || parts.len() == 1);
            for entry in &set {
                let mut found = BTreeSet::new();
                bucket.find(u32::try_from(suffix_of(*entry)).expect("31 bits"), |slot| { found.insert(slot); });
                let range = *entry >> 32 << 32..=*entry | mask(32);
                let expected: BTreeSet<_> = set.range(range).map(|entry| slot_of(*entry)).collect();
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn a_damaged_bucket_is_rejected_or_read_without_a_panic(
            (suffix_bits, set) in sets(60), bit in any::<prop::sample::Index>(), keep in any::<prop::sample::Index>()
        ) {
            let good = packed(&set, suffix_bits);
            let _either = union([&good[..], &good[..keep.index(good.len())]].into_iter());
            let mut flipped = good.clone();
            let bit = bit.index(good.len() * 8);
            if let Some(byte) = flipped.get_mut(bit / 8) { *byte ^= 1 << (bit % 8); }
            for bytes in [&flipped[..], &good[..keep.index(good.len())]] {
                if let Some(bucket) = Bucket::parse(bytes) {
                    bucket.find(1 & u32::try_from(mask(suffix_bits)).expect("31 bits"), |_| ());
                    let _either = bucket.entries();
                }
            }
            prop_assert!(Bucket::parse(&good[..keep.index(good.len())]).is_none(), "a truncated bucket was read");
        }
    }

    #[test]
    fn an_entry_costs_two_bits_above_its_slot_and_its_low_suffix_bits() {
        let set: BTreeSet<_> = (0u32..150)
            .map(|i| entry(i.wrapping_mul(0x9e37_79b9) >> 17, Slot(0xf_ffff - i)))
            .collect();
        let bits = packed(&set, 15).len() * 8;
        assert!(bits <= 150 * (20 + 8 + 2) + 8 * 8, "{bits} bits for 150 entries");
    }
}
