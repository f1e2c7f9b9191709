//! Fields of a few bits in a row of bytes: bit *i* is bit *i* mod 8 of byte *i* / 8.

/// `bits` ≤ 63 ones.
pub(crate) const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// The lowest eight bits.
pub(crate) const fn low_byte(word: u64) -> u8 {
    word.to_le_bytes()[0]
}

/// `width` ≤ 32 bits from `at_bit` on; what lies behind the end reads as zero.
pub(crate) fn read_bits(bytes: &[u8], at_bit: u64, width: u32) -> u64 {
    read_word(bytes, at_bit) & mask(width)
}

/// The bits from `at_bit` on, at least 57 of them; what lies behind the end reads
/// as zero.
pub(crate) fn read_word(bytes: &[u8], at_bit: u64) -> u64 {
    let at = usize::try_from(at_bit / 8).unwrap_or(usize::MAX);
    let rest = bytes.get(at..).unwrap_or_default();
    let word = match rest.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    word >> (at_bit % 8)
}

/// Packs values of a few bits behind the end of a byte vector.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl<'a> BitWriter<'a> {
    /// Starts on a byte.
    pub(crate) const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, pending_bits: 0 }
    }

    /// Appends the `width` ≤ 32 low bits of `value`; its other bits are zero.
    pub(crate) fn push(&mut self, value: u64, width: u32) {
        self.pending |= value << self.pending_bits;
        self.pending_bits += width;
        if self.pending_bits >= 32 {
            let [a, b, c, d, ..] = self.pending.to_le_bytes();
            self.out.extend([a, b, c, d]);
            self.pending >>= 32;
            self.pending_bits -= 32;
        }
    }

    /// Pads with zeros to a byte.
    pub(crate) fn finish(mut self) {
        while self.pending_bits > 0 {
            self.out.push(low_byte(self.pending));
            self.pending >>= 8;
            self.pending_bits = self.pending_bits.saturating_sub(8);
        }
    }
}

/// The place behind the first `zeros` zeros of a word.
pub(crate) fn after_zeros_in(word: u64, zeros: u64) -> u64 {
    if zeros == 0 {
        return 0;
    }
    let mut left = zeros;
    let mut inverted = !word;
    let mut at = 0;
    // A byte at a time, then a zero at a time.
    loop {
        let here = u64::from((inverted & 0xff).count_ones());
        if left <= here || at >= 56 {
            break;
        }
        left -= here;
        inverted >>= 8;
        at += 8;
    }
    for _ in 1..left.min(8) {
        inverted &= inverted.wrapping_sub(1);
    }
    u64::from(inverted.trailing_zeros()) + at + 1
}
