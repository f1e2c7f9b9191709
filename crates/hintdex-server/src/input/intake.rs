//! Where an input hands its packets over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{self, error::TrySendError};

use crate::metrics::{InputMetrics, StationMetrics};
use crate::uplink::Uplink;

/// An uplink and its arrival.
#[derive(Debug)]
pub struct Arrived {
    pub uplink: Uplink,
    pub at: Instant,
    /// By the server's clock, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The way of an input to the gatherer of its station, which counts what it takes.
#[derive(Clone, Debug)]
pub struct Intake {
    /// The name of the input.
    pub name: String,
    /// The counters of the input.
    pub metrics: InputMetrics,
    station: Arc<StationMetrics>,
    sender: mpsc::Sender<Arrived>,
    /// Receptions that were shed since the log last reported them.
    shed_unreported: Arc<AtomicU64>,
    /// What held no packet since the log last reported it.
    malformed_unreported: Arc<AtomicU64>,
}

impl Intake {
    /// The way of the input `name` to `sender`.
    pub fn new(name: &str, station: &Arc<StationMetrics>, sender: mpsc::Sender<Arrived>) -> Self {
        Self {
            name: name.to_owned(),
            metrics: station.input(name),
            station: station.clone(),
            sender,
            shed_unreported: Arc::default(),
            malformed_unreported: Arc::default(),
        }
    }

    /// Hands a packet over, or sheds it if there is no room: for an input that cannot wait.
    pub fn offer(&self, uplink: Uplink) {
        self.count();
        match self.sender.try_send(arrived(uplink)) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.metrics.shed.inc();
                if is_worth_a_line(self.shed_unreported.fetch_add(1, Ordering::Relaxed) + 1) {
                    tracing::warn!(
                        input = self.name,
                        shed = self.metrics.shed.get(),
                        "the queue is full: packets are shed; give the station more threads or \
                         a larger queue_packets"
                    );
                }
            }
        }
    }

    /// Hands a packet over and waits for room. Returns whether the station still takes packets.
    pub async fn send(&self, uplink: Uplink) -> bool {
        self.count();
        self.sender.send(arrived(uplink)).await.is_ok()
    }

    fn count(&self) {
        self.metrics.received.inc();
        self.station.count_received();
    }

    /// Counts what holds no packet, and logs the 1st, 2nd, 4th, 8th and so on.
    pub fn malformed(&self, from: &str, why: &str) {
        self.metrics.malformed.inc();
        if is_worth_a_line(self.malformed_unreported.fetch_add(1, Ordering::Relaxed) + 1) {
            let total = self.metrics.malformed.get();
            tracing::warn!(input = self.name, from, total, "no packet: {why}");
        }
    }
}

fn arrived(uplink: Uplink) -> Arrived {
    Arrived { uplink, at: Instant::now(), at_ms: now_ms() }
}

/// The server's clock, in milliseconds since 1970; 0 if it shows an earlier time.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A flood must not flood the log: the 1st, 2nd, 4th and so on are reported.
const fn is_worth_a_line(number: u64) -> bool {
    number.is_power_of_two()
}
