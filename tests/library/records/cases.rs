//! Calls that once returned well and left an index that does not open.

use std::sync::Arc;

use hintdex::ManualClock;
use hintdex::wire::{DeviceId, HintScheme, MasterKey, NonceKind, StepLen};
use hintdex::{
    DeviceRange, Durability, KeyOrigin, Params, Received, Station, StationOptions, Verdict,
};
use hintdex_core::format;
use hintdex_core::{LiveIndex, Options, SnapshotCoverage};
use hintdex_tests::{Devices, cases, files};
use rocksdb::{DB, Options as RocksOptions};
use tempfile::TempDir;

use super::world::START;

/// A closed fleet of a hundred devices under the cases' master key.
struct Closed {
    folder: TempDir,
    params: Params,
    clock: Arc<ManualClock>,
}

const DEVICES: u32 = 100;
const LOOKAHEAD: u32 = 16;

impl Closed {
    fn new(nonces: NonceKind) -> Self {
        let scheme = HintScheme::Aes128.for_nonces(nonces).expect("it has room");
        let params = Params { nonces, ..Params::counters(scheme, LOOKAHEAD) };
        let folder = files::folder_in_memory();
        let clock = Arc::new(ManualClock::new(START));
        let dir = folder.path().join("fleet");
        let key = cases::master_key_file();
        let station = Station::create_with(&dir, Some(&key), params, &quiet(), clock.clone());
        let station = station.expect("it can be made");
        station.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None).expect("ids are free");
        drop(station);
        Self { folder, params, clock }
    }

    fn station(&self) -> Result<Station, hintdex::Error> {
        Station::open_with(&self.folder.path().join("fleet"), &quiet(), self.clock.clone())
    }

    fn index(&self) -> LiveIndex {
        let dir = self.folder.path().join("fleet").join("index");
        let keys = Arc::new(MasterKey::new(&cases::master_secret()));
        let options = Options { durability: Durability::ProcessCrash, ..Options::default() };
        LiveIndex::open_with(&dir, keys, &options, self.clock.clone()).expect("it opens")
    }

    /// That the fleet opens, is sound, and that each of its devices is heard.
    fn serves(&self, what: &str, heard_before: &[u32]) {
        let station = self.station();
        let station = station.unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
        if let Err(error) = station.verify(None) {
            panic!("{what}: it does not verify: {error}");
        }
        let senders = Devices::new(&cases::master_secret()).hinting(self.params.scheme);
        let nonce = match self.params.nonces {
            NonceKind::Counter => 0,
            kind => kind.first_of(START / u64::from(kind.unit_s())),
        };
        let others = (0..DEVICES).filter(|device| !heard_before.contains(device));
        let packets: Vec<_> = others.map(|device| senders.packet(device, nonce, b"")).collect();
        let verdicts = station.decode_batch(&packets).expect("it decodes");
        let missed = verdicts.iter().find(|said| !matches!(said, Verdict::Accepted { .. }));
        assert!(missed.is_none(), "{what}: {missed:?}");
    }
}

fn quiet() -> StationOptions {
    StationOptions {
        memory_bytes: 4 << 20,
        durability: Durability::ProcessCrash,
        roll_in_background: false,
        scan_core_share: f64::INFINITY,
        ..StationOptions::default()
    }
}

fn minutes() -> NonceKind {
    NonceKind::Step(StepLen::new(60).expect("1 to 86,400"))
}

/// Two authentic packets of one device, at the end of the last day there is.
#[test]
fn a_device_at_the_end_of_its_nonces_leaves_the_fleet_as_it_was() {
    let fleet = Closed::new(NonceKind::DayCounter);
    let packets = cases::packets("day-counter-end.hex");
    let said = |packet: &Vec<u8>| {
        let station = fleet.station().expect("it opens");
        station.decode(packet).expect("it decodes")
    };
    let first: Vec<Verdict> = packets.iter().map(said).collect();
    let heard = first.iter().filter_map(|said| match said {
        Verdict::Accepted { device, .. } | Verdict::Early { device, .. } => Some(device.0),
        _ => None,
    });
    fleet.serves("two packets of the last day", &heard.collect::<Vec<u32>>());
    for (packet, first) in packets.iter().zip(&first) {
        // The one that was early may be taken now; the one that was taken may not.
        let was_taken = matches!(first, Verdict::Accepted { .. });
        let again = said(packet);
        assert!(!(was_taken && matches!(again, Verdict::Accepted { .. })), "{again:?}");
    }
}

/// A receiver's clock that is an hour ahead stamps two packets of one device. Hints of what
/// this device sends until then may be missing from the windows; nothing is damaged.
#[test]
fn packets_received_ahead_of_the_stations_clock_leave_a_sound_index() {
    for nonces in [NonceKind::DayCounter, minutes()] {
        let fleet = Closed::new(nonces);
        let senders = Devices::new(&cases::master_secret()).hinting(fleet.params.scheme);
        let unit_s = u64::from(nonces.unit_s());
        let station = fleet.station().expect("it opens");
        let mut heard = Vec::new();
        for later_s in [0, unit_s] {
            let nonce = nonces.first_of((START + later_s) / unit_s);
            let packet = senders.packet(1, nonce, b"stamped");
            let at_unix_s = START + later_s + 2 * unit_s.max(1800);
            let received = [Received {
                packet: &packet,
                at_unix_s,
                at_ms: 0,
                associated_data: None,
                context: &[],
            }];
            heard.extend(station.decode_received(&received).expect("it decodes"));
        }
        assert_eq!(heard[1].name(), "accepted", "{heard:?}");
        drop(station);
        fleet.clock.set(START + 120);
        fleet.serves(&format!("two packets of {nonces} received ahead of the clock"), &[1]);
    }
}

/// What is done to an index, by its name.
type Call = (&'static str, fn(&LiveIndex) -> Result<(), hintdex_core::Error>);

fn beside(index: &LiveIndex, more: usize) -> Result<(), hintdex_core::Error> {
    let first_nonces = vec![Some(0); DEVICES as usize + more];
    let horizon_nonces = 4 * LOOKAHEAD;
    let held = SnapshotCoverage { snapshot: [7; 16], first_nonces, horizon_nonces };
    index.roll_lean(held, None)
}

#[test]
fn calls_that_do_not_fit_an_index_are_refused_or_leave_one_that_opens() {
    let calls: [Call; 7] = [
        ("roll_lean", |index| beside(index, 0)),
        ("roll_lean with a slot too many", |index| beside(index, 1)),
        ("roll_lean with 1000 slots too many", |index| beside(index, 1000)),
        ("open_span", |index| index.open_span(START..START + 3600, None)),
        ("open_span of an empty span", |index| index.open_span(START..START, None)),
        ("open_span of the empty span at 0", |index| index.open_span(0..0, None)),
        (
            "open_span that ends before it begins",
            #[expect(clippy::reversed_empty_ranges, reason = "that is what is tried")]
            |index| index.open_span(9..3, None),
        ),
    ];
    let mut bad = Vec::new();
    for nonces in [NonceKind::Counter, NonceKind::DayCounter, minutes()] {
        for (name, call) in &calls {
            let fleet = Closed::new(nonces);
            let called = call(&fleet.index());
            let what = format!("{name} on {nonces}, {called:?}");
            let serves = std::panic::catch_unwind(|| fleet.serves(&what, &[]));
            bad.extend(serves.err().map(|_| what));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

/// Ranges say where keys are from; the keys themselves come through an import.
#[test]
fn devices_whose_given_keys_nobody_gave_are_refused_or_leave_a_fleet_that_opens() {
    for nonces in [NonceKind::Counter, minutes()] {
        let fleet = Closed::new(nonces);
        let range =
            DeviceRange { origin: KeyOrigin::Imported, ..DeviceRange::new(DeviceId(500), 3) };
        let provisioned = fleet.station().expect("it opens").provision(&[range], None);
        fleet.serves(&format!("{range:?} on {nonces}, {provisioned:?}"), &[]);
    }
}

/// Nobody has keys of a later generation.
#[test]
fn devices_without_keys_are_refused_or_leave_a_fleet_that_opens() {
    for nonces in [NonceKind::Counter, NonceKind::DayCounter, minutes()] {
        for first in [0, 500] {
            let fleet = Closed::new(nonces);
            let range = DeviceRange { generation: 1, ..DeviceRange::new(DeviceId(first), 3) };
            let provisioned = fleet.station().expect("it opens").provision(&[range], None);
            fleet.serves(&format!("{range:?} on {nonces}, {provisioned:?}"), &[]);
        }
    }
}

/// Lets `change` change the row of a slot's state in a closed index, or make one.
fn change_state(fleet: &Closed, slot: u32, change: impl FnOnce(&mut Vec<u8>)) {
    let names = format::names();
    let family = names.iter().find(|(name, _)| *name == "states family").expect("it has a name");
    let path = fleet.folder.path().join("fleet").join("index");
    let families = DB::list_cf(&RocksOptions::default(), &path).expect("it is a database");
    let db = DB::open_cf(&RocksOptions::default(), &path, families).expect("nobody has it open");
    let states = db.cf_handle(&family.1).expect("it is there");
    let row = db.get_cf(states, slot.to_be_bytes()).expect("it can be read");
    let mut row = row.unwrap_or_default();
    change(&mut row);
    db.put_cf(states, slot.to_be_bytes(), row).expect("it can be written");
}

/// Ways in which a row is none that any version writes.
type Change = (&'static str, fn(&mut Vec<u8>));

const BAD_ROWS: [Change; 7] = [
    ("hints ahead past the last nonce", |row| {
        row[..8].copy_from_slice(&u64::from(u32::MAX).to_le_bytes());
    }),
    ("a next nonce past the last", |row| row[..8].fill(0xff)),
    ("a flag nobody knows", |row| row[20] |= 0x80),
    ("a revoked key that is not retired", |row| row[20] = 2),
    ("an end without its time", |row| row[20] = 4),
    ("too short", |row| row.truncate(row.len() - 1)),
    ("nothing", Vec::clear),
];

/// A row that is bad puts its device out of service and nobody else.
#[test]
fn a_bad_state_is_one_device_out_of_service_and_named() {
    const BAD: u32 = 77;
    let senders = Devices::new(&cases::master_secret());
    for (what, change) in &BAD_ROWS {
        let fleet = Closed::new(NonceKind::Counter);
        let heard = senders.packet(BAD, 0, b"before");
        let accepted = fleet.station().expect("it opens").decode(&heard).expect("it decodes");
        assert_eq!(accepted.name(), "accepted");
        change_state(&fleet, BAD, change);
        for opening in 0..2 {
            let what = format!("{what}, opening {opening}");
            let station = fleet.station();
            let station =
                station.unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
            let of_all = (0..DEVICES).map(|device| senders.packet(device, 1 + opening, b""));
            let packets: Vec<_> = of_all.chain([heard.clone()]).collect();
            let verdicts = station.decode_batch(&packets).expect("it decodes");
            for (device, said) in (0..DEVICES).chain([BAD]).zip(&verdicts) {
                let is_right = if device == BAD {
                    !matches!(said, Verdict::Accepted { .. } | Verdict::Forged)
                } else {
                    matches!(said, Verdict::Accepted { .. })
                };
                assert!(is_right, "{what}: device {device}: {said:?}");
            }
            let verified = station.verify(None).expect_err("one device is out of service");
            assert!(verified.to_string().contains(&BAD.to_string()), "{what}: {verified}");
        }
    }
}
