//! Simulated fleets whose nonces tell time, over simulated months: clocks that drift,
//! packets that are lost, stations and devices that are off, batteries that are changed.

use std::collections::HashSet;
use std::sync::Arc;

use hintdex::wire::{DeviceId, HintScheme, NonceKind, StepLen};
use hintdex::{Clock, ManualClock};
use hintdex::{
    DeviceRange, Durability, Params, Received, Source, Station, StationOptions, Verdict,
};
use hintdex_tests::{Devices, Random};
use tempfile::TempDir;

use crate::fleet::SECRET;

/// When the simulations begin: 2026-11-23.
const START: u64 = 1_795_392_000;
const DAY: u64 = 86_400;

/// A device as it is, whatever the station thinks.
struct Device {
    id: u32,
    /// Its clock shows `base_s` at the station's `since_s`, and runs fast by `ppm`.
    base_s: u64,
    since_s: u64,
    ppm: i64,
    next_send_s: u64,
    last_unit: Option<u64>,
    counter: u64,
    new_battery_s: u64,
    /// Packets the station received since its clock jumped; `None` if it never did, or
    /// two were received since.
    since_jump: Option<u32>,
}

impl Device {
    fn clock_s(&self, now_s: u64) -> u64 {
        let elapsed = i64::try_from(now_s - self.since_s).expect("small");
        let drifted = elapsed + elapsed * self.ppm / 1_000_000;
        self.base_s + u64::try_from(drifted).expect("it runs forwards")
    }

    /// The nonce of a packet sent now, if the device has one left for this unit.
    fn nonce(&mut self, kind: NonceKind, now_s: u64) -> Option<u64> {
        let unit = self.clock_s(now_s) / u64::from(kind.unit_s());
        if self.last_unit == Some(unit) {
            self.counter += 1;
            if kind != NonceKind::DayCounter {
                return None;
            }
        } else {
            self.counter = 0;
        }
        self.last_unit = Some(unit);
        Some(kind.first_of(unit) + self.counter)
    }
}

/// Devices whose packets somebody keeps, to send them again.
const EAVESDROPPED: u32 = 200;

/// A packet that was sent, for those who send it again.
#[derive(Clone)]
struct Sent {
    device: u32,
    nonce: u64,
    bytes: Vec<u8>,
}

struct World {
    folder: TempDir,
    kind: NonceKind,
    senders: Devices,
    clock: Arc<ManualClock>,
    station: Option<Station>,
    devices: Vec<Device>,
    random: Random,
    accepted: HashSet<(u32, u64)>,
    sent: Vec<Sent>,
    most_spans: usize,
    scans: u64,
    packets: u64,
    lean: bool,
}

impl World {
    fn new(devices: u32, kind: NonceKind, lean: bool, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("the.key");
        std::fs::write(&key, hex::encode(SECRET)).expect("a file can be written");
        let params = Params::clocked(HintScheme::Aes128, kind, 8).expect("it has room");
        let clock = Arc::new(ManualClock::new(START));
        let dir = folder.path().join("fleet");
        let station = Station::create_with(&dir, Some(&key), params, &options(lean), clock.clone());
        let station = station.expect("it can be made");
        station.provision(&[DeviceRange::new(DeviceId(0), devices)], None).expect("ids are free");
        let device = |id| Device {
            id,
            base_s: START,
            since_s: START,
            ppm: i64::try_from(random.below(301)).expect("small") - 150,
            next_send_s: START + random.below(2 * DAY),
            last_unit: None,
            counter: 0,
            // A fifth of the devices, in the course of half a year.
            new_battery_s: START
                + random.below(180 * DAY)
                + if random.chance(80) { 1 << 40 } else { 0 },
            since_jump: None,
        };
        let devices = (0..devices).map(device).collect();
        let senders = Devices::new(&SECRET).hinting(params.scheme);
        Self {
            folder,
            kind,
            senders,
            clock,
            station: Some(station),
            devices,
            random,
            accepted: HashSet::new(),
            sent: Vec::new(),
            most_spans: 0,
            scans: 0,
            packets: 0,
            lean,
        }
    }

    fn station(&self) -> &Station {
        self.station.as_ref().expect("it is open")
    }

    /// Lets the time from one moment to another pass: what is sent is received, unless
    /// it is lost.
    fn pass(&mut self, from_s: u64, to_s: u64, is_off: bool) {
        let mut air: Vec<(u64, usize, Sent)> = Vec::new();
        for at in 0..self.devices.len() {
            while self.devices[at].next_send_s < to_s {
                let now_s = self.devices[at].next_send_s.max(from_s);
                self.send(at, now_s, is_off, &mut air);
            }
        }
        if is_off {
            return;
        }
        air.sort_unstable_by_key(|(now_s, ..)| *now_s);
        self.clock.set(from_s);
        self.station().roll(None).expect("windows can be built");
        self.clock.set(to_s - 1);
        let received: Vec<Received<'_>> = air
            .iter()
            .map(|(at_unix_s, _, sent)| Received {
                packet: &sent.bytes,
                at_unix_s: *at_unix_s,
                at_ms: 0,
                associated_data: None,
                context: &[],
            })
            .collect();
        let verdicts = self.station().decode_received(&received).expect("it decodes");
        for ((_, at, sent), verdict) in air.iter().zip(verdicts) {
            self.judge(*at, sent, &verdict);
        }
        self.send_again(to_s - 1);
        self.most_spans = self.most_spans.max(self.station().stats().expect("stats").spans.len());
    }

    /// One device comes to its next moment of sending.
    fn send(&mut self, at: usize, now_s: u64, is_off: bool, air: &mut Vec<(u64, usize, Sent)>) {
        let pause = 3600 + self.random.below(3 * DAY);
        // Some fall silent for weeks.
        let outage = if self.random.chance(1) { self.random.below(40 * DAY) } else { 0 };
        let (kind, is_lost) = (self.kind, self.random.chance(10));
        let device = &mut self.devices[at];
        device.next_send_s = now_s + pause + outage;
        if now_s >= device.new_battery_s {
            (device.base_s, device.since_s) = (0, now_s);
            (device.new_battery_s, device.since_jump, device.last_unit) = (u64::MAX, Some(0), None);
        }
        let Some(nonce) = device.nonce(kind, now_s) else { return };
        if is_lost || is_off {
            return;
        }
        let device = device.id;
        let sent = Sent { device, nonce, bytes: self.senders.packet(device, nonce, b"ok") };
        air.push((now_s, at, sent));
    }

    /// Holds what is said of a packet against what is true of its device.
    fn judge(&mut self, at: usize, sent: &Sent, verdict: &Verdict) {
        self.packets += 1;
        let (device, kind) = (&mut self.devices[at], self.kind);
        let since_jump = device.since_jump;
        let (is_accepted, by) = match verdict {
            Verdict::Accepted { device: id, nonce, source, .. } => {
                assert_eq!((id.0, *nonce), (sent.device, sent.nonce));
                assert!(self.accepted.insert((id.0, *nonce)), "{id} {nonce} is accepted twice");
                (true, *source)
            }
            Verdict::Stale { source, .. } | Verdict::Early { source, .. } => (false, *source),
            other => panic!("{other:?} of device {} under {}, {kind}", sent.device, sent.nonce),
        };
        self.scans += u64::from(by == Source::Scan);
        let said =
            format!("{verdict:?} of {} ({} ppm) under {}", device.id, device.ppm, sent.nonce);
        match since_jump {
            None => assert!(is_accepted && by != Source::Scan, "in its allowance: {said}"),
            Some(0) => device.since_jump = Some(1),
            Some(received) => {
                assert!(is_accepted, "{received} packets after its jump: {said}");
                device.since_jump = None;
            }
        }
        if sent.device < EAVESDROPPED {
            self.sent.push(sent.clone());
        }
    }

    /// Somebody sends what was sent before, single and in pairs of the right distance.
    fn send_again(&mut self, now_s: u64) {
        let len = self.sent.len();
        if len < 2 {
            return;
        }
        let first = self.random.place(len);
        let chosen = self.sent[first].clone();
        let later = self.sent[first + 1..].iter().find(|sent| sent.device == chosen.device);
        let pair: Vec<Sent> = std::iter::once(chosen.clone()).chain(later.cloned()).collect();
        let mut at_unix_s = now_s;
        for sent in pair {
            let apart_s =
                (sent.nonce - chosen.nonce.min(sent.nonce)) * u64::from(self.kind.unit_s());
            at_unix_s = now_s.saturating_add(apart_s);
            let received = Received {
                packet: &sent.bytes,
                at_unix_s,
                at_ms: 0,
                associated_data: None,
                context: &[],
            };
            let said = self.station().decode_received(&[received]).expect("it decodes");
            let again = self.accepted.contains(&(sent.device, sent.nonce));
            match &said[0] {
                Verdict::Accepted { .. } => {
                    assert!(!again, "{} {} is accepted twice", sent.device, sent.nonce);
                    self.accepted.insert((sent.device, sent.nonce));
                }
                Verdict::Replay { .. } | Verdict::Stale { .. } | Verdict::Early { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(at_unix_s >= now_s);
    }

    /// Closes the station and opens it again.
    fn reopen(&mut self) {
        self.station = None;
        let dir = self.folder.path().join("fleet");
        if self.lean && self.random.chance(30) {
            // Its snapshots are lost: they are built again.
            for entry in std::fs::read_dir(&dir).expect("a folder").flatten() {
                let is_snapshot = entry.path().extension().is_some_and(|ending| ending == "hdx");
                let _ = is_snapshot.then(|| std::fs::remove_file(entry.path()));
            }
        }
        let station = Station::open_with(&dir, &options(self.lean), self.clock.clone());
        self.station = Some(station.expect("it opens"));
    }

    /// Lets days pass, a few hours at a time, with outages of the station.
    fn run(&mut self, days: u64) {
        let chunk_s = u64::from(self.kind.unit_s()).clamp(600, 3600);
        let (mut now_s, end_s) = (START, START + days * DAY);
        while now_s < end_s {
            let is_off = self.random.below(2000) == 0;
            let len_s = if is_off { 3600 + self.random.below(4 * DAY) } else { chunk_s };
            let to_s = end_s.min(now_s + len_s);
            self.pass(now_s, to_s, is_off);
            now_s = to_s;
            if is_off || self.random.below(3000) == 0 {
                self.clock.set(now_s);
                self.reopen();
            }
        }
        self.station().verify(None).expect("it is sound");
        let stats = self.station().scan_stats();
        println!(
            "{} devices, {}, {days} days: {} packets, {} by scan, {} spans at most, {stats:?}",
            self.devices.len(),
            self.kind,
            self.packets,
            self.scans,
            self.most_spans,
        );
        // The present, the one that drift still reaches, the next.
        assert!(self.most_spans <= 3, "{}", self.most_spans);
        assert!(self.accepted.len() > self.devices.len());
    }
}

fn options(lean: bool) -> StationOptions {
    StationOptions {
        durability: Durability::ProcessCrash,
        scan_core_share: f64::INFINITY,
        roll_in_background: false,
        lean,
        ..StationOptions::default()
    }
}

fn step(seconds: u32) -> NonceKind {
    NonceKind::Step(StepLen::new(seconds).expect("1 to 86,400"))
}

#[test]
fn fleets_of_steps_are_found_through_two_months() {
    World::new(2000, step(900), false, 1).run(60);
    World::new(500, step(60), false, 2).run(20);
}

#[test]
fn fleets_whose_windows_are_snapshots_are_found_through_a_month() {
    World::new(1000, step(900), true, 3).run(30);
}

#[test]
fn fleets_of_days_and_counters_are_found_through_two_months() {
    World::new(1000, NonceKind::DayCounter, false, 4).run(60);
}

#[test]
#[ignore = "some minutes: in make test-long"]
fn a_hundred_thousand_devices_through_three_months() {
    World::new(100_000, step(900), false, 5).run(90);
    World::new(100_000, NonceKind::DayCounter, false, 6).run(60);
}

/// The clock of a world is one that the tests turn.
#[test]
fn a_made_up_clock_is_a_clock() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(7));
    assert_eq!(clock.now_unix_s(), 7);
}
