//! AVX-512: four blocks a register, with VAES for AES.

#![expect(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_add_epi32, _mm512_aesdec_epi128, _mm512_aesdeclast_epi128,
    _mm512_aesenc_epi128, _mm512_aesenclast_epi128, _mm512_broadcast_i32x4, _mm512_castsi128_si512,
    _mm512_inserti32x4, _mm512_loadu_si512, _mm512_mask_mov_epi32, _mm512_mask_shuffle_epi32,
    _mm512_rol_epi32, _mm512_ror_epi32, _mm512_set_epi64, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_shuffle_epi32, _mm512_storeu_si512, _mm512_sub_epi32,
    _mm512_ternarylogic_epi32, _mm512_testn_epi32_mask, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::Block;
use super::lanes::{AesLanes, AesWork, Lanes, WordLanes, WordWork};

/// Proof of AVX-512 F and BW; with `VAES`, also of VAES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512<const VAES: bool>(());

fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

impl Avx512<false> {
    pub(super) fn detect() -> Option<Self> {
        has_avx512().then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<W: WordWork>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw")]
        fn with_avx512<W: WordWork>(lanes: Avx512<false>, work: W) -> W::Output {
            work.run(lanes)
        }
        // SAFETY: `self` exists only if the processor has both.
        unsafe { with_avx512(self, work) }
    }
}

impl Avx512<true> {
    pub(super) fn detect() -> Option<Self> {
        (has_avx512() && is_x86_feature_detected!("vaes")).then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<W: AesWork>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,vaes")]
        fn with_vaes<W: AesWork>(lanes: Avx512<true>, work: W) -> W::Output {
            work.run(lanes)
        }
        // SAFETY: `self` exists only if the processor has all three.
        unsafe { with_vaes(self, work) }
    }
}

/// Methods that are one intrinsic each.
macro_rules! intrinsics {
    ($($name:ident($($arg:ident),+) = $intrinsic:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: __m512i),+) -> __m512i {
            // SAFETY: the intrinsic works on registers alone, and is unsafe only
            // if the processor lacks it; `self` exists only if it has it.
            unsafe { $intrinsic }
        }
    )*};
}

impl<const VAES: bool> Lanes for Avx512<VAES> {
    type V = __m512i;

    const COUNT: usize = 4;

    #[inline(always)]
    fn load(self, blocks: &[Block]) -> __m512i {
        match blocks.first_chunk::<4>() {
            // SAFETY: AVX-512 F is there, see `intrinsics`; the 64 bytes read are
            // those of the chunk, and need no alignment.
            Some(four) => unsafe { _mm512_loadu_si512(four.as_ptr().cast()) },
            // SAFETY: AVX-512 F is there, see `intrinsics`.
            None => unsafe { _mm512_setzero_si512() },
        }
    }

    #[inline(always)]
    fn store(self, v: __m512i, blocks: &mut [Block]) {
        if let Some(four) = blocks.first_chunk_mut::<4>() {
            // SAFETY: AVX-512 F is there, see `intrinsics`; the 64 bytes written
            // are those of the chunk, and need no alignment.
            unsafe { _mm512_storeu_si512(four.as_mut_ptr().cast(), v) };
        }
    }

    #[inline(always)]
    fn splat(self, block: &Block) -> __m512i {
        // SAFETY: AVX-512 F is there, see `intrinsics`; the 16 bytes read are the
        // block's, and need no alignment.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(block.as_ptr().cast())) }
    }

    #[inline(always)]
    fn splat_word(self, word: u32) -> __m512i {
        // SAFETY: AVX-512 F is there, see `intrinsics`.
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    fn zero_words(self, v: __m512i, mask: __m512i) -> u32 {
        // SAFETY: AVX-512 F is there, see `intrinsics`.
        unsafe { _mm512_testn_epi32_mask(v, mask).into() }
    }

    intrinsics! {
        xor(a, b) = _mm512_xor_si512(a, b);
        add(a, b) = _mm512_add_epi32(a, b);
        unpack_low_32(a, b) = _mm512_unpacklo_epi32(a, b);
        unpack_high_32(a, b) = _mm512_unpackhi_epi32(a, b);
        unpack_low_64(a, b) = _mm512_unpacklo_epi64(a, b);
        unpack_high_64(a, b) = _mm512_unpackhi_epi64(a, b);
    }
}

/// The words at place `at` of each lane, as a mask.
#[inline(always)]
const fn words_at(at: usize) -> u16 {
    0x1111 << at
}

impl AesLanes for Avx512<true> {
    intrinsics! {
        enc(s, k) = _mm512_aesenc_epi128(s, k);
        enc_last(s, k) = _mm512_aesenclast_epi128(s, k);
        dec(s, k) = _mm512_aesdec_epi128(s, k);
        dec_last(s, k) = _mm512_aesdeclast_epi128(s, k);
        shuffle_bytes(v, table) = _mm512_shuffle_epi8(v, table);
        select(mask, a, b) = _mm512_ternarylogic_epi32::<0xca>(mask, a, b);
    }

    #[inline(always)]
    fn load_each<'b>(self, block: impl Fn(usize) -> &'b Block) -> __m512i {
        // SAFETY: SSE2 is part of x86-64; the 16 bytes read are each block's, and
        // need no alignment.
        let load = |at| unsafe { _mm_loadu_si128(block(at).as_ptr().cast()) };
        // SAFETY: AVX-512 F is there, see `intrinsics`.
        unsafe {
            let low = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(load(0)), load(1));
            _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, load(2)), load(3))
        }
    }

    #[inline(always)]
    fn numbers(self, number: impl Fn(usize) -> u64) -> __m512i {
        let upper = |at| number(at).swap_bytes().cast_signed();
        // SAFETY: AVX-512 F is there, see `intrinsics`.
        unsafe { _mm512_set_epi64(upper(3), 0, upper(2), 0, upper(1), 0, upper(0), 0) }
    }

    #[inline(always)]
    fn rotate(self, v: __m512i, by: usize) -> __m512i {
        // SAFETY: AVX-512 F is there, see `intrinsics`.
        unsafe {
            match by % 4 {
                0 => v,
                1 => _mm512_shuffle_epi32::<0b10_01_00_11>(v),
                2 => _mm512_shuffle_epi32::<0b01_00_11_10>(v),
                _ => _mm512_shuffle_epi32::<0b00_11_10_01>(v),
            }
        }
    }

    #[inline(always)]
    fn with_word(self, a: __m512i, b: __m512i, at: usize) -> __m512i {
        // SAFETY: AVX-512 F is there, see `intrinsics`.
        unsafe { _mm512_mask_mov_epi32(a, words_at(at), b) }
    }

    #[inline(always)]
    fn rotate_in(self, row: __m512i, word: __m512i, at: usize) -> __m512i {
        // SAFETY: AVX-512 F is there, see `intrinsics`.
        unsafe { _mm512_mask_shuffle_epi32::<0b10_01_00_11>(word, !words_at(at), row) }
    }
}

impl WordLanes for Avx512<false> {
    intrinsics! {
        sub(a, b) = _mm512_sub_epi32(a, b);
        rotate_right_3(v) = _mm512_ror_epi32::<3>(v);
        rotate_left_8(v) = _mm512_rol_epi32::<8>(v);
        rotate_left_3(v) = _mm512_rol_epi32::<3>(v);
        rotate_right_8(v) = _mm512_ror_epi32::<8>(v);
    }
}
