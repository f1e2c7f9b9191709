//! The service is killed at random moments: no accepted payload is lost, and none is accepted twice.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hintdex_tests::serving::{Service, write};
use hintdex_tests::{Devices, EndOnDrop, Random, decode, provision};

const ROUNDS: u32 = 40;

/// The senders of the lines of a file of payloads, each with the number of lines and of those without
/// `again`. A line that a kill has cut is no line.
fn senders(text: &str) -> HashMap<(u64, u64), (usize, usize)> {
    let mut senders: HashMap<(u64, u64), (usize, usize)> = HashMap::new();
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let number = |name: &str| event[name].as_u64().expect("a number");
        let counts = senders.entry((number("device"), number("nonce"))).or_default();
        counts.0 += 1;
        counts.1 += usize::from(event.get("again").is_none());
    }
    senders
}

/// Devices that send packets in turn, each with its next nonce.
struct Air {
    devices: Devices,
    nonces: Vec<u64>,
    random: Random,
    /// Every packet that was sent, in hex.
    sent: Vec<String>,
}

impl Air {
    /// Sends packets to a service that may be gone.
    fn send(&mut self, packets: usize, server: SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for number in 0..packets {
            let device = self.random.place(self.nonces.len());
            let nonce = self.nonces[device];
            self.nonces[device] += 1;
            let id = u32::try_from(device).expect("few");
            let packet = self.devices.packet(id, nonce, b"21.5 C");
            let _ = socket.send_to(&packet, server);
            self.sent.push(hex::encode(packet));
            // Batches of several sizes.
            if number % 16 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[test]
fn no_accepted_payload_is_lost_when_the_service_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, payloads) = (folder.path().join("fleet"), folder.path().join("payloads.jsonl"));
    // The late window keeps every nonce, so what was accepted is a replay and never stale.
    provision(&fleet, &["--devices", "40", "--late", "1024"]).done();
    let config = folder.path().join("hintdex.toml");
    // Without gathering, packets are decoded as they come, so the kill hits every step.
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\ngather_ms = 0\n\
             [[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"file:{}\"\n",
            payloads.display()
        ),
    );
    let mut air = Air {
        devices: Devices::of_capture(),
        nonces: vec![0; 40],
        random: Random::new(41),
        sent: Vec::new(),
    };
    for _ in 0..ROUNDS {
        let mut service = Service::configured(&config);
        let server = service.address_of("udp");
        // The kill comes at some moment among the packets, whatever the service does then.
        let packets = air.random.place(200);
        air.send(packets, server);
        service.kill();
    }
    // The last run hands out what is left, and ends as it should.
    let mut service = Service::configured(&config);
    service.stop();
    assert!(service.seen.iter().any(|line| line.contains("every payload was handed out")));
    let text = std::fs::read_to_string(&payloads).expect("a file of payloads");
    check(&fleet, &senders(&text), &air.sent);
}

/// Reads payloads from a socket until `is_done`, and dies again and again: before a payload is taken, or
/// before it is acknowledged. Returns how often each payload was taken, and how often without `again`.
fn mortal_reader(
    socket: &Path,
    seed: u64,
    is_done: &AtomicBool,
) -> HashMap<(u64, u64), (usize, usize)> {
    let (mut random, mut taken) = (Random::new(seed), HashMap::<_, (usize, usize)>::new());
    while !is_done.load(Ordering::Relaxed) {
        // The service is being started.
        let Ok(stream) = UnixStream::connect(socket) else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
        let (mut answers, mut lines) =
            (stream.try_clone().expect("a socket"), BufReader::new(stream));
        let mut line = String::new();
        loop {
            match lines.read_line(&mut line) {
                Ok(1..) if line.ends_with('\n') => {}
                // Silence; what was read of a line so far stays.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if is_done.load(Ordering::Relaxed) {
                        break;
                    }
                    continue;
                }
                _ => break,
            }
            if random.place(60) == 0 {
                break;
            }
            let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            let number = |name: &str| event[name].as_u64().expect("a number");
            let counts = taken.entry((number("device"), number("nonce"))).or_default();
            counts.0 += 1;
            counts.1 += usize::from(event.get("again").is_none());
            if random.place(60) == 0 {
                break;
            }
            if answers.write_all(format!("{}\n", number("number")).as_bytes()).is_err() {
                break;
            }
            line.clear();
        }
    }
    taken
}

/// Kills the service again and again while its reader dies, too.
fn killed_with_its_reader(kills: u32, seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, socket) = (folder.path().join("fleet"), folder.path().join("payloads.sock"));
    provision(&fleet, &["--devices", "40", "--late", "8192"]).done();
    let config = folder.path().join("hintdex.toml");
    write(
        &config,
        &format!(
            "[[station]]\nindex = [{fleet:?}]\ngather_ms = 0\n\
             [[station.in]]\nfrom = \"udp://127.0.0.1:0\"\n\
             [[station.out]]\nto = \"unix:{}\"\nack = true\n",
            socket.display()
        ),
    );
    let (devices, nonces, random) = (Devices::of_capture(), vec![0; 40], Random::new(seed));
    let mut air = Air { devices, nonces, random, sent: Vec::new() };
    let is_done = AtomicBool::new(false);
    let taken = thread::scope(|scope| {
        let end = EndOnDrop(&is_done);
        let reader = scope.spawn(|| mortal_reader(&socket, seed, &is_done));
        for _ in 0..kills {
            let mut service = Service::configured(&config);
            let server = service.address_of("udp");
            let packets = air.random.place(120);
            air.send(packets, server);
            service.kill();
        }
        let mut service = Service::configured(&config);
        // The reader goes on until every payload has left the outbox.
        while !service.has_ended_with("every payload was handed out") {
            service = Service::configured(&config);
        }
        drop(end);
        reader.join().expect("it reads")
    });
    let twice = taken.values().filter(|(all, _)| *all > 1).count();
    eprintln!("{kills} kills, {} payloads, {twice} of them taken again", taken.len());
    assert!(twice > 0, "the reader never died with a payload");
    check(&fleet, &taken, &air.sent);
}

#[test]
fn no_payload_is_lost_when_the_service_and_its_reader_are_killed() {
    killed_with_its_reader(15, 7);
}

#[test]
#[ignore = "ten minutes"]
fn five_hundred_kills_of_the_service_and_its_reader_lose_no_payload() {
    killed_with_its_reader(500, 8);
}

/// Checks that what was handed out is what was accepted.
fn check(fleet: &Path, senders: &HashMap<(u64, u64), (usize, usize)>, sent: &[String]) {
    for (sender, (_, unmarked)) in senders {
        assert!(*unmarked <= 1, "{sender:?} is handed out twice without a mark");
    }
    // A packet that was accepted is now a replay.
    let said = decode(fleet, &["--outbox", "off"], sent.join("\n")).done().verdicts();
    let mut accepted = HashSet::new();
    for said in said {
        let (device, nonce) = said.sender.expect("every packet is authentic");
        if said.verdict == "replay" {
            accepted.insert((u64::from(device), nonce));
        }
    }
    assert!(accepted.len() > 100, "{} packets were accepted", accepted.len());
    let lost: Vec<_> = accepted.iter().filter(|sender| !senders.contains_key(sender)).collect();
    assert!(lost.is_empty(), "accepted and not handed out: {lost:?}");
    let unknown: Vec<_> = senders.keys().filter(|sender| !accepted.contains(sender)).collect();
    assert!(unknown.is_empty(), "handed out and not accepted: {unknown:?}");
}
