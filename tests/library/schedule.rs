//! Fleets whose packets only their time names: simulated devices whose clocks drift, whose packets
//! are lost, repeated and damaged, among noise.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use hintdex::wire::{DeviceId, KeyId, KeySource, PacketKey, Schedule};
use hintdex::{
    DeviceRange, ManualClock, Params, Received, ScheduleStats, ScheduleTolerance, Station,
    StationOptions, Verdict,
};
use hintdex_host::SplitMix64;

const START_MS: u64 = 1_764_000_000_000;
const JITTER_MS: u64 = 50;
const TOLERANCE: ScheduleTolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
/// Packets a thousand that are lost.
const LOST: u64 = 100;

/// A device of the simulation.
struct Device {
    key: PacketKey,
    /// How fast station time passes by its clock, less one, in parts per billion.
    drift_ppb: i64,
    nonce: u64,
    /// When it sends its next packet, in microseconds of station time.
    sends_us: u64,
}

/// A packet on the air.
struct Sent {
    at_ms: u64,
    device: u32,
    nonce: u64,
    bytes: Vec<u8>,
}

/// The devices that are switched on.
struct Simulation {
    schedule: Schedule,
    keys: Arc<dyn KeySource>,
    devices: Vec<Device>,
    coming: BinaryHeap<Reverse<(u64, u32)>>,
    random: SplitMix64,
}

impl Simulation {
    fn new(schedule: Schedule, keys: &Arc<dyn KeySource>, seed: u64) -> Self {
        Self {
            schedule,
            keys: keys.clone(),
            devices: Vec::new(),
            coming: BinaryHeap::new(),
            random: SplitMix64::new(seed),
        }
    }

    /// Switches `count` devices on, which send their first packets from `from_ms` on, for
    /// `within_ms`.
    fn switch_on(&mut self, count: u32, from_ms: u64, within_ms: u64) {
        for _ in 0..count {
            let id = u32::try_from(self.devices.len()).expect("few devices");
            let key = self.keys.packet_key(KeyId::first(DeviceId(id))).expect("derived");
            let drift_ppb = i64::try_from(self.random.below(60_001)).expect("small") - 30_000;
            let sends_us = from_ms * 1000 + self.random.below(within_ms * 1000);
            self.devices.push(Device { key, drift_ppb, nonce: 0, sends_us });
            self.coming.push(Reverse((sends_us, id)));
        }
    }

    /// The next packet that is sent before `end_ms`, and whether it is lost.
    fn next(&mut self, end_ms: u64) -> Option<(Sent, bool)> {
        let Reverse((sends_us, _)) = *self.coming.peek()?;
        if sends_us / 1000 >= end_ms {
            return None;
        }
        let Reverse((_, id)) = self.coming.pop()?;
        let device = &mut self.devices[id as usize];
        let nonce = device.nonce;
        let mut bytes = vec![0; 14];
        self.schedule.seal(&device.key, nonce, b"21.5 C", &mut bytes).expect("it fits");
        let delay_ms = self.schedule.delay_ms(&device.key, nonce).expect("nonces are left");
        let delay_us = i64::from(delay_ms) * 1000;
        let drifted_us = delay_us + delay_us * device.drift_ppb / 1_000_000_000;
        device.sends_us = device.sends_us.strict_add_signed(drifted_us);
        device.nonce += 1;
        self.coming.push(Reverse((device.sends_us, id)));
        let at_ms = (sends_us + self.random.below(JITTER_MS * 1000)) / 1000;
        let is_lost = self.random.below(1000) < LOST;
        Some((Sent { at_ms, device: id, nonce, bytes }, is_lost))
    }

    /// Everything that is received before `end_ms`, in order of time.
    fn receive(&mut self, end_ms: u64) -> Vec<Sent> {
        let mut received = Vec::new();
        while let Some((sent, is_lost)) = self.next(end_ms) {
            if !is_lost {
                received.push(sent);
            }
        }
        received.sort_by_key(|sent| sent.at_ms);
        received
    }
}

fn received(sent: &Sent) -> Received<'_> {
    received_at(&sent.bytes, sent.at_ms)
}

fn received_at(packet: &[u8], at_ms: u64) -> Received<'_> {
    let (at_unix_s, ms) = (at_ms / 1000, u16::try_from(at_ms % 1000).expect("below 1000"));
    Received { packet, at_unix_s, at_ms: ms, associated_data: None }
}

/// A station and its clock.
struct Fleet {
    station: Station,
    clock: Arc<ManualClock>,
}

fn options() -> StationOptions {
    StationOptions { scan_core_share: f64::INFINITY, ..StationOptions::default() }
}

impl Fleet {
    fn create(path: &Path, schedule: Schedule) -> Self {
        let clock = Arc::new(ManualClock::new(START_MS / 1000));
        let params = Params::scheduled(schedule, None, TOLERANCE);
        let station = Station::create_with(path, None, params, &options(), clock.clone());
        Self { station: station.expect("a fleet"), clock }
    }

    fn reopen(self, path: &Path) -> Self {
        drop(self.station);
        let station = Station::open_with(path, &options(), self.clock.clone());
        Self { station: station.expect("it opens"), ..self }
    }

    fn provision(&self, first: u32, count: u32) {
        let range = DeviceRange::new(DeviceId(first), count.into());
        self.station.provision(&[range], None).expect("ids are free");
    }

    fn decode(&self, packets: &[Received<'_>]) -> Vec<Verdict> {
        let last_s = packets.iter().map(|packet| packet.at_unix_s).max().unwrap_or(0);
        self.clock.set(last_s);
        self.station.decode_received(packets).expect("it decodes")
    }

    /// Decodes packets some at a time. Every one of them must be accepted as what was sent.
    fn accept(&self, sent: &[Sent]) {
        for sent in sent.chunks(1000) {
            let packets: Vec<Received<'_>> = sent.iter().map(received).collect();
            for (sent, verdict) in sent.iter().zip(self.decode(&packets)) {
                assert_eq!(accepted(&verdict), Some((sent.device, sent.nonce)), "{verdict:?}");
            }
        }
    }

    fn stats(&self) -> ScheduleStats {
        self.station.schedule_stats().expect("packets follow a schedule")
    }
}

fn accepted(verdict: &Verdict) -> Option<(u32, u64)> {
    match verdict {
        Verdict::Accepted { device, nonce, payload, .. } if payload == b"21.5 C" => {
            Some((device.0, *nonce))
        }
        _ => None,
    }
}

/// Tags tried on average for a packet whose device is due: one, and one for each device that is
/// nearer to its expected time. `error_ms` is the mean distance of a packet from its expected time.
fn expected_tags(devices: u32, mean_delay_ms: f64, error_ms: f64) -> f64 {
    let loss = LOST as f64 / 1000.0;
    1.0 + f64::from(devices) / mean_delay_ms * (1.0 + loss) * error_ms
}

/// Switches devices on in steps, lets them send, and compares the tags tried with the formula.
fn run(devices: u32, steps: u32, (min_ms, max_ms): (u32, u32), rounds: u64, seed: u64) {
    let schedule = Schedule::new(min_ms, max_ms).expect("a schedule");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet");
    let fleet = Fleet::create(&path, schedule);
    let mut simulation = Simulation::new(schedule, fleet.station.key_source(), seed);
    let mean_ms = u64::from(min_ms / 2 + max_ms / 2);
    let (mut now_ms, each) = (START_MS, devices / steps);
    let started = std::time::Instant::now();
    for step in 0..steps {
        fleet.provision(step * each, each);
        simulation.switch_on(each, now_ms, mean_ms / 10);
        now_ms += mean_ms / 4;
        fleet.accept(&simulation.receive(now_ms));
    }
    // The first packets of the last devices may have been lost.
    let settled_ms = now_ms + 4 * mean_ms;
    fleet.accept(&simulation.receive(settled_ms));
    let before = fleet.stats();
    eprintln!("{before:?} after {:?}", started.elapsed());
    let started = std::time::Instant::now();
    let mut now_ms = settled_ms;
    for _ in 0..rounds * 8 {
        now_ms += mean_ms / 8;
        fleet.accept(&simulation.receive(now_ms));
    }
    let after = fleet.stats();
    let packets = after.found_due - before.found_due;
    let tags = (after.tags_found_due - before.tags_found_due) as f64 / packets as f64;
    // Learned rates leave the jitter of two receptions: a third of its span on average.
    let formula = expected_tags(devices, mean_ms as f64, JITTER_MS as f64 / 3.0);
    eprintln!(
        "{packets} packets, {tags:.2} tags a packet, formula {formula:.2}, {:.1} µs a packet, \
         {after:?}",
        started.elapsed().as_secs_f64() * 1e6 / packets as f64
    );
    assert!((tags / formula - 1.0).abs() < 0.1, "{tags} tags, {formula} by the formula");
    assert!(tags <= 64.0);
}

#[test]
fn every_packet_is_found_and_costs_the_tags_of_the_formula() {
    // As dense as 10^6 devices with an hour.
    run(20_000, 20, (30_000, 114_000), 6, 1);
}
