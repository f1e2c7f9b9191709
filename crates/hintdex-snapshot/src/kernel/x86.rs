//! The paths of x86-64, each behind a token that proves the processor has it.

#![expect(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_prefetch, _mm_setr_epi8, _mm256_and_si256, _mm256_castsi256_pd,
    _mm256_loadu_si256, _mm256_maskload_epi64, _mm256_movemask_pd, _mm256_sad_epu8,
    _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_slli_epi64, _mm256_srli_epi16, _mm256_xor_si256, _mm512_and_si512,
    _mm512_broadcast_i32x4, _mm512_maskz_loadu_epi64, _mm512_sad_epu8, _mm512_set1_epi8,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_srli_epi16,
    _mm512_ternarylogic_epi64, _mm512_test_epi64_mask, _mm512_xor_si512,
};

use super::{BLOCK_LEN_ROWS, portable};

/// The length of a cache line in bytes.
const LINE_LEN_BYTES: usize = 64;

/// Asks for the cache lines of `bytes`.
#[inline]
pub(super) fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(LINE_LEN_BYTES) {
        // SAFETY: a prefetch is a hint: it reads nothing and faults on no
        // address. SSE, which has the instruction, is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    // The last line, if the bytes do not begin on one.
    if let Some(last) = bytes.last() {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(last).cast()) };
    }
}

/// Proof of POPCNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Popcnt(());

impl Popcnt {
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("popcnt").then_some(Self(()))
    }

    /// See [`Kernel::retrieve`](super::Kernel::retrieve).
    #[inline]
    pub fn retrieve(self, first: &[[u8; 8]], next: &[[u8; 8]], masks: [u64; 2]) -> u32 {
        #[target_feature(enable = "popcnt")]
        fn with_popcnt(first: &[[u8; 8]], next: &[[u8; 8]], masks: [u64; 2]) -> u32 {
            let columns = first.iter().zip(next).enumerate();
            let parity = |first, next| portable::masked(first, next, masks).count_ones() & 1;
            columns.fold(0, |value, (bit, (first, next))| value | parity(first, next) << bit)
        }
        // SAFETY: `self` exists only where the processor was found to have POPCNT.
        unsafe { with_popcnt(first, next, masks) }
    }

    /// See [`Kernel::solve_block`](super::Kernel::solve_block).
    pub fn solve_block(
        self,
        coefficients: &[u64; BLOCK_LEN_ROWS],
        values: &[u32; BLOCK_LEN_ROWS],
        columns: &mut [u64],
    ) {
        #[target_feature(enable = "popcnt")]
        fn with_popcnt(
            coefficients: &[u64; BLOCK_LEN_ROWS],
            values: &[u32; BLOCK_LEN_ROWS],
            columns: &mut [u64],
        ) {
            portable::solve_block(coefficients, values, columns);
        }
        // SAFETY: `self` exists only where the processor was found to have POPCNT.
        unsafe { with_popcnt(coefficients, values, columns) }
    }
}

/// Proof of AVX2 and POPCNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(pub(super) Popcnt);

impl Avx2 {
    pub fn detect() -> Option<Self> {
        Popcnt::detect().filter(|_| is_x86_feature_detected!("avx2")).map(Self)
    }

    /// See [`Kernel::retrieve`](super::Kernel::retrieve).
    #[inline]
    pub fn retrieve(self, first: &[[u8; 8]], next: &[[u8; 8]], masks: [u64; 2]) -> u32 {
        // SAFETY: `self` exists only where the processor was found to have AVX2.
        unsafe { retrieve_avx2(first, next, masks) }
    }
}

/// Four columns a register.
#[target_feature(enable = "avx2")]
fn retrieve_avx2(first: &[[u8; 8]], next: &[[u8; 8]], [lower, upper]: [u64; 2]) -> u32 {
    let (lower, upper) = (lower.cast_signed(), upper.cast_signed());
    let (lower, upper) = (_mm256_set1_epi64x(lower), _mm256_set1_epi64x(upper));
    let nibbles = _mm256_set1_epi8(0x0f);
    #[rustfmt::skip]
    let parity = _mm256_setr_epi8(
        0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0,
        0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0,
    );
    let bits = |first: __m256i, next: __m256i| {
        let sum = _mm256_xor_si256(_mm256_and_si256(first, lower), _mm256_and_si256(next, upper));
        // Nibble onto nibble, each nibble to its parity, and the eight
        // parities of a column added up: the lowest bit is the column's.
        let sum = _mm256_xor_si256(sum, _mm256_srli_epi16::<4>(sum));
        let odd = _mm256_shuffle_epi8(parity, _mm256_and_si256(sum, nibbles));
        let count = _mm256_sad_epu8(odd, _mm256_setzero_si256());
        _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_slli_epi64::<63>(count))).cast_unsigned()
    };
    let (first, first_rest) = first.as_chunks::<4>();
    let (next, next_rest) = next.as_chunks::<4>();
    let mut value = 0;
    let mut shift = 0;
    for (first, next) in first.iter().zip(next) {
        // SAFETY: each is 32 bytes long, and the loads need no alignment.
        let (first, next) = unsafe {
            (_mm256_loadu_si256(first.as_ptr().cast()), _mm256_loadu_si256(next.as_ptr().cast()))
        };
        value |= bits(first, next) << shift;
        shift += 4;
    }
    if !first_rest.is_empty() && first_rest.len() == next_rest.len() {
        // The first lanes, as many as there are columns left.
        let lanes: [i64; 4] =
            core::array::from_fn(|lane| if lane < first_rest.len() { -1 } else { 0 });
        // SAFETY: `lanes` is 32 bytes long. A masked load reads the lanes whose
        // mask is set, which are those the two slices have, and no other byte.
        let (first, next) = unsafe {
            let lanes = _mm256_loadu_si256(lanes.as_ptr().cast());
            (
                _mm256_maskload_epi64(first_rest.as_ptr().cast(), lanes),
                _mm256_maskload_epi64(next_rest.as_ptr().cast(), lanes),
            )
        };
        value |= bits(first, next) << shift;
    }
    value
}

/// Proof of AVX-512F, AVX-512BW and POPCNT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(pub(super) Popcnt);

impl Avx512 {
    pub fn detect() -> Option<Self> {
        let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        Popcnt::detect().filter(|_| wide).map(Self)
    }

    /// See [`Kernel::retrieve`](super::Kernel::retrieve).
    #[inline]
    pub fn retrieve(self, first: &[[u8; 8]], next: &[[u8; 8]], masks: [u64; 2]) -> u32 {
        // SAFETY: `self` exists only where the processor was found to have
        // AVX-512F and AVX-512BW.
        unsafe { retrieve_avx512(first, next, masks) }
    }
}

/// Eight columns a register. Parities by table, as with AVX2: counting bits
/// would be one instruction of a later extension, and save a tenth of a lookup.
#[target_feature(enable = "avx512f,avx512bw")]
fn retrieve_avx512(first: &[[u8; 8]], next: &[[u8; 8]], [lower, upper]: [u64; 2]) -> u32 {
    /// first & lower ^ next & upper, given first & lower, next and upper.
    const A_XOR_B_AND_C: i32 = 0x78;
    let (lower, upper) = (lower.cast_signed(), upper.cast_signed());
    let (lower, upper) = (_mm512_set1_epi64(lower), _mm512_set1_epi64(upper));
    let nibbles = _mm512_set1_epi8(0x0f);
    let lowest = _mm512_set1_epi64(1);
    let parity =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0));
    let mut value = 0;
    let mut shift = 0;
    for (first, next) in first.chunks(8).zip(next.chunks(8)) {
        let lanes = 0xff >> (8 - first.len().min(next.len()));
        // SAFETY: a masked load reads the lanes whose bit is set, the first
        // `len` of eight, which both slices have, and no other byte.
        let (first, next) = unsafe {
            (
                _mm512_maskz_loadu_epi64(lanes, first.as_ptr().cast()),
                _mm512_maskz_loadu_epi64(lanes, next.as_ptr().cast()),
            )
        };
        let sum = _mm512_and_si512(first, lower);
        let sum = _mm512_ternarylogic_epi64::<A_XOR_B_AND_C>(sum, next, upper);
        let sum = _mm512_xor_si512(sum, _mm512_srli_epi16::<4>(sum));
        let odd = _mm512_shuffle_epi8(parity, _mm512_and_si512(sum, nibbles));
        let count = _mm512_sad_epu8(odd, _mm512_setzero_si512());
        value |= u32::from(_mm512_test_epi64_mask(count, lowest)) << shift;
        shift += 8;
    }
    value
}
