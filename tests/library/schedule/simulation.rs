//! Simulated devices whose clocks drift and whose packets are lost, and the station that hears them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

use hintdex::wire::{DeviceId, KeyId, KeySource, PacketKey, Schedule};
use hintdex::{
    DeviceRange, DeviceSettings, DeviceTransfer, KeyOrigin, KeyTransfer, ManualClock, Params,
    Received, ScheduleClock, ScheduleStats, ScheduleTolerance, Station, StationOptions, Verdict,
};
use hintdex_host::SplitMix64;

pub const START_MS: u64 = 1_764_000_000_000;
pub const JITTER_MS: u64 = 50;
pub const TOLERANCE: ScheduleTolerance = ScheduleTolerance { jitter_ms: 50, max_drift_ppm: 30 };
/// Packets a thousand that are lost.
pub const LOST: u64 = 100;

/// A device of the simulation.
pub struct Device {
    pub key: PacketKey,
    /// How fast station time passes by its clock, less one, in parts per billion.
    pub drift_ppb: i64,
    pub nonce: u64,
    /// When it sends its next packet, in microseconds of station time.
    pub sends_us: u64,
}

/// A packet on the air.
pub struct Sent {
    pub at_ms: u64,
    pub device: u32,
    pub nonce: u64,
    pub bytes: Vec<u8>,
}

/// The devices that are switched on.
pub struct Simulation {
    pub schedule: Schedule,
    pub keys: Arc<dyn KeySource>,
    pub devices: Vec<Device>,
    pub coming: BinaryHeap<Reverse<(u64, u32)>>,
    pub random: SplitMix64,
}

impl Simulation {
    pub fn new(schedule: Schedule, keys: &Arc<dyn KeySource>, seed: u64) -> Self {
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
    pub fn switch_on(&mut self, count: u32, from_ms: u64, within_ms: u64) {
        for _ in 0..count {
            let id = u32::try_from(self.devices.len()).expect("few devices");
            let key = self.keys.packet_key(KeyId::first(DeviceId(id))).expect("derived");
            let drift_ppb = i64::try_from(self.random.below(60_001)).expect("small") - 30_000;
            let sends_us = from_ms * 1000 + self.random.below(within_ms * 1000);
            self.devices.push(Device { key, drift_ppb, nonce: 0, sends_us });
            self.coming.push(Reverse((sends_us, id)));
        }
    }

    /// Lets each device send its first packet, and returns the state of a station that has heard it.
    pub fn hear_first(&mut self) -> Vec<DeviceTransfer> {
        let mut heard = Vec::with_capacity(self.devices.len());
        for id in 0..u32::try_from(self.devices.len()).expect("few devices") {
            let sent = self.send(id);
            let state = KeyTransfer {
                key: KeyId::first(DeviceId(id)),
                origin: KeyOrigin::Derived,
                provisioned_unix_s: START_MS / 1000,
                grace_s: 0,
                retirement: None,
                next_nonce: 1,
                seen: 1,
                heard_unix_s: None,
                clock: None,
                schedule: Some(ScheduleClock::heard_first(sent.at_ms, 0, TOLERANCE)),
                pending: Vec::new(),
                late: None,
                settings: DeviceSettings::default(),
            };
            heard.push(DeviceTransfer { state, wrapped: None });
        }
        let coming = self.devices.iter().zip(0..).map(|(device, id)| (device.sends_us, id));
        self.coming = coming.map(Reverse).collect();
        heard
    }

    /// The next packet that is sent before `end_ms`, and whether it is lost.
    pub fn next(&mut self, end_ms: u64) -> Option<(Sent, bool)> {
        let Reverse((sends_us, _)) = *self.coming.peek()?;
        if sends_us / 1000 >= end_ms {
            return None;
        }
        let Reverse((_, id)) = self.coming.pop()?;
        let sent = self.send(id);
        self.coming.push(Reverse((self.devices[id as usize].sends_us, id)));
        let is_lost = self.random.below(1000) < LOST;
        Some((sent, is_lost))
    }

    /// The next packet of a device, as it is received.
    pub fn send(&mut self, id: u32) -> Sent {
        let device = &mut self.devices[id as usize];
        let (nonce, sends_us) = (device.nonce, device.sends_us);
        let mut bytes = vec![0; 14];
        self.schedule.seal(&device.key, nonce, b"21.5 C", &mut bytes).expect("it fits");
        let delay_ms = self.schedule.delay_ms(&device.key, nonce).expect("nonces are left");
        let delay_us = i64::from(delay_ms) * 1000;
        let drifted_us = delay_us + delay_us * device.drift_ppb / 1_000_000_000;
        device.sends_us = device.sends_us.strict_add_signed(drifted_us);
        device.nonce += 1;
        let at_ms = (sends_us + self.random.below(JITTER_MS * 1000)) / 1000;
        Sent { at_ms, device: id, nonce, bytes }
    }

    /// Everything that is received before `end_ms`, in order of time.
    pub fn receive(&mut self, end_ms: u64) -> Vec<Sent> {
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

pub fn received(sent: &Sent) -> Received<'_> {
    received_at(&sent.bytes, sent.at_ms)
}

pub fn received_at(packet: &[u8], at_ms: u64) -> Received<'_> {
    let (at_unix_s, ms) = (at_ms / 1000, u16::try_from(at_ms % 1000).expect("below 1000"));
    Received { packet, at_unix_s, at_ms: ms, associated_data: None, context: &[] }
}

/// A station and its clock.
pub struct Fleet {
    pub station: Station,
    pub clock: Arc<ManualClock>,
}

pub fn options() -> StationOptions {
    StationOptions { scan_core_share: f64::INFINITY, ..StationOptions::default() }
}

impl Fleet {
    pub fn create(path: &Path, schedule: Schedule) -> Self {
        let clock = Arc::new(ManualClock::new(START_MS / 1000));
        let params = Params::scheduled(schedule, None, TOLERANCE);
        let station = Station::create_with(path, None, params, &options(), clock.clone());
        Self { station: station.expect("a fleet"), clock }
    }

    pub fn reopen(self, path: &Path) -> Self {
        drop(self.station);
        let station = Station::open_with(path, &options(), self.clock.clone());
        Self { station: station.expect("it opens"), ..self }
    }

    pub fn provision(&self, first: u32, count: u32) {
        let range = DeviceRange::new(DeviceId(first), count);
        self.station.provision(&[range], None).expect("ids are free");
    }

    pub fn decode(&self, packets: &[Received<'_>]) -> Vec<Verdict> {
        let last_s = packets.iter().map(|packet| packet.at_unix_s).max().unwrap_or(0);
        self.clock.set(last_s);
        self.station.decode_received(packets).expect("it decodes")
    }

    /// Decodes packets some at a time. Every one of them must be accepted as what was sent.
    pub fn accept(&self, sent: &[Sent]) {
        for sent in sent.chunks(1000) {
            let packets: Vec<Received<'_>> = sent.iter().map(received).collect();
            for (sent, verdict) in sent.iter().zip(self.decode(&packets)) {
                assert_eq!(accepted(&verdict), Some((sent.device, sent.nonce)), "{verdict:?}");
            }
        }
    }

    pub fn stats(&self) -> ScheduleStats {
        self.station.schedule_stats().expect("packets follow a schedule")
    }
}

pub fn accepted(verdict: &Verdict) -> Option<(u32, u64)> {
    match verdict {
        Verdict::Accepted { device, nonce, payload, .. } if payload == b"21.5 C" => {
            Some((device.0, *nonce))
        }
        _ => None,
    }
}
