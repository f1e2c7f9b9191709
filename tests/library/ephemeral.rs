//! Packets without a hint through the library: the budget of their multiplications, the time for
//! which a repeat is told, threads, and the document of the station key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use hintdex::wire::{DeviceId, EphemeralSealer, EphemeralSuite, KeyId, MasterKey};
use hintdex::{
    Clock, DeviceRange, KeyAccess, Malformed, ManualClock, Params, Protection, SecretSource,
    Station, StationKey, StationOptions, Unknown, Verdict, station_key_format as format,
};
use hintdex_tests::documents;
use tempfile::TempDir;

use crate::fleet::SECRET;

const DEVICES: u32 = 1_000;
const NOW_S: u64 = 1_764_000_000;
const HOUR_S: u64 = 3_600;

/// A fleet of x25519 packets, its clock, and the key of its station.
struct Fleet {
    folder: TempDir,
    clock: Arc<ManualClock>,
    key: StationKey,
    options: StationOptions,
    station: Option<Station>,
}

impl Fleet {
    fn create(suite: EphemeralSuite, options: StationOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (master, clock) = (folder.path().join("the.key"), Arc::new(ManualClock::new(NOW_S)));
        std::fs::write(&master, hex::encode(SECRET)).expect("a file");
        let key = StationKey::generate().expect("random bytes");
        let access = KeyAccess {
            master_key: Some(SecretSource::File(master)),
            station_key: Some(key.clone()),
            ..KeyAccess::default()
        };
        let params = Params::ephemeral(suite, key.point());
        let (dir, now) = (folder.path().join("fleet"), clock.clone() as Arc<dyn Clock>);
        let station = Station::create_by(&dir, &access, &Protection::File, params, &options, now);
        let station = station.expect("a new folder");
        station.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None).expect("free ids");
        Self { folder, clock, key, options, station: Some(station) }
    }

    fn station(&self) -> &Station {
        self.station.as_ref().expect("it is open")
    }

    fn reopen(&mut self) {
        self.station = None;
        let (dir, clock) = (self.folder.path().join("fleet"), self.clock.clone());
        self.station = Some(Station::open_with(&dir, &self.options, clock).expect("it opens"));
    }

    /// A packet of a device, under the point of `random`.
    fn packet(&self, suite: EphemeralSuite, device: u32, nonce: u64, random: u16) -> Vec<u8> {
        let device = DeviceId(device);
        let mac_key = MasterKey::new(&SECRET).mac_key(KeyId::first(device));
        let mut sealer = EphemeralSealer::new(suite, device, self.key.point(), mac_key, nonce);
        let mut packet = vec![0; suite.overhead_bytes() + 6];
        let mut bytes = [9; 32];
        bytes[..2].copy_from_slice(&random.to_be_bytes());
        sealer.seal(&bytes, b"21.5 C", &mut packet).expect("the buffer fits");
        packet
    }

    /// The verdict on a packet, and its device and nonce.
    fn said(&self, packet: &[u8]) -> (&'static str, Option<(u32, u64)>) {
        of(&self.station().decode(packet).expect("it decodes"))
    }
}

fn of(verdict: &Verdict) -> (&'static str, Option<(u32, u64)>) {
    let sender = match verdict {
        Verdict::Accepted { device, nonce, .. }
        | Verdict::Replay { device, nonce, .. }
        | Verdict::Stale { device, nonce, .. } => Some((device.0, *nonce)),
        _ => None,
    };
    (verdict.name(), sender)
}

#[test]
fn without_a_budget_every_packet_waits_and_bytes_that_are_none_do_not() {
    let suite = EphemeralSuite::X25519;
    let options = StationOptions { scan_core_share: 0.0, ..StationOptions::default() };
    let fleet = Fleet::create(suite, options);
    let (first, second) = (fleet.packet(suite, 7, 0, 1), fleet.packet(suite, 8, 0, 2));
    let batch = [&first[..], &first, &[7; 43], &[9; 60], &second];
    let verdicts = fleet.station().decode_batch(&batch).expect("it decodes");
    let waits = |verdict: &Verdict| matches!(verdict, Verdict::Unknown(Unknown::ScanBudget { .. }));
    assert_eq!(verdicts.iter().map(waits).collect::<Vec<_>>(), [true, true, false, true, true]);
    let too_short = Malformed::TooShort { len_bytes: 43, least_bytes: 44 };
    assert_eq!(verdicts[2], Verdict::Malformed(too_short));
    assert_eq!(fleet.station().scan_waiting().expect("it can be asked"), []);
    assert_eq!(fleet.station().scan_stats().agreements, 0);

    let told = fleet.station().scan_all_waiting().expect("it scans");
    let told: Vec<_> = told.iter().map(|(_, verdict)| of(verdict)).collect();
    let expected = [
        ("accepted", Some((7, 0))),
        ("replay", Some((7, 0))),
        ("unknown", None),
        ("accepted", Some((8, 0))),
    ];
    assert_eq!(told, expected);
    let stats = fleet.station().scan_stats();
    assert_eq!((stats.agreements, stats.waiting), (4, 0));
}

/// With a share whose credit the first multiplications use up for hours, on any machine, the rest of
/// the flood waits.
#[test]
fn a_flood_is_multiplied_for_as_far_as_the_budget_reaches() {
    let suite = EphemeralSuite::X25519Seq;
    let options = StationOptions { scan_core_share: 1e-9, ..StationOptions::default() };
    let fleet = Fleet::create(suite, options);
    let garbage: Vec<Vec<u8>> =
        (0..3_000u32).map(|number| [&number.to_be_bytes()[..], &[7; 60]].concat()).collect();
    let mut waiting = Vec::new();
    for batch in garbage.chunks(1_000) {
        let verdicts = fleet.station().decode_batch(batch).expect("it decodes");
        let of_budget =
            |verdict: &&Verdict| matches!(verdict, Verdict::Unknown(Unknown::ScanBudget { .. }));
        waiting.push(verdicts.iter().filter(of_budget).count() as u64);
    }
    let stats = fleet.station().scan_stats();
    assert_eq!(stats.agreements + waiting.iter().sum::<u64>(), 3_000);
    assert!((1..1_000).contains(&stats.agreements), "{stats:?}");
    assert_eq!(waiting[1..], [1_000, 1_000]);
}

#[test]
fn a_repeat_is_told_within_the_window_and_by_the_next_process() {
    let suite = EphemeralSuite::X25519;
    let window_s = u32::try_from(2 * HOUR_S).expect("two hours");
    let options = StationOptions { repeat_window_s: window_s, ..StationOptions::default() };
    let mut fleet = Fleet::create(suite, options);
    let sent: Vec<Vec<u8>> = (0..3).map(|number| fleet.packet(suite, 5, 0, number)).collect();
    assert_eq!(fleet.said(&sent[0]), ("accepted", Some((5, 0))));
    assert_eq!(fleet.said(&sent[1]), ("accepted", Some((5, 1))));
    assert_eq!(fleet.said(&sent[0]), ("replay", Some((5, 0))));
    fleet.reopen();
    assert_eq!(fleet.said(&sent[0]), ("replay", Some((5, 0))));
    fleet.clock.set(NOW_S + 2 * HOUR_S);
    assert_eq!(fleet.said(&sent[1]), ("replay", Some((5, 1))));
    assert_eq!(fleet.said(&sent[2]), ("accepted", Some((5, 2))));
    // A clock that jumps ahead makes an open station forget nothing.
    fleet.clock.set(NOW_S + 2 * HOUR_S + 120);
    assert_eq!(fleet.said(&sent[0]), ("replay", Some((5, 0))));
    // Two hours later the first packets are forgotten, as the guide states; the third is not.
    fleet.reopen();
    assert_eq!(fleet.said(&sent[2]), ("replay", Some((5, 2))));
    assert_eq!(fleet.said(&sent[0]), ("accepted", Some((5, 3))));
    fleet.reopen();
    assert_eq!(fleet.said(&sent[0]), ("replay", Some((5, 3))));
    fleet.station().verify(None).expect("all holds");
}

#[test]
fn of_threads_with_one_packet_one_is_told_that_it_is_new() {
    for suite in EphemeralSuite::ALL {
        let fleet = Fleet::create(suite, StationOptions::default());
        let sent: Vec<Vec<u8>> = (0..64)
            .map(|number| fleet.packet(suite, u32::from(number) % 8, u64::from(number) / 8, number))
            .collect();
        let accepted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for first in 0..4 {
                let (fleet, sent, accepted) = (&fleet, &sent, &accepted);
                scope.spawn(move || {
                    for at in 0..sent.len() {
                        let (verdict, _) = fleet.said(&sent[(at + first * 16) % sent.len()]);
                        assert!(matches!(verdict, "accepted" | "replay"), "{verdict}");
                        accepted.fetch_add(usize::from(verdict == "accepted"), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(accepted.into_inner(), sent.len(), "{}", suite.name());
    }
}

#[test]
fn a_new_fleet_without_its_station_key_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("fleet");
    let key = StationKey::generate().expect("random bytes");
    let params = Params::ephemeral(EphemeralSuite::X25519, key.point());
    let options = StationOptions::default();
    let error = Station::create(&dir, None, params, &options).expect_err("no station key");
    assert!(error.to_string().contains("station key"), "{error}");
    assert!(!Station::exists(&dir));
}

#[test]
fn the_document_has_the_bytes_of_a_station_key() {
    let document = include_str!("../../docs/format/station-key.md");
    documents::check(document, format::record(), format::MAGIC_AND_VERSION);
}
