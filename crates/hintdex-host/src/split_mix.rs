//! Reproducible pseudo-random numbers.

/// The golden ratio in 64 bits, made odd: the distance of two states that follow one another.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64: pseudo-random numbers that are the same on every machine for the same seed, for
/// estimates, tests and workloads (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014). A number costs about 1 ns. One number reveals the whole sequence,
/// so nothing secret may come from it.
///
/// ```
/// use hintdex_host::SplitMix64;
///
/// let mut random = SplitMix64::new(1_234_567);
/// assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
/// assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
/// // The second number of the sequence, without the first.
/// assert_eq!(SplitMix64::at(1_234_567, 1).next_u64(), 3_203_168_211_198_807_973);
/// assert!(random.below(6) < 6);
/// ```
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The sequence of `seed`.
    #[inline]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The sequence of `seed` from number `index` on, counted from 0. The cost does not depend
    /// on `index`.
    #[inline]
    pub const fn at(seed: u64, index: u64) -> Self {
        Self { state: seed.wrapping_add(index.wrapping_mul(GAMMA)) }
    }

    /// The next 64 bits.
    #[inline]
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        Self::mix(self.state)
    }

    /// The next number below `end`; 0 if `end` is 0. The numbers are uniform but for `end` / 2⁶⁴.
    #[inline]
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(end);
        u64::try_from(wide >> u64::BITS).unwrap_or(0)
    }

    /// The next number below `end`, as [`below`](Self::below).
    #[inline]
    pub fn below_u32(&mut self, end: u32) -> u32 {
        u32::try_from(self.below(end.into())).unwrap_or(0)
    }

    /// Fills `bytes` with the next numbers, 8 bytes each, little-endian.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(to, from)| *to = from);
        }
    }

    /// The number that a state yields: a bijection in which every bit of `word` changes about
    /// half of the bits.
    #[inline]
    pub const fn mix(word: u64) -> u64 {
        let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }
}
