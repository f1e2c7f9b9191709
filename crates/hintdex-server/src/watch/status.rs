//! The present state of the service, as the page and its JSON show it.

use std::sync::Arc;

use serde::Serialize;

use super::history::{Counts, History};
use crate::decoder::Shared;
use crate::fleets::Fleet;
use crate::input::now_ms;
use crate::metrics::GatewayFigures;
use crate::uplink::time_text;

/// The most gateways that are listed.
const MAX_GATEWAYS: usize = 32;
/// A gateway with a larger share of packets of no device is noisy.
const NOISY_SHARE: f64 = 0.5;
/// A share of fewer packets says nothing.
const NOISY_PACKETS: u64 = 20;

/// What the page knows of a station.
#[derive(Debug)]
pub struct Watched {
    pub name: String,
    pub shared: Arc<Shared>,
    pub fleets: Arc<Vec<Fleet>>,
    pub history: History,
    /// The names of the outputs.
    pub outputs: std::sync::Mutex<Vec<String>>,
    /// The figures of the index, which cost too much for each request.
    pub index: std::sync::Mutex<IndexFigures>,
}

/// Figures of the indexes of a station.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IndexFigures {
    pub devices: u64,
    pub hints: u64,
    pub disk_bytes: u64,
    pub memory_bytes: u64,
    pub bytes_per_hint: f64,
    pub windows: u64,
    pub rolls: u64,
}

#[derive(Debug, Serialize)]
pub struct Status {
    pub version: &'static str,
    pub time: String,
    pub resident_bytes: u64,
    pub stations: Vec<StationStatus>,
}

#[derive(Debug, Serialize)]
pub struct StationStatus {
    pub name: String,
    pub fleets: Vec<String>,
    pub received: u64,
    pub accepted: u64,
    pub verdicts: Vec<VerdictCount>,
    pub devices_last_hour: usize,
    pub devices_last_day: usize,
    pub devices_silent: usize,
    pub silent: Vec<DeviceTime>,
    pub moved: u64,
    pub moves: Vec<DeviceTime>,
    pub gateways: Vec<Gateway>,
    pub noisy_gateways: usize,
    pub outbox: Vec<OutboxStatus>,
    pub waiting_for_scan: u64,
    /// What a packet costs: the slots that the index and the snapshots name for its hint, and the tags tried.
    pub candidates_per_packet: f64,
    pub tags_per_packet: f64,
    pub index: IndexFigures,
    /// Packets of each quarter of a minute of the last hour.
    pub samples: Vec<[u64; 3]>,
}

#[derive(Debug, Serialize)]
pub struct VerdictCount {
    pub verdict: &'static str,
    pub reason: &'static str,
    pub packets: u64,
}

#[derive(Debug, Serialize)]
pub struct DeviceTime {
    pub fleet: String,
    pub device: u32,
    pub time: String,
}

#[derive(Debug, Serialize)]
pub struct Gateway {
    pub name: String,
    pub packets: u64,
    pub noise_share: f64,
    pub is_noisy: bool,
}

#[derive(Debug, Serialize)]
pub struct OutboxStatus {
    pub output: String,
    pub waiting: u64,
}

impl Watched {
    /// Records the counters for the rates of the last hour.
    pub fn sample(&self) {
        let metrics = &self.shared.metrics;
        let accepted = metrics.verdict_total("accepted");
        let all: u64 = metrics.verdicts().iter().map(|(.., packets)| packets).sum();
        let received = metrics.received_total();
        self.history.sample(Counts { received, accepted, rejected: all.saturating_sub(accepted) });
    }

    /// Reads the figures of the indexes: a call of each fleet's index.
    pub fn read_index(&self) {
        let (mut figures, mut hint_bytes) = (IndexFigures::default(), 0);
        for station in self.shared.group.stations() {
            let Ok(stats) = station.stats() else { continue };
            figures.devices += stats.devices;
            figures.hints += stats.hints;
            figures.disk_bytes += stats.disk_bytes();
            hint_bytes += stats.hint_bytes();
            figures.memory_bytes +=
                stats.states_memory_bytes + stats.cache_bytes + stats.tables_memory_bytes;
            figures.windows += (stats.spans.len() as u64).max(1);
            figures.rolls += stats.rolls;
        }
        figures.bytes_per_hint = hint_bytes as f64 / figures.hints.max(1) as f64;
        let mut index = self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *index = figures;
    }

    /// Sets the metrics that are read and not counted.
    pub fn refresh_metrics(&self) {
        let metrics = &self.shared.metrics;
        let mut scans = [0_u64; 6];
        for station in self.shared.group.stations() {
            let stats = station.scan_stats();
            let of = [
                stats.passes,
                stats.hints,
                stats.found,
                stats.tries,
                stats.refused,
                u64::try_from(stats.core_time.as_millis()).unwrap_or(u64::MAX),
            ];
            scans.iter_mut().zip(of).for_each(|(sum, of)| *sum += of);
        }
        let names = [
            "scan_passes",
            "scan_hints",
            "scan_found",
            "scan_tries",
            "scan_refused",
            "scan_core_ms",
        ];
        names.into_iter().zip(scans).for_each(|(name, value)| metrics.set_state(name, value));
        metrics.set_state("waiting_for_scan", self.shared.group.waiting());
        let (candidates, tags) = self.lookups();
        metrics.set_state("candidates", candidates);
        metrics.set_state("tags", tags);
        metrics.set_state("resident_bytes", resident_bytes());
        let index = self.index();
        for (name, value) in [
            ("devices", index.devices),
            ("hints", index.hints),
            ("disk_bytes", index.disk_bytes),
            ("index_memory_bytes", index.memory_bytes),
            ("windows", index.windows),
            ("rolls", index.rolls),
        ] {
            metrics.set_state(name, value);
        }
        for output in self.outputs() {
            metrics.set_waiting(&output, self.shared.outboxes.waiting_for(&output));
        }
    }

    /// The candidates and the tags of all packets.
    fn lookups(&self) -> (u64, u64) {
        let stats = self.shared.group.stations().iter().map(hintdex::Station::lookup_stats);
        stats.fold((0, 0), |sum, one| (sum.0 + one.candidates, sum.1 + one.tags))
    }

    fn index(&self) -> IndexFigures {
        self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn outputs(&self) -> Vec<String> {
        self.outputs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn status(&self, silent_s: u64) -> StationStatus {
        let metrics = &self.shared.metrics;
        let figures = self.shared.heard.figures(now_ms() / 1_000, silent_s);
        let of_devices = |devices: &[(usize, u32, u64)]| {
            let device = |(fleet, device, at): &(usize, u32, u64)| DeviceTime {
                fleet: self.fleets.get(*fleet).map_or_else(String::new, |fleet| fleet.name.clone()),
                device: *device,
                time: time_text(1_000 * at),
            };
            devices.iter().map(device).collect()
        };
        let mut verdicts = metrics.verdicts();
        verdicts.sort_by_key(|(.., packets)| std::cmp::Reverse(*packets));
        let count = |(verdict, reason, packets)| VerdictCount { verdict, reason, packets };
        let mut gateways: Vec<Gateway> = metrics.gateways().iter().map(gateway).collect();
        gateways.sort_by_key(|gateway| std::cmp::Reverse(gateway.packets));
        let noisy_gateways = gateways.iter().filter(|gateway| gateway.is_noisy).count();
        gateways.truncate(MAX_GATEWAYS);
        let waiting = |output: String| {
            let waiting = self.shared.outboxes.waiting_for(&output);
            OutboxStatus { output, waiting }
        };
        let packets = verdicts.iter().map(|(.., packets)| packets).sum::<u64>().max(1) as f64;
        let (candidates, tags) = self.lookups();
        StationStatus {
            name: self.name.clone(),
            fleets: self.fleets.iter().map(|fleet| fleet.name.clone()).collect(),
            received: metrics.received_total(),
            accepted: metrics.verdict_total("accepted"),
            verdicts: verdicts.into_iter().map(count).collect(),
            devices_last_hour: figures.last_hour,
            devices_last_day: figures.last_day,
            devices_silent: figures.silent,
            silent: of_devices(&figures.silent_devices),
            moved: figures.moved,
            moves: of_devices(&figures.moved_devices),
            gateways,
            noisy_gateways,
            outbox: self.outputs().into_iter().map(waiting).collect(),
            waiting_for_scan: self.shared.group.waiting(),
            candidates_per_packet: candidates as f64 / packets,
            tags_per_packet: tags as f64 / packets,
            index: self.index(),
            samples: self
                .history
                .samples()
                .iter()
                .map(|sample| [sample.received, sample.accepted, sample.rejected])
                .collect(),
        }
    }
}

fn gateway(GatewayFigures { name, authentic, noise }: &GatewayFigures) -> Gateway {
    let packets = authentic + noise;
    let noise_share = *noise as f64 / packets.max(1) as f64;
    let is_noisy = packets >= NOISY_PACKETS && noise_share > NOISY_SHARE;
    Gateway { name: name.clone(), packets, noise_share, is_noisy }
}

/// The state of every station. A device is silent after `silent_s` without a packet.
pub fn status(stations: &[Arc<Watched>], silent_s: u64) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION"),
        time: time_text(now_ms()),
        resident_bytes: resident_bytes(),
        stations: stations.iter().map(|station| station.status(silent_s)).collect(),
    }
}

/// The resident memory of the process, in bytes: `VmRSS` of proc(5).
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1_024)
}
