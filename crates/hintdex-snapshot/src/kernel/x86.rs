//! The paths of x86-64, each behind a token that proves the processor has it.

#![expect(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::{
    _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_setr_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_xor_si256,
};

use super::{BLOCK_LEN_ROWS, Retrieve, WINDOW_LEN_UNITS, Work, portable, window_len_bytes};

/// The length of a cache line in bytes.
const LINE_LEN_BYTES: usize = 64;

/// Asks for the cache lines of `bytes`.
#[inline(always)]
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

    /// See [`solve_block`](super::solve_block).
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

/// Proof of AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// See [`Kernel::run`](super::Kernel::run).
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2")]
        fn with_avx2<W: Work>(path: Avx2, work: W) -> W::Output {
            work.run(path)
        }
        // SAFETY: `self` exists only where the processor was found to have AVX2.
        unsafe { with_avx2(self, work) }
    }
}

impl Retrieve for Avx2 {
    #[inline(always)]
    fn parities(self, rows: &[u8], columns: usize, masks: [u8; 16]) -> u32 {
        // SAFETY: `self` exists only where the processor was found to have AVX2.
        unsafe { parities_avx2(rows, columns, masks) }
    }
}

/// All columns in a register, a byte each.
#[inline]
#[target_feature(enable = "avx2")]
fn parities_avx2(rows: &[u8], columns: usize, masks: [u8; 16]) -> u32 {
    assert!(rows.len() >= window_len_bytes(columns), "the caller has checked");
    // SAFETY: `masks` is 16 bytes long, and the load needs no alignment.
    let masks = unsafe { _mm_loadu_si128(masks.as_ptr().cast()) };
    let masks = _mm256_broadcastsi128_si256(masks);
    let mut sum = _mm256_setzero_si256();
    for unit in 0..WINDOW_LEN_UNITS {
        // SAFETY: unit is at most 8, so the 32 bytes end at most
        // `window_len_bytes(columns)` into `rows`, which are that long: the
        // assertion above. The load needs no alignment.
        let bytes = unsafe { _mm256_loadu_si256(rows.as_ptr().add(unit * columns).cast()) };
        let mask = _mm256_shuffle_epi8(masks, _mm256_set1_epi8(unit as i8));
        sum = _mm256_xor_si256(sum, _mm256_and_si256(bytes, mask));
    }
    // Nibble onto nibble, and the parity of a nibble in the sign of its byte.
    const O: i8 = i8::MIN;
    #[rustfmt::skip]
    let odd = _mm256_setr_epi8(
        0, O, O, 0, O, 0, 0, O, O, 0, 0, O, 0, O, O, 0,
        0, O, O, 0, O, 0, 0, O, O, 0, 0, O, 0, O, O, 0,
    );
    let sum = _mm256_xor_si256(sum, _mm256_srli_epi16::<4>(sum));
    let nibbles = _mm256_and_si256(sum, _mm256_set1_epi8(0x0f));
    _mm256_movemask_epi8(_mm256_shuffle_epi8(odd, nibbles)).cast_unsigned()
}
