//! Records whose checksums are right and whose contents no writer of this format writes.

use std::fs;

use hintdex_beacon::wire::{DeviceId, HintKey};
use hintdex_beacon::{Error, Event, Registration, Resolver, RollingPeriod, Rule};

use crate::support::{Beacon, NOW, Random, Station};

const KEYS_HEADER_LEN: usize = 64;
const BEACON_RECORD_LEN: usize = 40;
const CLOCKS_HEADER_LEN: usize = 52;
const CLOCK_RECORD_LEN: usize = 68;

/// The last second and the furthest bound that a record may hold.
const LAST_UNIX_S: u64 = 1 << 38;
const LAST_BOUND_US: i64 = (1 << 40) * 1_000_000;
const NEVER_HEARD: u64 = u64::MAX;

/// A change of a record: where, and the bytes that are put there.
type Change = (usize, Vec<u8>);

fn one(at: usize, byte: u8) -> Change {
    (at, vec![byte])
}

fn word(at: usize, word: u64) -> Change {
    (at, word.to_le_bytes().to_vec())
}

fn signed(at: usize, word: i64) -> Change {
    (at, word.to_le_bytes().to_vec())
}

fn put(bytes: &mut [u8], changes: &[Change]) {
    for (at, change) in changes {
        bytes[*at..at + change.len()].copy_from_slice(change);
    }
}

/// Puts the CRC-32 of a prefix and the bytes before the last four into these.
fn seal(bytes: &mut [u8], prefix: &[u8]) {
    let (before, crc) = bytes.split_last_chunk_mut::<4>().expect("four bytes");
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(prefix);
    hasher.update(before);
    *crc = hasher.finalize().to_le_bytes();
}

/// A station with a beacon of each scheme: slots 0, 1 and 2.
fn station() -> Station {
    let station = Station::new(NOW);
    let mut random = Random::new(1204);
    let eddystone = Beacon::new(0, 10, 1_750_000_000, &mut random).registration(NOW);
    let rolling_period = RollingPeriod::new(144).expect("1 to 144");
    let gaen = Rule::Gaen { start_interval: 2_900_000, rolling_period };
    let of = |device, rule| Registration {
        device: DeviceId(device),
        key: HintKey::from_bytes([device.to_le_bytes()[0]; 16]),
        rule,
    };
    station.register(NOW, [eddystone, of(1, gaen), of(2, Rule::BleRpa)]);
    station
}

fn open(station: &Station) -> Result<Resolver, Error> {
    Resolver::open(&station.folder, station.options, Box::new(station.clock.clone()))
}

/// Slots, and what no version writes there.
fn rows_that_no_registration_has() -> Vec<(usize, Change)> {
    let (scheme, k, rolling_period, flags, start, measured) = (4, 5, 6, 7, 24, 32);
    vec![
        (0, one(scheme, 0)),
        (0, one(scheme, 4)),
        (0, one(k, 16)),
        (0, one(rolling_period, 1)),
        (0, one(flags, 6)),
        (0, one(flags, 7)),
        (0, one(flags, 8)),
        (1, one(k, 1)),
        (1, one(rolling_period, 0)),
        (1, one(rolling_period, 145)),
        (1, one(flags, 1)),
        (1, one(flags, 3)),
        (1, signed(start, -1)),
        (1, signed(start, 1 << 32)),
        (1, word(measured, 1)),
        (2, one(k, 1)),
        (2, one(rolling_period, 1)),
        (2, one(flags, 1)),
        (2, signed(start, 1)),
        (2, word(measured, 1)),
    ]
}

#[test]
fn rows_of_keys_that_no_registration_has_are_refused() {
    let station = station();
    let path = station.folder.join("beacons.keys");
    let whole = fs::read(&path).expect("a file");
    let open_changed = |at: usize, changes: &[Change]| {
        let mut bytes = whole.clone();
        put(&mut bytes[at..], changes);
        seal(&mut bytes, &[]);
        fs::write(&path, bytes).expect("a file");
        open(&station)
    };
    let row_at = |slot: usize| KEYS_HEADER_LEN + slot * BEACON_RECORD_LEN;
    let (k, rolling_period, flags, start) = (5, 6, 7, 24);
    for (slot, change) in rows_that_no_registration_has() {
        let opened = open_changed(row_at(slot), std::slice::from_ref(&change));
        let Err(Error::Damaged { offset_bytes, .. }) = opened else {
            panic!("slot {slot} with {change:?}: {opened:?}");
        };
        assert_eq!(offset_bytes, row_at(slot) as u64, "slot {slot} with {change:?}");
    }
    let accepted = [
        (0, one(k, 15)),
        (0, one(flags, 1)),
        (0, one(flags, 2)),
        (0, one(flags, 3)),
        (0, one(flags, 4)),
        (1, one(flags, 2)),
        (2, one(flags, 4)),
        (1, one(rolling_period, 1)),
        (1, signed(start, u32::MAX.into())),
        (1, signed(start, 0)),
    ];
    for (slot, change) in accepted {
        let opened = open_changed(row_at(slot), std::slice::from_ref(&change));
        assert!(opened.is_ok(), "slot {slot} with {change:?}: {opened:?}");
    }
    let (version, reserved, beacons) = (8, 10, 12);
    for (change, offset) in [
        (one(0, 0), 0),
        (one(version, 0), 8),
        (one(reserved, 1), 8),
        (one(reserved + 1, 1), 8),
        (one(beacons, 2), 12),
        (one(beacons, 4), 12),
        (one(beacons + 3, 255), 12),
    ] {
        let opened = open_changed(0, std::slice::from_ref(&change));
        let is_told =
            matches!(opened, Err(Error::Damaged { offset_bytes, .. }) if offset_bytes == offset);
        assert!(is_told, "{change:?}: {opened:?}");
    }
    let newer = open_changed(0, &[one(version, 3)]);
    assert!(matches!(newer, Err(Error::NewerVersion { got: 3, newest: 2, .. })), "{newer:?}");
}

#[test]
fn in_keys_of_version_1_every_beacon_is_active() {
    let station = station();
    let path = station.folder.join("beacons.keys");
    let whole = fs::read(&path).expect("a file");
    for (flags, is_read) in [(0, true), (1, true), (2, false), (4, false)] {
        let mut bytes = whole.clone();
        put(&mut bytes[8..], &[one(0, 1)]);
        put(&mut bytes[KEYS_HEADER_LEN..], &[one(7, flags)]);
        seal(&mut bytes, &[]);
        fs::write(&path, bytes).expect("a file");
        assert_eq!(open(&station).is_ok(), is_read, "flags {flags}");
    }
}

/// The clocks of a station, written by hand.
struct Clocks {
    station: Station,
    folder_id: [u8; 16],
}

impl Clocks {
    fn new() -> Self {
        let station = station();
        let keys = fs::read(station.folder.join("beacons.keys")).expect("a file");
        let folder_id = *keys[16..].first_chunk().expect("a name");
        Self { station, folder_id }
    }

    /// A record of the clock of slot 0, with `changes`.
    fn record(&self, changes: &[Change]) -> [u8; CLOCK_RECORD_LEN] {
        let mut record = [0; CLOCK_RECORD_LEN];
        let bounds = [
            one(4, 1),
            signed(16, 1_749_999_999_000_000),
            signed(24, 1_750_000_001_000_000),
            word(32, NOW),
            word(40, NEVER_HEARD),
        ];
        put(&mut record, &bounds);
        put(&mut record, changes);
        seal(&mut record, &self.folder_id);
        record
    }

    /// Opens the station with these records and as many as the header says.
    fn open(
        &self,
        records: &[[u8; CLOCK_RECORD_LEN]],
        count: usize,
        header: &[Change],
    ) -> Resolver {
        let mut bytes = vec![0; CLOCKS_HEADER_LEN];
        let fields = [
            (0, b"\x89HDC\r\n\x1a\n".to_vec()),
            one(8, 1),
            word(16, count as u64),
            (24, self.folder_id.to_vec()),
        ];
        put(&mut bytes, &fields);
        put(&mut bytes, header);
        seal(&mut bytes, &[]);
        bytes.extend(records.concat());
        fs::write(self.station.folder.join("beacons.clocks"), bytes).expect("a file");
        open(&self.station).expect("clocks that are damaged are learned again")
    }

    /// How many records of these are refused, and where the first of them is.
    fn refused(&self, records: &[[u8; CLOCK_RECORD_LEN]]) -> Option<(u64, u64)> {
        told(&mut self.open(records, records.len(), &[]))
    }
}

fn told(resolver: &mut Resolver) -> Option<(u64, u64)> {
    match &resolver.take_events()[..] {
        [] => None,
        [Event::ClocksDamaged { records, offset_bytes, .. }] => Some((*records, *offset_bytes)),
        events => panic!("{events:?}"),
    }
}

const fn at(record: u64) -> u64 {
    CLOCKS_HEADER_LEN as u64 + record * CLOCK_RECORD_LEN as u64
}

#[test]
fn clock_records_that_cannot_be_true_are_refused() {
    let clocks = Clocks::new();
    let (kind, held, back, reserved, since) = (4, 5, 6, 7, 8);
    let (least, most, heard) = (16, 24, 32);
    let (step, newest_least, newest_most) = (40, 48, 56);
    let heard_once = || [word(step, 7), signed(newest_least, 10), signed(newest_most, 20)];
    let with = |changes: &[Change]| [&heard_once()[..], changes].concat();
    let refused = [
        vec![one(0, 3)],
        vec![one(kind, 0)],
        vec![one(kind, 4)],
        vec![one(held, 1)],
        vec![one(back, 1)],
        vec![one(reserved, 1)],
        vec![word(since, 1)],
        vec![one(kind, 3), one(held, 1)],
        vec![one(kind, 3), one(back, 1)],
        vec![one(kind, 3), word(since, 1)],
        vec![one(kind, 2), word(since, LAST_UNIX_S + 1)],
        vec![signed(least, 1_750_000_001_000_001)],
        vec![signed(least, -LAST_BOUND_US - 1)],
        vec![signed(most, LAST_BOUND_US + 1)],
        vec![word(heard, LAST_UNIX_S + 1)],
        vec![signed(newest_least, -1)],
        vec![signed(newest_most, 1)],
        with(&[word(step, (1 << 40) + 1)]),
        with(&[signed(newest_least, 21)]),
        with(&[signed(newest_least, -LAST_BOUND_US - 1)]),
        with(&[signed(newest_most, LAST_BOUND_US + 1)]),
        // Bounds that are wrong beside a newest rotation that is right.
        with(&[signed(least, 1_750_000_001_000_001)]),
    ];
    let sound = clocks.record(&[]);
    for changes in refused {
        let wrong = clocks.record(&changes);
        assert_eq!(clocks.refused(&[sound, wrong, sound]), Some((1, at(1))), "{changes:?}");
        assert_eq!(clocks.refused(&[sound, sound, wrong, wrong]), Some((2, at(2))), "{changes:?}");
    }
    let accepted = [
        vec![],
        vec![signed(least, 1_750_000_001_000_000)],
        vec![signed(least, -LAST_BOUND_US)],
        vec![signed(most, LAST_BOUND_US)],
        vec![word(heard, LAST_UNIX_S)],
        vec![one(kind, 2), one(held, 255), one(back, 255), word(since, LAST_UNIX_S)],
        vec![one(kind, 3)],
        with(&[]),
        with(&[word(step, 1 << 40)]),
        with(&[signed(newest_least, 20)]),
        with(&[signed(newest_least, -LAST_BOUND_US), signed(newest_most, LAST_BOUND_US)]),
    ];
    for changes in accepted {
        assert_eq!(clocks.refused(&[clocks.record(&changes)]), None, "{changes:?}");
    }
}

#[test]
fn a_beacon_has_one_former_clock_and_eight_suspected_ones() {
    let clocks = Clocks::new();
    let former = clocks.record(&[one(4, 2)]);
    assert_eq!(clocks.refused(&[former]), None);
    assert_eq!(clocks.refused(&[former, former]), Some((1, at(1))));
    let other = clocks.record(&[one(0, 1), one(4, 2)]);
    assert_eq!(clocks.refused(&[former, other]), None);
    let suspected = [clocks.record(&[one(4, 3)]); 9];
    assert_eq!(clocks.open(&suspected[..8], 8, &[]).stats().suspected, 8);
    assert_eq!(clocks.refused(&suspected[..8]), None);
    assert_eq!(clocks.refused(&suspected), Some((1, at(8))));
}

#[test]
fn a_header_of_clocks_that_is_wrong_is_reported() {
    let clocks = Clocks::new();
    let records = [clocks.record(&[])];
    // Records that are missing are lost at the end of the file.
    assert_eq!(told(&mut clocks.open(&records, 4, &[])), Some((3, at(1))));
    for reserved in 10..16 {
        let mut opened = clocks.open(&records, 1, &[one(reserved, 1)]);
        assert_eq!(told(&mut opened), Some((0, 0)), "{reserved}");
    }
}

/// A record of windows with a right checksum: wrong in one field, it names nothing.
#[test]
fn a_record_of_windows_that_is_wrong_is_reported() {
    let station = station();
    station.open().advance().expect("windows");
    let path = station.folder.join("beacons.windows");
    let whole = fs::read(&path).expect("a file");
    let (version, reserved, windows, folder_id) = (8, 10, 12, 16);
    let open_changed = |change: &Change, len: usize| {
        let mut bytes = whole.clone();
        bytes.resize(len, 0);
        put(&mut bytes, std::slice::from_ref(change));
        seal(&mut bytes, &[]);
        fs::write(&path, bytes).expect("a file");
        open(&station)
    };
    let count = whole[windows];
    for (change, len) in [
        (one(0, 0), whole.len()),
        (one(reserved, 1), whole.len()),
        (one(windows, count - 1), whole.len()),
        (one(windows, count + 1), whole.len()),
        (one(folder_id, !whole[folder_id]), whole.len()),
        (one(version, 1), whole.len() - 1),
        (one(version, 1), whole.len() + 1),
        (one(version, 1), 30),
    ] {
        let mut opened = open_changed(&change, len).expect("a record that names nothing");
        let events = opened.take_events();
        let is_told = matches!(events[..], [Event::WindowRecordDamaged { .. }]);
        assert!(is_told, "{change:?}, {len} bytes: {events:?}");
    }
    let newer = open_changed(&one(version, 2), whole.len());
    assert!(matches!(newer, Err(Error::NewerVersion { got: 2, newest: 1, .. })), "{newer:?}");
    // What another program wrote has no version of ours.
    fs::write(&path, &whole).expect("a file");
    let events = open(&station).expect("as it was").take_events();
    assert_eq!(events, []);
}
