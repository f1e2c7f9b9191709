//! The station's clock: set back, set forward, not set at all, and at the end of time.

use std::path::Path;
use std::sync::Arc;

use hintdex::ManualClock;
use hintdex::wire::{DeviceId, HintScheme, Nonce, NonceKind, StepLen};
use hintdex::{
    DeviceRange, Durability, Params, Received, Source, Station, StationOptions, Verdict,
};
use hintdex_tests::Devices;
use tempfile::TempDir;

use crate::fleet::SECRET;

const NOW: u64 = 1_795_392_000;
const HOUR: u64 = 3600;
const DEVICES: u32 = 300;

struct World {
    folder: TempDir,
    clock: Arc<ManualClock>,
    station: Option<Station>,
    senders: Devices,
    kind: NonceKind,
}

impl World {
    fn new(kind: NonceKind, now_s: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("the.key");
        std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
        let params = Params::clocked(HintScheme::Aes128, kind, 8).expect("it has room");
        let clock = Arc::new(ManualClock::new(now_s));
        let dir = folder.path().join("fleet");
        let station = Station::create_with(&dir, Some(&key), params, &options(), clock.clone());
        let station = station.expect("it can be made");
        station.provision(&[DeviceRange::new(DeviceId(0), DEVICES)], None).expect("ids are free");
        let senders = Devices::new(&SECRET).hinting(params.scheme);
        Self { folder, clock, station: Some(station), senders, kind }
    }

    fn station(&self) -> &Station {
        self.station.as_ref().expect("it is open")
    }

    fn reopen(&mut self) {
        self.station = None;
        let dir = self.folder.path().join("fleet");
        self.station = Some(open(&dir, &self.clock));
    }

    /// The first nonce of the unit of time that a right clock is in.
    fn nonce(&self, unix_s: u64) -> Nonce {
        self.kind.first_of(unix_s / u64::from(self.kind.unit_s()))
    }

    /// What is said of a packet of a device.
    fn hear(&self, device: u32, nonce: Nonce) -> Verdict {
        let packet = self.senders.packet(device, nonce, b"ok");
        self.station().decode(&packet).expect("it decodes")
    }

    /// Every device is known without a scan, and its packet of `unix_s` taken.
    fn all_are_found(&self, unix_s: u64) {
        for device in 0..DEVICES {
            let said = self.hear(device, self.nonce(unix_s));
            let found =
                matches!(&said, Verdict::Accepted { source: Source::Index | Source::Snapshot, .. });
            assert!(found, "{device} at {unix_s}: {said:?}");
        }
    }
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Station {
    Station::open_with(dir, &options(), clock.clone()).expect("it opens")
}

fn options() -> StationOptions {
    StationOptions {
        durability: Durability::ProcessCrash,
        scan_core_share: f64::INFINITY,
        ..StationOptions::default()
    }
}

fn minutes() -> NonceKind {
    NonceKind::Step(StepLen::new(60).expect("a minute is a step"))
}

#[test]
fn a_clock_that_is_set_back_finds_everybody_and_takes_nothing_twice() {
    let world = World::new(minutes(), NOW);
    world.clock.set(NOW + 5 * HOUR);
    world.all_are_found(NOW + 5 * HOUR);
    // By a second (NTP), across the beginning of a window, and by hours.
    for back_s in [1, 61, 2 * HOUR] {
        world.clock.set(NOW + 5 * HOUR - back_s);
        assert!(matches!(world.hear(7, world.nonce(NOW + 5 * HOUR)), Verdict::Replay { .. }));
    }
    // Forward again: windows of the past do not stay.
    world.clock.set(NOW + 6 * HOUR);
    world.all_are_found(NOW + 6 * HOUR);
    world.station().roll(None).expect("windows can be built");
    let spans = world.station().stats().expect("stats").spans;
    assert!(spans.len() <= 3 && spans.iter().any(|span| span.contains(&(NOW + 6 * HOUR))));
    assert!(spans.iter().all(|span| span.end + 60 > NOW + 6 * HOUR), "{spans:?}");
}

#[test]
fn a_clock_that_was_never_set_is_not_believed() {
    let mut world = World::new(minutes(), NOW);
    world.clock.set(NOW + 60);
    world.all_are_found(NOW + 60);
    // The station boots without a battery of its own: 1970. It takes its index's making
    // for the present, and nobody is moved by one packet.
    world.clock.set(0);
    world.reopen();
    assert_eq!(world.station().now_s(), NOW);
    assert!(matches!(world.hear(3, world.nonce(NOW + 30 * HOUR)), Verdict::Early { .. }));
    assert_eq!(world.station().take_clock_moves(), []);
    // Then the network tells the time.
    world.clock.set(NOW + 30 * HOUR);
    world.all_are_found(NOW + 30 * HOUR);
    world.station().verify(None).expect("it is sound");
}

#[test]
fn a_station_that_was_off_for_a_month_finds_everybody_at_once() {
    let mut world = World::new(minutes(), NOW);
    world.all_are_found(NOW);
    let month = NOW + 30 * 24 * HOUR + 1234;
    world.clock.set(month);
    world.reopen();
    // 150 ppm of a month are six minutes and a half: fast ones and slow ones.
    for device in 0..DEVICES {
        let off_s = u64::from(device % 13) * 60;
        let said = world.hear(device, world.nonce(month - 360 + off_s));
        let found =
            matches!(&said, Verdict::Accepted { source: Source::Index | Source::Snapshot, .. });
        assert!(found, "{device}, {off_s} s: {said:?}");
    }
    assert_eq!(world.station().scan_stats().passes, 0);
}

#[test]
fn the_last_days_that_have_a_number_are_days() {
    let day = u64::from(u32::MAX);
    let last_s = day * 86_400;
    for (kind, now_s) in [
        (NonceKind::DayCounter, last_s - 86_400 + 43_200),
        (NonceKind::DayCounter, last_s + 43_200),
        (minutes(), u64::from(u32::MAX) * 60 - 30),
        (minutes(), u64::from(u32::MAX) * 60 + 30),
    ] {
        let world = World::new(kind, now_s);
        world.all_are_found(now_s);
        world.station().roll(None).expect("windows can be built");
        world.station().verify(None).expect("it is sound");
        // Past the end there are no nonces, and no panic either.
        world.clock.set(now_s + 3 * 86_400);
        world.station().roll(None).expect("windows can be built");
        world.clock.set(u64::MAX);
        world.station().roll(None).expect("windows can be built");
    }
}

#[test]
fn moves_are_told_once_with_where_the_clock_was_and_is() {
    let world = World::new(minutes(), NOW);
    world.clock.set(NOW + HOUR);
    assert!(matches!(world.hear(5, world.nonce(NOW + HOUR)), Verdict::Accepted { .. }));
    assert!(matches!(world.hear(5, 10), Verdict::Stale { .. }));
    world.clock.set(NOW + HOUR + 120);
    let said = world.hear(5, 12);
    assert!(matches!(said, Verdict::Accepted { source: Source::Scan, .. }), "{said:?}");
    let moves = world.station().take_clock_moves();
    let [(DeviceId(5), moved)] = &moves[..] else { panic!("{moves:?}") };
    assert!(moved.from_s.abs() < 60 && moved.to_s < -1_700_000_000, "{moved:?}");
    assert_eq!(world.station().take_clock_moves(), []);
    // From now on it is in the windows, this one and the next.
    world.clock.set(NOW + HOUR + 240);
    let said = world.hear(5, 14);
    assert!(
        matches!(said, Verdict::Accepted { source: Source::Index | Source::Snapshot, .. }),
        "{said:?}"
    );
    world.clock.set(NOW + 3 * HOUR);
    let said = world.hear(5, 10 + 120);
    assert!(
        matches!(said, Verdict::Accepted { source: Source::Index | Source::Snapshot, .. }),
        "{said:?}"
    );
}

#[test]
fn a_fleet_made_by_a_clock_that_was_years_ahead_goes_by_the_present() {
    for kind in [minutes(), NonceKind::DayCounter] {
        let mut world = World::new(kind, NOW + 4 * 365 * 24 * HOUR);
        world.clock.set(NOW);
        world.reopen();
        assert_eq!(world.station().now_s(), NOW);
        assert_eq!(world.station().created_unix_s(), NOW + 4 * 365 * 24 * HOUR);
        world.all_are_found(NOW);
        for device in 0..DEVICES {
            let said = world.hear(device, world.nonce(NOW));
            assert!(matches!(said, Verdict::Replay { .. }), "{device}: {said:?}");
        }
        world.clock.set(NOW + 25 * HOUR);
        world.all_are_found(NOW + 25 * HOUR);
        world.station().verify(None).expect("it is sound");
    }
}

#[test]
fn while_the_clock_is_not_set_packets_are_judged_by_their_own_times() {
    let mut world = World::new(minutes(), NOW);
    world.clock.set(1000);
    world.reopen();
    let then = NOW + 30 * 24 * HOUR;
    let packet = |device, at| world.senders.packet(device, world.nonce(at), b"ok");
    let packets: Vec<_> = (0..DEVICES).map(|device| packet(device, then)).collect();
    let received = packets.iter().map(|packet| Received {
        packet,
        at_unix_s: then,
        at_ms: 0,
        associated_data: None,
        context: &[],
    });
    let received: Vec<_> = received.collect();
    let said = world.station().decode_received(&received).expect("it decodes");
    assert!(said.iter().all(|said| matches!(said, Verdict::Accepted { .. })), "{said:?}");
    // A time of reception that no clock shows which was set is that of the making.
    let packet = packet(3, NOW + 3 * HOUR);
    let unset =
        Received { packet: &packet, at_unix_s: 500, at_ms: 0, associated_data: None, context: &[] };
    let said = world.station().decode_received(&[unset]).expect("it decodes");
    assert!(matches!(said[..], [Verdict::Early { .. } | Verdict::Stale { .. }]), "{said:?}");
}
