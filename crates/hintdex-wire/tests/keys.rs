//! The values derived from a master key that are not keys of devices, and the keys
//! of later generations.

use hintdex_wire::{DeviceId, KeyId, KeySource, MasterKey};

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

#[test]
fn only_the_factory_key_is_derived() {
    for generation in [1, 2, u16::MAX] {
        let key = KeyId { device: DeviceId(5), generation };
        assert!(master().hint_key(key).is_none() && master().packet_key(key).is_none());
    }
    let factory = KeyId::first(DeviceId(5));
    assert_eq!(factory, KeyId { device: DeviceId(5), generation: 0 });
    assert!(master().hint_key(factory).is_some() && master().packet_key(factory).is_some());
}
