//! AVX2: two blocks a register, with VAES for AES.

#![expect(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_aesdec_epi128, _mm256_aesdeclast_epi128,
    _mm256_aesenc_epi128, _mm256_aesenclast_epi128, _mm256_and_si256, _mm256_blend_epi32,
    _mm256_blendv_epi8, _mm256_broadcastsi128_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi32,
    _mm256_loadu_si256, _mm256_loadu2_m128i, _mm256_movemask_ps, _mm256_or_si256,
    _mm256_set_epi64x, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_shuffle_epi32, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_storeu_si256, _mm256_sub_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::Block;
use super::lanes::{AesLanes, AesWork, Lanes, WordLanes, WordWork};

/// Proof of AVX2; with `VAES`, also of VAES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2<const VAES: bool>(());

impl Avx2<false> {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<W: WordWork>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2")]
        fn with_avx2<W: WordWork>(lanes: Avx2<false>, work: W) -> W::Output {
            work.run(lanes)
        }
        // SAFETY: `self` exists only if the processor has AVX2.
        unsafe { with_avx2(self, work) }
    }
}

impl Avx2<true> {
    pub(super) fn detect() -> Option<Self> {
        let both = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("vaes");
        both.then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<W: AesWork>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,vaes")]
        fn with_vaes<W: AesWork>(lanes: Avx2<true>, work: W) -> W::Output {
            work.run(lanes)
        }
        // SAFETY: `self` exists only if the processor has both.
        unsafe { with_vaes(self, work) }
    }
}

/// Methods that are one intrinsic each, or two.
macro_rules! intrinsics {
    ($($name:ident($($arg:ident),+) = $intrinsic:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: __m256i),+) -> __m256i {
            // SAFETY: the intrinsic works on registers alone, and is unsafe only
            // if the processor lacks it; `self` exists only if it has it.
            unsafe { $intrinsic }
        }
    )*};
}

impl<const VAES: bool> Lanes for Avx2<VAES> {
    type V = __m256i;

    const COUNT: usize = 2;

    #[inline(always)]
    fn load(self, blocks: &[Block]) -> __m256i {
        match blocks.first_chunk::<2>() {
            // SAFETY: AVX2 is there, see `intrinsics`; the 32 bytes read are those
            // of the chunk, and need no alignment.
            Some(two) => unsafe { _mm256_loadu_si256(two.as_ptr().cast()) },
            // SAFETY: AVX2 is there, see `intrinsics`.
            None => unsafe { _mm256_setzero_si256() },
        }
    }

    #[inline(always)]
    fn store(self, v: __m256i, blocks: &mut [Block]) {
        if let Some(two) = blocks.first_chunk_mut::<2>() {
            // SAFETY: AVX2 is there, see `intrinsics`; the 32 bytes written are
            // those of the chunk, and need no alignment.
            unsafe { _mm256_storeu_si256(two.as_mut_ptr().cast(), v) };
        }
    }

    #[inline(always)]
    fn splat(self, block: &Block) -> __m256i {
        // SAFETY: AVX2 is there, see `intrinsics`; the 16 bytes read are the
        // block's, and need no alignment.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(block.as_ptr().cast())) }
    }

    #[inline(always)]
    fn splat_word(self, word: u32) -> __m256i {
        // SAFETY: AVX2 is there, see `intrinsics`.
        unsafe { _mm256_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    fn zero_words(self, v: __m256i, mask: __m256i) -> u32 {
        // SAFETY: AVX2 is there, see `intrinsics`.
        unsafe {
            let zero = _mm256_cmpeq_epi32(_mm256_and_si256(v, mask), _mm256_setzero_si256());
            _mm256_movemask_ps(_mm256_castsi256_ps(zero)).cast_unsigned()
        }
    }

    intrinsics! {
        xor(a, b) = _mm256_xor_si256(a, b);
        add(a, b) = _mm256_add_epi32(a, b);
        unpack_low_32(a, b) = _mm256_unpacklo_epi32(a, b);
        unpack_high_32(a, b) = _mm256_unpackhi_epi32(a, b);
        unpack_low_64(a, b) = _mm256_unpacklo_epi64(a, b);
        unpack_high_64(a, b) = _mm256_unpackhi_epi64(a, b);
    }
}

impl AesLanes for Avx2<true> {
    intrinsics! {
        enc(s, k) = _mm256_aesenc_epi128(s, k);
        enc_last(s, k) = _mm256_aesenclast_epi128(s, k);
        dec(s, k) = _mm256_aesdec_epi128(s, k);
        dec_last(s, k) = _mm256_aesdeclast_epi128(s, k);
        shuffle_bytes(v, table) = _mm256_shuffle_epi8(v, table);
        select(mask, a, b) = _mm256_blendv_epi8(b, a, mask);
    }

    #[inline(always)]
    fn load_each<'b>(self, block: impl Fn(usize) -> &'b Block) -> __m256i {
        let (low, high): (&Block, &Block) = (block(0), block(1));
        // SAFETY: AVX2 is there, see `intrinsics`; the 16 bytes read are each
        // block's, and need no alignment.
        unsafe { _mm256_loadu2_m128i(high.as_ptr().cast(), low.as_ptr().cast()) }
    }

    #[inline(always)]
    fn numbers(self, number: impl Fn(usize) -> u64) -> __m256i {
        let low = number(0).swap_bytes().cast_signed();
        let high = number(1).swap_bytes().cast_signed();
        // SAFETY: AVX2 is there, see `intrinsics`.
        unsafe { _mm256_set_epi64x(high, 0, low, 0) }
    }

    #[inline(always)]
    fn rotate(self, v: __m256i, by: usize) -> __m256i {
        // SAFETY: AVX2 is there, see `intrinsics`.
        unsafe {
            match by % 4 {
                0 => v,
                1 => _mm256_shuffle_epi32::<0b10_01_00_11>(v),
                2 => _mm256_shuffle_epi32::<0b01_00_11_10>(v),
                _ => _mm256_shuffle_epi32::<0b00_11_10_01>(v),
            }
        }
    }

    #[inline(always)]
    fn with_word(self, a: __m256i, b: __m256i, at: usize) -> __m256i {
        // SAFETY: AVX2 is there, see `intrinsics`.
        unsafe {
            match at % 4 {
                0 => _mm256_blend_epi32::<0x11>(a, b),
                1 => _mm256_blend_epi32::<0x22>(a, b),
                2 => _mm256_blend_epi32::<0x44>(a, b),
                _ => _mm256_blend_epi32::<0x88>(a, b),
            }
        }
    }
}

impl Avx2<false> {
    /// The bytes of each word, rotated up by one place.
    #[inline(always)]
    fn bytes_up(self) -> __m256i {
        // SAFETY: AVX2 is there, see `intrinsics`.
        unsafe {
            _mm256_setr_epi8(
                3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4, 5, 6, 11,
                8, 9, 10, 15, 12, 13, 14,
            )
        }
    }
}

impl WordLanes for Avx2<false> {
    #[inline(always)]
    fn rotate_left_8(self, v: __m256i) -> __m256i {
        // SAFETY: AVX2 is there, see `intrinsics`.
        unsafe { _mm256_shuffle_epi8(v, self.bytes_up()) }
    }

    intrinsics! {
        sub(a, b) = _mm256_sub_epi32(a, b);
        rotate_right_3(v) = _mm256_or_si256(_mm256_srli_epi32::<3>(v), _mm256_slli_epi32::<29>(v));
        rotate_left_3(v) = _mm256_or_si256(_mm256_slli_epi32::<3>(v), _mm256_srli_epi32::<29>(v));
        rotate_right_8(v) = _mm256_or_si256(_mm256_srli_epi32::<8>(v), _mm256_slli_epi32::<24>(v));
    }
}
