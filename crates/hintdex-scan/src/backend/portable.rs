//! Every processor: the `aes` crate with one key after another, and SPECK64 with four
//! keys side by side, which compilers turn into vectors.
//!
//! The table stores AES keys themselves. The crate chooses its own instructions; on a
//! processor without AES instructions it runs in constant time (bit slicing).

use hintdex_wire::{Hint, HintCipher, HintKey, HintScheme, MAX_HINT_LEN_BYTES, Nonce};

use super::lanes::{Lanes, WordLanes};
use super::{Batch, Block, Window};

/// See [`Kernel::sieve`](super::Kernel::sieve). Exact.
pub(super) fn sieve(
    scheme: HintScheme,
    keys: &[Block],
    windows: &[Window],
    hints: &[Hint],
    maybe: &mut dyn FnMut(usize, usize),
) {
    for (index, key) in keys.iter().enumerate() {
        let cipher = HintCipher::new(scheme, &HintKey::copy_of(key));
        if scheme.is_reversible() {
            cipher.each_nonce(hints, |hint, _| maybe(index, hint));
        } else if let (Some(window), HintScheme::Carry24) = (windows.get(index), scheme) {
            // One decryption, whatever the length of the window.
            for (at, hint) in hints.iter().enumerate() {
                let mut fits = false;
                cipher.nonces_within(hint, window.nonces(), |_| fits = true);
                if fits {
                    maybe(index, at);
                }
            }
        } else if let Some(window) = windows.get(index) {
            let mut fits = vec![false; hints.len()];
            cipher.each_hint(window.nonces(), |made| {
                for (fits, hint) in fits.iter_mut().zip(hints) {
                    *fits |= *hint == made;
                }
            });
            let fits = fits.iter().enumerate().filter(|(_, fits)| **fits);
            fits.for_each(|(hint, _)| maybe(index, hint));
        }
    }
}

/// See [`Kernel::decide`](super::Kernel::decide).
pub(super) fn decide(scheme: HintScheme, batch: Batch<'_>, found: &mut dyn FnMut(usize, Nonce)) {
    let pairs = batch.keys.iter().zip(batch.hints).take(batch.len);
    for (index, (key, hint)) in pairs.enumerate() {
        let window = batch.windows.get(index).copied().unwrap_or(Window::NONE);
        let cipher = HintCipher::new(scheme, &HintKey::copy_of(key));
        if let Some(hint) = Hint::read(scheme, hint.get(..MAX_HINT_LEN_BYTES).unwrap_or_default()) {
            cipher.nonces_within(&hint, window.nonces(), |nonce| found(index, nonce));
        }
    }
}

/// SPECK64 without intrinsics: one block a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words;

type Four = [u32; 4];

impl Lanes for Words {
    type V = Four;

    const COUNT: usize = 1;

    #[inline(always)]
    fn load(self, blocks: &[Block]) -> Four {
        blocks.first().map_or([0; 4], |block| self.splat(block))
    }

    #[inline(always)]
    fn store(self, v: Four, blocks: &mut [Block]) {
        if let Some(block) = blocks.first_mut() {
            let [a, b, c, d] = v.map(u128::from);
            *block = (d << 96 | c << 64 | b << 32 | a).to_le_bytes();
        }
    }

    #[inline(always)]
    fn splat(self, block: &Block) -> Four {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *block;
        [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_le_bytes)
    }

    #[inline(always)]
    fn splat_word(self, word: u32) -> Four {
        [word; 4]
    }

    #[inline(always)]
    fn xor(self, [a, b, c, d]: Four, [e, f, g, h]: Four) -> Four {
        [a ^ e, b ^ f, c ^ g, d ^ h]
    }

    #[inline(always)]
    fn add(self, [a, b, c, d]: Four, [e, f, g, h]: Four) -> Four {
        [a.wrapping_add(e), b.wrapping_add(f), c.wrapping_add(g), d.wrapping_add(h)]
    }

    #[inline(always)]
    fn unpack_low_32(self, [a, b, ..]: Four, [e, f, ..]: Four) -> Four {
        [a, e, b, f]
    }

    #[inline(always)]
    fn unpack_high_32(self, [.., c, d]: Four, [.., g, h]: Four) -> Four {
        [c, g, d, h]
    }

    #[inline(always)]
    fn unpack_low_64(self, [a, b, ..]: Four, [e, f, ..]: Four) -> Four {
        [a, b, e, f]
    }

    #[inline(always)]
    fn unpack_high_64(self, [.., c, d]: Four, [.., g, h]: Four) -> Four {
        [c, d, g, h]
    }

    #[inline(always)]
    fn zero_words(self, [a, b, c, d]: Four, [e, f, g, h]: Four) -> u32 {
        let zero = |word: u32| u32::from(word == 0);
        zero(a & e) | zero(b & f) << 1 | zero(c & g) << 2 | zero(d & h) << 3
    }
}

impl WordLanes for Words {
    #[inline(always)]
    fn sub(self, [a, b, c, d]: Four, [e, f, g, h]: Four) -> Four {
        [a.wrapping_sub(e), b.wrapping_sub(f), c.wrapping_sub(g), d.wrapping_sub(h)]
    }

    #[inline(always)]
    fn rotate_right_3(self, v: Four) -> Four {
        v.map(|word| word.rotate_right(3))
    }

    #[inline(always)]
    fn rotate_left_8(self, v: Four) -> Four {
        v.map(|word| word.rotate_left(8))
    }

    #[inline(always)]
    fn rotate_left_3(self, v: Four) -> Four {
        v.map(|word| word.rotate_left(3))
    }

    #[inline(always)]
    fn rotate_right_8(self, v: Four) -> Four {
        v.map(|word| word.rotate_right(8))
    }
}
