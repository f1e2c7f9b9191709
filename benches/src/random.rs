//! Numbers that are random enough for a workload and the same on every machine.

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// The next number below `end`, which is not 0. Not perfectly uniform: off by
    /// `end` / 2⁶⁴.
    pub fn below(&mut self, end: u32) -> u32 {
        let wide = u128::from(self.next()) * u128::from(end);
        u32::try_from(wide >> 64).unwrap_or(0)
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(to, from)| *to = from);
        }
    }
}

/// Takes `word` into a running hash of results.
pub const fn fold(hash: u64, word: u64) -> u64 {
    mix(hash.rotate_left(5) ^ word)
}

const fn mix(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        let first: Vec<_> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn numbers_stay_below_their_end_and_reach_it() {
        let mut random = Random::new(7);
        let drawn: Vec<_> = (0..1000).map(|_| random.below(10)).collect();
        assert!((0..10).all(|number| drawn.contains(&number)));
        assert!(drawn.iter().all(|number| *number < 10));
    }
}
