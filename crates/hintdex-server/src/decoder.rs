//! The thread that decodes: batches of the packets that have arrived, and scans while none arrive.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hintdex::{
    EarlyReason, GroupVerdict, Malformed, Received, StationGroup, Ticket, Unknown, Verdict,
};
use rayon::ThreadPool;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::ServeError;
use crate::gather::agreed_time_ms;
use crate::heard::Heard;
use crate::input::now_ms;
use crate::metrics::StationMetrics;
use crate::outbox::{Entry, Outboxes};
use crate::uplink::GatheredPacket;

/// The most packets of a batch.
const MAX_BATCH_PACKETS: usize = 4_096;
/// The longest wait for packets, so that the heartbeat goes on.
const IDLE: Duration = Duration::from_millis(500);
/// The wait for packets while others wait for a scan.
const SCANNING: Duration = Duration::from_millis(20);
/// The most packets whose receptions are kept while they wait for a scan.
const MAX_WAITING: usize = 1 << 17;

/// What the decoder of a station shares with the service.
#[derive(Debug)]
pub struct Shared {
    pub group: StationGroup,
    pub outboxes: Outboxes,
    pub metrics: Arc<StationMetrics>,
    pub heard: Heard,
    /// How far a lone gateway's time may be from the arrival, in milliseconds.
    pub near_ms: AtomicU64,
    /// When the decoder last showed that it runs, by the server's clock in milliseconds.
    pub heartbeat_ms: AtomicU64,
}

/// The decoder of a station.
pub struct Decoder {
    pub shared: Arc<Shared>,
    pub queue: mpsc::Receiver<GatheredPacket>,
    pub pool: ThreadPool,
    /// How long a batch waits for further packets.
    pub batch: Duration,
    pub runtime: Handle,
    /// The packets that wait for a scan.
    pub waiting: HashMap<Ticket, Waiting>,
}

/// A packet that waits for a scan.
pub struct Waiting {
    received_ms: u64,
    context: Vec<u8>,
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
        loop {
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
        while self.shared.group.waiting() > 0 && Instant::now() < until {
            self.shared.heartbeat_ms.store(now_ms(), Ordering::Relaxed);
            self.scan_waiting()?;
            std::thread::sleep(SCANNING);
        }
        Ok(())
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

    fn decode(&mut self, batch: &[GatheredPacket]) -> Result<(), ServeError> {
        self.wait_for_room(batch.len());
        let near_ms = self.shared.near_ms.load(Ordering::Relaxed);
        let of = |packet: &GatheredPacket| Waiting {
            received_ms: agreed_time_ms(&packet.receptions, packet.arrival_ms, near_ms),
            // Receptions are plain data, which JSON always holds.
            context: serde_json::to_vec(&packet.receptions).unwrap_or_default(),
        };
        let contexts: Vec<Waiting> = batch.iter().map(of).collect();
        let received: Vec<Received<'_>> = batch
            .iter()
            .zip(&contexts)
            .map(|(packet, context)| Received {
                packet: &packet.packet,
                at_unix_s: context.received_ms / 1_000,
                at_ms: u16::try_from(context.received_ms % 1_000).unwrap_or(0),
                associated_data: None,
            })
            .collect();
        let started = Instant::now();
        let group = &self.shared.group;
        let verdicts = self.pool.install(|| group.decode_received(&received))?;
        self.shared.metrics.record_batch(batch.len(), started.elapsed());
        let now_ms = now_ms();
        let mut heard = Vec::new();
        for ((packet, context), verdict) in batch.iter().zip(contexts).zip(verdicts) {
            let latency_ms = now_ms.saturating_sub(packet.arrival_ms);
            self.shared.metrics.record_latency(Duration::from_millis(latency_ms));
            self.count_gateways(packet, &verdict.verdict);
            self.take(verdict, context, &mut heard);
        }
        self.shared.heard.hear(&heard, now_ms / 1_000);
        self.shared.outboxes.announce();
        Ok(())
    }

    /// Waits until the outboxes have room: a reader is behind, and the queue before the decoder
    /// fills up.
    fn wait_for_room(&self, payloads: usize) {
        let mut is_reported = false;
        while !self.shared.outboxes.has_room(payloads) {
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
    }

    fn count_gateways(&self, packet: &GatheredPacket, verdict: &Verdict) {
        let is_authentic =
            !matches!(verdict, Verdict::Forged | Verdict::Unknown(_) | Verdict::Malformed(_));
        for gateway in packet.receptions.iter().filter_map(|one| one.gateway.as_deref()) {
            self.shared.metrics.count_gateway(gateway, is_authentic);
        }
    }

    /// Counts a verdict, and stores the payload of an accepted packet.
    fn take(
        &mut self,
        GroupVerdict { station, verdict }: GroupVerdict,
        context: Waiting,
        heard: &mut Vec<(usize, u32)>,
    ) {
        self.shared.metrics.count_verdict(verdict.name(), reason(&verdict));
        match verdict {
            Verdict::Accepted { device, nonce, payload, source, .. } => {
                self.shared.metrics.count_source(source.name());
                let fleet = station.unwrap_or(0);
                heard.push((fleet, device.0));
                let Waiting { received_ms, context } = context;
                let entry =
                    |number| Entry { number, device, nonce, source, received_ms, payload, context };
                self.shared.outboxes.push(fleet, entry);
            }
            Verdict::Unknown(Unknown::ScanBudget { ticket }) => {
                if self.waiting.len() >= MAX_WAITING {
                    let group = &self.shared.group;
                    self.waiting.retain(|ticket, _| group.is_waiting(*ticket));
                }
                self.waiting.insert(ticket, context);
            }
            _ => {}
        }
    }

    fn scan_waiting(&mut self) -> Result<(), ServeError> {
        if self.shared.group.waiting() == 0 {
            return Ok(());
        }
        let group = &self.shared.group;
        let verdicts = self.pool.install(|| group.scan_waiting())?;
        let mut heard = Vec::new();
        let has_any = !verdicts.is_empty();
        for (ticket, verdict) in verdicts {
            if let Some(context) = self.waiting.remove(&ticket) {
                self.take(verdict, context, &mut heard);
            }
        }
        if has_any {
            self.shared.heard.hear(&heard, now_ms() / 1_000);
            self.shared.outboxes.announce();
        }
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
        _ => "",
    }
}
