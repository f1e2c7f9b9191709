//! The symmetric scheme against vectors computed by an independent implementation.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::{
    AssociatedData, DeviceId, HintCipher, HintScheme, KeyId, KeySource, MasterKey, Packet,
    PacketKey, Sealer, TAG_LEN_BYTES,
};
use serde_json::Value;

const SCHEME: HintScheme = HintScheme::Aes128;

fn symmetric() -> (MasterKey, Vec<Value>) {
    let all: Value = serde_json::from_str(include_str!("data/vectors.json")).expect("vectors.json");
    let master = bytes(&all["symmetric"]["master"]).try_into().expect("32 bytes");
    (MasterKey::new(&master), all["symmetric"]["cases"].as_array().expect("cases").clone())
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a string")).expect("hex")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn keys_hints_and_packets_are_those_of_the_vectors() {
    let (master, cases) = symmetric();
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let key = KeyId::first(DeviceId(number(&case["device"]).try_into().expect("u32")));
        let nonce = number(&case["nonce"]);
        let hint_key = master.hint_key(key).expect("derived");
        assert_eq!(hint_key.expose()[..], bytes(&case["hint_key"]));

        let dev_key = PacketKey::from_bytes(bytes(&case["dev_key"]).try_into().expect("32 bytes"));
        let (payload, packet) = (bytes(&case["payload"]), bytes(&case["packet"]));
        for packet_key in [master.packet_key(key).expect("derived"), dev_key] {
            let mut sealer = Sealer::new(SCHEME, &hint_key, packet_key.clone(), nonce);
            let mut out = vec![0; sealer.packet_len_bytes(payload.len())];
            assert_eq!(sealer.seal(&payload, &mut out), Ok(packet.len()));
            assert_eq!(out, packet);

            let parsed = Packet::parse(SCHEME, &packet).expect("long enough");
            let hints = HintCipher::new(SCHEME, &hint_key);
            assert_eq!(parsed.hint().as_bytes()[..], bytes(&case["hint"]));
            assert_eq!(hints.nonce(parsed.hint()), Some(nonce));
            assert_eq!(hints.hint(nonce).as_ref(), Some(parsed.hint()));

            let mut room = vec![0; payload.len()];
            let opened = packet_key.open(&parsed, nonce, AssociatedData::EMPTY, &mut room);
            assert_eq!(opened, Some(&payload[..]));
        }
    }
}

#[test]
fn a_packet_with_any_flipped_bit_is_rejected() {
    let (master, cases) = symmetric();
    for case in &cases {
        let key = KeyId::first(DeviceId(number(&case["device"]).try_into().expect("u32")));
        let packet_key = master.packet_key(key).expect("derived");
        let good = bytes(&case["packet"]);
        let mut room = [0; 64];
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let packet = Packet::parse(SCHEME, &bad).expect("long enough");
            let nonce = number(&case["nonce"]);
            let opened = packet_key.open(&packet, nonce, AssociatedData::EMPTY, &mut room);
            assert!(opened.is_none(), "bit {bit} passed");
            assert_eq!(room, [0; 64], "bit {bit} left a payload");
        }
    }
}

#[test]
fn bytes_too_few_for_a_hint_and_a_tag_are_no_packet() {
    let least = SCHEME.len_bytes() + TAG_LEN_BYTES;
    for len_bytes in 0..least {
        let error = Packet::parse(SCHEME, &vec![0; len_bytes]).expect_err("too short");
        assert_eq!((error.len_bytes, error.least_bytes), (len_bytes, least));
    }
    assert_eq!(Packet::parse(SCHEME, &vec![0; least]).map(|p| p.payload_len_bytes()), Ok(0));
}

#[test]
fn a_hint_of_another_key_has_no_nonce() {
    let (master, _) = symmetric();
    let cipher = |id| {
        HintCipher::new(SCHEME, &master.hint_key(KeyId::first(DeviceId(id))).expect("derived"))
    };
    let hint = cipher(1).hint(5).expect("a counter");
    assert_eq!(cipher(2).nonce(&hint), None);
}

#[test]
fn many_hints_at_once_are_the_hints_one_by_one() {
    let (master, _) = symmetric();
    let key = master.hint_key(KeyId::first(DeviceId(3))).expect("derived");
    let cipher = HintCipher::new(SCHEME, &key);
    let last = u64::from(u32::MAX);
    for nonces in [0..0, 5..6, 0..7, 3..11, 100..133, last - 9..last + 1, last - 2..last + 50] {
        let mut many = Vec::new();
        cipher.each_hint(nonces.clone(), |hint| many.push(hint));
        assert_eq!(many, nonces.filter_map(|nonce| cipher.hint(nonce)).collect::<Vec<_>>());
    }
}

#[test]
fn the_sealer_stops_after_the_last_nonce_and_spends_none_on_a_short_buffer() {
    use hintdex_wire::SealError;
    let (master, _) = symmetric();
    let key = KeyId::first(DeviceId(9));
    let (hint_key, packet_key) =
        (master.hint_key(key).expect("derived"), master.packet_key(key).expect("derived"));
    let mut sealer = Sealer::new(SCHEME, &hint_key, packet_key, u64::from(u32::MAX));
    let mut out = [0; 64];
    let short = sealer.seal(b"abc", &mut out[..26]);
    assert_eq!(short, Err(SealError::BufferTooShort { needed_bytes: 27 }));
    assert_eq!(sealer.seal(b"abc", &mut out), Ok(27));
    assert_eq!(sealer.seal(b"abc", &mut out), Err(SealError::NoncesUsedUp));
}

#[test]
fn keys_do_not_print() {
    let (master, cases) = symmetric();
    let key = KeyId::first(DeviceId(0));
    let (hint_key, packet_key) =
        (master.hint_key(key).expect("derived"), master.packet_key(key).expect("derived"));
    let printed = format!(
        "{master:?} {hint_key:?} {packet_key:?} {:?} {:?}",
        HintCipher::new(SCHEME, &hint_key),
        Sealer::new(SCHEME, &hint_key, packet_key.clone(), 0),
    );
    for field in ["dev_key", "hint_key"] {
        let secret = bytes(&cases[0][field]);
        assert!(!printed.contains(&hex::encode(&secret[..4])), "{printed}");
        assert!(!printed.contains(&format!("{:?}", &secret[..4]).replace(['[', ']'], "")));
    }
    assert!(printed.contains("HintKey([redacted])"), "{printed}");
}
