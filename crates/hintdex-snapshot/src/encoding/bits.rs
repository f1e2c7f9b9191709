//! Bits, least significant first, and Rice codes (Rice, Plaunt 1971).

/// Appends bits to bytes.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits not yet in `bytes`, fewer than eight between calls.
    pending: u128,
    pending_bits: u32,
}

impl BitWriter {
    /// Appends the lower `width` bits of `value`, at most 64.
    #[expect(clippy::cast_possible_truncation, reason = "one byte at a time")]
    pub fn put(&mut self, value: u64, width: u32) {
        let kept = if width < 64 { value & ((1 << width) - 1) } else { value };
        self.pending |= u128::from(kept) << self.pending_bits;
        self.pending_bits += width;
        while self.pending_bits >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_bits -= 8;
        }
    }

    /// Appends `value` as a Rice code: `value >> low_bits` ones, a zero, and the
    /// low bits.
    pub fn put_rice(&mut self, value: u64, low_bits: u32) {
        let mut ones = value >> low_bits;
        while ones >= 32 {
            self.put(u64::MAX, 32);
            ones -= 32;
        }
        self.put((1 << ones) - 1, u32::try_from(ones).unwrap_or(0) + 1);
        self.put(value, low_bits);
    }

    /// How many bits there are.
    pub fn len_bits(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.pending_bits)
    }

    /// The bytes, the last one filled up with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        self.put(0, (8 - self.pending_bits) % 8);
        self.bytes
    }
}

/// Reads what a [`BitWriter`] wrote. Past the end everything is `None`.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'f> {
    bytes: &'f [u8],
    at: usize,
    end: usize,
}

impl<'f> BitReader<'f> {
    /// Reads bits `at..end` of `bytes`.
    pub fn new(bytes: &'f [u8], at: usize, end: usize) -> Self {
        Self { bytes, at, end: end.min(bytes.len() * 8) }
    }

    /// The next 57 bits or more, zeros past the last byte.
    #[inline]
    fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        word >> (self.at % 8)
    }

    /// The next `width` bits, at most 57.
    #[inline]
    pub fn take(&mut self, width: u32) -> Option<u64> {
        let value = self.peek() & ((1 << width) - 1);
        self.at += width as usize;
        (self.at <= self.end).then_some(value)
    }

    /// The next Rice code with `low_bits`, at most 56.
    #[inline]
    pub fn take_rice(&mut self, low_bits: u32) -> Option<u64> {
        let mut quotient = 0;
        loop {
            let ones = self.peek().trailing_ones().min(56);
            self.at += ones as usize;
            quotient += u64::from(ones);
            if self.at >= self.end {
                return None;
            }
            if ones < 56 {
                break;
            }
        }
        self.at += 1;
        // A quotient that does not fit was never written.
        let value = quotient.checked_mul(1 << low_bits)?;
        value.checked_add(self.take(low_bits)?)
    }
}

/// How many low bits make the Rice codes of `values` shortest.
pub(super) fn best_low_bits(values: impl Iterator<Item = u64>) -> u32 {
    const MOST: usize = 57;
    let mut count = 0_u64;
    let mut quotients = [0_u64; MOST];
    for value in values {
        count += 1;
        for (sum, low_bits) in quotients.iter_mut().zip(0_u32..) {
            *sum = sum.saturating_add(value >> low_bits);
        }
    }
    let len_bits = |(low_bits, sum): (u32, &u64)| sum.saturating_add(count * u64::from(low_bits));
    let costs =
        (0_u32..).zip(&quotients).map(|(low_bits, sum)| (len_bits((low_bits, sum)), low_bits));
    costs.min().map_or(0, |(_, low_bits)| low_bits)
}
