//! Packets without a hint through the whole program: captures by an independent script, a station
//! that dies, and what a call can have wrong.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hintdex::wire::{
    DeviceId, EphemeralSealer, EphemeralSuite, KeyId, MacKey, MasterKey, StationSecret,
};
use hintdex_tests::capture::{Capture, DEVICES, Line};
use hintdex_tests::program::{Said, inspect, verify};
use hintdex_tests::{Random, Running, decode, provision, run};

use crate::suites;

const PACKETS: usize = 1_600;
/// How many processes decode a capture one after the other.
const PROCESSES: usize = 20;
const STATION_KEY: &str = "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d";

/// The capture of a fleet, by `tests/data/suites/ephemeral.py`.
pub fn capture(suite: &str, seed: &str) -> Vec<Line> {
    let (devices, packets) = (DEVICES.to_string(), PACKETS.to_string());
    let master = Capture::master_key_hex();
    let args = [master.as_str(), STATION_KEY, suite, &devices, &packets, seed];
    let lines = Line::of_script("ephemeral.py", &args);
    assert_eq!(lines.len(), PACKETS);
    lines
}

/// Creates the fleet of the captures.
pub fn create(fleet: &Path, suite: &str, ids: &[&str]) {
    let key = fleet.with_file_name("station.hex");
    fs::write(&key, STATION_KEY).expect("it is written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is closed");
    let key = key.to_str().expect("a name in ASCII");
    provision(fleet, &[ids, &["--suite", suite, "--station-key", key]].concat()).done();
}

pub fn check(said: &Said, line: &Line, at: usize) {
    match line.verdict.as_str() {
        "noise" => assert_eq!(said.verdict, "unknown", "packet {at}"),
        named @ ("forged" | "malformed") => assert_eq!(said.verdict, named, "packet {at}"),
        expected => {
            let said_of = (said.verdict.as_str(), said.sender);
            assert_eq!(said_of, (expected, Some(line.sender)), "packet {at}");
            let payload = if expected == "accepted" { line.payload.as_str() } else { "" };
            assert_eq!(said.payload, payload, "packet {at}");
            assert_eq!(said.source, "packet", "packet {at}");
        }
    }
}

fn packets(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{}\n", line.packet)).collect()
}

/// Decodes a capture over many processes.
fn decoded(suite: &str, verdicts: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    create(&fleet, suite, &["--devices", "20000"]);
    let lines = capture(suite, "7");
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let part_len = PACKETS / PROCESSES;
    for (part, lines) in lines.chunks(part_len).enumerate() {
        let said = decode(&fleet, &[], packets(lines)).done().verdicts();
        assert_eq!(said.len(), lines.len());
        for ((said, line), at) in said.iter().zip(lines).zip(part * part_len..) {
            check(said, line, at);
            *counts.entry(line.verdict.as_str()).or_default() += 1;
        }
    }
    for verdict in verdicts {
        assert!(counts.get(verdict).is_some_and(|count| *count >= 10), "{suite}: {counts:?}");
    }
    verify(&fleet);
}

#[test]
fn a_capture_of_x25519_is_decoded_as_expected() {
    decoded("x25519", &["accepted", "replay", "forged", "noise", "malformed"]);
}

#[test]
fn a_capture_of_x25519_seq_is_decoded_as_expected() {
    decoded("x25519-seq", &["accepted", "replay", "stale", "forged", "noise", "malformed"]);
}

/// A packet without a nonce is told again by its point, also by the process after a kill.
#[test]
fn no_packet_is_accepted_twice_by_stations_that_are_killed() {
    for suite in ["x25519", "x25519-seq"] {
        let folder = tempfile::tempdir().expect("a folder");
        let fleet = folder.path().join("fleet");
        create(&fleet, suite, &["--devices", "20000"]);
        let lines = capture(suite, "8");
        let authentic = |line: &&Line| line.verdict == "accepted";
        let sent: Vec<&Line> = lines.iter().filter(authentic).collect();
        let (mut random, mut at, mut acknowledged) = (Random::new(5), 0, HashMap::new());
        for _ in 0..15 {
            let part = &sent[at..(at + 60).min(sent.len())];
            let mut decoder = Running::start(&fleet, &[]);
            decoder.send(&part.iter().map(|line| format!("{}\n", line.packet)).collect::<String>());
            let read = usize::try_from(random.below(part.len() as u64 + 1)).expect("few");
            for line in &part[..read] {
                let said = decoder.next_verdict();
                // Of a packet that was accepted and not acknowledged, the nonce is known.
                let is_known = matches!(said.verdict.as_str(), "replay" | "stale");
                assert!(is_known || said.verdict == "accepted", "{said:?}");
                if said.verdict == "accepted" {
                    let known = acknowledged.insert(line.packet.as_str(), said.sender);
                    assert_eq!(known, None, "{suite}: a packet was accepted twice");
                }
            }
            decoder.kill();
            let _ = decoder.end();
            at += read;
        }
        let again: String = sent.iter().map(|line| format!("{}\n", line.packet)).collect();
        let said = decode(&fleet, &[], again).done().verdicts();
        for (said, line) in said.iter().zip(&sent) {
            let Some(sender) = acknowledged.get(line.packet.as_str()) else { continue };
            let is_known =
                said.verdict == "replay" || suite == "x25519-seq" && said.verdict == "stale";
            assert!(is_known && said.sender == *sender, "{suite}: {said:?}");
        }
        assert!(acknowledged.len() > 100, "{}", acknowledged.len());
        verify(&fleet);
    }
}

#[test]
fn a_station_key_that_does_not_fit_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (fleet, other) = (path("fleet"), path("other"));
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(path(name), text).expect("it is written");
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("it is set");
        path(name).to_str().expect("a name in ASCII").to_owned()
    };
    let zeros = write("zeros", &"0".repeat(64), 0o600);
    let short = write("short", "4b66", 0o600);
    let given = |key: &str| {
        provision(&fleet, &["--devices", "10", "--suite", "x25519", "--station-key", key])
    };
    given(&zeros).refused(2, &["station key", "all zeros"]);
    given(&short).refused(2, &["station key", "64 hex digits"]);
    given("no-such-file").refused(1, &["station key", "No such file"]);
    let open = write("open", STATION_KEY, 0o644);
    provision(&fleet, &["--devices", "10", "--station-key", &open])
        .refused(2, &["--station-key", "x25519"]);
    assert!(!fleet.exists() || !fleet.join("index").exists());

    let noted = given(&open).done();
    assert!(noted.stderr.contains("chmod 600"), "{}", noted.stderr);
    let point = "the point of the station, for the devices: ";
    let shown = noted.stdout.lines().find_map(|line| line.strip_prefix(point));
    let shown = shown.expect("the point is printed").to_owned();
    assert_eq!(inspect(&fleet)["station_point"], serde_json::json!(shown));
    let add = |more: &[&str]| provision(&fleet, &[&["--ids", "100"], more].concat());
    let foreign = write("foreign", &"07".repeat(32), 0o600);
    add(&["--station-key", &foreign]).refused(2, &["station key", "another point"]);
    add(&["--suite", "x25519-seq"]).refused(2, &["x25519 packets"]);
    add(&["--suite", "aes-siv"]).refused(2, &["x25519 packets"]);
    add(&["--hint", "aes128"]).refused(2, &["x25519 packets"]);
    add(&["--hint", "none", "--suite", "x25519", "--station-key", &open]).done();

    // The file in the folder: open to others, of another fleet, gone.
    let file = fleet.join("station.key");
    let sound = fs::read(&file).expect("it is there");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is opened");
    let noted = decode(&fleet, &[], "").done();
    assert!(noted.stderr.contains("station.key"), "{}", noted.stderr);
    provision(&other, &["--devices", "10", "--suite", "x25519"]).done();
    fs::copy(other.join("station.key"), &file).expect("it is copied");
    decode(&fleet, &[], "").refused(1, &["station.key", "another fleet", "backup"]);
    provision(&fleet, &["--ids", "102", "--station-key", &open]).done();
    assert_eq!(fs::read(&file).expect("it is written again"), sound);
    fs::remove_file(&file).expect("it is there");
    decode(&fleet, &[], "").refused(1, &["station.key", "missing", "--station-key"]);
    provision(&fleet, &["--ids", "101", "--station-key", &open]).done();
    assert_eq!(fs::read(&file).expect("it is there again"), sound);
}

#[test]
fn what_needs_hints_is_refused_and_what_does_not_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (fleet, out, there) = (path("fleet"), path("out"), path("there"));
    let refused = |more: &[&str], words: &[&str]| {
        let base = ["--devices", "10", "--suite", "x25519-seq"];
        provision(&fleet, &[&base[..], more].concat()).refused(2, words);
    };
    refused(&["--hint", "speck64"], &["x25519-seq", "hints"]);
    refused(&["--lookahead", "4"], &["x25519-seq", "lookahead"]);
    refused(&["--nonce", "step:60"], &["x25519-seq", "clocked"]);
    refused(&["--ratchet-bits", "4"], &["x25519-seq", "ratchet"]);
    refused(&["--associated-data", "00"], &["x25519-seq", "associated data"]);
    provision(&fleet, &["--devices", "10", "--hint", "none"]).refused(2, &["--suite x25519"]);
    create(&fleet, "x25519-seq", &["--devices", "20000"]);
    create(&there, "x25519-seq", &["--ids", "70000"]);
    let call = |words: &[&OsStr]| run(words.iter().copied());
    let index = [OsStr::new("--index"), fleet.as_os_str()];
    call(&["rebuild".as_ref(), index[0], index[1], "--out".as_ref(), out.as_os_str()])
        .refused(2, &["no hints"]);
    let hint = "067ce53349a8a510b30b3389d6192210";
    call(&["resolve".as_ref(), index[0], index[1], hint.as_ref()]).refused(2, &["no hints"]);
    let lines = capture("x25519-seq", "9");
    decode(&fleet, &[], packets(&lines)).done();

    // Devices move with their replay windows, to a fleet of the same station only.
    let device = |verb: &str, more: &[&OsStr]| {
        let base: [&OsStr; 2] = ["device".as_ref(), verb.as_ref()];
        call(&[&base[..], more].concat())
    };
    device("export", &[index[0], index[1], "--out".as_ref(), out.as_os_str()]).done();
    let other = path("other");
    provision(&other, &["--ids", "70000", "--suite", "x25519-seq"]).done();
    let import = |fleet: &Path| device("import", &[index[0], fleet.as_os_str(), out.as_os_str()]);
    import(&other).refused(1, &["another station", "--station-key"]);
    import(&there).done();
    let said = decode(&there, &[], packets(&lines)).done().verdicts();
    let was_sent = |line: &Line| matches!(line.verdict.as_str(), "accepted" | "replay" | "stale");
    for (said, line) in said.iter().zip(&lines).filter(|(_, line)| was_sent(line)) {
        assert!(matches!(said.verdict.as_str(), "replay" | "stale"), "{said:?}");
        assert_eq!(said.sender.map(|(device, _)| device), Some(line.sender.0));
    }
    // Without a nonce, the other fleet could not tell what was accepted.
    let counted = path("counted");
    create(&counted, "x25519", &["--devices", "10"]);
    device("export", &[index[0], counted.as_os_str(), "--out".as_ref(), path("x").as_os_str()])
        .refused(2, &["x25519", "repeats"]);
}

/// A device whose key was replaced is heard under its new key, and one that brought its own key
/// under that one.
#[test]
fn devices_with_later_keys_and_with_keys_of_their_own_are_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, list) = (folder.path().join("fleet"), folder.path().join("list.csv"));
    create(&fleet, "x25519-seq", &["--devices", "10"]);
    let mac_key = [0x5a; 32];
    let mut own = mac_key;
    own[0] = 1;
    let row = format!("id,hint_key,dev_key\n500,{},{}\n", "3c".repeat(16), hex::encode(own));
    fs::write(&list, row).expect("it is written");
    provision(&fleet, &["--keys", list.to_str().expect("a name in ASCII")]).done();
    let index = [OsStr::new("--index"), fleet.as_os_str()];
    run([OsStr::new("device"), "replace".as_ref(), index[0], index[1], "3".as_ref()]).done();

    let master: [u8; 32] =
        hex::decode(Capture::master_key_hex()).expect("hex").try_into().expect("32 bytes");
    let station: [u8; 32] = hex::decode(STATION_KEY).expect("hex").try_into().expect("32 bytes");
    let point = *StationSecret::new(&station).point();
    let packet = |device: u32, mac_key: MacKey, random: u8| {
        let suite = EphemeralSuite::X25519Seq;
        let mut sealer = EphemeralSealer::new(suite, DeviceId(device), point, mac_key, 7);
        let mut packet = vec![0; suite.overhead_bytes() + 6];
        sealer.seal(&[random; 32], b"21.5 C", &mut packet).expect("the buffer fits");
        hex::encode(packet)
    };
    let derived = |device: u32, generation: u16| {
        let device = DeviceId(device);
        MasterKey::new(&master).mac_key(KeyId { device, generation })
    };
    let sent = [
        (packet(3, derived(3, 0), 1), "forged"),
        (packet(3, derived(3, 1), 2), "accepted"),
        (packet(500, MacKey::copy_of(&own), 3), "accepted"),
        (packet(500, derived(500, 0), 4), "forged"),
        (packet(500, MacKey::copy_of(&mac_key), 5), "forged"),
    ];
    let lines: String = sent.iter().map(|(packet, _)| format!("{packet}\n")).collect();
    let said = decode(&fleet, &[], lines).done().verdicts();
    let verdicts: Vec<&str> = said.iter().map(|said| said.verdict.as_str()).collect();
    let expected: Vec<&str> = sent.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, expected);
}

/// Each packet is tried where its length allows, and only packets that no index resolves cost a
/// multiplication.
#[test]
fn a_fleet_of_x25519_packets_stands_beside_one_with_hints() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hinted, fleet) = (folder.path().join("hinted"), folder.path().join("ephemeral"));
    provision(&hinted, &["--devices", "400", "--suite", "aes-siv"]).done();
    create(&fleet, "x25519", &["--devices", "20000"]);
    let (one, other) = (suites::capture("aes-siv", "aes128", "", 400, 600), capture("x25519", "6"));
    let air: Vec<&Line> = one.iter().zip(&other).flat_map(|(one, other)| [one, other]).collect();
    let lines: String = air.iter().map(|line| format!("{}\n", line.packet)).collect();
    let more = ["--index", fleet.to_str().expect("a name in ASCII")];
    let said = decode(&hinted, &more, lines).done().verdicts();
    assert_eq!(said.len(), air.len());
    for ((said, line), at) in said.iter().zip(&air).zip(0..) {
        let is_authentic = matches!(line.verdict.as_str(), "accepted" | "replay" | "stale");
        if is_authentic {
            let of = if at % 2 == 0 { &hinted } else { &fleet };
            assert_eq!(said.fleet, of.to_str().expect("a name in ASCII"), "packet {at}");
            assert_eq!((&said.verdict, said.sender), (&line.verdict, Some(line.sender)), "{at}");
        } else {
            assert_eq!(said.sender, None, "packet {at}");
        }
    }
}
