//! Every hint scheme: names, numbers, hints, and packets with them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::{
    AssociatedData, DeviceId, Hint, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey,
    Nonce, Packet, PacketFormat, Sealer, Slot, TruncatedLen,
};
use proptest::prelude::*;
use serde_json::Value;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

fn cipher(scheme: HintScheme, key: [u8; 16]) -> HintCipher {
    HintCipher::new(scheme, &HintKey::from_bytes(key))
}

fn nonces_within(cipher: &HintCipher, hint: &Hint, expected: std::ops::Range<Nonce>) -> Vec<Nonce> {
    let mut found = Vec::new();
    cipher.nonces_within(hint, expected, |nonce| found.push(nonce));
    found
}

#[test]
fn names_and_numbers_are_fixed() {
    let mut known = vec![("aes128".to_owned(), 1, 16), ("speck64".to_owned(), 2, 8)];
    known.extend((4..=12).map(|len| (format!("aes128-trunc:{len}"), 16 + len, usize::from(len))));
    known.extend([("aes128-wide".to_owned(), 3, 16), ("carry24".to_owned(), 4, 3)]);
    assert_eq!(known.len(), HintScheme::ALL.len());
    for (scheme, (name, number, len_bytes)) in HintScheme::ALL.iter().zip(known) {
        assert_eq!((scheme.name(), &*scheme.to_string()), (&*name, &*name));
        assert_eq!((scheme.number(), scheme.len_bytes()), (number, len_bytes));
        assert_eq!(HintScheme::from_name(&name), Some(*scheme));
        assert_eq!(HintScheme::from_number(number), Some(*scheme));
    }
    for name in ["aes128-trunc:3", "aes128-trunc:13", "aes128-trunc:04", "aes128-trunc", "speck"] {
        assert_eq!(HintScheme::from_name(name), None, "{name}");
    }
    for number in [0, 5, 16, 19, 29, 255] {
        assert_eq!(HintScheme::from_number(number), None, "{number}");
    }
    let lengths = (0..40).filter(|len| TruncatedLen::new(*len).is_some());
    assert!(lengths.eq(TruncatedLen::MIN.bytes()..=TruncatedLen::MAX.bytes()));
    let bits: Vec<_> = HintScheme::ALL.iter().map(|scheme| scheme.check_bits()).collect();
    assert_eq!(bits, [96, 32, 32, 40, 48, 56, 64, 72, 80, 88, 96, 64, 24]);
}

#[test]
fn speck_hints_are_those_of_the_vectors() {
    let all: Value = serde_json::from_str(include_str!("data/vectors.json")).expect("vectors.json");
    let hints = all["speck64_128"]["hints"].as_array().expect("hints");
    assert_eq!(hints.len(), 5);
    for case in hints {
        let cipher = cipher(HintScheme::Speck64, bytes(&case["hint_key"]).try_into().expect("16"));
        let nonce = case["nonce"].as_u64().expect("a number");
        let hint = Hint::read(HintScheme::Speck64, &bytes(&case["hint"])).expect("8 bytes");
        assert_eq!(cipher.hint(nonce), Some(hint));
        assert_eq!(cipher.nonce(&hint), Some(nonce));
    }
}

#[test]
fn truncated_hints_are_heads_of_whole_hints_and_cannot_be_reversed() {
    let whole = cipher(HintScheme::Aes128, [9; 16]);
    for len in (4..=12).filter_map(TruncatedLen::new) {
        let scheme = HintScheme::Aes128Truncated(len);
        let short = cipher(scheme, [9; 16]);
        for nonce in [0, 1, 77, u64::from(u32::MAX)] {
            let hint = short.hint(nonce).expect("a counter");
            let full = whole.hint(nonce).expect("a counter");
            assert_eq!(hint.as_bytes()[..len.bytes()], full.as_bytes()[..len.bytes()]);
            assert_eq!(hint.as_bytes()[len.bytes()..], [0; 16][len.bytes()..]);
            assert_eq!(short.nonce(&hint), None);
            short.each_nonce(&[hint], |_, nonce| unreachable!("{nonce} of {scheme}"));
        }
        assert_eq!(short.hint(1 << 32), None);
    }
}

#[test]
fn expected_nonces_bound_the_search_of_truncated_hints_only() {
    for &scheme in HintScheme::ALL {
        let (own, foreign) = (cipher(scheme, [1; 16]), cipher(scheme, [2; 16]));
        let hint = own.hint(1000).expect("a counter");
        let outside = if scheme.is_reversible() { vec![1000] } else { vec![] };
        assert_eq!(nonces_within(&own, &hint, 1000..1001), [1000]);
        assert_eq!(nonces_within(&own, &hint, 900..1100), [1000]);
        assert_eq!(nonces_within(&own, &hint, 900..1000), outside);
        assert_eq!(nonces_within(&own, &hint, 1001..1100), outside);
        assert_eq!(nonces_within(&own, &hint, 5..5), outside);
        assert_eq!(nonces_within(&foreign, &hint, 990..1010), [0; 0]);
        let last = own.hint(u64::from(u32::MAX)).expect("the last");
        let around = u64::from(u32::MAX) - 3..u64::MAX;
        assert_eq!(nonces_within(&own, &last, around), [u64::from(u32::MAX)]);
    }
}

#[test]
fn bytes_too_few_for_a_hint_and_a_tag_are_no_packet_of_any_scheme() {
    for &scheme in HintScheme::ALL {
        let least = PacketFormat::from(scheme).overhead_bytes();
        let room = [0; 24];
        let error = Packet::parse(scheme, &room[..least - 1]).expect_err("too short");
        assert_eq!(error.least_bytes, least);
        let parsed = Packet::parse(scheme, &room[..least]);
        assert_eq!(parsed.map(|packet| packet.payload_len_bytes()), Ok(0));
    }
}

#[test]
fn a_packet_has_the_payload_that_its_length_leaves() {
    for &scheme in HintScheme::ALL {
        let around = PacketFormat::from(scheme).overhead_bytes();
        for payload in [0, 1, 2, 20] {
            let parsed = Packet::parse(scheme, &[0; 64][..around + payload]);
            assert_eq!(parsed.map(|packet| packet.payload_len_bytes()), Ok(payload), "{scheme}");
        }
    }
    let error = Packet::parse(HintScheme::Speck64, &[0; 15]).expect_err("too short");
    assert_eq!(error.to_string(), "15 bytes are too few for a packet, the shortest has 16");
}

#[test]
fn hints_and_ids_print_what_identifies_them() {
    let bytes: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).expect("small"));
    let hint = Hint::read(HintScheme::Aes128, &bytes).expect("16 bytes");
    assert_eq!(format!("{hint:?}"), "Hint(000102030405060708090a0b0c0d0e0f)");
    assert_eq!(hint.head(), 0x0001_0203_0405_0607);
    assert_eq!(format!("{:>4}{:<4}|", DeviceId(42), DeviceId(7)), "  427   |");
    assert_eq!(format!("{:?}", cipher(HintScheme::Speck64, [1; 16])), "HintCipher([redacted])");
    assert_eq!([0, 7, u32::MAX].map(|slot| Slot(slot).index()), [0, 7, 0xffff_ffff]);
}

proptest! {
    /// An index that sorts by heads sorts by bytes.
    #[test]
    fn heads_sort_like_the_bytes_of_hints(
        scheme in proptest::sample::select(HintScheme::ALL),
        bytes: [u8; 16],
        changed in 0usize..16,
        to: u8,
    ) {
        let mut other = bytes;
        other[changed] = to;
        let hints = [bytes, other].map(|bytes| Hint::read(scheme, &bytes).expect("16 bytes"));
        let [one, other] = hints;
        if one.head() == other.head() {
            prop_assert_eq!(&one.as_bytes()[..8], &other.as_bytes()[..8]);
        } else {
            prop_assert_eq!(one.head().cmp(&other.head()), one.as_bytes().cmp(other.as_bytes()));
        }
    }

    #[test]
    fn packets_of_every_scheme_are_opened_as_they_were_sealed(
        scheme in proptest::sample::select(HintScheme::ALL),
        device in any::<u32>(),
        nonce in any::<u32>(),
        payload in proptest::collection::vec(any::<u8>(), 0..48),
        flipped in any::<proptest::sample::Index>(),
    ) {
        let (master, key) = (MasterKey::new(&[4; 32]), KeyId::first(DeviceId(device)));
        let hint_key = master.hint_key(key).expect("derived");
        let packet_key = master.packet_key(key).expect("derived");
        let nonce = Nonce::from(nonce);
        let mut sealer = Sealer::new(scheme, &hint_key, packet_key.clone(), nonce);
        let mut out = [0; 80];
        let len = sealer.seal(&payload, &mut out).expect("room enough");
        prop_assert_eq!(len, PacketFormat::from(scheme).overhead_bytes() + payload.len());
        prop_assert_eq!(sealer.packet_len_bytes(payload.len()), len);

        let packet = Packet::parse(scheme, &out[..len]).expect("long enough");
        let hints = HintCipher::new(scheme, &hint_key);
        prop_assert_eq!(hints.hint(nonce), Some(*packet.hint()));
        prop_assert_eq!(nonces_within(&hints, packet.hint(), nonce..nonce + 1), vec![nonce]);
        let mut room = [0; 48];
        let opened = packet_key.open(&packet, nonce, AssociatedData::EMPTY, &mut room);
        prop_assert_eq!(opened, Some(&payload[..]));

        let mut bad = out;
        let bit = flipped.index(len * 8);
        bad[bit / 8] ^= 1 << (bit % 8);
        let bad = Packet::parse(scheme, &bad[..len]).expect("long enough");
        prop_assert!(packet_key.open(&bad, nonce, AssociatedData::EMPTY, &mut room).is_none());
    }

    #[test]
    fn hints_one_by_one_and_many_at_once_agree(
        scheme in proptest::sample::select(HintScheme::ALL),
        key in any::<[u8; 16]>(),
        start in prop_oneof![0u64..1000, u64::from(u32::MAX) - 40..=u64::from(u32::MAX) + 5],
        count in 0u64..40,
    ) {
        let cipher = cipher(scheme, key);
        let mut many = Vec::new();
        cipher.each_hint(start..start + count, |hint| many.push(hint));
        let single: Vec<_> = (start..start + count).filter_map(|nonce| cipher.hint(nonce)).collect();
        prop_assert_eq!(&many, &single);
        let mut nonces = Vec::new();
        cipher.each_nonce(&many, |index, nonce| nonces.push((index, nonce)));
        let expected: Vec<_> = if scheme.is_reversible() {
            (0..many.len()).zip(start..).collect()
        } else {
            vec![]
        };
        prop_assert_eq!(nonces, expected);
    }
}
