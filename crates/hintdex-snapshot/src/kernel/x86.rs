//! The paths of x86-64. Each is a token whose existence proves that the processor supports it.

#![expect(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_cvtsi64_si128, _mm_prefetch, _mm256_and_si256,
    _mm256_broadcastq_epi64, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8,
    _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_xor_si256, _mm512_and_si512, _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512,
    _mm512_movepi8_mask, _mm512_permutexvar_epi8, _mm512_set1_epi64, _mm512_ternarylogic_epi64,
    _mm512_zextsi128_si512,
};

use super::retrieve::{
    BLOCK_LEN_UNITS, Compiled, Lookup, MAX_COLUMNS, Retrieve, Work, window_len_bytes,
};

/// The length of a cache line in bytes.
const LINE_LEN_BYTES: usize = 64;

/// Prefetches the cache lines of `bytes`.
#[inline(always)]
pub(super) fn prefetch(bytes: &[u8]) {
    bytes.iter().step_by(LINE_LEN_BYTES).for_each(prefetch_line);
    // The last line, which the loop misses if the bytes do not begin on a line.
    bytes.last().into_iter().for_each(prefetch_line);
}

/// Prefetches the cache line of `byte`.
#[inline(always)]
pub(super) fn prefetch_line(byte: &u8) {
    // SAFETY: a prefetch is a hint: it reads nothing and faults on no address. The
    // instruction belongs to SSE, which is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(byte).cast()) };
}

/// Proof of AVX2 and BMI2. A shift of BMI2 by a variable is one micro-operation; the older
/// shifts take three.
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
        // SAFETY: `self` exists only if `detect` found AVX2 and BMI2.
        unsafe { with_avx2(self, work) }
    }

    /// See [`Kernel::compile`](super::Kernel::compile).
    pub fn compile<W: Lookup>(self) -> Compiled<W> {
        #[target_feature(enable = "avx2,bmi2")]
        fn with_avx2<W: Lookup>(subject: &W::Subject, head: u64) -> Option<u32> {
            W::run(Avx2(()), subject, head)
        }
        // SAFETY: only a caller with `self` receives the closure, and `self` exists only if
        // `detect` found the features.
        |subject, head| unsafe { with_avx2::<W>(subject, head) }
    }
}

impl Retrieve for Avx2 {
    /// All columns in one register, a byte each.
    #[inline(always)]
    fn parities(self, rows: &[u8], columns: usize, coefficients: u64) -> u32 {
        /// A byte with its sign bit set.
        const O: i8 = i8::MIN;
        if rows.len() < window_len_bytes(columns) {
            return 0;
        }
        // SAFETY: all intrinsics but the load are unsafe only without AVX2, and `self` exists
        // only if `detect` found AVX2. (This function has no `target_feature`, because such a
        // function is not always inlined. It is inlined into `with_avx2`, which has one.)
        // The load: `unit` is at most 7, so its 32 bytes end within the first
        // `window_len_bytes(columns)` bytes of `rows`, whose length was checked above. The
        // load needs no alignment.
        unsafe {
            // The masks of the units are the bytes of the coefficients.
            let masks = _mm256_broadcastq_epi64(_mm_cvtsi64_si128(coefficients.cast_signed()));
            let mut sum = _mm256_setzero_si256();
            for (unit, number) in (0..BLOCK_LEN_UNITS as usize).zip(0..) {
                let bytes = _mm256_loadu_si256(rows.as_ptr().add(unit * columns).cast());
                let mask = _mm256_shuffle_epi8(masks, _mm256_set1_epi8(number));
                sum = _mm256_xor_si256(sum, _mm256_and_si256(bytes, mask));
            }
            // Add the upper nibble to the lower; look up the parity of a nibble as a sign bit.
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

/// Proof of AVX-512 with VBMI, GFNI and BMI2: VBMI permutes bytes, GFNI computes their parities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Avx512 {
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("gfni")
            && is_x86_feature_detected!("bmi2");
        all.then_some(Self(()))
    }

    /// See [`Kernel::run`](super::Kernel::run).
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512bw,avx512vbmi,gfni,bmi2")]
        fn with_avx512<W: Work>(path: Avx512, work: W) -> W::Output {
            work.run(path)
        }
        // SAFETY: `self` exists only if `detect` found all four.
        unsafe { with_avx512(self, work) }
    }

    /// See [`Kernel::compile`](super::Kernel::compile).
    pub fn compile<W: Lookup>(self) -> Compiled<W> {
        #[target_feature(enable = "avx512bw,avx512vbmi,gfni,bmi2")]
        fn with_avx512<W: Lookup>(subject: &W::Subject, head: u64) -> Option<u32> {
            W::run(Avx512(()), subject, head)
        }
        // SAFETY: only a caller with `self` receives the closure, and `self` exists only if
        // `detect` found the features.
        |subject, head| unsafe { with_avx512::<W>(subject, head) }
    }
}

/// The length of an AVX-512 register.
const REGISTER_LEN_BYTES: usize = 64;

/// For each number of columns, register and byte: the unit of the byte. A byte past the last
/// column has the number of a byte of the masks that is zero.
static UNITS_OF_BYTES: [[[u8; REGISTER_LEN_BYTES]; 4]; MAX_COLUMNS + 1] = units_of_bytes();

#[expect(clippy::indexing_slicing, reason = "at compile time")]
#[expect(clippy::cast_possible_truncation, reason = "at most eight")]
const fn units_of_bytes() -> [[[u8; REGISTER_LEN_BYTES]; 4]; MAX_COLUMNS + 1] {
    let zero_mask = REGISTER_LEN_BYTES as u8 - 1;
    let mut table = [[[zero_mask; REGISTER_LEN_BYTES]; 4]; MAX_COLUMNS + 1];
    let mut columns = 1;
    while columns <= MAX_COLUMNS {
        let units = units_a_register(columns);
        let mut byte = 0;
        while byte < 4 * units * columns {
            let (register, place) = (byte / (units * columns), byte % (units * columns));
            let unit = byte / columns;
            if unit < BLOCK_LEN_UNITS as usize {
                table[columns][register][place] = unit as u8;
            }
            byte += 1;
        }
        columns += 1;
    }
    table
}

/// The units in a register: the least number that needs the fewest registers.
#[inline(always)]
const fn units_a_register(columns: usize) -> usize {
    match columns {
        0..=8 => 8,
        9..=16 => 4,
        17..=21 => 3,
        _ => 2,
    }
}

impl Avx512 {
    /// The parities, with `UNITS` units in a register.
    #[inline(always)]
    fn sum<const UNITS: usize>(self, rows: &[u8], columns: usize, coefficients: u64) -> u64 {
        let Some(units_of_bytes) = UNITS_OF_BYTES.get(columns) else { return 0 };
        if rows.len() < window_len_bytes(columns) {
            return 0;
        }
        // SAFETY: all intrinsics but the loads are unsafe only without these instructions, and
        // `self` exists only if `detect` found them. (As in AVX2, this is inlined into a
        // `target_feature` function.) The loads: `unit` is at most 7, so its 64 bytes end
        // within the first `window_len_bytes(columns)` bytes of `rows`, whose length was
        // checked above. The rows of the table are arrays of 64 bytes. The loads need no
        // alignment.
        let odd = unsafe {
            let masks = _mm512_zextsi128_si512(_mm_cvtsi64_si128(coefficients.cast_signed()));
            let mut sum = None;
            for (unit, of_bytes) in (0..BLOCK_LEN_UNITS as usize).step_by(UNITS).zip(units_of_bytes)
            {
                let bytes = _mm512_loadu_si512(rows.as_ptr().add(unit * columns).cast());
                let of_bytes: __m512i = _mm512_loadu_si512(of_bytes.as_ptr().cast());
                let mask = _mm512_permutexvar_epi8(of_bytes, masks);
                sum = Some(match sum {
                    None => _mm512_and_si512(bytes, mask),
                    // sum ^ (bytes & mask)
                    Some(sum) => _mm512_ternarylogic_epi64::<0x78>(sum, bytes, mask),
                });
            }
            let sum = sum.unwrap_or(masks);
            // The parity of each byte, the sum of its bits over GF(2), as a sign bit.
            let parities = _mm512_gf2p8affine_epi64_epi8::<0>(sum, _mm512_set1_epi64(0xff));
            _mm512_movepi8_mask(parities)
        };
        // One bit a byte; add the units of the register to the first unit.
        let mut units = UNITS.next_power_of_two();
        let mut odd = odd;
        while units > 1 {
            units /= 2;
            odd ^= odd >> (units * columns % 64);
        }
        odd
    }
}

impl Retrieve for Avx512 {
    /// Several units in a register, one after the other.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the columns are the lowest bits")]
    fn parities(self, rows: &[u8], columns: usize, coefficients: u64) -> u32 {
        let sum = match units_a_register(columns) {
            8 => self.sum::<8>(rows, columns, coefficients),
            4 => self.sum::<4>(rows, columns, coefficients),
            3 => self.sum::<3>(rows, columns, coefficients),
            _ => self.sum::<2>(rows, columns, coefficients),
        };
        sum as u32
    }
}
