//! A station with a chain attached.

use hintdex::snapshot::{Dial, Encoding};
use hintdex::wire::{DeviceId, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey};
use hintdex::{DeviceRange, RebuildOptions, StationOptions};

use crate::fleet::{Fleet, SECRET};

/// The key of a retired slot is zero, and a walk computes hints with it as with any other: a
/// hint that anybody can compute must name no device.
#[test]
fn a_retired_slot_of_a_chain_answers_no_hint() {
    let fleet = Fleet::create_with(HintScheme::Aes128, 4, &StationOptions::default());
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
    station.retire(DeviceId(8)).expect("device 8 exists");
    let zero = HintCipher::new(HintScheme::Aes128, &HintKey::from_bytes([0; 16]));
    let forged: Vec<_> = (0..40).filter_map(|nonce| zero.hint(nonce)).collect();
    let named = station.resolve(&forged).expect("a sound index");
    assert!(named.iter().all(|resolved| resolved.is_empty()), "{named:?}");
    // Of another device, every hint of the chain is found.
    let keys = MasterKey::new(&SECRET);
    let key = keys.hint_key(KeyId::first(DeviceId(9))).expect("a master has all keys");
    let cipher = HintCipher::new(HintScheme::Aes128, &key);
    let hints: Vec<_> = (0..40).filter_map(|nonce| cipher.hint(nonce)).collect();
    let named = station.resolve(&hints).expect("a sound index");
    for (nonce, resolved) in (0..).zip(named) {
        let found: Vec<_> = resolved.iter().map(|found| (found.key.device, found.nonce)).collect();
        assert_eq!(found, [(DeviceId(9), nonce)]);
    }
}
