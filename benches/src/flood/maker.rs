//! What the flood is made of: garbage, and packets of devices among it.
use std::ops::Range;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use hintdex_benches::fleet::{Fleet, PAYLOAD_LEN_BYTES};
use hintdex_host::SplitMix64;
use hintdex_wire::{DeviceId, HintScheme, KeyId, KeySource, Sealer};

/// Packets of a batch when there is garbage to fill it with.
pub const BATCH_PACKETS: usize = 1024;
/// Time between two real packets.
const REAL_EVERY: Duration = Duration::from_millis(1);
/// One device of so many leaps beyond the lookahead with each of its packets.
pub const LEAPERS_ONE_OF: u32 = 50;
/// How far it leaps.
pub const LEAP_NONCES: u64 = 1000;

/// Packets in a row of bytes.
pub struct Batch {
    bytes: Vec<u8>,
    packets: Vec<Range<usize>>,
    /// Those of devices, in order.
    pub real: Vec<Real>,
}

impl Batch {
    pub fn packets(&self) -> Vec<&[u8]> {
        let packet = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.packets.iter().map(packet).collect()
    }
}

/// A packet of a device.
pub struct Real {
    /// Which one of its batch.
    pub at: usize,
    /// When the device was to send it.
    pub due: Instant,
    /// Whether its nonce is beyond the lookahead.
    pub leapt: bool,
}

/// Makes garbage, and what devices send.
pub struct Maker<'a> {
    keys: &'a dyn KeySource,
    random: SplitMix64,
    /// How many packets each device has sent.
    sent: Vec<u32>,
}

impl<'a> Maker<'a> {
    /// One whose devices sent nothing yet.
    pub fn new(fleet: &Fleet, keys: &'a dyn KeySource) -> Self {
        let random = SplitMix64::new(fleet.seed ^ 0x0066_6c6f_6f64);
        Self { keys, random, sent: vec![0; fleet.devices as usize] }
    }

    /// Sends batches until it is time, or nobody listens any longer.
    pub fn make(&mut self, queue: &SyncSender<Batch>, until: Instant, garbage: bool) {
        let mut next = Instant::now();
        while next < until {
            let mut due = Vec::new();
            let now = Instant::now();
            while next <= now.min(until) {
                due.push(next);
                next += REAL_EVERY;
            }
            if due.is_empty() && !garbage {
                std::thread::sleep(next.saturating_duration_since(now));
                continue;
            }
            let len = if garbage { BATCH_PACKETS } else { 0 }.max(due.len());
            if queue.send(self.batch(&due, len)).is_err() {
                return;
            }
        }
    }

    /// A batch of `len` packets, the real ones at random places in it.
    fn batch(&mut self, due: &[Instant], len: usize) -> Batch {
        let mut due = due.iter();
        let mut batch =
            Batch { bytes: Vec::new(), packets: Vec::with_capacity(len), real: Vec::new() };
        for (at, left) in (1..=len).rev().enumerate() {
            let first = batch.bytes.len();
            let draw = self.random.below_u32(u32::try_from(left).unwrap_or(u32::MAX));
            let sealed = if (draw as usize) < due.len() { self.seal() } else { None };
            match due.as_slice().first().copied().zip(sealed) {
                Some((when, (packet, leapt))) => {
                    due.next();
                    batch.bytes.extend(packet);
                    batch.real.push(Real { at, due: when, leapt });
                }
                None => self.garbage(&mut batch.bytes),
            }
            batch.packets.push(first..batch.bytes.len());
        }
        batch
    }

    /// Appends 24 to 60 random bytes.
    fn garbage(&mut self, bytes: &mut Vec<u8>) {
        let first = bytes.len();
        bytes.resize(first + 24 + self.random.below_u32(37) as usize, 0);
        self.random.fill(bytes.get_mut(first..).unwrap_or_default());
    }

    /// The next packet of a random device, and whether it leapt.
    fn seal(&mut self) -> Option<(Vec<u8>, bool)> {
        let device = self.random.below_u32(u32::try_from(self.sent.len()).unwrap_or(u32::MAX));
        let sent = self.sent.get_mut(device as usize)?;
        let leaps = device.is_multiple_of(LEAPERS_ONE_OF);
        let nonce = if leaps { (u64::from(*sent) + 1) * LEAP_NONCES } else { (*sent).into() };
        *sent += 1;
        let id = KeyId::first(DeviceId(device));
        let (hint_key, packet_key) = (self.keys.hint_key(id)?, self.keys.packet_key(id)?);
        let mut sealer = Sealer::new(HintScheme::Aes128, &hint_key, packet_key, nonce);
        let mut payload = [0; PAYLOAD_LEN_BYTES];
        self.random.fill(&mut payload);
        let mut packet = vec![0; sealer.packet_len_bytes(payload.len())];
        sealer.seal(&payload, &mut packet).ok()?;
        Some((packet, leaps))
    }

    /// How many pieces of garbage a second there are when nobody decodes them.
    pub fn garbage_rate(&mut self) -> f64 {
        let (started, mut made) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_millis(300) {
            made += std::hint::black_box(self.batch(&[], BATCH_PACKETS)).packets.len();
        }
        made as f64 / started.elapsed().as_secs_f64()
    }
}
