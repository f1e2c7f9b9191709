//! Every suite: names, numbers, packets with every hint scheme, and what is refused.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::{
    AssociatedData, DeviceId, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, Nonce,
    Packet, PacketFormat, PacketKey, SealError, Sealer, Suite,
};
use proptest::prelude::*;
use serde_json::Value;

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/suites.json")).expect("suites.json")
}

fn data(bytes: &[u8]) -> AssociatedData<'_> {
    AssociatedData::new(bytes).expect("short enough")
}

/// The payload of `packet`, if it opens.
fn opened(
    format: PacketFormat,
    key: &PacketKey,
    nonce: Nonce,
    associated: &[u8],
    packet: &[u8],
) -> Option<Vec<u8>> {
    let packet = Packet::parse(format, packet).expect("long enough");
    let mut room = vec![0xaa; packet.payload_len_bytes()];
    let payload = key.open(&packet, nonce, data(associated), &mut room).map(<[u8]>::to_vec);
    assert!(payload.is_some() || room.iter().all(|byte| *byte == 0), "a payload was left");
    payload
}

/// The packets of the vectors: suite, keys, nonce, payload, associated data, bytes.
struct Vector {
    suite: Suite,
    hint_key: HintKey,
    key: PacketKey,
    nonce: Nonce,
    payload: Vec<u8>,
    associated: Vec<u8>,
    packet: Vec<u8>,
}

fn each_vector() -> Vec<Vector> {
    let all = vectors();
    let master = MasterKey::new(&bytes(&all["master"]).try_into().expect("32 bytes"));
    let agreed = bytes(&all["associated_data"]);
    let mut vectors = Vec::new();
    for suite in Suite::ALL.iter().filter(|suite| suite.takes_associated_data()) {
        for case in all["suites"][suite.name()].as_array().expect("cases") {
            let key = KeyId::first(DeviceId(number(&case["device"]).try_into().expect("u32")));
            for (field, associated) in [("packet", &[][..]), ("packet_with_ad", &agreed)] {
                vectors.push(Vector {
                    suite: *suite,
                    hint_key: master.hint_key(key).expect("derived"),
                    key: master.packet_key(key).expect("derived"),
                    nonce: number(&case["nonce"]),
                    payload: bytes(&case["payload"]),
                    associated: associated.to_vec(),
                    packet: bytes(&case[field]),
                });
            }
        }
    }
    vectors
}

#[test]
fn names_numbers_and_lengths_are_fixed() {
    let known = [
        ("aes-ctr-hmac", 0, 8),
        ("chacha20poly1305", 1, 16),
        ("xchacha20poly1305", 2, 16),
        ("aes-siv", 3, 16),
        ("aes-ccm-8", 4, 8),
    ];
    assert_eq!(known.len(), Suite::ALL.len());
    for (suite, (name, number, tag_len_bytes)) in Suite::ALL.iter().zip(known) {
        assert_eq!((suite.name(), &*suite.to_string()), (name, name));
        assert_eq!((suite.number(), suite.tag_len_bytes()), (number, tag_len_bytes));
        assert_eq!(Suite::from_name(name), Some(*suite));
        assert_eq!(Suite::from_number(number), Some(*suite));
        for scheme in HintScheme::ALL {
            let format = PacketFormat { scheme: *scheme, suite: *suite };
            let rest = usize::from(*scheme == HintScheme::Carry24);
            assert_eq!(format.overhead_bytes(), scheme.len_bytes() + rest + tag_len_bytes);
            let is_defined = rest == 0 || *suite == Suite::AesCtrHmac;
            assert_eq!(format.is_defined(), is_defined, "{scheme} {suite}");
        }
    }
    assert_eq!((Suite::from_name("aes-ccm"), Suite::from_number(5)), (None, None));
    assert_eq!(Suite::default(), Suite::AesCtrHmac);
    let takes = Suite::ALL.iter().filter(|suite| suite.takes_associated_data()).count();
    assert_eq!(takes, 4);
}

#[test]
fn packets_are_those_of_the_vectors() {
    let vectors = each_vector();
    assert_eq!(vectors.len(), 4 * 4 * 2);
    for Vector { suite, hint_key, key, nonce, payload, associated, packet } in vectors {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite };
        let mut sealer = Sealer::new(format, &hint_key, key.clone(), nonce);
        let mut out = vec![0; sealer.packet_len_bytes(payload.len())];
        let sealed = sealer.seal_with(nonce, &payload, data(&associated), &mut out);
        assert_eq!(sealed, Ok(packet.len()), "{suite}");
        assert_eq!(hex::encode(&out), hex::encode(&packet), "{suite}");
        assert_eq!(opened(format, &key, nonce, &associated, &packet), Some(payload), "{suite}");
    }
}

#[test]
fn a_packet_with_any_flipped_bit_is_rejected() {
    for Vector { suite, key, nonce, associated, packet, .. } in each_vector() {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite };
        for bit in 0..packet.len() * 8 {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let payload = opened(format, &key, nonce, &associated, &bad);
            assert_eq!(payload, None, "{suite}: bit {bit} passed");
        }
    }
}

#[test]
fn a_packet_opens_under_its_own_nonce_data_and_key_alone() {
    for Vector { suite, key, nonce, associated, packet, .. } in each_vector() {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite };
        for bit in 0..64 {
            let other = nonce ^ 1 << bit;
            assert_eq!(opened(format, &key, other, &associated, &packet), None, "{suite} {bit}");
        }
        let longer = [&associated[..], b"x"].concat();
        let shorter = associated.split_last().map_or(&b"y"[..], |(_, rest)| rest);
        for other in [&longer[..], shorter] {
            assert_eq!(opened(format, &key, nonce, other, &packet), None, "{suite}");
        }
        let other = PacketKey::from_bytes([9; 32]);
        assert_eq!(opened(format, &other, nonce, &associated, &packet), None, "{suite}");
        for other in Suite::ALL.iter().filter(|other| **other != suite) {
            let format = PacketFormat { scheme: HintScheme::Aes128, suite: *other };
            if packet.len() >= format.overhead_bytes() {
                assert_eq!(opened(format, &key, nonce, &[], &packet), None, "{suite} as {other}");
            }
        }
    }
}

/// Hint and associated data stand side by side in what an AEAD authenticates. Another scheme
/// could move the boundary between them; the hint's length is the fleet's, so it cannot.
#[test]
fn the_boundary_of_hint_and_data_is_that_of_the_scheme() {
    let (hint_key, key) = (HintKey::from_bytes([3; 16]), PacketKey::from_bytes([5; 32]));
    let long = HintScheme::from_name("aes128-trunc:8").expect("a scheme");
    let short = HintScheme::from_name("aes128-trunc:4").expect("a scheme");
    let format = PacketFormat { scheme: long, suite: Suite::AesSiv };
    let mut packet = [0; 64];
    let len = Sealer::new(format, &hint_key, key.clone(), 6)
        .seal_with(6, b"abc", data(b"data"), &mut packet)
        .expect("room enough");
    // Four bytes of the hint as data: the components of AES-SIV keep their boundaries.
    let moved = PacketFormat { scheme: short, suite: Suite::AesSiv };
    let cut = [&packet[..4], &packet[8..len]].concat();
    let other = [&packet[4..8], b"data"].concat();
    assert_eq!(opened(moved, &key, 6, &other, &cut), None);
    assert_eq!(opened(format, &key, 6, b"data", &packet[..len]), Some(b"abc".to_vec()));
}

#[test]
fn the_usual_suite_takes_no_associated_data() {
    let (hint_key, key) = (HintKey::from_bytes([3; 16]), PacketKey::from_bytes([5; 32]));
    let format = PacketFormat::from(HintScheme::Speck64);
    let mut sealer = Sealer::new(format, &hint_key, key.clone(), 8);
    let mut out = [0; 64];
    let refused = SealError::NoAssociatedData { suite: Suite::AesCtrHmac };
    assert_eq!(sealer.seal_with(8, b"abc", data(b"d"), &mut out), Err(refused));
    assert_eq!(sealer.next_nonce(), 8, "no nonce is spent");
    let message = "suite aes-ctr-hmac authenticates no associated data; choose another suite";
    assert_eq!(refused.to_string(), message);
    let len = sealer.seal_with(8, b"abc", AssociatedData::EMPTY, &mut out).expect("it seals");
    assert_eq!(opened(format, &key, 8, b"d", &out[..len]), None);
    assert_eq!(opened(format, &key, 8, b"", &out[..len]), Some(b"abc".to_vec()));
}

/// The packets of the vectors, and where the upper bits of a nonce count.
#[test]
fn carried_hints_are_those_of_the_vectors() {
    let all = vectors();
    let master = MasterKey::new(&bytes(&all["master"]).try_into().expect("32 bytes"));
    let format = PacketFormat::from(HintScheme::Carry24);
    let cases = all["suites"]["carry24"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let key = KeyId::first(DeviceId(number(&case["device"]).try_into().expect("u32")));
        let (hint_key, nonce) = (master.hint_key(key).expect("derived"), number(&case["nonce"]));
        let key = master.packet_key(key).expect("derived");
        let (payload, packet) = (bytes(&case["payload"]), bytes(&case["packet"]));
        let mut sealer = Sealer::new(format, &hint_key, key.clone(), nonce);
        let mut out = vec![0; sealer.packet_len_bytes(payload.len())];
        assert_eq!(sealer.seal(&payload, &mut out), Ok(packet.len()));
        assert_eq!(hex::encode(&out), hex::encode(&packet));
        assert_eq!(packet[..3], bytes(&case["head"]));
        assert_eq!(opened(format, &key, nonce, &[], &packet), Some(payload));
        for bit in 0..packet.len() * 8 {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(format, &key, nonce, &[], &bad), None, "bit {bit} passed");
        }
        // The head is the same, the byte behind it is not.
        for bit in 24..32 {
            assert_eq!(opened(format, &key, nonce ^ 1 << bit, &[], &packet), None, "bit {bit}");
        }
        let cipher = HintCipher::new(HintScheme::Carry24, &hint_key);
        let hint = *Packet::parse(format, &packet).expect("long enough").hint();
        let within = |expected: std::ops::Range<Nonce>| {
            let mut found = Vec::new();
            cipher.nonces_within(&hint, expected, |nonce| found.push(nonce));
            found
        };
        let same: Vec<_> = (0..256).map(|upper| upper << 24 | nonce & 0xff_ffff).collect();
        assert_eq!(within(0..u64::MAX), same);
        assert_eq!(within(nonce..nonce + 1), [nonce]);
        assert_eq!(within(nonce.saturating_sub(1 << 23)..nonce), [0; 0]);
        let ends: Vec<_> =
            [nonce, nonce + (1 << 24)].into_iter().filter(|n| *n >> 32 == 0).collect();
        assert_eq!(within(nonce..nonce + (1 << 24) + 1), ends);
    }
}

/// The mask of a carried hint takes a half of the key that other suites use whole.
#[test]
fn carried_hints_go_with_the_usual_suite_alone() {
    let (hint_key, key) = (HintKey::from_bytes([3; 16]), PacketKey::from_bytes([5; 32]));
    for &suite in Suite::ALL.iter().filter(|suite| **suite != Suite::AesCtrHmac) {
        let format = PacketFormat { scheme: HintScheme::Carry24, suite };
        let mut sealer = Sealer::new(format, &hint_key, key.clone(), 8);
        let refused = SealError::NoSuchFormat { format };
        assert_eq!(sealer.seal(b"abc", &mut [0; 64]), Err(refused));
        let message =
            format!("carry24 hints have no packets of suite {suite}; choose aes-ctr-hmac");
        assert_eq!((sealer.next_nonce(), refused.to_string()), (8, message));
        assert_eq!(opened(format, &key, 8, &[], &[0; 64]), None);
    }
}

#[test]
fn lengths_have_bounds() {
    let most = [7; AssociatedData::MAX_LEN_BYTES + 1];
    assert!(AssociatedData::new(&most).is_none());
    let (hint_key, key) = (HintKey::from_bytes([3; 16]), PacketKey::from_bytes([5; 32]));
    for &suite in Suite::ALL.iter().filter(|suite| suite.takes_associated_data()) {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite };
        let mut sealer = Sealer::new(format, &hint_key, key.clone(), 0);
        let (mut out, longest) = (vec![0; 70_000], data(&most[1..]));
        let len = sealer.seal_with(0, b"abc", longest, &mut out).expect("it seals");
        assert_eq!(opened(format, &key, 0, longest.bytes(), &out[..len]), Some(b"abc".to_vec()));
        let sealed = sealer.seal(&[1; 65_536], &mut out);
        if suite == Suite::AesCcm8 {
            assert_eq!(sealed, Err(SealError::PayloadTooLong { max_bytes: 65_535 }));
            let message = "the payload is too long; the longest has 65535 bytes";
            assert_eq!(sealed.expect_err("too long").to_string(), message);
            // Nor does a longer packet open.
            assert_eq!(opened(format, &key, 1, &[], &out[..65_536 + 24]), None);
            assert_eq!(sealer.next_nonce(), 1, "no nonce is spent");
        }
        let long = if suite == Suite::AesCcm8 { 65_535 } else { 65_536 };
        let nonce = sealer.next_nonce();
        let len = sealer.seal(&vec![1; long], &mut out).expect("it seals");
        assert_eq!(opened(format, &key, nonce, &[], &out[..len]), Some(vec![1; long]), "{suite}");
    }
}

#[test]
fn too_little_room_opens_nothing() {
    let (hint_key, key) = (HintKey::from_bytes([3; 16]), PacketKey::from_bytes([5; 32]));
    for &suite in Suite::ALL {
        let format = PacketFormat { scheme: HintScheme::Aes128, suite };
        let (mut out, mut room) = ([0; 64], [0; 6]);
        let mut sealer = Sealer::new(format, &hint_key, key.clone(), 4);
        let len = sealer.seal(b"21.5 C", &mut out).expect("room enough");
        let packet = Packet::parse(format, &out[..len]).expect("long enough");
        let empty = AssociatedData::EMPTY;
        assert_eq!(key.open(&packet, 4, empty, &mut room[..5]), None);
        assert_eq!(key.open(&packet, 4, empty, &mut room), Some(&b"21.5 C"[..]));
        for len_bytes in 0..format.overhead_bytes() {
            let error = Packet::parse(format, &out[..len_bytes]).expect_err("too short");
            let expected = (len_bytes, format.overhead_bytes());
            assert_eq!((error.len_bytes, error.least_bytes), expected);
        }
    }
}

proptest! {
    #[test]
    fn packets_of_every_format_open_as_they_were_sealed(
        scheme in proptest::sample::select(HintScheme::ALL),
        suite in proptest::sample::select(Suite::ALL),
        device in any::<u32>(),
        nonce in any::<u32>(),
        payload in proptest::collection::vec(any::<u8>(), 0..48),
        associated in proptest::collection::vec(any::<u8>(), 0..=AssociatedData::MAX_LEN_BYTES),
        flipped in any::<proptest::sample::Index>(),
    ) {
        let (master, key) = (MasterKey::new(&[4; 32]), KeyId::first(DeviceId(device)));
        let (hint_key, key) =
            (master.hint_key(key).expect("derived"), master.packet_key(key).expect("derived"));
        let (format, nonce) = (PacketFormat { scheme, suite }, Nonce::from(nonce));
        prop_assume!(format.is_defined());
        let associated =
            if suite.takes_associated_data() { &associated[..] } else { &[] };
        let mut sealer = Sealer::new(format, &hint_key, key.clone(), nonce);
        let mut out = [0; 96];
        let len = sealer.seal_with(nonce, &payload, data(associated), &mut out).expect("room");
        prop_assert_eq!(len, format.overhead_bytes() + payload.len());

        let hint = *Packet::parse(format, &out[..len]).expect("long enough").hint();
        prop_assert_eq!(HintCipher::new(scheme, &hint_key).hint(nonce), Some(hint));
        prop_assert_eq!(opened(format, &key, nonce, associated, &out[..len]), Some(payload));
        let bit = flipped.index(len * 8);
        out[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(opened(format, &key, nonce, associated, &out[..len]), None);
    }
}
