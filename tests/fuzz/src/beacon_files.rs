//! A folder of beacons with bytes of its files changed and their checksums made right:
//! opened and asked, or refused with an error. The work stays bounded.
//!
//! Input: the number of changes, whose highest bits turn on building and building ahead;
//! five bytes a change: kind and file, place, value; then sightings of ten bytes: whose
//! identifier, when it is sent, and when it is heard.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use hintdex_beacon::wire::beacon::eddystone::{EidCipher, RotationExponent};
use hintdex_beacon::wire::beacon::gaen::{RpiCipher, identifier_key, interval_of};
use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{
    Answer, Error, Event, Identifier, Changes, ManualClock, Options, Registration, Resolver,
    RollingPeriod, Rule, Sighting, format,
};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// The station's time.
const NOW: u64 = 1_764_000_123;

/// When the clocks of the Eddystone beacons read 0.
const ZERO: u64 = NOW - 1_000_000;

/// The exponents of the Eddystone beacons, by slot. A GAEN key and an address follow.
const EXPONENTS: [u8; 4] = [0, 4, 10, 15];
const GAEN_SLOT: u8 = 4;
const ADDRESS_SLOT: u8 = 5;

/// The files that inputs change.
const KEYS: usize = 0;
const CLOCKS: usize = 1;
const WINDOWS: usize = 2;
const FILES: [&str; 3] = ["beacons.keys", "beacons.clocks", "beacons.windows"];

/// A file that no resolver made.
const FOREIGN_FILE: &str = "window-12.hdx.notes";

/// The length of a window in seconds: short, so that most of the time is not spent on
/// building windows.
const SPAN_S: u64 = 600;

/// A beacon's identifiers in a window: 16,384 of an uncertain clock, 600 of the span, and
/// some hundreds of the tolerance, each for the known and the former clock.
const MAX_IDENTIFIERS_PER_BEACON: u64 = 2 * 17_500;

/// More windows than the present, its neighbours and four others are never kept.
const MAX_WINDOWS: usize = 7;

fn key_of(slot: u8) -> HintKey {
    HintKey::from_bytes([slot + 1; 16])
}

fn exponent_of(slot: u8) -> Option<RotationExponent> {
    RotationExponent::new(*EXPONENTS.get(usize::from(slot))?)
}

/// What the beacon of a slot sends at a time, in the folder that nobody changed.
fn identifier(slot: u8, time_unix_s: u64) -> Identifier {
    let key = key_of(slot);
    match (exponent_of(slot), slot) {
        (Some(k), _) => {
            // A clock of 32 bits wraps.
            let clock_s = time_unix_s.wrapping_sub(ZERO) as u32;
            Identifier::Eid(EidCipher::new(&key, k).eid(clock_s))
        }
        (None, GAEN_SLOT) => {
            let cipher = RpiCipher::new(&identifier_key(&key));
            Identifier::Rpi(cipher.rpi(interval_of(time_unix_s)))
        }
        _ => Identifier::from_bytes(&[0x40, slot, 2, 3, 4, 5]).expect("a resolvable address"),
    }
}

fn registrations() -> impl Iterator<Item = Registration> {
    (0..=ADDRESS_SLOT).map(|slot| {
        let rule = match (exponent_of(slot), slot) {
            (Some(k), _) => Rule::EddystoneEid {
                k,
                clock_offset_s: ZERO as i64,
                measured_unix_s: NOW,
                is_randomized: slot == 1,
            },
            (None, GAEN_SLOT) => Rule::Gaen {
                start_interval: interval_of(NOW) - 20,
                rolling_period: RollingPeriod::new(144).expect("1 to 144"),
            },
            _ => Rule::BleRpa,
        };
        Registration { device: DeviceId(slot.into()), key: key_of(slot), rule }
    })
}

/// The length of a record in bytes, as the crate lays it out.
fn len_bytes(record: &str) -> usize {
    let all = format::records();
    let (_, fields) = all.iter().find(|(name, _)| *name == record).expect("a record");
    fields.iter().map(|(_, _, len_bytes)| len_bytes).sum()
}

/// The place and the length of the folder's name in the keys.
const FOLDER_ID_AT: usize = 16;
const FOLDER_ID_LEN: usize = 16;

/// Makes the checksums of the files right, as far as there is one.
fn repair(files: &mut [Vec<u8>; 3]) {
    let folder_id = files[KEYS].get(FOLDER_ID_AT..).unwrap_or_default();
    let folder_id = folder_id[..folder_id.len().min(FOLDER_ID_LEN)].to_vec();
    for file in [KEYS, WINDOWS] {
        seal(&mut files[file], &[]);
    }
    static LENS: LazyLock<(usize, usize)> =
        LazyLock::new(|| (len_bytes("clocks header"), len_bytes("clock record")));
    let (header_len, record_len) = *LENS;
    let clocks = &mut files[CLOCKS];
    let header_len = header_len.min(clocks.len());
    let (header, records) = clocks.split_at_mut(header_len);
    seal(header, &[]);
    records.chunks_exact_mut(record_len).for_each(|record| seal(record, &folder_id));
}

/// Writes the CRC-32 of a prefix and the bytes before the last four into these.
fn seal(bytes: &mut [u8], prefix: &[u8]) {
    if let Some((before, crc)) = bytes.split_last_chunk_mut::<4>() {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(prefix);
        hasher.update(before);
        *crc = hasher.finalize().to_le_bytes();
    }
}

/// Options with which the next window is built in the background, or not.
fn options(builds_ahead: bool) -> Options {
    let lead_s = if builds_ahead { SPAN_S } else { 0 };
    Options { span_s: SPAN_S, probe_span_s: SPAN_S, lead_s, ..Options::default() }
}

fn clock() -> Box<Arc<ManualClock>> {
    Box::new(Arc::new(ManualClock::new(NOW)))
}

fn read(folder: &Path) -> [Vec<u8>; 3] {
    FILES.map(|name| fs::read(folder.join(name)).unwrap_or_default())
}

fn write(folder: &Path, files: &[Vec<u8>; 3]) {
    for (name, bytes) in FILES.iter().zip(files) {
        fs::write(folder.join(name), bytes).expect("room");
    }
}

/// The files of a folder whose beacons have known, former and suspected clocks. They are
/// the same in every run, so that an input that fails fails again.
static WHOLE: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("beacons");
    let mut changes = Changes::open(&folder, NOW).expect("a new folder");
    registrations().for_each(|beacon| changes.add(&beacon).expect("a beacon"));
    changes.publish().expect("room");
    let mut files = read(&folder);
    // The folder's name and the key of its windows are random.
    files[KEYS][FOLDER_ID_AT..64].fill(7);
    repair(&mut files);
    fs::write(folder.join(FILES[KEYS]), &files[KEYS]).expect("room");

    let mut resolver = Resolver::open(&folder, options(false), clock()).expect("a folder");
    resolver.advance().expect("windows");
    // Beacon 0 is heard twice where its clock has begun anew, beacon 1 once.
    for (slot, age_s) in [(0, 100), (0, 200), (1, 100)] {
        let heard =
            Sighting { identifier: identifier(slot, ZERO + age_s), time_unix_s: NOW + age_s };
        resolver.resolve_batch(&[heard]).expect("answers");
    }
    resolver.close().expect("room");
    let files = read(&folder);
    let records = (files[CLOCKS].len() - len_bytes("clocks header")) / len_bytes("clock record");
    assert!(records >= 3, "known, former and suspected: {records}");
    files
});

/// What an input makes of the files.
fn changed(changes: &[[u8; 5]]) -> [Vec<u8>; 3] {
    let mut files = WHOLE.clone();
    for [kind, place @ .., value] in changes {
        let [a, b, c] = *place;
        let at = u32::from_le_bytes([a, b, c, 0]) as usize;
        let file = &mut files[usize::from(*kind) % FILES.len()];
        match kind / 64 {
            // Shorter, or longer by zeros.
            3 => file.resize(at % (2 * file.len().max(1)), 0),
            _ if file.is_empty() => {}
            _ => {
                let at = at % file.len();
                file[at] = *value;
            }
        }
    }
    repair(&mut files);
    files
}

fn sighting(bytes: &[u8; 10]) -> Sighting {
    let [slot, how, sent @ .., a, b, c, d] = *bytes;
    let [e, f, g, h] = sent;
    let sent = u64::from(u32::from_le_bytes([e, f, g, h]));
    let heard = u64::from(u32::from_le_bytes([a, b, c, d]));
    let (sent, heard) = match how % 4 {
        // About now, at any time of the century, or when there is no time.
        0 => (NOW, NOW),
        1 => (NOW - 2 * 86_400 + sent % (4 * 86_400), NOW - 2 * 86_400 + heard % (4 * 86_400)),
        2 => (sent, heard),
        _ => (sent << 32, heard << 32),
    };
    Sighting { identifier: identifier(slot % (ADDRESS_SLOT + 1), sent), time_unix_s: heard }
}

fuzz_target!(|input: &[u8]| {
    let [count, rest @ ..] = input else { return };
    let options = options(count & 0x80 != 0);
    let (changes, rest) = rest.split_at(rest.len().min(5 * usize::from(count % 16)));
    let changes = changes.as_chunks::<5>().0;
    let sightings: Vec<_> = rest.as_chunks().0.iter().take(4).map(sighting).collect();

    let kept = TempDir::new().expect("a folder");
    let folder = kept.path();
    let files = changed(changes);
    write(folder, &files);
    fs::write(folder.join(FOREIGN_FILE), b"of another program").expect("room");
    let opened = Resolver::open(folder, options, clock());
    let Ok(mut resolver) = opened else {
        assert_ne!(files, *WHOLE, "the files that nobody changed are refused");
        assert!(matches!(opened, Err(Error::Damaged { .. } | Error::NewerVersion { .. })));
        // A refused folder is left as it is.
        assert_eq!(read(folder), files);
        return;
    };
    if count & 0x40 != 0 {
        build_and_resolve(&mut resolver, &sightings, files == *WHOLE);
    }
    resolver.close().expect("room");
    // What was saved is read again without a complaint. The record of windows is written
    // with the next window.
    let mut again = Resolver::open(folder, options, clock()).expect("what was saved");
    let mut complaints = again.take_events();
    complaints
        .retain(|event| count & 0x40 != 0 || !matches!(event, Event::WindowRecordDamaged { .. }));
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(folder.join(FOREIGN_FILE).exists());
});

/// Builds windows of the present and of the sightings, which takes milliseconds.
fn build_and_resolve(resolver: &mut Resolver, sightings: &[Sighting], is_whole: bool) {
    // A changed record may say that windows were built which are not there; nothing else
    // can keep a window from its place.
    resolver.advance().expect("windows of the present");
    let answers = resolver.resolve_batch(sightings).expect("windows of the sightings");
    assert_eq!(answers.len(), sightings.len());
    if is_whole {
        let present = sightings.iter().zip(&answers).filter(|(at, _)| at.time_unix_s == NOW);
        for (sighting, answer) in present {
            check_whole(sighting, answer);
        }
    }
    let stats = resolver.stats();
    let most = u64::from(stats.beacons) * MAX_IDENTIFIERS_PER_BEACON;
    assert!(stats.windows.len() <= MAX_WINDOWS, "{stats:?}");
    assert!(stats.windows.iter().all(|window| window.identifiers <= most), "{stats:?}");
}

/// Whoever sends its identifier of the present is found, unless its clock has moved.
fn check_whole(sighting: &Sighting, answer: &Answer) {
    let found = answer.identification().map(|found| u8::try_from(found.device.0));
    let Some(Ok(slot)) = found else {
        let sent_now = (0..=GAEN_SLOT).any(|slot| identifier(slot, NOW) == sighting.identifier);
        assert!(!sent_now, "{sighting:?} is of the present and not found");
        return;
    };
    assert!(slot <= ADDRESS_SLOT);
}
