//! The master key at rest against its document, and through the library alone.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hintdex::wire::{Derivation, DeviceId, HintScheme, KeyId};
use hintdex::{
    DeviceRange, Error, KeptKey, KeyAccess, Params, PassphraseCost, Protection, SecretSource,
    Station, StationOptions, SystemClock, master_key_format as format,
};
use hintdex_tests::documents;

const COST: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 2 };

#[test]
fn the_document_has_the_bytes_of_a_wrapped_key() {
    let document = include_str!("../../docs/format/master-key.md");
    documents::check(document, format::fields(), format::MAGIC_AND_VERSION);
    for (name, ..) in format::fields() {
        assert!(document.contains(&format!("`{name}`")), "nothing is said of {name}");
    }
    let PassphraseCost { memory_kib, passes, lanes } = PassphraseCost::default();
    assert_eq!((memory_kib, passes, lanes), (65_536, 3, 4));
    assert!(document.contains("writes 65,536, 3 and 4"));
}

/// A file that was written by the words of the document, with the package `cryptography`
/// of Python: see data/wrapped.py.
#[test]
fn a_wrapped_key_that_another_program_made_is_unwrapped() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("fleet");
    let key = folder.path().join("the.key");
    fs::write(&key, WRAPPED_KEY_HEX).expect("it can be written");
    let params = Params::counters(HintScheme::Aes128, 4);
    let options = StationOptions::default();
    drop(Station::create(&dir, Some(&key), params, &options).expect("a new folder"));
    let wrapped = hex::decode(WRAPPED_HEX).expect("hex");
    fs::write(dir.join("master.key"), wrapped).expect("it can be written");
    assert_eq!(
        Station::kept_key(&dir).expect("it is whole"),
        KeptKey::Passphrase(PassphraseCost { memory_kib: 128, passes: 2, lanes: 3 })
    );
    let open = |words: &str| {
        let passphrase = folder.path().join("words");
        fs::write(&passphrase, words).expect("it can be written");
        let access = KeyAccess { passphrase: Some(source(&passphrase)), ..KeyAccess::default() };
        Station::open_by(&dir, &access, &options, Arc::new(SystemClock))
    };
    let refused = open("correct horse battery stapl").expect_err("another passphrase");
    assert!(matches!(refused, Error::WrongPassphrase { .. }), "{refused}");
    open("correct horse battery staple\n").expect("the passphrase");
}

const WRAPPED_KEY_HEX: &str = include_str!("data/wrapped-key.hex");
const WRAPPED_HEX: &str = include_str!("data/wrapped.hex");

fn source(path: &Path) -> SecretSource {
    SecretSource::File(path.to_owned())
}

/// Derivation and protection go through creation, reopening and a change.
#[test]
fn a_fleet_keeps_its_derivation_through_every_protection() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = folder.path().join("words");
    fs::write(&words, "some words").expect("it can be written");
    let clock = Arc::new(SystemClock);
    let options = StationOptions::default();
    for derivation in Derivation::ALL {
        let dir = folder.path().join(derivation.name());
        let params = Params { derivation, ..Params::counters(HintScheme::Aes128, 4) };
        let access = KeyAccess { passphrase: Some(source(&words)), ..KeyAccess::default() };
        let wrapped = Protection::Passphrase { source: source(&words), cost: COST };
        let station = Station::create_by(&dir, &access, &wrapped, params, &options, clock.clone());
        let station = station.expect("a new folder");
        station.provision(&[DeviceRange::new(DeviceId(0), 20)], None).expect("free ids");
        let key = KeyId::first(DeviceId(3));
        let hint_key = |station: &Station| {
            *station.key_source().hint_key(key).expect("it is derived").expose()
        };
        let before = hint_key(&station);
        drop(station);
        let refused = Station::open(&dir, &options).expect_err("no passphrase");
        assert!(matches!(refused, Error::NoPassphrase { .. }), "{refused}");
        Station::rewrap_key(&dir, &access, &Protection::File, &options, clock.clone())
            .expect("the passphrase is right");
        let station = Station::open(&dir, &options).expect("the key is in the clear");
        assert_eq!((station.params(), hint_key(&station)), (params, before));
        station.verify(None).expect("all holds");
    }
}

/// Costs that no file may ask for are not written, either.
#[test]
fn costs_out_of_bounds_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, words) = (folder.path().join("fleet"), folder.path().join("words"));
    fs::write(&words, "some words").expect("it can be written");
    let params = Params::counters(HintScheme::Aes128, 4);
    let options = StationOptions::default();
    drop(Station::create(&dir, None, params, &options).expect("a new folder"));
    let before = fs::read(dir.join("master.key")).expect("it is there");
    for cost in [
        PassphraseCost { memory_kib: PassphraseCost::MAX_MEMORY_KIB + 1, passes: 1, lanes: 1 },
        PassphraseCost { memory_kib: 1 << 20, passes: 5, lanes: 1 },
        PassphraseCost { memory_kib: 0, passes: 0, lanes: 0 },
    ] {
        let wrapped = Protection::Passphrase { source: source(&words), cost };
        let (access, clock) = (KeyAccess::default(), Arc::new(SystemClock));
        let refused = Station::rewrap_key(&dir, &access, &wrapped, &options, clock);
        let refused = refused.expect_err("out of bounds");
        assert!(refused.to_string().contains("out of bounds"), "{refused}");
        assert_eq!(fs::read(dir.join("master.key")).expect("it is there"), before);
    }
}
