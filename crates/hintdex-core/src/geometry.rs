//! How a window splits a hint into the key of its bucket and a suffix.

use hintdex_wire::{Hint, HintScheme};

use crate::bucket::MAX_SUFFIX_BITS;

/// The least average number of hints in a bucket of a new window; the average is below twice
/// this number. With more hints, the 20 bytes of key and framing of a row cost little. With
/// fewer, a lookup reads a bucket in a few cache lines.
const LEAST_HINTS_PER_BUCKET: u64 = 128;

/// Suffix bits of a window. With up to 256 hints in a bucket, a foreign entry matches a hint
/// in under 1 % of lookups, so 99 % of lookups name only the right slot. One bit less would
/// save an eighth of a byte a hint and double the false candidates.
const SUFFIX_BITS: u8 = 15;

/// The key of a bucket in the store; big-endian, so that keys sort like hints.
pub(crate) type BucketKey = [u8; 4];

/// How a window splits hints: the radix prefix selects the bucket, and the suffix is part of
/// the bucket's entry. The rest of a hint is not stored, because the device's key decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    prefix_bits: u8,
    suffix_bits: u8,
}

impl Geometry {
    /// The geometry for a window of `hints` hints.
    pub(crate) fn for_hints(hints: u64, scheme: HintScheme) -> Self {
        let buckets = hints / LEAST_HINTS_PER_BUCKET;
        let hint_bits = u8::try_from(scheme.len_bytes() * 8).unwrap_or(u8::MAX);
        let wanted = u8::try_from(buckets.max(1).ilog2()).unwrap_or(u8::MAX);
        let prefix_bits = wanted.min(Self::MAX_PREFIX_BITS).min(hint_bits);
        Self { prefix_bits, suffix_bits: SUFFIX_BITS.min(hint_bits - prefix_bits) }
    }

    /// Keys have 32 bits, and the bulk builder sorts by the upper 40 bits of a hint.
    const MAX_PREFIX_BITS: u8 = 40 - SUFFIX_BITS;

    /// A stored geometry; `None` if no window can have it.
    pub(crate) fn from_parts(prefix_bits: u8, suffix_bits: u8) -> Option<Self> {
        let fits =
            prefix_bits <= Self::MAX_PREFIX_BITS && u32::from(suffix_bits) <= MAX_SUFFIX_BITS;
        fits.then_some(Self { prefix_bits, suffix_bits })
    }

    pub(crate) const fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    pub(crate) const fn suffix_bits(self) -> u8 {
        self.suffix_bits
    }

    /// Prefix and suffix of a hint, joined: the sort key of the entries of all buckets.
    pub(crate) const fn joined(self, head: u64) -> u64 {
        let kept = self.prefix_bits as u32 + self.suffix_bits as u32;
        if kept == 0 { 0 } else { head >> (u64::BITS - kept) }
    }

    /// The bucket's key and the suffix of a joined value.
    pub(crate) fn split(self, joined: u64) -> (BucketKey, u32) {
        let prefix = joined >> self.suffix_bits;
        let suffix = joined & ((1 << self.suffix_bits) - 1);
        // Both fit: a prefix has at most 25 bits, a suffix at most 31.
        (low_u32(prefix).to_be_bytes(), low_u32(suffix))
    }

    /// The bucket's key and the suffix of a hint.
    pub(crate) fn place(self, hint: &Hint) -> (BucketKey, u32) {
        self.split(self.joined(hint.head()))
    }
}

/// The lower 32 bits of a word.
const fn low_u32(word: u64) -> u32 {
    (word & 0xffff_ffff) as u32
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn hint(head: u64) -> Hint {
        let mut bytes = [0; 16];
        let (first, _) = bytes.split_at_mut(8);
        first.copy_from_slice(&head.to_be_bytes());
        Hint::read(HintScheme::Aes128, &bytes).expect("16 bytes")
    }

    #[test]
    fn buckets_hold_128_to_256_hints_on_average() {
        for hints in [0u64, 1, 127, 128, 255, 256, 1 << 20, 10_000_000, 1 << 32] {
            let geometry = Geometry::for_hints(hints, HintScheme::Aes128);
            let per_bucket = hints >> geometry.prefix_bits();
            assert!(hints < 256 || (128..256).contains(&per_bucket), "{hints}: {per_bucket}");
            let parts = Geometry::from_parts(geometry.prefix_bits(), geometry.suffix_bits());
            assert_eq!(parts, Some(geometry));
        }
        assert_eq!(Geometry::from_parts(26, 15), None);
        assert_eq!(Geometry::from_parts(0, 32), None);
    }

    #[test]
    fn a_hint_is_split_into_prefix_and_suffix() {
        let geometry = Geometry::from_parts(16, 15).expect("a geometry");
        let cut = geometry.place(&hint(0xabcd_8001_0000_0000));
        assert_eq!(cut, ([0, 0, 0xab, 0xcd], 0x4000));
        let all = Geometry::from_parts(0, 0).expect("a geometry");
        assert_eq!(all.place(&hint(u64::MAX)), ([0; 4], 0));
    }
}
