//! The service under load while commands run (docs/results/serve.md).

use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hintdex_tests::serving::{Service, get, write};
use hintdex_tests::{Devices, EndOnDrop, provision};

use super::control::run_in;

const DEVICES: u32 = 100_000;
/// The time between two bursts of packets.
const BURST_TIME: Duration = Duration::from_millis(5);

/// A number of the environment.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// Sends packets at a steady rate until told to end. Returns how many, and in how many seconds.
fn send_steadily(
    packets: &[Vec<u8>],
    packets_a_second: u64,
    server: std::net::SocketAddr,
    ends: &AtomicBool,
) -> (u64, f64) {
    let bursts_a_second = u64::try_from(1000 / BURST_TIME.as_millis()).expect("few");
    let burst = usize::try_from(packets_a_second / bursts_a_second).expect("few").max(1);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("a route");
    let (began, mut sent) = (Instant::now(), 0_u64);
    for (number, burst) in (0_u32..).zip(packets.chunks(burst)) {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let due = began + BURST_TIME * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for packet in burst {
            socket.send(packet).expect("sent");
            sent += 1;
        }
    }
    (sent, began.elapsed().as_secs_f64())
}

/// The buckets of the latency of packets: the bound in seconds, and the packets up to it.
fn latencies(web: std::net::SocketAddr) -> Vec<(f64, u64)> {
    let (_, text) = get(web, "/metrics");
    let bucket = |line: &str| {
        let rest = line.strip_prefix("hintdex_latency_seconds_bucket{")?;
        let (labels, count) = rest.rsplit_once("} ")?;
        let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        Some((bound, count.parse().ok()?))
    };
    text.lines().filter_map(bucket).collect()
}

/// The bound below which `share` of the packets are, between two readings.
fn quantile(before: &[(f64, u64)], after: &[(f64, u64)], share: f64) -> f64 {
    let counts: Vec<(f64, u64)> = after
        .iter()
        .zip(before)
        .map(|((bound, after), (_, before))| (*bound, after - before))
        .collect();
    let all = counts.last().expect("buckets").1;
    let wanted = all as f64 * share;
    counts.iter().find(|(_, count)| *count as f64 >= wanted).expect("the last bucket has all").0
}

/// Runs commands one after the other, and prints how long packets take meanwhile.
fn while_commands_run(folder: &Path, web: std::net::SocketAddr, is_sending: &dyn Fn() -> bool) {
    let mut before = latencies(web);
    let commands = [
        "",
        "provision --index fleet --devices 10000 --first-device 200000",
        "rebuild --index fleet --out coming.hdx",
        "backup --index fleet --to saved --clear-key",
        "inspect fleet",
        "device retire --index fleet 90000-90999",
    ];
    for line in commands {
        let (words, began): (Vec<_>, _) = (line.split_whitespace().collect(), Instant::now());
        match words.is_empty() {
            true => thread::sleep(Duration::from_secs(2)),
            false => drop(run_in(folder, &words, "").done()),
        }
        let took = began.elapsed().as_secs_f64();
        thread::sleep(Duration::from_millis(200));
        let after = latencies(web);
        let bound = |share| 1e3 * quantile(&before, &after, share);
        println!(
            "{line:60} {took:6.2} s: p50 < {:.0} ms, p99 < {:.0} ms, p99.9 < {:.0} ms; sending: {}",
            bound(0.5),
            bound(0.99),
            bound(0.999),
            is_sending()
        );
        before = after;
    }
}

#[test]
#[ignore = "a measurement"]
fn fifty_thousand_packets_a_second_while_commands_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", &DEVICES.to_string()]).done();
    let config = folder.path().join("hintdex.toml");
    // Further keys of the station, to compare settings.
    let more = std::env::var("HINTDEX_LOAD_CONFIG").unwrap_or_default();
    write(
        &config,
        &format!(
            "web = \"127.0.0.1:0\"\n[[station]]\nindex = [{fleet:?}]\ngather_ms = 0\n{more}\n\
             [[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"file:payloads.jsonl\"\nrotate_bytes = 67108864\nkeep_files = 2\n"
        ),
    );
    let (seconds, rate) = (setting("HINTDEX_LOAD_S", 20), setting("HINTDEX_LOAD_RATE", 50_000));
    let devices = Devices::of_capture();
    let count = usize::try_from(seconds * rate).expect("few");
    let packets: Vec<Vec<u8>> = (0..count)
        .map(|number| {
            let (device, nonce) = (number % DEVICES as usize, number / DEVICES as usize);
            devices.packet(u32::try_from(device).expect("few"), nonce as u64, b"21.5 C")
        })
        .collect();
    let mut service = Service::configured(&config);
    let (server, web) = (service.address_of("udp"), service.web());
    let is_done = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    thread::scope(|scope| {
        let _end = EndOnDrop(&is_done);
        let sender = scope.spawn(|| {
            let (packets, seconds) = send_steadily(&packets, rate, server, &is_done);
            sent.store(packets, Ordering::Relaxed);
            println!("sent {packets} packets, {:.0} a second", packets as f64 / seconds);
        });
        thread::sleep(Duration::from_secs(2));
        while_commands_run(folder.path(), web, &|| !sender.is_finished());
        is_done.store(true, Ordering::Relaxed);
    });
    service.signal("TERM");
    let status = service.end();
    assert!(status.success());
    let payloads: usize = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains("payloads"))
        .map(|path| std::fs::read_to_string(path).expect("text").lines().count())
        .sum();
    let shed: Vec<_> = service.seen.iter().filter(|line| line.contains("shed")).collect();
    println!(
        "{} packets sent, {payloads} payloads in the last files, shed: {shed:?}",
        sent.load(Ordering::Relaxed)
    );
}
