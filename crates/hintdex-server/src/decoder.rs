//! The thread that decodes: batches of the packets that have arrived, and scans while none arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hintdex::{
    EarlyReason, GroupVerdict, IndexError, Malformed, Received, StationGroup, Unknown, Verdict,
};
use rayon::ThreadPool;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::ServeError;
use crate::gather::agreed_time_ms;
use crate::heard::Heard;
use crate::input::now_ms;
use crate::metrics::StationMetrics;
use crate::outbox::Outboxes;
use crate::uplink::GatheredPacket;

/// The most packets of a batch.
const MAX_BATCH_PACKETS: usize = 4_096;
/// The longest wait for packets, so that the heartbeat goes on.
const IDLE: Duration = Duration::from_millis(500);
/// The wait for packets while others wait for a scan.
const SCANNING: Duration = Duration::from_millis(20);

/// What the decoder of a station shares with the service.
#[derive(Debug)]
pub struct Shared {
    pub group: Arc<StationGroup>,
    pub outboxes: Outboxes,
    pub metrics: Arc<StationMetrics>,
    pub heard: Heard,
    /// How far a lone gateway's time may be from the arrival, in milliseconds.
    pub near_ms: AtomicU64,
    /// When the decoder last showed that it runs, by the server's clock in milliseconds.
    pub heartbeat_ms: AtomicU64,
    /// Whether the time to decode what has arrived is over.
    pub is_over: AtomicBool,
}

/// The decoder of a station.
pub struct Decoder {
    pub shared: Arc<Shared>,
    pub queue: mpsc::Receiver<GatheredPacket>,
    pub pool: ThreadPool,
    /// How long a batch waits for further packets.
    pub batch: Duration,
    pub runtime: Handle,
}

/// What is decoded beside the bytes of a packet.
struct Context {
    received_ms: u64,
    /// The receptions as JSON.
    receptions: Vec<u8>,
}

enum Next {
    Batch(Vec<GatheredPacket>),
    Silence,
    End,
}

impl Decoder {
    /// Decodes until the queue ends. Packets that wait for a scan then get `drain`.
    ///
    /// # Errors
    /// The index failed: the station must be opened again.
    pub fn run(mut self, drain: Duration) -> Result<(), ServeError> {
        while !self.is_over() {
            self.shared.heartbeat_ms.store(now_ms(), Ordering::Relaxed);
            match self.next() {
                Next::Batch(batch) => self.decode(&batch)?,
                Next::Silence => {}
                Next::End => break,
            }
            self.scan_waiting()?;
            self.report();
        }
        let until = Instant::now() + drain;
        while self.shared.group.waiting() > 0 && Instant::now() < until && !self.is_over() {
            self.shared.heartbeat_ms.store(now_ms(), Ordering::Relaxed);
            self.scan_waiting()?;
            std::thread::sleep(SCANNING);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Relaxed)
    }

    /// Waits for packets, then for further ones as long as a batch lasts.
    fn next(&mut self) -> Next {
        let idle = if self.shared.group.waiting() > 0 { SCANNING } else { IDLE };
        let (queue, lasts) = (&mut self.queue, self.batch);
        self.runtime.block_on(async move {
            let mut batch = Vec::new();
            match tokio::time::timeout(idle, queue.recv_many(&mut batch, MAX_BATCH_PACKETS)).await {
                Err(_) => return Next::Silence,
                Ok(0) => return Next::End,
                Ok(_) => {}
            }
            let until = tokio::time::Instant::now() + lasts;
            while batch.len() < MAX_BATCH_PACKETS {
                let most = MAX_BATCH_PACKETS - batch.len();
                let more = tokio::time::timeout_at(until, queue.recv_many(&mut batch, most));
                if !matches!(more.await, Ok(1..)) {
                    break;
                }
            }
            Next::Batch(batch)
        })
    }

    fn decode(&self, batch: &[GatheredPacket]) -> Result<(), ServeError> {
        let near_ms = self.shared.near_ms.load(Ordering::Relaxed);
        let of = |packet: &GatheredPacket| Context {
            received_ms: agreed_time_ms(&packet.receptions, packet.arrival_ms, near_ms),
            // Receptions are plain data, which JSON always holds.
            receptions: serde_json::to_vec(&packet.receptions).unwrap_or_default(),
        };
        let contexts: Vec<Context> = batch.iter().map(of).collect();
        let received: Vec<Received<'_>> = batch
            .iter()
            .zip(&contexts)
            .map(|(packet, context)| Received {
                packet: &packet.packet,
                at_unix_s: context.received_ms / 1_000,
                at_ms: u16::try_from(context.received_ms % 1_000).unwrap_or(0),
                associated_data: None,
                context: &context.receptions,
            })
            .collect();
        let started = Instant::now();
        let group = &self.shared.group;
        let decoded = self.with_room(|| group.decode_received(&received))?;
        let Some(verdicts) = decoded else { return Ok(()) };
        self.shared.metrics.record_batch(batch.len(), started.elapsed());
        let now_ms = now_ms();
        for (packet, verdict) in batch.iter().zip(&verdicts) {
            let latency_ms = now_ms.saturating_sub(packet.arrival_ms);
            self.shared.metrics.record_latency(Duration::from_millis(latency_ms));
            self.count_gateways(packet, &verdict.verdict);
        }
        self.count(verdicts.iter());
        Ok(())
    }

    /// Runs a decoding when the outboxes have room. Without room, an output is behind: the decoder
    /// waits, and the queue before it fills up. `None` if the time to decode is over meanwhile.
    fn with_room<T: Send>(
        &self,
        decode: impl Fn() -> Result<T, hintdex::Error> + Sync,
    ) -> Result<Option<T>, ServeError> {
        let mut is_reported = false;
        while !self.is_over() {
            if self.shared.outboxes.has_room() {
                match self.pool.install(&decode) {
                    Err(hintdex::Error::Index(IndexError::OutboxFull { .. })) => {}
                    other => return Ok(Some(other?)),
                }
            }
            if !is_reported {
                tracing::warn!("the outbox is full: decoding waits until an output acknowledges");
                is_reported = true;
            }
            self.shared.heartbeat_ms.store(now_ms(), Ordering::Relaxed);
            let mut changes = self.shared.outboxes.changes();
            let changed = async move { tokio::time::timeout(IDLE, changes.changed()).await };
            // A timeout is as good: the room is looked for again.
            let _ = self.runtime.block_on(changed);
        }
        Ok(None)
    }

    fn count_gateways(&self, packet: &GatheredPacket, verdict: &Verdict) {
        let is_authentic =
            !matches!(verdict, Verdict::Forged | Verdict::Unknown(_) | Verdict::Malformed(_));
        for gateway in packet.receptions.iter().filter_map(|one| one.gateway.as_deref()) {
            self.shared.metrics.count_gateway(gateway, is_authentic);
        }
    }

    /// Counts verdicts, and lets the outputs look for payloads.
    fn count<'v>(&self, verdicts: impl Iterator<Item = &'v GroupVerdict>) {
        let mut heard = Vec::new();
        for GroupVerdict { station, verdict } in verdicts {
            self.shared.metrics.count_verdict(verdict.name(), reason(verdict));
            if let Verdict::Accepted { device, source, .. } = verdict {
                self.shared.metrics.count_source(source.name());
                heard.push((station.unwrap_or(0), device.0));
            }
        }
        self.shared.heard.hear(&heard, now_ms() / 1_000);
        if !heard.is_empty() {
            self.shared.outboxes.announce();
        }
    }

    fn scan_waiting(&self) -> Result<(), ServeError> {
        if self.shared.group.waiting() == 0 {
            return Ok(());
        }
        let scanned = self.with_room(|| self.shared.group.scan_waiting())?;
        let Some(verdicts) = scanned else { return Ok(()) };
        self.count(verdicts.iter().map(|(_, verdict)| verdict));
        Ok(())
    }

    /// Logs what happened beside the verdicts.
    fn report(&self) {
        for (fleet, station) in self.shared.group.stations().iter().enumerate() {
            for (device, moved) in station.take_clock_moves() {
                self.shared.heard.moved(fleet, device.0, moved.received_unix_s);
                tracing::warn!(
                    fleet,
                    "device {device}: its clock moved from {} s to {} s of the station's",
                    moved.from_s,
                    moved.to_s
                );
            }
            for note in station.take_notes() {
                tracing::warn!(fleet, "{note}");
            }
            if let Some(failed) = station.take_maintenance_failure() {
                tracing::error!(fleet, "a maintenance pass in the background failed: {failed}");
            }
        }
    }
}

/// Why a packet has its verdict, as a label.
const fn reason(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Early { why: EarlyReason::Clock, .. } => "clock",
        Verdict::Early { why: EarlyReason::AwaitsSecond, .. } => "awaits-second",
        Verdict::Early { why: EarlyReason::PastMaxGap, .. } => "past-max-gap",
        Verdict::Unknown(Unknown::NoDevice) => "no-device",
        Verdict::Unknown(Unknown::ScanBudget { .. }) => "waits-for-scan",
        Verdict::Unknown(Unknown::OutOfService { .. }) => "out-of-service",
        Verdict::Unknown(Unknown::NotDue) => "not-due",
        Verdict::Unknown(Unknown::TooManyCandidates) => "too-many-candidates",
        Verdict::Malformed(Malformed::TooShort { .. }) => "too-short",
        Verdict::Malformed(Malformed::WeakPoint) => "weak-point",
        Verdict::Malformed(Malformed::WrongLead(_)) => "wrong-lead",
        _ => "",
    }
}
