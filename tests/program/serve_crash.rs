//! The service is killed at random moments: no accepted payload is lost, and none is accepted twice.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use hintdex_tests::serving::{Service, write};
use hintdex_tests::{Devices, Random, decode, provision};

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
