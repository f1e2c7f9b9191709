//! The counters of the service, which inputs, decoders and outputs write and the page reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The labels of a metric, each with its value.
type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<i64, AtomicI64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The most gateways of a station with figures of their own; further ones share the name
/// [`OTHER_GATEWAYS`]. A sender may write any name into a datagram.
const MAX_GATEWAYS: usize = 256;
/// The name of the gateways without figures of their own.
pub const OTHER_GATEWAYS: &str = "other";

/// The metrics of all stations.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    families: Families,
}

#[derive(Clone, Debug)]
struct Families {
    received: Counters,
    shed: Counters,
    malformed: Counters,
    crc_errors: Counters,
    copies: Counters,
    verdicts: Counters,
    sources: Counters,
    handed_out: Counters,
    again: Counters,
    output_failures: Counters,
    gateway: Counters,
    gauges: Gauges,
    waiting: Gauges,
    connected: Gauges,
    batch_packets: Histograms,
    batch_seconds: Histograms,
    latency_seconds: Histograms,
}

fn packet_buckets() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 4.0, 8))
}

/// From 50 µs to 26 s.
fn second_buckets() -> Histogram {
    Histogram::new(exponential_buckets(100e-6, 1.6, 26))
}

impl Metrics {
    /// Metrics without a station.
    pub fn new() -> Arc<Self> {
        let histogram = |make: fn() -> Histogram| Family::new_with_constructor(make);
        let families = Families {
            received: Family::default(),
            shed: Family::default(),
            malformed: Family::default(),
            crc_errors: Family::default(),
            copies: Family::default(),
            verdicts: Family::default(),
            sources: Family::default(),
            handed_out: Family::default(),
            again: Family::default(),
            output_failures: Family::default(),
            gateway: Family::default(),
            gauges: Family::default(),
            waiting: Family::default(),
            connected: Family::default(),
            batch_packets: histogram(packet_buckets),
            batch_seconds: histogram(second_buckets),
            latency_seconds: histogram(second_buckets),
        };
        let mut registry = Registry::with_prefix("hintdex");
        families.register(&mut registry);
        Arc::new(Self { registry: Mutex::new(registry), families })
    }

    /// The metrics in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string never fails.
        let _ = prometheus_client::encoding::text::encode(&mut text, &lock(&self.registry));
        text
    }

    /// The metrics of one station.
    pub fn station(self: &Arc<Self>, name: &str) -> Arc<StationMetrics> {
        let of = |counters: &Counters, more: &[(&'static str, &str)]| {
            counters.get_or_create_owned(&labels(name, more))
        };
        let copies = |kind| of(&self.families.copies, &[("kind", kind)]);
        let histogram = |family: &Histograms| family.get_or_create_owned(&labels(name, &[]));
        Arc::new(StationMetrics {
            name: name.to_owned(),
            families: self.families.clone(),
            joined: copies("joined"),
            late: copies("late"),
            batch_packets: histogram(&self.families.batch_packets),
            batch_seconds: histogram(&self.families.batch_seconds),
            latency_seconds: histogram(&self.families.latency_seconds),
            verdicts: Mutex::default(),
            sources: Mutex::default(),
            gateways: Mutex::default(),
            received_total: AtomicU64::new(0),
        })
    }
}

fn labels(station: &str, more: &[(&'static str, &str)]) -> Labels {
    let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
    std::iter::once(("station", station.to_owned())).chain(more).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked can have lost a count and nothing else.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        let counters: [(&str, &str, &Counters); 11] = [
            ("received", "Receptions that inputs took, copies included", &self.received),
            ("shed", "Receptions that inputs dropped because the queue was full", &self.shed),
            (
                "malformed_inputs",
                "Datagrams, lines and messages that hold no packet",
                &self.malformed,
            ),
            ("crc_errors", "Packets with a wrong checksum on the air", &self.crc_errors),
            ("copies", "Copies that joined a packet, or came too late", &self.copies),
            ("packets", "Packets by verdict and reason", &self.verdicts),
            ("resolved", "Packets whose device was found, by source", &self.sources),
            ("handed_out", "Payloads that an output has acknowledged", &self.handed_out),
            ("again", "Payloads that an output handed out once more", &self.again),
            ("output_failures", "Attempts of an output that failed", &self.output_failures),
            ("gateway_packets", "Packets by gateway and verdict", &self.gateway),
        ];
        for (name, help, family) in counters {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "state",
            "The present state of a station, by figure",
            self.gauges.clone(),
        );
        registry.register(
            "outbox_waiting_payloads",
            "Payloads that an output has not acknowledged",
            self.waiting.clone(),
        );
        registry.register(
            "connected",
            "Whether an input or output is connected, or its number of clients",
            self.connected.clone(),
        );
        registry.register("batch_packets", "Packets of a batch", self.batch_packets.clone());
        for (name, help, family) in [
            ("batch", "Time to decode a batch", &self.batch_seconds),
            ("latency", "Time from the arrival of a packet to its verdict", &self.latency_seconds),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        }
    }
}

/// The metrics of one station.
#[derive(Debug)]
pub struct StationMetrics {
    name: String,
    families: Families,
    joined: Counter,
    late: Counter,
    batch_packets: Histogram,
    batch_seconds: Histogram,
    latency_seconds: Histogram,
    /// The counter of each pair of verdict and reason that has occurred.
    verdicts: Mutex<HashMap<(&'static str, &'static str), Counter>>,
    /// The counter of each source that has found a device.
    sources: Mutex<HashMap<&'static str, Counter>>,
    gateways: Mutex<HashMap<String, GatewayCounters>>,
    received_total: AtomicU64,
}

#[derive(Clone, Debug)]
struct GatewayCounters {
    authentic: Counter,
    noise: Counter,
}

/// The figures of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayFigures {
    pub name: String,
    /// Packets of devices of the station.
    pub authentic: u64,
    /// Packets that no device of the station made.
    pub noise: u64,
}

/// The counters of one input.
#[derive(Clone, Debug)]
pub struct InputMetrics {
    pub received: Counter,
    pub shed: Counter,
    pub malformed: Counter,
    pub crc_errors: Counter,
    pub connected: Connected,
}

/// Whether a peer is connected, or how many are. There is no such metric before the first change: an
/// input over UDP has no connection.
#[derive(Clone, Debug)]
pub struct Connected {
    family: Gauges,
    labels: Labels,
}

impl Connected {
    /// Sets the number of connected peers.
    pub fn set(&self, peers: usize) {
        let peers = i64::try_from(peers).unwrap_or(i64::MAX);
        self.family.get_or_create(&self.labels).set(peers);
    }

    /// One peer more.
    pub fn inc(&self) {
        self.family.get_or_create(&self.labels).inc();
    }

    /// One peer less.
    pub fn dec(&self) {
        self.family.get_or_create(&self.labels).dec();
    }
}

/// The counters of one output.
#[derive(Clone, Debug)]
pub struct OutputMetrics {
    pub handed_out: Counter,
    pub again: Counter,
    pub failures: Counter,
    pub connected: Connected,
}

impl StationMetrics {
    /// The counters of an input.
    pub fn input(&self, name: &str) -> InputMetrics {
        let labels = labels(&self.name, &[("input", name)]);
        let of = |family: &Counters| family.get_or_create_owned(&labels);
        InputMetrics {
            received: of(&self.families.received),
            shed: of(&self.families.shed),
            malformed: of(&self.families.malformed),
            crc_errors: of(&self.families.crc_errors),
            connected: Connected { family: self.families.connected.clone(), labels },
        }
    }

    /// The counters of an output.
    pub fn output(&self, name: &str) -> OutputMetrics {
        let labels = labels(&self.name, &[("output", name)]);
        let of = |family: &Counters| family.get_or_create_owned(&labels);
        OutputMetrics {
            handed_out: of(&self.families.handed_out),
            again: of(&self.families.again),
            failures: of(&self.families.output_failures),
            connected: Connected { family: self.families.connected.clone(), labels },
        }
    }

    /// Counts a reception that an input took.
    pub fn count_received(&self) {
        self.received_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a copy that joined its packet.
    pub fn count_joined(&self) {
        self.joined.inc();
    }

    /// Counts a copy that came too late.
    pub fn count_late(&self) {
        self.late.inc();
    }

    /// Records a decoded batch.
    pub fn record_batch(&self, packets: usize, took: Duration) {
        self.batch_packets.observe(packets as f64);
        self.batch_seconds.observe(took.as_secs_f64());
    }

    /// Records the time from the arrival of a packet to its verdict.
    pub fn record_latency(&self, latency: Duration) {
        self.latency_seconds.observe(latency.as_secs_f64());
    }

    /// Counts a verdict.
    pub fn count_verdict(&self, verdict: &'static str, reason: &'static str) {
        let mut verdicts = lock(&self.verdicts);
        let counter = verdicts.entry((verdict, reason)).or_insert_with(|| {
            let more = [("verdict", verdict), ("reason", reason)];
            self.families.verdicts.get_or_create_owned(&labels(&self.name, &more))
        });
        counter.inc();
    }

    /// Counts a packet whose device was found. A packet that waited for a scan counts twice among
    /// the verdicts, as a counter never falls, and once here.
    pub fn count_source(&self, source: &'static str) {
        let mut sources = lock(&self.sources);
        let counter = sources.entry(source).or_insert_with(|| {
            self.families.sources.get_or_create_owned(&labels(&self.name, &[("source", source)]))
        });
        counter.inc();
    }

    /// Counts a packet of a gateway.
    pub fn count_gateway(&self, gateway: &str, is_authentic: bool) {
        let mut gateways = lock(&self.gateways);
        let has_room = gateways.len() < MAX_GATEWAYS || gateways.contains_key(gateway);
        let name = if has_room { gateway } else { OTHER_GATEWAYS };
        if !gateways.contains_key(name) {
            let of = |kind| {
                let more = [("gateway", name), ("kind", kind)];
                self.families.gateway.get_or_create_owned(&labels(&self.name, &more))
            };
            let counters = GatewayCounters { authentic: of("authentic"), noise: of("noise") };
            gateways.insert(name.to_owned(), counters);
        }
        if let Some(counters) = gateways.get(name) {
            if is_authentic {
                counters.authentic.inc()
            } else {
                counters.noise.inc()
            };
        }
    }

    /// Sets a figure of the station's present state.
    pub fn set_state(&self, figure: &'static str, value: u64) {
        let labels = labels(&self.name, &[("figure", figure)]);
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.families.gauges.get_or_create(&labels).set(value);
    }

    /// Sets how many payloads of a fleet wait for an output.
    pub fn set_waiting(&self, output: &str, payloads: u64) {
        let labels = labels(&self.name, &[("output", output)]);
        let payloads = i64::try_from(payloads).unwrap_or(i64::MAX);
        self.families.waiting.get_or_create(&labels).set(payloads);
    }

    /// The receptions that inputs took.
    pub fn received_total(&self) -> u64 {
        self.received_total.load(Ordering::Relaxed)
    }

    /// The counts of each verdict and reason.
    pub fn verdicts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let verdicts = lock(&self.verdicts);
        verdicts.iter().map(|((verdict, reason), count)| (*verdict, *reason, count.get())).collect()
    }

    /// The packets with a verdict of this name.
    pub fn verdict_total(&self, name: &str) -> u64 {
        let verdicts = self.verdicts();
        verdicts.iter().filter(|(verdict, ..)| *verdict == name).map(|(.., count)| count).sum()
    }

    /// The figures of each gateway.
    pub fn gateways(&self) -> Vec<GatewayFigures> {
        let gateways = lock(&self.gateways);
        let figures = gateways.iter().map(|(name, counters)| GatewayFigures {
            name: name.clone(),
            authentic: counters.authentic.get(),
            noise: counters.noise.get(),
        });
        figures.collect()
    }
}
