//! A station with a chain attached.

use hintdex::snapshot::{Dial, Encoding};
use hintdex::wire::{
    DeviceId, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, TruncatedLen,
};
use hintdex::{DeviceRange, RebuildOptions, StationOptions};

use crate::fleet::{Fleet, SECRET};

/// The key of a retired slot is zero, and a walk computes hints with it as with any other: a
/// hint that anybody can compute must name no device.
#[test]
fn a_retired_slot_of_a_chain_answers_no_hint() {
    // Of truncated hints, the table stores the keys themselves, so zero is a key of zeros.
    let scheme = HintScheme::Aes128Truncated(TruncatedLen::MAX);
    let fleet = Fleet::create_with(scheme, 4, &StationOptions::default());
    let station = fleet.station();
    station.provision(&[DeviceRange::new(DeviceId(0), 300)], None).expect("free ids");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain.hdx");
    let options = RebuildOptions {
        encoding: Encoding::Chain,
        dial: Dial::Evaluations(5),
        horizon_nonces: 40,
        ..RebuildOptions::default()
    };
    station.rebuild(&path, &options, None).expect("it is built");
    station.attach(&path).expect("it is this fleet's");
    // A walk meets few slots, so nearly all of them are retired.
    for device in (0..300).filter(|device| *device != 9) {
        station.retire(DeviceId(device)).expect("the device exists");
    }
    let zero = HintCipher::new(scheme, &HintKey::from_bytes([0; 16]));
    let forged: Vec<_> = (0..40).filter_map(|nonce| zero.hint(nonce)).collect();
    let named = station.resolve(&forged).expect("a sound index");
    assert!(named.iter().all(|resolved| resolved.is_empty()), "{named:?}");
    // Every hint of the device that is left is found, by whichever source.
    let keys = MasterKey::new(&SECRET);
    let key = keys.hint_key(KeyId::first(DeviceId(9))).expect("a master has all keys");
    let cipher = HintCipher::new(scheme, &key);
    let hints: Vec<_> = (0..40).filter_map(|nonce| cipher.hint(nonce)).collect();
    let named = station.resolve(&hints).expect("a sound index");
    for (nonce, resolved) in (0..).zip(named) {
        let found: Vec<_> = resolved.iter().map(|found| (found.key.device, found.nonce)).collect();
        // The index, the chain and the scan hold the first hints; the chain holds all of them.
        assert!(found.is_empty() || found == [(DeviceId(9), nonce)], "{found:?}");
        assert!(nonce >= 4 || !found.is_empty(), "{nonce}");
    }
}
