//! The service is killed at random moments: no accepted payload is lost, and none is accepted twice.

use std::collections::{HashMap, HashSet};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hintdex_tests::serving::{Service, write};
use hintdex_tests::{Devices, EndOnDrop, Random, decode, provision};

const ROUNDS: u32 = 40;
const DEVICES: u32 = 40;

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

#[test]
fn no_accepted_payload_is_lost_when_the_service_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, payloads) = (folder.path().join("fleet"), folder.path().join("payloads.jsonl"));
    // The late window keeps every nonce, so what was accepted is a replay and never stale.
    provision(&fleet, &["--devices", &DEVICES.to_string(), "--late", "1024"]).done();
    let devices = Devices::of_capture();
    let mut random = Random::new(41);
    let mut nonces = vec![0_u64; usize::try_from(DEVICES).expect("few")];
    let mut sent = Vec::new();
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
    for _ in 0..ROUNDS {
        let mut service = Service::configured(&config);
        let server = service.address_of("udp");
        let stop = AtomicBool::new(false);
        // The kill comes at some moment among the packets, whatever the service does then.
        let packets_until_kill = random.place(400);
        thread::scope(|scope| {
            let _end = EndOnDrop(&stop);
            scope
                .spawn(|| {
                    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
                    for _ in 0..packets_until_kill {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let device = random.place(nonces.len());
                        let packet = devices.packet(
                            u32::try_from(device).expect("few"),
                            nonces[device],
                            b"21.5 C",
                        );
                        nonces[device] += 1;
                        // The service may be gone already.
                        let _ = socket.send_to(&packet, server);
                        sent.push(hex::encode(packet));
                        if sent.len() % 16 == 0 {
                            thread::sleep(Duration::from_millis(2));
                        }
                    }
                })
                .join()
                .expect("it sends");
        });
        service.kill();
    }
    // The last run hands out what is left, and ends as it should.
    let mut service = Service::configured(&config);
    service.stop();
    assert!(service.seen.iter().any(|line| line.contains("every payload was handed out")));

    let text = std::fs::read_to_string(&payloads).expect("a file of payloads");
    let senders = senders(&text);
    for (sender, (_, unmarked)) in &senders {
        assert!(*unmarked <= 1, "{sender:?} is handed out twice without a mark");
    }
    // A packet that was accepted is now a replay, and its payload is in the file.
    let said = decode(&fleet, &["--outbox", "off"], sent.join("\n")).done().verdicts();
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
    assert!(unknown.is_empty(), "handed out and accepted again: {unknown:?}");
}
