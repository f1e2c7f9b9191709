//! Fleets whose devices came with keys of their own.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use hintdex::wire::{DeviceId, HintCipher, HintKey, HintScheme, Slot};
use hintdex::{
    DeviceRange, Error, IndexError, KeyImport, KeyOrigin, KeyPart, RebuildOptions, Station,
    StationOptions, Unknown, Verdict, device_keys_format as format,
};
use hintdex_tests::devices::{own_keys, own_packet};
use hintdex_tests::{Devices, Random, documents};

use crate::fleet::{Fleet, SECRET};

pub fn import(station: &Station, devices: &[u32]) -> Result<std::ops::Range<Slot>, Error> {
    let mut import = station.import_keys()?;
    for device in devices {
        let (hint_key, dev_key) = own_keys(*device);
        import.add(DeviceId(*device), &HintKey::from_bytes(hint_key), &dev_key)?;
    }
    import.provision(None)
}

/// That packets of these devices are taken, each once.
fn are_heard(station: &Station, devices: &[u32], nonce: u64) {
    let packets: Vec<_> = devices.iter().map(|device| own_packet(*device, nonce)).collect();
    let verdicts = station.decode_batch(&packets).expect("a sound index");
    for (device, verdict) in devices.iter().zip(verdicts) {
        let Verdict::Accepted { device: heard, nonce: at, payload, .. } = verdict else {
            panic!("device {device}: {verdict:?}");
        };
        assert_eq!((heard, at), (DeviceId(*device), nonce));
        assert_eq!(payload, device.to_be_bytes());
    }
}

fn fleet() -> Fleet {
    Fleet::create_with(HintScheme::Aes128, 4, &StationOptions::default())
}

fn reopen(fleet: &mut Fleet) -> Result<Station, Error> {
    fleet.close();
    Station::open(&fleet.dir(), &StationOptions::default())
}

fn key_file(fleet: &Fleet) -> PathBuf {
    fleet.dir().join("device.keys")
}

/// Ids in no order, with gaps.
const IDS: [u32; 7] = [900, 7, 8, 9, u32::MAX, 0, 500_000];

#[test]
fn devices_with_keys_of_their_own_are_heard_beside_others_and_after_reopening() {
    let mut fleet = fleet();
    let derived = [DeviceRange::new(DeviceId(1000), 50)];
    fleet.station().provision(&derived, None).expect("free ids");
    assert_eq!(import(fleet.station(), &IDS).expect("free ids"), Slot(50)..Slot(57));
    assert_eq!(import(fleet.station(), &[77]).expect("a free id"), Slot(57)..Slot(58));
    are_heard(fleet.station(), &IDS, 0);
    let station = reopen(&mut fleet).expect("it opens");
    are_heard(&station, &IDS, 1);
    are_heard(&station, &[77], 0);
    // A snapshot is made of the same keys.
    let snapshot = fleet.dir().join("some.hdx");
    station.rebuild(&snapshot, &RebuildOptions::default(), None).expect("it is built");
    station.attach(&snapshot).expect("it is this fleet's");
    are_heard(&station, &IDS, 60);
    station.verify(None).expect("all holds");
    let mode = fs::metadata(key_file(&fleet)).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(station);
    // Whoever reads the folder learns no key.
    let bytes = fs::read(key_file(&fleet)).expect("it is there");
    for device in IDS {
        let (hint_key, dev_key) = own_keys(device);
        assert!(!bytes.windows(16).any(|run| run == hint_key || dev_key[..16] == *run));
    }
}

#[test]
fn an_import_that_is_refused_leaves_nothing() {
    let mut fleet = fleet();
    fleet.station().provision(&[DeviceRange::new(DeviceId(7), 1)], None).expect("a free id");
    let refused = import(fleet.station(), &IDS).expect_err("7 is there");
    assert!(matches!(refused, Error::Index(IndexError::AlreadyProvisioned { .. })), "{refused}");
    let twice = import(fleet.station(), &[1, 2, 1]).expect_err("1 is there twice");
    assert!(matches!(twice, Error::DeviceTwice { device: DeviceId(1) }), "{twice}");
    // What was given for them in vain is not what they have now.
    fleet.station().provision(&[DeviceRange::new(DeviceId(900), 1)], None).expect("a free id");
    let station = reopen(&mut fleet).expect("it opens");
    let packet = own_packet(900, 0);
    let verdict = station.decode(&packet).expect("a sound index");
    assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    // The others may come with their keys after all.
    let others: Vec<u32> = IDS.into_iter().filter(|id| ![7, 900].contains(id)).collect();
    import(&station, &others).expect("free ids");
    are_heard(&station, &others, 0);
    station.verify(None).expect("all holds");
}

/// Records that an import left which was killed: of other keys, and of devices that the
/// index does not have.
#[test]
fn what_a_killed_import_left_is_nobodys_key() {
    let record_len_bytes: usize = format::record().iter().map(|(.., width)| width).sum();
    let other = fleet();
    let mut import_of_others = other.station().import_keys().expect("nobody imports");
    for device in [5, 6] {
        let (hint_key, dev_key) = own_keys(device + 1000);
        import_of_others
            .add(DeviceId(device), &HintKey::from_bytes(hint_key), &dev_key)
            .expect("a new device");
    }
    import_of_others.provision(None).expect("free ids");
    let bytes = fs::read(key_file(&other)).expect("it is there");
    let left = &bytes[bytes.len() - 2 * record_len_bytes..];

    let mut fleet = fleet();
    import(fleet.station(), &IDS).expect("free ids");
    fleet.close();
    let mut bytes = fs::read(key_file(&fleet)).expect("it is there");
    bytes.extend_from_slice(left);
    fs::write(key_file(&fleet), bytes).expect("it can be written");
    let station = reopen(&mut fleet).expect("it opens");
    // 5 comes with its own key after all, 6 with a derived one.
    import(&station, &[5]).expect("a free id");
    station.provision(&[DeviceRange::new(DeviceId(6), 1)], None).expect("a free id");
    drop(station);
    for nonce in 0..2 {
        let station = reopen(&mut fleet).expect("it opens");
        are_heard(&station, &[5, 900, 0], nonce);
        let packet = Devices::new(&SECRET).packet(6, nonce, b"x");
        let verdict = station.decode(&packet).expect("a sound index");
        assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
        station.verify(None).expect("all holds");
        // What a file system may leave behind the end: device 0 is one of ours.
        let mut bytes = fs::read(key_file(&fleet)).expect("it is there");
        bytes.extend(vec![0; 3 * record_len_bytes]);
        drop(station);
        fs::write(key_file(&fleet), bytes).expect("it can be written");
    }
}

#[test]
fn a_device_that_is_there_keeps_its_key_whatever_is_imported() {
    let mut fleet = fleet();
    import(fleet.station(), &IDS).expect("free ids");
    let len_bytes = |fleet: &Fleet| fs::metadata(key_file(fleet)).expect("it is there").len();
    let before = len_bytes(&fleet);
    let (hint_key, dev_key) = own_keys(77);
    let mut others = fleet.station().import_keys().expect("nobody imports");
    let hint_key = HintKey::from_bytes(hint_key);
    (10_000..30_000)
        .try_for_each(|device| others.add(DeviceId(device), &hint_key, &dev_key))
        .expect("new devices");
    assert!(len_bytes(&fleet) > before, "some of it is in the file");
    let refused = others.add(DeviceId(900), &hint_key, &dev_key).expect_err("900 is there");
    assert!(matches!(refused, Error::Index(IndexError::AlreadyProvisioned { .. })), "{refused}");
    // There is one import at a time.
    let second = fleet.station().import_keys().map(drop).expect_err("there is one");
    assert!(matches!(second, Error::ImportInProgress), "{second}");
    drop(others);
    assert_eq!(len_bytes(&fleet), before, "what was written is taken back");
    drop(fleet.station().import_keys().expect("there is none"));
    are_heard(fleet.station(), &IDS, 0);
    let station = reopen(&mut fleet).expect("it opens");
    are_heard(&station, &IDS, 1);
}

/// An index that was refused a write before its declaration: it has none of the devices, but
/// only the next opening may say so.
#[test]
#[expect(clippy::disallowed_methods, reason = "the folder is only moved away, and back")]
fn keys_of_an_import_whose_outcome_is_not_known_stay_until_the_fleet_is_opened() {
    let mut fleet = fleet();
    import(fleet.station(), &IDS).expect("free ids");
    let before = fs::metadata(key_file(&fleet)).expect("it is there").len();
    let (index, away) = (fleet.dir().join("index"), fleet.dir().join("away"));
    let many: Vec<u32> = (10_000..11_000).collect();
    // The store cannot make the files that it needs for a new window.
    fs::rename(&index, &away).expect("it can be moved");
    fs::write(&index, "").expect("a file can be written");
    let failed = import(fleet.station(), &many).expect_err("the folder is gone");
    assert!(matches!(failed, Error::Index(IndexError::Store { .. })), "{failed}");
    fs::remove_file(&index).expect("it is there");
    fs::rename(&away, &index).expect("it can be moved");
    assert!(fleet.station().is_poisoned());
    let after = fs::metadata(key_file(&fleet)).expect("it is there").len();
    assert!(after > before, "keys were taken back");
    let refused = import(fleet.station(), &[1]).expect_err("it is poisoned");
    assert!(matches!(refused, Error::Index(IndexError::Poisoned { .. })), "{refused}");
    let station = reopen(&mut fleet).expect("it opens");
    assert!(!station.is_poisoned());
    are_heard(&station, &IDS, 0);
    import(&station, &many).expect("none was added");
    are_heard(&station, &many, 0);
    station.verify(None).expect("all holds");
}

const PARTS: [KeyPart; 3] = [KeyPart::HintKey, KeyPart::FirstHalf, KeyPart::SecondHalf];

/// A device's own keys, in the order of [`PARTS`].
fn parts_of(device: u32) -> [[u8; 16]; 3] {
    let (hint_key, dev_key) = own_keys(device);
    let (first, second) = dev_key.split_at(16);
    [hint_key, first.try_into().expect("16 bytes"), second.try_into().expect("16 bytes")]
}

fn add_parts(import: &mut KeyImport<'_>, device: u32, parts: [[u8; 16]; 3]) -> Result<(), Error> {
    let [hint_key, first, second] = parts;
    let dev_key = [first, second].concat().try_into().expect("32 bytes");
    import.add(DeviceId(device), &HintKey::from_bytes(hint_key), &dev_key)
}

#[test]
fn a_key_of_zeros_is_refused_and_two_keys_of_a_device_that_are_the_same() {
    let fleet = fleet();
    let mut import = fleet.station().import_keys().expect("nobody imports");
    for (at, part) in PARTS.into_iter().enumerate() {
        let mut parts = parts_of(50);
        parts[at] = [0; 16];
        let zero = add_parts(&mut import, 50, parts).expect_err("zeros");
        let expected = (DeviceId(50), part);
        assert!(
            matches!(zero, Error::ZeroKey { device, part } if (device, part) == expected),
            "{zero}"
        );
        for other in 0..at {
            let mut parts = parts_of(50);
            parts[at] = parts[other];
            let own = add_parts(&mut import, 50, parts).expect_err("the same");
            let Error::SharedKey { device, part: found, other_part, .. } = own else {
                panic!("{own}")
            };
            assert_eq!((device, found, other_part), (DeviceId(50), part, PARTS[other]));
        }
    }
    // What was refused is not in the import.
    add_parts(&mut import, 50, parts_of(50)).expect("fit keys");
    assert_eq!(import.provision(None).expect("a free id"), Slot(0)..Slot(1));
    are_heard(fleet.station(), &[50], 0);
}

/// Whichever keys of two devices are the same, wherever in an import they stand, or if one
/// was imported before: the later of the two is named.
#[test]
fn two_devices_that_share_a_key_are_refused_and_named() {
    let mut random = Random::new(20);
    let mut fleet = fleet();
    import(fleet.station(), &IDS).expect("free ids");
    let len_bytes = |fleet: &Fleet| fs::metadata(key_file(fleet)).expect("it is there").len();
    let before = len_bytes(&fleet);
    for at in 0..9 * 8 {
        let (part, other_part) = (at % 3, at / 3 % 3);
        let count = 2 + random.below_u32(40);
        let second = 1 + random.below_u32(count - 1);
        let other = if random.chance(50) { 900 } else { 100 + random.below_u32(second) };
        let also = second + random.below_u32(count - second);
        let mut import = fleet.station().import_keys().expect("nobody imports");
        for device in 0..count {
            let mut parts = parts_of(100 + device);
            if device == second || device == also {
                parts[part] = parts_of(other)[other_part];
            }
            add_parts(&mut import, 100 + device, parts).expect("it is the end that tells");
        }
        let shared = import.provision(None).expect_err("a key is there twice");
        let Error::SharedKey { number, device, part: found, other: first, other_part: of, more } =
            shared
        else {
            panic!("{shared}")
        };
        assert_eq!((number, device), (second.into(), DeviceId(100 + second)));
        assert_eq!((found, first, of), (PARTS[part], DeviceId(other), PARTS[other_part]));
        assert_eq!(more, u64::from(also != second));
        assert_eq!(len_bytes(&fleet), before, "what was written is taken back");
    }
    let all: Vec<u32> = (100..140).collect();
    import(fleet.station(), &all).expect("all are different");
    let station = reopen(&mut fleet).expect("it opens");
    are_heard(&station, &all, 0);
    station.verify(None).expect("all holds");
}

/// A crash may leave any part of an import in the file: its devices are not there, and the
/// next import goes over it.
#[test]
fn a_file_that_was_cut_off_behind_its_devices_is_sound() {
    let record_len_bytes: usize = format::record().iter().map(|(.., width)| width).sum();
    for extra in [1, 7, record_len_bytes - 1, record_len_bytes, 3 * record_len_bytes + 5] {
        let mut fleet = fleet();
        import(fleet.station(), &IDS).expect("free ids");
        fleet.close();
        let mut bytes = fs::read(key_file(&fleet)).expect("it is there");
        bytes.extend((0..extra).map(|at| at.to_le_bytes()[0]));
        fs::write(key_file(&fleet), bytes).expect("it can be written");
        let station = reopen(&mut fleet).expect("it opens");
        are_heard(&station, &IDS, 0);
        import(&station, &[1, 2]).expect("free ids");
        are_heard(&station, &[1, 2], 0);
        drop(station);
        let station = reopen(&mut fleet).expect("it opens");
        are_heard(&station, &[1, 2, 900], 1);
        station.verify(None).expect("all holds");
    }
}

#[test]
fn keys_that_are_gone_are_told_and_never_derived() {
    let mut fleet = fleet();
    import(fleet.station(), &IDS).expect("free ids");
    fleet.close();
    let whole = fs::read(key_file(&fleet)).expect("it is there");
    fs::remove_file(key_file(&fleet)).expect("it can be removed");
    let gone = reopen(&mut fleet).expect_err("its keys are gone");
    assert!(matches!(gone, Error::KeysMissing { first: DeviceId(0), .. }), "{gone}");
    // The last record is the last device's.
    fs::write(key_file(&fleet), &whole[..whole.len() - 1]).expect("it can be written");
    let cut = reopen(&mut fleet).expect_err("a key is gone");
    let expected = DeviceId(*IDS.last().expect("there are some"));
    assert!(matches!(cut, Error::KeysMissing { first, .. } if first == expected), "{cut}");
    // Under another master key it is not taken for damage.
    let other = fleet.dir().join("master.key");
    fs::write(&other, hex::encode([9; 32])).expect("it can be written");
    fs::write(key_file(&fleet), &whole).expect("it can be written");
    let foreign = reopen(&mut fleet).expect_err("other keys");
    assert!(
        matches!(foreign, Error::DeviceKeys { why, .. } if why.contains("another")),
        "{foreign}"
    );
    fs::write(&other, hex::encode(SECRET)).expect("it can be written");
    let station = reopen(&mut fleet).expect("it opens");
    are_heard(&station, &IDS, 0);
}

#[test]
fn every_flipped_bit_of_the_file_is_told_by_verify_or_at_opening() {
    let mut fleet = fleet();
    import(fleet.station(), &IDS[..2]).expect("free ids");
    fleet.close();
    let bits = 8 * fs::metadata(key_file(&fleet)).expect("it is there").len();
    let file = OpenOptions::new().read(true).write(true).open(key_file(&fleet)).expect("it opens");
    for bit in (0..bits).step_by(5) {
        let flip = || {
            let mut byte = [0];
            file.read_exact_at(&mut byte, bit / 8).expect("it can be read");
            byte[0] ^= 1 << (bit % 8);
            file.write_all_at(&byte, bit / 8).expect("it can be written");
        };
        flip();
        let told = reopen(&mut fleet).and_then(|station| station.verify(None).map(|_| ()));
        let error = told.expect_err("a damaged file");
        assert!(error.to_string().contains("device.keys"), "bit {bit}: {error}");
        flip();
    }
    let station = reopen(&mut fleet).expect("it opens");
    station.verify(None).expect("all holds");
}

/// The live index names the device of a packet whose sealed key is damaged, although no key
/// can confirm the hint: the reason of `unknown` is that this device is out of service.
#[test]
fn a_packet_of_a_device_with_a_damaged_key_reports_the_device_out_of_service() {
    // The window names the device by its hint. A chain cannot: it needs the key that is damaged.
    let full = StationOptions { lean: false, ..StationOptions::default() };
    let mut fleet = Fleet::create_with(HintScheme::Aes128, 4, &full);
    import(fleet.station(), &IDS).expect("free ids");
    fleet.station().retire(DeviceId(8)).expect("device 8 exists");
    fleet.close();
    let len = |fields: &[(&str, usize, usize)]| fields.iter().map(|(.., width)| width).sum();
    let (header, record): (usize, usize) = (len(&format::header()), len(&format::record()));
    let file = key_file(&fleet);
    let mut bytes = fs::read(&file).expect("it is there");
    // The records are in the order of the import, and the second device is 7.
    bytes[header + record + record - 1] ^= 1;
    fs::write(&file, bytes).expect("it can be written");
    let station = reopen(&mut fleet).expect("one damaged key does not refuse the fleet");
    assert_eq!(station.out_of_service().len(), 1);
    let reason = |packet: &[u8]| match station.decode(packet).expect("a sound index") {
        Verdict::Unknown(why) => why,
        other => panic!("{other:?}"),
    };
    for nonce in [0, 1, 0] {
        let expected = Unknown::OutOfService { device: DeviceId(7) };
        assert_eq!(reason(&own_packet(7, nonce)), expected, "nonce {nonce}");
    }
    // The index does not hold a hint beyond the lookahead, a retired device is not out of
    // service, and a foreign hint names no device.
    assert_eq!(reason(&own_packet(7, 500)), Unknown::NoDevice);
    assert_eq!(reason(&own_packet(8, 0)), Unknown::NoDevice);
    assert_eq!(reason(&[0x5a; 40]), Unknown::NoDevice);
    are_heard(&station, &[900, 9, u32::MAX, 0, 500_000], 0);
}

#[test]
fn the_document_has_the_bytes_of_the_file() {
    let document = include_str!("../../docs/format/device-keys.md");
    let here = format::header().into_iter().chain(format::record());
    documents::check(document, here, format::MAGIC_AND_VERSION);
}

/// The golden record: what a device's keys are sealed to for ever.
#[test]
fn sealed_keys_stay_what_they_are() {
    let fleet = fleet();
    import(fleet.station(), &[42]).expect("a free id");
    let bytes = fs::read(key_file(&fleet)).expect("it is there");
    assert_eq!(hex::encode(&bytes), GOLDEN.replace('\n', ""));
    // And the key in it is the one that hints are made under.
    let (hint_key, _) = own_keys(42);
    let cipher = HintCipher::new(HintScheme::Aes128, &HintKey::from_bytes(hint_key));
    let hint = cipher.hint(3).expect("a nonce of a counter");
    let found = fleet.station().resolve(&[hint]).expect("a sound index");
    assert_eq!(found[0].len(), 1);
    assert_eq!(found[0][0].key.device, DeviceId(42));
    assert_eq!(
        DeviceRange::covering([DeviceId(42)], KeyOrigin::Imported)[0].origin,
        KeyOrigin::Imported
    );
}

/// Made by this program, and held against another implementation of AES-SIV and HMAC.
const GOLDEN: &str = "\
6864786b65797300000100000000000025ea60d09b383847bd21f7e673394999
0000000000000000000000000000000000000000000000000000000000000000
00000000000000000000002a00000000e079e3b3e769fb562fb17e1d8f58d960
23e4b0335bf683ce2bf56105ec1cb60783cb281d31cea4f9345e0a8cdb645d3c
843ba9148c9772fe9feaa65e5881d891";
