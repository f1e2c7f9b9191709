//! A small fleet whose every file has something in it, and what is said by it.

use std::fs;
use std::path::{Path, PathBuf};

use hintdex::wire::{DeviceId, HintKey, HintScheme};
use hintdex::{DeviceRange, Durability, Params, Station, StationOptions, Verdict};
use hintdex_tests::devices::{own_keys, own_packet, payload};
use hintdex_tests::{Devices, files};

use crate::fleet::SECRET;

/// Devices whose keys are derived.
const DERIVED: u32 = 250;
/// The first of those that brought their keys, and how many there are.
pub const GIVEN_FIRST: u32 = 1000;
pub const GIVEN: u32 = 50;
const LOOKAHEAD: u32 = 16;

/// A packet and who sent it.
pub struct Sent {
    pub device: u32,
    pub bytes: Vec<u8>,
}

/// A verdict without who knew.
pub type Said = (&'static str, Option<(u32, u64)>);

/// How the program runs a station with `--full`, but for what a disk keeps. A full index has
/// tables of hints to damage; chains are damaged by the tests of hintdex-snapshot.
pub fn as_decode() -> StationOptions {
    StationOptions {
        lean: false,
        memory_bytes: 4 << 20,
        durability: Durability::ProcessCrash,
        scan_core_share: f64::INFINITY,
        ..StationOptions::default()
    }
}

fn quiet() -> StationOptions {
    StationOptions { roll_in_background: false, ..as_decode() }
}

fn all_devices() -> impl Iterator<Item = u32> {
    (0..DERIVED).chain(GIVEN_FIRST..GIVEN_FIRST + GIVEN)
}

fn send(devices: &Devices, device: u32, nonce: u64) -> Sent {
    let bytes = if device < GIVEN_FIRST {
        devices.packet(device, nonce, &payload(device, nonce))
    } else {
        own_packet(device, nonce)
    };
    Sent { device, bytes }
}

fn hear(station: &Station, sent: &[Sent]) -> Vec<Said> {
    said(station, sent).expect("a sound fleet decodes")
}

/// What a station says of packets.
pub fn said(station: &Station, sent: &[Sent]) -> Result<Vec<Said>, hintdex::Error> {
    let packets: Vec<&[u8]> = sent.iter().map(|sent| sent.bytes.as_slice()).collect();
    Ok(station.decode_batch(&packets)?.iter().map(judgement).collect())
}

fn judgement(verdict: &Verdict) -> Said {
    let of = match verdict {
        Verdict::Accepted { device, nonce, .. }
        | Verdict::Replay { device, nonce, .. }
        | Verdict::Stale { device, nonce, .. }
        | Verdict::Early { device, nonce, .. } => Some((device.0, *nonce)),
        _ => None,
    };
    (verdict.name(), of)
}

/// Makes the fleet in two forms: with what was accepted last in the store's log, and with
/// everything in its tables. Returns their folders.
pub fn make(folder: &Path) -> [PathBuf; 2] {
    let key = folder.join("the.key");
    fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
    let [logged, flushed] = ["logged", "flushed"].map(|name| folder.join(name));
    let params = Params::counters(HintScheme::Aes128, LOOKAHEAD);
    let station = Station::create(&logged, Some(&key), params, &quiet()).expect("it can be made");
    station.provision(&[DeviceRange::new(DeviceId(0), DERIVED)], None).expect("ids are free");
    let mut import = station.import_keys().expect("nobody imports");
    for device in GIVEN_FIRST..GIVEN_FIRST + GIVEN {
        let (hint_key, dev_key) = own_keys(device);
        import.add(DeviceId(device), &HintKey::from_bytes(hint_key), &dev_key).expect("free ids");
    }
    import.provision(None).expect("free ids");
    let devices = Devices::new(&SECRET);
    let of_nonce = |nonce| all_devices().map(|device| send(&devices, device, nonce)).collect();
    let hear_all = |station: &Station, nonce| {
        let sent: Vec<Sent> = of_nonce(nonce);
        assert!(hear(station, &sent).iter().all(|said| said.0 == "accepted"));
    };
    hear_all(&station, 0);
    hear_all(&station, 1);
    station.roll(None).expect("it rolls");
    drop(station);
    let station = Station::open(&logged, &quiet()).expect("it opens");
    hear_all(&station, 2);
    // Some have come further than others, and past what the index looked ahead.
    let further = all_devices().step_by(3).map(|device| send(&devices, device, 9));
    hear(&station, &further.collect::<Vec<_>>());
    let leapt = all_devices().step_by(17).map(|device| send(&devices, device, 70));
    hear(&station, &leapt.collect::<Vec<_>>());
    drop(station);
    files::copy_folder(&logged, &flushed);
    // What the log has goes into tables when it is opened.
    drop(Station::open(&flushed, &quiet()).expect("it opens"));
    [logged, flushed]
}

/// What every trial decodes: new packets, late ones, some far ahead, and then some that
/// were accepted before, long ago and last.
pub fn capture() -> Vec<Sent> {
    let devices = Devices::new(&SECRET);
    let some = |first, step, count| all_devices().skip(first).step_by(step).take(count);
    let new = some(1, 7, 40).map(|device| (device, 10));
    let late = some(2, 23, 10).map(|device| (device, 5));
    let ahead = some(4, 29, 10).map(|device| (device, 500));
    // Devices 0, 51, 102, … leapt; 0, 3, 6, … came to 9; all came to 2.
    let leapt = some(0, 51, 5).map(|device| (device, 70));
    let further = some(3, 57, 5).map(|device| (device, 9));
    let last = some(5, 31, 5).map(|device| (device, 2));
    let first = some(7, 61, 5).map(|device| (device, 0));
    let all = new.chain(late).chain(ahead).chain(leapt).chain(further).chain(last).chain(first);
    all.map(|(device, nonce)| send(&devices, device, nonce)).collect()
}
