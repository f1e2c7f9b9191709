//! Keys derived with HKDF, against vectors of an independent script (data/hkdf.py).
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;

use hintdex_wire::{
    Derivation, DeviceId, HintCipher, HintScheme, KeyId, KeySource, MasterKey, PacketKey, Sealer,
};
use serde_json::Value;

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let bytes = hex::decode(value.as_str().expect("a string")).expect("hex");
    bytes.try_into().expect("as many bytes")
}

fn key_of(case: &Value) -> KeyId {
    let number = |name: &str| case[name].as_u64().expect("a number");
    let device = DeviceId(number("device").try_into().expect("a u32"));
    KeyId { device, generation: number("generation").try_into().expect("a u16") }
}

/// A packet under a packet key, which shows no bytes of its own.
fn sealed(packet_key: PacketKey) -> Vec<u8> {
    let hint_key = hintdex_wire::HintKey::from_bytes([1; 16]);
    let mut packet = [0; 64];
    let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 5);
    let len = sealer.seal(b"sixteen bytes ..", &mut packet).expect("room");
    packet[..len].to_vec()
}

#[test]
fn keys_are_those_of_the_vectors_and_no_two_are_equal() {
    let all: Value = serde_json::from_str(include_str!("data/hkdf.json")).expect("hkdf.json");
    let cases = all["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 50);
    let mut keys = BTreeSet::new();
    for case in cases {
        let master = MasterKey::with_derivation(&bytes(&case["master"]), Derivation::Hkdf);
        let key = key_of(case);
        let (hint_key, dev_key): ([u8; 16], [u8; 32]) =
            (bytes(&case["hint_key"]), bytes(&case["dev_key"]));
        assert_eq!(master.hint_key(key).expect("derived").expose(), &hint_key, "{key:?}");
        let packet_key = master.packet_key(key).expect("derived");
        assert_eq!(sealed(packet_key), sealed(PacketKey::from_bytes(dev_key)), "{key:?}");
        let parts = [&hint_key[..], &dev_key[..16], &dev_key[16..]];
        assert!(parts.into_iter().all(|part| keys.insert(part.to_vec())), "{key:?}: a key twice");
    }
}

/// Nothing that a fleet stores beside its keys depends on the derivation.
#[test]
fn the_derivation_changes_keys_of_devices_alone() {
    let [hmac, hkdf] =
        Derivation::ALL.map(|derivation| MasterKey::with_derivation(&[3; 32], derivation));
    assert_eq!(hmac.check_value(b"x"), hkdf.check_value(b"x"));
    assert_eq!(hmac.sealing_key(), hkdf.sealing_key());
    let key = KeyId::first(DeviceId(7));
    let hint = |master: &MasterKey| {
        let hint_key = master.hint_key(key).expect("derived");
        HintCipher::new(HintScheme::Aes128, &hint_key).hint(0).expect("a hint")
    };
    assert_ne!(hint(&hmac), hint(&hkdf));
    assert_eq!(hint(&hmac), hint(&MasterKey::new(&[3; 32])));
}

#[test]
fn a_master_key_serves_fleets_of_its_derivation() {
    for own in Derivation::ALL {
        let master = MasterKey::with_derivation(&[3; 32], own);
        for other in Derivation::ALL {
            assert_eq!(master.serves(other), own == other);
        }
        assert_eq!(Derivation::from_number(own.number()), Some(own));
        assert_eq!(Derivation::from_name(own.name()), Some(own));
    }
    assert_eq!((Derivation::from_number(2), Derivation::from_name("HKDF")), (None, None));
    assert_eq!(Derivation::default(), Derivation::Hmac);
}
