//! Eight hours of traffic at speed, with a broker and readers that fail at random: what the service holds does
//! not grow.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hintdex_tests::mqtt::Mosquitto;
use hintdex_tests::serving::{Service, write};
use hintdex_tests::{Devices, EndOnDrop, Random, decode, provision};

/// A day's devices: each sends every ten minutes.
const DEVICES: u32 = 20_000;
/// How often what the service holds is measured.
const SAMPLE: Duration = Duration::from_secs(5);

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    #[expect(dead_code, reason = "it is printed")]
    packets: u64,
    resident_bytes: u64,
    #[expect(dead_code, reason = "it is printed")]
    anonymous_bytes: u64,
    descriptors: usize,
}

fn held(process: u32, packets: u64) -> Held {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let bytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("its memory");
        let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
        kib << 10
    };
    Held {
        packets,
        resident_bytes: bytes("VmRSS:"),
        anonymous_bytes: bytes("RssAnon:"),
        descriptors: fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count(),
    }
}

/// A number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A reader of a socket that comes and goes, until `is_done`, and acknowledges what it has read. Returns the
/// payloads.
fn fickle_reader(socket: &Path, is_done: &AtomicBool) -> HashMap<(u64, u64), u32> {
    let (mut random, mut read) = (Random::new(5), HashMap::new());
    while !is_done.load(Ordering::Relaxed) {
        let Ok(stream) = UnixStream::connect(socket) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        let (mut lines, until) =
            (BufReader::new(stream), Instant::now() + Duration::from_millis(random.below(8_000)));
        let mut line = String::new();
        while Instant::now() < until && !is_done.load(Ordering::Relaxed) {
            match lines.read_line(&mut line) {
                Ok(1..) if line.ends_with('\n') => {
                    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                    let number = |name: &str| event[name].as_u64().expect("a number");
                    *read.entry((number("device"), number("nonce"))).or_default() += 1;
                    line.clear();
                    // The service may have closed the socket.
                    let _ = writeln!(lines.get_mut(), "{}", number("number"));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        thread::sleep(Duration::from_millis(random.below(500)));
    }
    read
}

/// Sends `packets` packets of devices in turn. Returns each of them in hex.
fn send(packets: u64, a_second: u64, server: std::net::SocketAddr, sent: &AtomicU64) {
    let (devices, socket) =
        (Devices::of_capture(), UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let began = Instant::now();
    for number in 0..packets {
        let (device, nonce) = (number % u64::from(DEVICES), number / u64::from(DEVICES));
        let device = u32::try_from(device).expect("few");
        let _ = socket.send_to(&devices.packet(device, nonce, b"21.5 C"), server);
        sent.fetch_add(1, Ordering::Relaxed);
        if number % 32 == 0 {
            let due = began + Duration::from_secs_f64(number as f64 / a_second as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}

#[test]
#[ignore = "ten minutes"]
fn eight_hours_of_traffic_leave_memory_and_descriptors_as_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, socket) = (folder.path().join("meters"), folder.path().join("payloads.sock"));
    provision(&fleet, &["--devices", &DEVICES.to_string()]).done();
    let (config, port) = (folder.path().join("hintdex.toml"), Mosquitto::free_port());
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\nmemory = \"16M\"\n\
             [[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"mqtt://127.0.0.1:{port}\"\n\
             [[station.out]]\nto = \"unix:{}\"\nack = true\n\
             [[station.out]]\nto = \"file:payloads.jsonl\"\nrotate_bytes = 1048576\nkeep_files = 2\n",
            socket.display()
        ),
    );
    let mut service = Service::configured(&config);
    let (server, process) = (service.address_of("udp"), service.process_id());
    // A packet in ten minutes from each device. The budget of memory is small, so that it is used up soon and
    // hides no growth.
    let hours = setting("HINTDEX_SOAK_HOURS", 8);
    let rate = setting("HINTDEX_SOAK_RATE", 2_000);
    let packets = u64::from(DEVICES) * 6 * hours;
    let (is_done, sent, mut samples) = (AtomicBool::new(false), AtomicU64::new(0), Vec::new());
    let read = thread::scope(|scope| {
        let end = EndOnDrop(&is_done);
        let reader = scope.spawn(|| fickle_reader(&socket, &is_done));
        let sender = scope.spawn(|| send(packets, rate, server, &sent));
        let mut random = Random::new(9);
        let mut broker = Some(Mosquitto::start(folder.path(), port));
        while !sender.is_finished() {
            thread::sleep(SAMPLE);
            samples.push(held(process, sent.load(Ordering::Relaxed)));
            match random.below(4) {
                0 => broker = None,
                1 if broker.is_none() => broker = Some(Mosquitto::start(folder.path(), port)),
                _ => {}
            }
        }
        // The outputs catch up.
        let _broker = broker.unwrap_or_else(|| Mosquitto::start(folder.path(), port));
        while !service.has_ended_with("every payload was handed out") {
            service = Service::configured(&config);
        }
        drop(end);
        reader.join().expect("it reads")
    });
    report(&samples, hours, &read);
    // What was accepted was handed out.
    let devices = Devices::of_capture();
    let last = packets / u64::from(DEVICES) - 1;
    let lines: String = (0..DEVICES).map(|device| devices.line(device, last, b"21.5 C")).collect();
    let said = decode(&fleet, &["--outbox", "off"], lines).done().verdicts();
    let accepted =
        said.iter().filter(|said| said.verdict == "replay").filter_map(|said| said.sender);
    let lost: Vec<_> = accepted
        .filter(|(device, nonce)| !read.contains_key(&(u64::from(*device), *nonce)))
        .collect();
    let (count, first) = (lost.len(), lost.first());
    assert_eq!(count, 0, "accepted and not handed out, the first of them {first:?}");
}

/// Prints what the service held, and checks that it holds no more in the last third than in the second one.
fn report(samples: &[Held], hours: u64, read: &HashMap<(u64, u64), u32>) {
    let third = samples.len() / 3;
    let mean = |samples: &[Held]| {
        let bytes: u64 = samples.iter().map(|held| held.resident_bytes).sum();
        bytes as f64 / samples.len().max(1) as f64
    };
    let (middle, last) = (&samples[third..2 * third], &samples[2 * third..]);
    let growth = mean(last) / mean(middle) - 1.0;
    // The two means lie a third of the hours apart.
    let an_hour = growth / (hours as f64 / 3.0);
    let most = |samples: &[Held]| samples.iter().map(|held| held.descriptors).max().unwrap_or(0);
    for held in samples.iter().step_by((samples.len() / 24).max(1)) {
        println!("{held:?}");
    }
    println!(
        "{hours} hours, {} payloads at the reader; memory {:+.2} % an hour, descriptors {} then {}",
        read.len(),
        100.0 * an_hour,
        most(middle),
        most(last)
    );
    assert!(an_hour < 0.01, "memory grows by {:.2} % an hour", 100.0 * an_hour);
    assert!(
        most(last) <= most(middle) + 2,
        "descriptors grow: {} then {}",
        most(middle),
        most(last)
    );
}
