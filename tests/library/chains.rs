//! A station with a chain attached.

use hintdex::snapshot::{Dial, Encoding};
use hintdex::wire::{
    DeviceId, HintCipher, HintKey, HintScheme, KeyId, KeySource, MasterKey, Slot, TruncatedLen,
};
use hintdex::{DeviceRange, RebuildOptions, Station, StationOptions};

use crate::fleet::{Fleet, SECRET};

/// The key of a retired slot is zero, and a lookup in a chain computes hints under that key, too.
/// Anybody can compute such a hint, so the hint must name no device.
#[test]
fn a_retired_slot_of_a_chain_answers_no_hint() {
    // For truncated hints, the table stores the keys themselves: a retired slot has a key of zeros.
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
    // A lookup reaches few slots, so nearly all slots are retired.
    for device in (0..300).filter(|device| *device != 9) {
        station.retire(DeviceId(device)).expect("the device exists");
    }
    let zero = HintCipher::new(scheme, &HintKey::from_bytes([0; 16]));
    let forged: Vec<_> = (0..40).filter_map(|nonce| zero.hint(nonce)).collect();
    let named = station.resolve(&forged).expect("a sound index");
    assert!(named.iter().all(|resolved| resolved.is_empty()), "{named:?}");
    // The last device is still found: its first hints by the index, later hints if their
    // lookup in the chain reaches no retired slot.
    let keys = MasterKey::new(&SECRET);
    let key = keys.hint_key(KeyId::first(DeviceId(9))).expect("a master has all keys");
    let cipher = HintCipher::new(scheme, &key);
    let hints: Vec<_> = (0..40).filter_map(|nonce| cipher.hint(nonce)).collect();
    let named = station.resolve(&hints).expect("a sound index");
    for (nonce, resolved) in (0..).zip(named) {
        let found: Vec<_> = resolved.iter().map(|found| (found.key.device, found.nonce)).collect();
        assert!(found.is_empty() || found == [(DeviceId(9), nonce)], "{found:?}");
        assert!(nonce >= 4 || !found.is_empty(), "{nonce}");
    }
}

/// Lookups of other devices compute hints of retired slots, so those keys stay until the
/// station's own snapshot is built without these slots.
#[test]
fn retired_devices_cost_no_other_device_its_lookup() {
    let fleet = Fleet::create_with(HintScheme::Aes128, 4, &quiet());
    let station = fleet.station();
    station.provision(&[DeviceRange::new(DeviceId(0), 3000)], None).expect("free ids");
    let (keys, retired) = (MasterKey::new(&SECRET), |device: u32| device.is_multiple_of(2));
    let tombstones = || station.key_table().expect("keys").tombstones().len();
    station.warm_up().expect("a master has all keys");
    for device in (0..3000).filter(|device| retired(*device)) {
        station.retire(DeviceId(device)).expect("the device exists");
    }
    assert_eq!(tombstones(), 1500);
    let hint = |device| {
        let key = keys.hint_key(KeyId::first(DeviceId(device))).expect("a master has all keys");
        HintCipher::new(HintScheme::Aes128, &key).hint(15).expect("a nonce of the scheme")
    };
    let hints: Vec<_> = (0..3000).map(hint).collect();
    let check = || {
        for (device, found) in (0..).zip(station.resolve(&hints).expect("a sound index")) {
            let found: Vec<_> = found.iter().map(|found| found.key.device.0).collect();
            assert_eq!(found, if retired(device) { vec![] } else { vec![device] });
        }
    };
    check();
    station.roll(None).expect("it rolls");
    assert_eq!(tombstones(), 0, "no chain needs the keys any longer");
    check();
}

/// The same, for a station that opens after the retirement.
#[test]
fn a_station_derives_the_tombstones_that_its_snapshot_needs() {
    let mut fleet = Fleet::create_with(HintScheme::Aes128, 4, &quiet());
    fleet.station().provision(&[DeviceRange::new(DeviceId(0), 300)], None).expect("free ids");
    fleet.station().retire(DeviceId(1)).expect("the device exists");
    fleet.station().roll(None).expect("it rolls");
    fleet.station().retire(DeviceId(7)).expect("the device exists");
    fleet.close();
    let station = Station::open(&fleet.dir(), &quiet()).expect("it opens");
    let table = station.key_table().expect("keys");
    assert_eq!(table.tombstones(), [Slot(7)], "device 1 was retired before the build");
}

fn quiet() -> StationOptions {
    StationOptions { roll_in_background: false, ..StationOptions::default() }
}
