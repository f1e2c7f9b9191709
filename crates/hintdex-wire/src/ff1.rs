//! FF1, a permutation of numbers in a small domain (NIST SP 800-38G): a Feistel network of ten
//! rounds, whose round function is AES-128.

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

use crate::HintKey;

/// Numbers that are permuted side by side: as many as a processor keeps in flight.
const AT_ONCE: usize = 8;

/// The longest input of a round, in bytes: tweak, padding, round and half.
const MAX_INPUT_LEN_BYTES: usize = 32;

/// What FF1 permutes: strings of `lens` numerals of `radix`, in two halves.
#[derive(Clone, Copy)]
pub(crate) struct Domain {
    radix: u32,
    /// The numerals of the first half, and of the second: *u* and *v* of the standard.
    lens: [u8; 2],
    tweak: &'static [u8],
}

impl Domain {
    /// The strings of 24 bits, without a tweak.
    pub(crate) const BITS_24: Self = Self { radix: 2, lens: [12, 12], tweak: &[] };

    /// How many values the half of a round has: that of the first half in even rounds.
    const fn modulus(&self, round: u8) -> u64 {
        let [u, v] = self.lens;
        (self.radix as u64).pow(if round.is_multiple_of(2) { u } else { v } as u32)
    }

    /// *b* of the standard: the bytes of a half.
    const fn half_len_bytes(&self) -> usize {
        let most = self.modulus(1) - 1;
        (u64::BITS - most.leading_zeros()).div_ceil(8) as usize
    }
}

/// A permutation of a domain under one key.
pub(crate) struct Ff1 {
    aes: Aes128Enc,
    domain: Domain,
    /// The first block of every round, encrypted: *P* of the standard.
    first: [u8; 16],
}

/// The ten rounds.
const ROUNDS: u8 = 10;

impl Ff1 {
    /// Schedules `key`: a key schedule and a block.
    pub(crate) fn new(key: &HintKey, domain: Domain) -> Self {
        let aes = Aes128Enc::new(key.expose().into());
        let ([u, v], [_, r0, r1, r2]) = (domain.lens, domain.radix.to_be_bytes());
        // A tweak has at most 16 bytes, so the upper bytes of its length are zero.
        let tweak_len = u8::try_from(domain.tweak.len()).unwrap_or(u8::MAX);
        let mut first = Array([1, 2, 1, r0, r1, r2, ROUNDS, u, 0, 0, 0, u + v, 0, 0, 0, tweak_len]);
        aes.encrypt_block(&mut first);
        Self { aes, domain, first: first.0 }
    }

    /// Encrypts strings in place, each as its two halves: ten blocks each.
    pub(crate) fn encrypt(&self, strings: &mut [[u64; 2]]) {
        for strings in strings.chunks_mut(AT_ONCE) {
            for round in 0..ROUNDS {
                let modulus = self.domain.modulus(round);
                let sums = self.sums(round, strings, |[_, b]| *b);
                for (string, sum) in strings.iter_mut().zip(sums) {
                    let [a, b] = *string;
                    *string = [b, (a + sum % modulus) % modulus];
                }
            }
        }
    }

    /// Decrypts strings in place.
    pub(crate) fn decrypt(&self, strings: &mut [[u64; 2]]) {
        for strings in strings.chunks_mut(AT_ONCE) {
            for round in (0..ROUNDS).rev() {
                let modulus = self.domain.modulus(round);
                let sums = self.sums(round, strings, |[a, _]| *a);
                for (string, sum) in strings.iter_mut().zip(sums) {
                    let [a, b] = *string;
                    *string = [(b + modulus - sum % modulus) % modulus, a];
                }
            }
        }
    }

    /// The number of each round function: *y* of the standard, whose lower part decides.
    fn sums(
        &self,
        round: u8,
        strings: &[[u64; 2]],
        half: impl Fn(&[u64; 2]) -> u64,
    ) -> [u64; AT_ONCE] {
        let half_len_bytes = self.domain.half_len_bytes();
        let used_bytes = self.domain.tweak.len() + half_len_bytes + 1;
        let input_len_bytes = used_bytes.next_multiple_of(16);
        let mut blocks = [Array(self.first); AT_ONCE];
        let mut inputs = [[0; MAX_INPUT_LEN_BYTES]; AT_ONCE];
        for (input, string) in inputs.iter_mut().zip(strings) {
            let (input, _) = input.split_at_mut(input_len_bytes.min(MAX_INPUT_LEN_BYTES));
            input.iter_mut().zip(self.domain.tweak).for_each(|(to, from)| *to = *from);
            let half = half(string).to_be_bytes();
            let bytes = half.iter().rev().take(half_len_bytes).chain([&round]);
            input.iter_mut().rev().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        let run = blocks.get_mut(..strings.len()).unwrap_or_default();
        for at in (0..input_len_bytes).step_by(16) {
            for (block, input) in run.iter_mut().zip(&inputs) {
                let input = input.iter().skip(at);
                block.iter_mut().zip(input).for_each(|(to, from)| *to ^= *from);
            }
            self.aes.encrypt_blocks(run);
        }
        let sum_len_bytes = 4 * half_len_bytes.div_ceil(4) + 4;
        let modulus = self.domain.modulus(round);
        let number = |block: &Array<u8, _>| {
            let bytes = block.iter().take(sum_len_bytes);
            bytes.fold(0, |sum: u128, byte| (sum << 8 | u128::from(*byte)) % u128::from(modulus))
        };
        let mut sums = [0; AT_ONCE];
        // A remainder of a `u64` is one.
        let numbers = run.iter().map(|block| u64::try_from(number(block)).unwrap_or(0));
        sums.iter_mut().zip(numbers).for_each(|(to, from)| *to = from);
        sums
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::{Domain, Ff1};
    use crate::HintKey;

    /// The samples of NIST for FF1 with AES-128 ("FF1samples", samples 1 to 3).
    #[test]
    fn the_samples_of_nist_hold() {
        let key = HintKey::copy_of(&[
            0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf,
            0x4f, 0x3c,
        ]);
        let samples: [(u32, &'static [u8], &str, &str); 3] = [
            (10, b"", "0123456789", "2433477484"),
            (10, b"9876543210", "0123456789", "6124200773"),
            (36, b"7777pqrs777", "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
        ];
        for (radix, tweak, plain, sealed) in samples {
            let u = u8::try_from(plain.len() / 2).expect("short");
            let v = u8::try_from(plain.len()).expect("short") - u;
            let halves = |text: &str| {
                let (a, b) = text.split_at(u.into());
                [a, b].map(|half| u64::from_str_radix(half, radix).expect("numerals"))
            };
            let ff1 = Ff1::new(&key, Domain { radix, lens: [u, v], tweak });
            // Many at once are permuted as one is.
            let mut strings = [halves(plain); 11];
            ff1.encrypt(&mut strings);
            assert_eq!(strings, [halves(sealed); 11], "{plain}");
            ff1.decrypt(&mut strings);
            assert_eq!(strings, [halves(plain); 11], "{sealed}");
        }
    }

    #[test]
    fn strings_of_24_bits_are_permuted() {
        let ff1 = Ff1::new(&HintKey::copy_of(&[7; 16]), Domain::BITS_24);
        let strings: [[u64; 2]; 100] =
            core::array::from_fn(|at| [(at as u64 * 41) % 4096, (at as u64 * 1009) % 4096]);
        let mut sealed = strings;
        ff1.encrypt(&mut sealed);
        assert!(sealed.iter().flatten().all(|half| *half < 4096));
        for (at, string) in sealed.iter().enumerate() {
            assert!(!sealed.iter().skip(at + 1).any(|other| other == string), "{at}");
        }
        ff1.decrypt(&mut sealed);
        assert_eq!(sealed, strings);
    }
}
