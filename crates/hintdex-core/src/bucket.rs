//! Buckets: the hints that share a radix prefix, packed.
//!
//! A bucket is a sorted set of (hint suffix, slot). The suffixes are uniform, so
//! they are kept as an Elias–Fano sequence (Elias 1974, Fano 1971): with `n`
//! entries the upper log₂ n bits of a suffix are coded in unary, about two bits
//! an entry, the lower ones stand as they are, and the slots follow in the same
//! order. An entry costs two bits above the information in it, and the entries
//! of one suffix are found by counting zeros in a few words.
//!
//! ```text
//! count (LEB128) · suffix_bits (u8) · slot_bits (u8) · unary · low bits · slots
//! ```
//!
//! Each part starts on a byte; bit *i* of a part is bit *i* mod 8 of its byte
//! *i* / 8. A set has one encoding only: `slot_bits` is the width of its largest
//! slot. A merge operand is a bucket too, and merging is set union, so the same
//! function serves as full and as partial merge.

use hintdex_wire::Slot;

/// (suffix, slot) in one word, ordered by suffix first.
pub(crate) type Entry = u64;

/// The widest suffix a bucket can hold.
pub(crate) const MAX_SUFFIX_BITS: u32 = 31;

/// The longest count in LEB128: a `u32`.
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

/// How the parts of a bucket lie, as its first bytes say.
#[derive(Clone, Copy)]
struct Layout {
    count: u64,
    /// Bits of a suffix coded in unary.
    high_bits: u32,
    /// Bits of a suffix that stand as they are.
    low_bits: u32,
    slot_bits: u32,
    header_len_bytes: usize,
}

impl Layout {
    fn new(count: u64, suffix_bits: u32, slot_bits: u32, header_len_bytes: usize) -> Self {
        let high_bits = count.max(1).ilog2().min(suffix_bits);
        Self { count, high_bits, low_bits: suffix_bits - high_bits, slot_bits, header_len_bytes }
    }

    /// Where the parts lie in the bucket and where it ends, in bytes.
    fn part_ends(&self) -> [usize; 3] {
        let unary_bits = self.count + (1 << self.high_bits);
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

/// A bucket as it lies in the store: checked once, then read in place.
#[derive(Clone, Copy)]
pub(crate) struct Bucket<'a> {
    layout: Layout,
    unary: &'a [u8],
    low: &'a [u8],
    slots: &'a [u8],
}

impl<'a> Bucket<'a> {
    /// Reads a bucket; `None` when the bytes are none.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (count, count_len) = read_count(bytes)?;
        let [suffix_bits, slot_bits] = *bytes.get(count_len..)?.first_chunk::<2>()?;
        let (suffix_bits, slot_bits) = (u32::from(suffix_bits), u32::from(slot_bits));
        if suffix_bits > MAX_SUFFIX_BITS || slot_bits > 32 || count == 0 {
            return None;
        }
        let layout = Layout::new(u64::from(count), suffix_bits, slot_bits, count_len + 2);
        let [unary_end, low_end, end] = layout.part_ends();
        (bytes.len() == end).then_some(())?;
        Some(Self {
            layout,
            unary: bytes.get(layout.header_len_bytes..unary_end)?,
            low: bytes.get(unary_end..low_end)?,
            slots: bytes.get(low_end..end)?,
        })
    }

    /// How many bits of suffix its entries carry.
    pub(crate) const fn suffix_bits(&self) -> u32 {
        self.layout.high_bits + self.layout.low_bits
    }

    /// Calls `found` with the slot of every entry that has this suffix.
    ///
    /// Costs a walk over `count / 32` words and one or two comparisons.
    pub(crate) fn find(&self, suffix: u32, mut found: impl FnMut(Slot)) {
        let suffix = u64::from(suffix);
        let high = suffix >> self.layout.low_bits;
        let low = suffix & mask(self.layout.low_bits);
        let mut at_bit = self.after_zeros(high);
        while read_bits(self.unary, at_bit, 1) == 1 {
            let index = at_bit - high;
            if self.low_at(index) == low {
                found(self.slot_at(index));
            }
            at_bit += 1;
        }
    }

    /// Every entry in order; `None` if the parts contradict each other.
    pub(crate) fn entries(&self) -> Option<Vec<Entry>> {
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

    /// The place in the unary part right behind its first `zeros` zeros.
    fn after_zeros(&self, zeros: u64) -> u64 {
        let mut left = zeros;
        let mut at_bit = 0;
        loop {
            let word = read_bits(self.unary, at_bit, 32);
            let here = u64::from(32 - word.count_ones());
            if left <= here || at_bit >= self.unary.len() as u64 * 8 {
                return at_bit + after_zeros_in(word, left);
            }
            left -= here;
            at_bit += 32;
        }
    }
}

/// The place behind the first `zeros` zeros of a word of 32 bits.
fn after_zeros_in(word: u64, zeros: u64) -> u64 {
    if zeros == 0 {
        return 0;
    }
    let mut inverted = !word & mask(32);
    for _ in 1..zeros {
        inverted &= inverted.wrapping_sub(1);
    }
    u64::from(inverted.trailing_zeros()) + 1
}

/// Appends the bucket of `entries`, which are sorted, distinct and not empty.
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

/// The union of buckets that share their prefix; `None` if one is damaged.
pub(crate) fn union<'a>(buckets: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut all: Vec<Entry> = Vec::new();
    let mut suffix_bits = None;
    for bytes in buckets {
        let bucket = Bucket::parse(bytes)?;
        if *suffix_bits.get_or_insert(bucket.suffix_bits()) != bucket.suffix_bits() {
            return None;
        }
        all.extend(bucket.entries()?);
    }
    all.sort();
    all.dedup();
    let mut out = Vec::with_capacity(all.len() * 5 + MAX_COUNT_LEN_BYTES + 2);
    encode(&all, suffix_bits?, &mut out);
    Some(out)
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// The lowest eight bits.
const fn low_byte(word: u64) -> u8 {
    word.to_le_bytes()[0]
}

/// `width` ≤ 32 bits from `at_bit` on; what lies behind the end reads as zero.
fn read_bits(bytes: &[u8], at_bit: u64, width: u32) -> u64 {
    let at = usize::try_from(at_bit / 8).unwrap_or(usize::MAX);
    let rest = bytes.get(at..).unwrap_or_default();
    let word = match rest.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    word >> (at_bit % 8) & mask(width)
}

/// Packs values of a few bits behind the end of a byte vector.
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl<'a> BitWriter<'a> {
    const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, pending_bits: 0 }
    }

    /// Appends the `width` ≤ 32 low bits of `value`; its other bits are zero.
    fn push(&mut self, value: u64, width: u32) {
        self.pending |= value << self.pending_bits;
        self.pending_bits += width;
        if self.pending_bits >= 32 {
            let [a, b, c, d, ..] = self.pending.to_le_bytes();
            self.out.extend([a, b, c, d]);
            self.pending >>= 32;
            self.pending_bits -= 32;
        }
    }

    fn finish(mut self) {
        while self.pending_bits > 0 {
            self.out.push(low_byte(self.pending));
            self.pending >>= 8;
            self.pending_bits = self.pending_bits.saturating_sub(8);
        }
    }
}

/// Reads a LEB128 `u32` in its shortest form, and its length in bytes.
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

    /// Sets of up to `max_count` entries of suffixes of some width.
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
        fn what_was_packed_is_found_and_nothing_else(
            (suffix_bits, set) in sets(400), probes in prop::collection::vec(any::<u32>(), 20)
        ) {
            let bytes = packed(&set, suffix_bits);
            let bucket = Bucket::parse(&bytes).expect("just packed");
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
            (suffix_bits, set) in sets(120), cut in any::<prop::sample::Index>(), again in any::<bool>()
        ) {
            let cut = cut.index(set.len());
            let mut parts: Vec<BTreeSet<Entry>> = vec![
                set.iter().copied().take(cut).collect(), set.iter().copied().skip(cut).collect(),
            ];
            if again { parts.push(set.iter().copied().step_by(3).collect()); }
            parts.retain(|part| !part.is_empty());
            let parts: Vec<_> = parts.iter().map(|part| packed(part, suffix_bits)).collect();
            prop_assert_eq!(union(parts.iter().map(Vec::as_slice)), Some(packed(&set, suffix_bits)));
        }

        #[test]
        fn damaged_buckets_are_refused_or_read_without_harm(
            (suffix_bits, set) in sets(60), bit in any::<prop::sample::Index>(), keep in any::<prop::sample::Index>()
        ) {
            let good = packed(&set, suffix_bits);
            let mut flipped = good.clone();
            let bit = bit.index(good.len() * 8);
            if let Some(byte) = flipped.get_mut(bit / 8) { *byte ^= 1 << (bit % 8); }
            for bytes in [&flipped[..], &good[..keep.index(good.len())]] {
                if let Some(bucket) = Bucket::parse(bytes) {
                    bucket.find(1 & u32::try_from(mask(suffix_bits)).expect("31 bits"), |_| ());
                    let _either = bucket.entries();
                }
            }
            prop_assert!(Bucket::parse(&good[..keep.index(good.len())]).is_none(), "a cut bucket was read");
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
