//! AES-NI: one block a register, for processors without VAES.

#![expect(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_aesdec_si128, _mm_aesdeclast_si128, _mm_aesenc_si128,
    _mm_aesenclast_si128, _mm_and_si128, _mm_blend_epi16, _mm_blendv_epi8, _mm_castsi128_ps,
    _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_ps, _mm_set_epi64x, _mm_set1_epi32,
    _mm_setzero_si128, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128, _mm_unpackhi_epi32,
    _mm_unpackhi_epi64, _mm_unpacklo_epi32, _mm_unpacklo_epi64, _mm_xor_si128,
};

use super::Block;
use super::lanes::{AesLanes, AesWork, Lanes};

/// Proof of AES-NI, SSSE3 and SSE4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AesNi(());

impl AesNi {
    pub(super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        all.then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<W: AesWork>(self, work: W) -> W::Output {
        #[target_feature(enable = "aes,ssse3,sse4.1")]
        fn with_aes<W: AesWork>(lanes: AesNi, work: W) -> W::Output {
            work.run(lanes)
        }
        // SAFETY: `self` exists only if the processor has all three.
        unsafe { with_aes(self, work) }
    }
}

/// Methods that are one intrinsic each.
macro_rules! intrinsics {
    ($($name:ident($($arg:ident),+) = $intrinsic:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: __m128i),+) -> __m128i {
            // SAFETY: the intrinsic works on registers alone, and is unsafe only
            // if the processor lacks it; `self` exists only if it has it.
            unsafe { $intrinsic }
        }
    )*};
}

impl Lanes for AesNi {
    type V = __m128i;

    const COUNT: usize = 1;

    #[inline(always)]
    fn load(self, blocks: &[Block]) -> __m128i {
        match blocks.first() {
            Some(block) => self.splat(block),
            // SAFETY: SSE2 is part of x86-64.
            None => unsafe { _mm_setzero_si128() },
        }
    }

    #[inline(always)]
    fn store(self, v: __m128i, blocks: &mut [Block]) {
        if let Some(block) = blocks.first_mut() {
            // SAFETY: SSE2 is part of x86-64; the 16 bytes written are the
            // block's, and need no alignment.
            unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), v) };
        }
    }

    #[inline(always)]
    fn splat(self, block: &Block) -> __m128i {
        // SAFETY: SSE2 is part of x86-64; the 16 bytes read are the block's, and
        // need no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    #[inline(always)]
    fn splat_word(self, word: u32) -> __m128i {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    fn zero_words(self, v: __m128i, mask: __m128i) -> u32 {
        // SAFETY: SSE2 is part of x86-64.
        unsafe {
            let zero = _mm_cmpeq_epi32(_mm_and_si128(v, mask), _mm_setzero_si128());
            _mm_movemask_ps(_mm_castsi128_ps(zero)).cast_unsigned()
        }
    }

    intrinsics! {
        xor(a, b) = _mm_xor_si128(a, b);
        add(a, b) = _mm_add_epi32(a, b);
        unpack_low_32(a, b) = _mm_unpacklo_epi32(a, b);
        unpack_high_32(a, b) = _mm_unpackhi_epi32(a, b);
        unpack_low_64(a, b) = _mm_unpacklo_epi64(a, b);
        unpack_high_64(a, b) = _mm_unpackhi_epi64(a, b);
    }
}

impl AesLanes for AesNi {
    intrinsics! {
        enc(s, k) = _mm_aesenc_si128(s, k);
        enc_last(s, k) = _mm_aesenclast_si128(s, k);
        dec(s, k) = _mm_aesdec_si128(s, k);
        dec_last(s, k) = _mm_aesdeclast_si128(s, k);
        shuffle_bytes(v, table) = _mm_shuffle_epi8(v, table);
        select(mask, a, b) = _mm_blendv_epi8(b, a, mask);
    }

    #[inline(always)]
    fn load_each<'b>(self, block: impl Fn(usize) -> &'b Block) -> __m128i {
        self.splat(block(0))
    }

    #[inline(always)]
    fn numbers(self, number: impl Fn(usize) -> u64) -> __m128i {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { _mm_set_epi64x(number(0).swap_bytes().cast_signed(), 0) }
    }

    #[inline(always)]
    fn rotate(self, v: __m128i, by: usize) -> __m128i {
        // SAFETY: SSE2 is part of x86-64.
        unsafe {
            match by % 4 {
                0 => v,
                1 => _mm_shuffle_epi32::<0b10_01_00_11>(v),
                2 => _mm_shuffle_epi32::<0b01_00_11_10>(v),
                _ => _mm_shuffle_epi32::<0b00_11_10_01>(v),
            }
        }
    }

    #[inline(always)]
    fn with_word(self, a: __m128i, b: __m128i, at: usize) -> __m128i {
        // SAFETY: SSE4.1 is there, see `intrinsics`.
        unsafe {
            match at % 4 {
                0 => _mm_blend_epi16::<0x03>(a, b),
                1 => _mm_blend_epi16::<0x0c>(a, b),
                2 => _mm_blend_epi16::<0x30>(a, b),
                _ => _mm_blend_epi16::<0xc0>(a, b),
            }
        }
    }
}
