//! The values derived from a master key that are not keys of devices, and the keys
//! of later generations.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use hintdex_wire::{DeviceId, HintScheme, KeyId, KeySource, MasterKey, PacketKey, Sealer};
use serde_json::Value;

/// The master key 00 01 02 … 1f.
fn master() -> MasterKey {
    MasterKey::new(&std::array::from_fn(|at| u8::try_from(at).unwrap_or_default()))
}

/// Computed with the `hmac` module of Python 3. Files depend on both values:
/// docs/format/device-keys.md and docs/format/live-index.md.
#[test]
fn sealing_keys_and_check_values_are_those_of_the_formats() {
    assert_eq!(
        hex::encode(*master().sealing_key()),
        "0b588b908e88d6f0ce01385c751f01f3796c297c6f7028164834df69b9ac5268"
    );
    let check = master().check_value(b"fleet 7");
    assert_eq!(hex::encode(check), "f7ba0f1d6dd00a7846f1f048db2ab61a");
}

#[test]
fn check_values_differ_between_contexts_and_between_master_keys() {
    let other = MasterKey::new(&[0; 32]);
    let values = [
        master().check_value(b""),
        master().check_value(b"a"),
        other.check_value(b""),
        other.check_value(b"a"),
    ];
    for (at, value) in values.iter().enumerate() {
        assert!(!values.iter().skip(at + 1).any(|later| later == value), "{at}");
    }
}

/// 12 keys of three devices that an independent implementation derived, for the generations 0,
/// 1, 2 and 65,535.
#[test]
fn keys_of_every_generation_are_those_computed_elsewhere() {
    let vectors: Value = serde_json::from_str(include_str!("data/generations.json")).expect("JSON");
    let master = MasterKey::new(&array(&vectors["master"]));
    let cases = vectors["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 12);
    for case in cases {
        let number = |name: &str| case[name].as_u64().expect("a number");
        let device = DeviceId(number("device").try_into().expect("an id"));
        let generation = number("generation").try_into().expect("a generation");
        let key = KeyId { device, generation };
        let hint_key = master.hint_key(key).expect("every generation is derived");
        assert_eq!(hint_key.expose(), &array(&case["hint_key"]), "{case}");
        // A packet key shows itself only in what it seals.
        let sealed = |packet_key: PacketKey| {
            let mut packet = [0; 64];
            let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, 3);
            sealer.seal(b"21.5 C", &mut packet).expect("it fits");
            packet
        };
        let derived = sealed(master.packet_key(key).expect("every generation is derived"));
        assert_eq!(derived, sealed(PacketKey::copy_of(&array(&case["dev_key"]))), "{case}");
    }
    let factory = KeyId::first(DeviceId(5));
    assert_eq!(factory, KeyId { device: DeviceId(5), generation: 0 });
}

fn array<const LEN: usize>(value: &Value) -> [u8; LEN] {
    let bytes = hex::decode(value.as_str().expect("a string")).expect("hex");
    bytes.try_into().expect("as many bytes")
}
