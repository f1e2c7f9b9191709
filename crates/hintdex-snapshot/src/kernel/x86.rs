//! The paths of x86-64, each behind a token that proves the processor has it.

#![expect(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::{
    _MM_HINT_T0, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_prefetch, _mm_sll_epi64, _mm_srl_epi64,
    _mm_unpacklo_epi64, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_xor_si256,
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

/// Proof of AVX2, and of BMI2, whose shifts by a variable are one step where
/// the older ones are three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        let both = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        both.then_some(Self(()))
    }

    /// See [`Kernel::run`](super::Kernel::run).
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,bmi2")]
        fn with_avx2<W: Work>(path: Avx2, work: W) -> W::Output {
            work.run(path)
        }
        // SAFETY: `self` exists only where the processor was found to have AVX2
        // and BMI2.
        unsafe { with_avx2(self, work) }
    }
}

impl Retrieve for Avx2 {
    /// All columns in a register, a byte each.
    #[inline(always)]
    fn parities(self, rows: &[u8], columns: usize, shift: u32, coefficients: u64) -> u32 {
        /// The sign of a byte.
        const O: i8 = i8::MIN;
        if rows.len() < window_len_bytes(columns) {
            return 0;
        }
        // SAFETY: all but the load are unsafe only where the processor may lack
        // AVX2, and `self` exists only where it was found to have it. (This is
        // no `target_feature` function because such a one is not always inlined;
        // it becomes part of `with_avx2`, which is one.) The load: `unit` is at
        // most 8, so its 32 bytes end at most `window_len_bytes(columns)` into
        // `rows`, which are that long as was just checked; it needs no alignment.
        unsafe {
            // The masks of the nine units are nine bytes: the coefficients,
            // shifted, over two words.
            let shift = shift.cast_signed();
            let coefficients = _mm_cvtsi64_si128(coefficients.cast_signed());
            let first = _mm_sll_epi64(coefficients, _mm_cvtsi32_si128(shift));
            let ninth = _mm_srl_epi64(coefficients, _mm_cvtsi32_si128(64 - shift));
            let masks = _mm256_broadcastsi128_si256(_mm_unpacklo_epi64(first, ninth));
            let mut sum = _mm256_setzero_si256();
            for (unit, number) in (0..WINDOW_LEN_UNITS).zip(0..) {
                let bytes = _mm256_loadu_si256(rows.as_ptr().add(unit * columns).cast());
                let mask = _mm256_shuffle_epi8(masks, _mm256_set1_epi8(number));
                sum = _mm256_xor_si256(sum, _mm256_and_si256(bytes, mask));
            }
            // Nibble onto nibble, and the parity of a nibble in its byte's sign.
            #[rustfmt::skip]
            let odd = _mm256_setr_epi8(
                0, O, O, 0, O, 0, 0, O, O, 0, 0, O, 0, O, O, 0,
                0, O, O, 0, O, 0, 0, O, O, 0, 0, O, 0, O, O, 0,
            );
            let sum = _mm256_xor_si256(sum, _mm256_srli_epi16::<4>(sum));
            let nibbles = _mm256_and_si256(sum, _mm256_set1_epi8(0x0f));
            _mm256_movemask_epi8(_mm256_shuffle_epi8(odd, nibbles)).cast_unsigned()
        }
    }
}
