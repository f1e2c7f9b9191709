//! Short hints through the whole program: a capture of our own making, with loss,
//! repeats, leaps, damage and noise, decoded from the index, from a snapshot, and
//! over several processes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use hintdex::wire::HintScheme;
use hintdex_tests::devices::{damaged, payload};
use hintdex_tests::program::verify;
use hintdex_tests::{Devices, Random, Said, decode, provision, run};

/// Hints of each device in the index.
const LOOKAHEAD: u64 = 16;

/// What is to be said of a packet.
enum Expected {
    Accepted(u32, u64),
    Replay(u32, u64),
    Forged,
    /// Nobody's: by chance its hint is somebody's, and then its tag is not.
    Noise,
}

/// Packets of a fleet, in hex, and what is to be said of each.
fn traffic(scheme: HintScheme, devices: u32, count: usize) -> (Vec<String>, Vec<Expected>) {
    let mut random = Random::new(u64::from(scheme.number()));
    let sealed = Devices::of_capture().hinting(scheme);
    let mut next: HashMap<u32, u64> = HashMap::new();
    let mut sent: Vec<(u32, u64)> = Vec::new();
    let mut packets = Vec::new();
    for _ in 0..count {
        let device = random.below_u32(devices);
        let nonce = next.entry(device).or_default();
        let hint_bits = sealed.behind_the_hint_bits();
        let (bytes, expected) = match random.below(100) {
            0..4 => (random.bytes(40), Expected::Noise),
            4..8 => {
                let bytes = sealed.packet(device, *nonce, &payload(device, *nonce));
                let bit = hint_bits + random.place(bytes.len() * 8 - hint_bits);
                (damaged(bytes, bit), Expected::Forged)
            }
            8..10 => {
                let bytes = sealed.packet(device, *nonce, &payload(device, *nonce));
                (damaged(bytes, random.place(hint_bits)), Expected::Noise)
            }
            10..15 if !sent.is_empty() => {
                let (device, nonce) = sent[random.place(sent.len())];
                let bytes = sealed.packet(device, nonce, &payload(device, nonce));
                (bytes, Expected::Replay(device, nonce))
            }
            kind => {
                *nonce += match kind {
                    15..25 => 1 + random.below(LOOKAHEAD - 1),
                    // Out of range for a while: only a scan finds it.
                    25..27 => LOOKAHEAD + random.below(10 * LOOKAHEAD),
                    _ => 0,
                };
                let bytes = sealed.packet(device, *nonce, &payload(device, *nonce));
                let expected = Expected::Accepted(device, *nonce);
                sent.push((device, *nonce));
                *nonce += 1;
                (bytes, expected)
            }
        };
        packets.push((hex::encode(bytes), expected));
        // Behind the replay window a repeat would be stale.
        sent.retain(|(device, nonce)| nonce + 60 > next[device]);
    }
    packets.into_iter().unzip()
}

fn check(said: &Said, expected: &Expected, at: usize) {
    let verdict = said.verdict.as_str();
    match expected {
        Expected::Accepted(device, nonce) => {
            assert_eq!(
                (verdict, said.sender),
                ("accepted", Some((*device, *nonce))),
                "packet {at}"
            );
            assert_eq!(said.payload, hex::encode(payload(*device, *nonce)), "packet {at}");
        }
        Expected::Replay(device, nonce) => {
            assert_eq!((verdict, said.sender), ("replay", Some((*device, *nonce))), "packet {at}");
        }
        Expected::Forged => assert_eq!(verdict, "forged", "packet {at}"),
        Expected::Noise => {
            assert!(matches!(verdict, "unknown" | "forged"), "packet {at}: {verdict}")
        }
    }
}

/// Decodes a capture of a fleet in four processes, the last two with a snapshot.
fn decoded(name: &str, devices: u32, count: usize) {
    let scheme = HintScheme::from_name(name).expect("there is such a scheme");
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let lookahead = LOOKAHEAD.to_string();
    let of_fleet = ["--devices", &devices.to_string(), "--lookahead", &lookahead, "--hint", name];
    provision(&fleet, &of_fleet).done();
    let (packets, expected) = traffic(scheme, devices, count);
    let file = folder.path().join("fleet.hdx");
    let mut by_source: HashMap<String, usize> = HashMap::new();
    let quarter = count.div_ceil(4);
    for (part, lines) in packets.chunks(quarter).enumerate() {
        if part == 2 {
            rebuild(&fleet, &file);
        }
        let snapshot = ["--snapshot", file.to_str().expect("a name in ASCII")];
        let more: &[&str] = if part < 2 { &[] } else { &snapshot };
        let said = decode(&fleet, more, lines.join("\n")).done().verdicts();
        assert_eq!(said.len(), lines.len());
        for (said, at) in said.iter().zip(part * quarter..) {
            check(said, &expected[at], at);
            *by_source.entry(said.source.clone()).or_default() += 1;
        }
    }
    for source in ["index", "snapshot", "scan"] {
        assert!(by_source.get(source).is_some_and(|count| *count > 0), "{name}: {by_source:?}");
    }
    verify(&fleet);
}

fn rebuild(fleet: &Path, out: &Path) {
    let named = ["rebuild".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    let more = ["--out".as_ref(), out.as_os_str(), OsStr::new("--horizon"), OsStr::new("64")];
    run(named.into_iter().chain(more)).done();
}

#[test]
fn a_capture_with_speck64_hints_is_decoded_as_expected() {
    decoded("speck64", 20_000, 8_000);
}

#[test]
fn a_capture_with_hints_of_4_bytes_is_decoded_as_expected() {
    decoded("aes128-trunc:4", 20_000, 8_000);
}

#[test]
fn captures_with_hints_of_6_and_12_bytes_are_decoded_as_expected() {
    decoded("aes128-trunc:6", 20_000, 8_000);
    decoded("aes128-trunc:12", 20_000, 8_000);
}

#[test]
#[ignore = "minutes: a million devices for each scheme"]
fn captures_of_a_million_devices_are_decoded_as_expected_with_short_hints() {
    for name in ["speck64", "aes128-trunc:4", "aes128-trunc:6", "aes128-trunc:12"] {
        decoded(name, 1_000_000, 8_000);
        eprintln!("{name}: as expected");
    }
}
