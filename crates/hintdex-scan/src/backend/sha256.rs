//! SHA-256 of sixteen messages at a time (FIPS 180-4): AVX-512, one message in each word of a register.

use hintdex_wire::SHA256_INITIAL;
use zeroize::Zeroize;

/// The messages side by side.
pub(crate) const LANES: usize = 16;

/// `N` words of each lane: word `w` of lane `l` is at `[w][l]`.
#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct Words<const N: usize>(pub [[u32; LANES]; N]);

impl<const N: usize> Words<N> {
    /// The same words in every lane.
    pub(crate) fn splat(words: &[u32; N]) -> Self {
        Self(words.map(|word| [word; LANES]))
    }
}

impl<const N: usize> Zeroize for Words<N> {
    fn zeroize(&mut self) {
        self.0.as_flattened_mut().zeroize();
    }
}

/// The initial state in every lane.
pub(crate) fn initial() -> Words<8> {
    Words::splat(&SHA256_INITIAL)
}

/// Proof of AVX-512 F.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sixteen(());

#[cfg(not(target_arch = "x86_64"))]
impl Sixteen {
    pub(crate) const fn detect() -> Option<Self> {
        None
    }

    pub(crate) const fn compress(self, _: &mut Words<8>, _: &Words<16>, _: u16) {}
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    #![expect(unsafe_code, reason = "intrinsics")]

    use core::arch::x86_64::{
        __m512i, _mm512_add_epi32, _mm512_load_si512, _mm512_mask_store_epi32, _mm512_ror_epi32,
        _mm512_set1_epi32, _mm512_srli_epi32, _mm512_ternarylogic_epi32,
    };

    use super::{LANES, Sixteen, Words};

    /// Section 4.2.2.
    #[rustfmt::skip]
    const K: [u32; 64] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ];

    impl Sixteen {
        pub(crate) fn detect() -> Option<Self> {
            is_x86_feature_detected!("avx512f").then_some(Self(()))
        }

        /// Absorbs a block of each lane whose bit is set in `lanes` into its state.
        #[inline]
        pub(crate) fn compress(self, state: &mut Words<8>, block: &Words<16>, lanes: u16) {
            // SAFETY: `self` exists only if the processor has AVX-512 F.
            unsafe { compress(state, block, lanes) }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn load(words: &[u32; LANES]) -> __m512i {
        // SAFETY: the 64 bytes read are those of the array. `Words` is aligned to 64 bytes, and each of its
        // rows has 64 bytes, so the row is aligned as well.
        unsafe { _mm512_load_si512(words.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f")]
    fn store(words: &mut [u32; LANES], v: __m512i, lanes: u16) {
        // SAFETY: at most the 64 bytes of the array are written; its alignment is as for `load`.
        unsafe { _mm512_mask_store_epi32(words.as_mut_ptr().cast(), lanes, v) }
    }

    /// a ⊕ b ⊕ c
    #[target_feature(enable = "avx512f")]
    fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0x96>(a, b, c)
    }

    #[target_feature(enable = "avx512f")]
    fn add3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_add_epi32(_mm512_add_epi32(a, b), c)
    }

    /// σ0(`w15`) + σ1(`w2`) + `w7` + `w16`: section 6.2.2, step 1.
    #[target_feature(enable = "avx512f")]
    fn next_word(w16: __m512i, w15: __m512i, w7: __m512i, w2: __m512i) -> __m512i {
        let small0 = xor3(
            _mm512_ror_epi32::<7>(w15),
            _mm512_ror_epi32::<18>(w15),
            _mm512_srli_epi32::<3>(w15),
        );
        let small1 = xor3(
            _mm512_ror_epi32::<17>(w2),
            _mm512_ror_epi32::<19>(w2),
            _mm512_srli_epi32::<10>(w2),
        );
        add3(_mm512_add_epi32(w16, small0), w7, small1)
    }

    type State = [__m512i; 8];

    /// Section 6.2.2, step 3, with the names of the standard.
    #[target_feature(enable = "avx512f")]
    fn round([a, b, c, d, e, f, g, h]: State, k: u32, w: __m512i) -> State {
        let sum1 =
            xor3(_mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e));
        let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
        let k = _mm512_set1_epi32(k.cast_signed());
        let t1 = _mm512_add_epi32(add3(h, k, w), _mm512_add_epi32(choice, sum1));
        let sum0 =
            xor3(_mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a));
        let majority = _mm512_ternarylogic_epi32::<0xe8>(a, b, c);
        [add3(t1, sum0, majority), a, b, c, _mm512_add_epi32(d, t1), e, f, g]
    }

    /// The rounds of sixteen words.
    #[target_feature(enable = "avx512f")]
    fn sixteen_rounds(mut s: State, k: &[u32; 16], w: &[__m512i; 16]) -> State {
        for (k, w) in k.iter().zip(w) {
            s = round(s, *k, *w);
        }
        s
    }

    /// The next sixteen words of the schedule.
    #[target_feature(enable = "avx512f")]
    fn next_words(w: [__m512i; 16]) -> [__m512i; 16] {
        let [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15] = w;
        let n0 = next_word(w0, w1, w9, w14);
        let n1 = next_word(w1, w2, w10, w15);
        let n2 = next_word(w2, w3, w11, n0);
        let n3 = next_word(w3, w4, w12, n1);
        let n4 = next_word(w4, w5, w13, n2);
        let n5 = next_word(w5, w6, w14, n3);
        let n6 = next_word(w6, w7, w15, n4);
        let n7 = next_word(w7, w8, n0, n5);
        let n8 = next_word(w8, w9, n1, n6);
        let n9 = next_word(w9, w10, n2, n7);
        let n10 = next_word(w10, w11, n3, n8);
        let n11 = next_word(w11, w12, n4, n9);
        let n12 = next_word(w12, w13, n5, n10);
        let n13 = next_word(w13, w14, n6, n11);
        let n14 = next_word(w14, w15, n7, n12);
        let n15 = next_word(w15, n0, n8, n13);
        [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13, n14, n15]
    }

    /// Section 6.2.2.
    #[target_feature(enable = "avx512f")]
    fn compress(state: &mut Words<8>, block: &Words<16>, lanes: u16) {
        let mut w = block.0.each_ref().map(|words| load(words));
        let before = state.0.each_ref().map(|words| load(words));
        let ([first, rest @ ..], _) = K.as_chunks::<16>() else { return };
        let mut s = sixteen_rounds(before, first, &w);
        for constants in rest {
            w = next_words(w);
            s = sixteen_rounds(s, constants, &w);
        }
        for ((words, before), after) in state.0.iter_mut().zip(before).zip(s) {
            store(words, _mm512_add_epi32(before, after), lanes);
        }
    }
}
