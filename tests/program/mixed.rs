//! Several fleets under one call of `decode`: captures of different suites, one through another.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hintdex::wire::{
    DeviceId, EphemeralSealer, EphemeralSuite, HintScheme, KeyId, MasterKey, StationSecret,
};
use hintdex_tests::capture::{Capture, Line};
use hintdex_tests::files::copy_folder;
use hintdex_tests::program::{command, inspect, run_with, verify};
use hintdex_tests::{Devices, Outcome, Random, Running, Said, decode, provision};

use crate::suites::{DATA, capture, check};

/// How many processes decode the captures one after the other.
const PROCESSES: usize = 6;
const DEVICES: u32 = 400;
const PACKETS: usize = 1_200;

/// Suite, hint scheme and associated data of each fleet. All are under one master key: the devices
/// of the first fleet and of the third make the same hints.
const FLEETS: [(&str, &str, &str); 4] = [
    ("aes-ctr-hmac", "aes128", ""),
    ("aes-siv", "speck64", DATA),
    ("aes-ccm-8", "aes128", DATA),
    ("aes-ctr-hmac", "carry24", ""),
];

/// Provisions the fleets, and returns their folders.
fn fleets(folder: &Path) -> Vec<PathBuf> {
    let make = |(number, (suite, hint, data)): (usize, &(&str, &str, &str))| {
        let fleet = folder.join(format!("fleet {number}"));
        let devices = DEVICES.to_string();
        let mut more = vec!["--devices", &devices, "--suite", suite, "--hint", hint];
        if !data.is_empty() {
            more.extend(["--associated-data", data]);
        }
        provision(&fleet, &more).done();
        fleet
    };
    FLEETS.iter().enumerate().map(make).collect()
}

/// The capture of each fleet, one through another, with the number of the fleet.
fn air() -> Vec<(usize, Line)> {
    let capture = |(suite, hint, data): &(&str, &str, &str)| {
        capture(suite, hint, data, DEVICES, PACKETS).into_iter()
    };
    let mut captures: Vec<_> = FLEETS.iter().map(capture).collect();
    let (mut random, mut air) = (Random::new(11), Vec::new());
    while air.len() < FLEETS.len() * PACKETS {
        let fleet = random.place(captures.len());
        air.extend(captures[fleet].next().map(|line| (fleet, line)));
    }
    air
}

/// Decodes with all of the fleets.
fn decode_all(fleets: &[PathBuf], more: &[&str], packets: impl Into<Vec<u8>>) -> Outcome {
    let name = |fleet: &PathBuf| fleet.to_str().expect("a name in ASCII").to_owned();
    let indexes: Vec<String> =
        fleets.iter().skip(1).flat_map(|fleet| ["--index".to_owned(), name(fleet)]).collect();
    let all: Vec<&str> = indexes.iter().map(String::as_str).chain(more.iter().copied()).collect();
    decode(&fleets[0], &all, packets)
}

fn input(air: &[(usize, Line)]) -> String {
    air.iter().map(|(_, line)| format!("{}\n", line.packet)).collect()
}

/// Compares a verdict with that of the script for the fleet that made the packet. Noise may be
/// forged: a short hint of another fleet fits now and then.
fn check_of(said: &Said, fleet: &Path, made_by: usize, line: &Line, at: usize) {
    let scheme = HintScheme::from_name(FLEETS[made_by].1).expect("there is such a scheme");
    let of = if said.sender.is_some() { fleet.to_str().expect("ASCII") } else { "" };
    assert_eq!(said.fleet, of, "packet {at}: {said:?}");
    if line.verdict == "noise" {
        assert!(matches!(said.verdict.as_str(), "unknown" | "forged"), "packet {at}: {said:?}");
    } else {
        check(said, line, scheme, at);
    }
}

#[test]
fn captures_of_several_suites_are_decoded_as_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    let (over_one, air) = (folder.path().join("over one"), air());
    let of_many = fleets(folder.path());
    let of_one: Vec<PathBuf> = (0..FLEETS.len())
        .map(|number| {
            let copy = over_one.join(number.to_string());
            copy_folder(&of_many[number], &copy);
            copy
        })
        .collect();
    let (mut by_source, mut by_verdict) = (HashMap::new(), HashMap::new());
    let part_len = air.len() / PROCESSES;
    for (part, air) in air.chunks(part_len).enumerate() {
        let outcome = decode_all(&of_many, &[], input(air)).done();
        let said = outcome.verdicts();
        assert_eq!(said.len(), air.len());
        for ((said, (made_by, line)), at) in said.iter().zip(air).zip(part * part_len..) {
            check_of(said, &of_many[*made_by], *made_by, line, at);
            *by_source.entry((*made_by, said.source.clone())).or_insert(0) += 1;
            *by_verdict.entry((*made_by, line.verdict.clone())).or_insert(0) += 1;
        }
        // Each fleet has a line of counts, and the last line is of all.
        for fleet in &of_many {
            let begin = format!("{}: ", fleet.display());
            let line = outcome.stderr.lines().find(|line| line.starts_with(&begin));
            assert!(line.is_some_and(|line| line.contains("accepted")), "{}", outcome.stderr);
        }
        let last = outcome.stderr.lines().last().expect("a summary");
        assert!(last.starts_with(&format!("{} packets in", air.len())), "{last}");
    }
    for fleet in 0..FLEETS.len() {
        let least = |counts: &HashMap<(usize, String), usize>, name: &str| {
            let count = counts.get(&(fleet, name.to_owned())).copied().unwrap_or(0);
            assert!(count >= 3, "fleet {fleet}: {counts:?}");
        };
        ["snapshot", "index", "scan"].iter().for_each(|source| least(&by_source, source));
        let verdicts = ["accepted", "replay", "stale", "forged", "noise"];
        verdicts.iter().for_each(|verdict| least(&by_verdict, verdict));
    }
    let said = decode_all(&of_one, &[], input(&air)).done().verdicts();
    for ((said, (made_by, line)), at) in said.iter().zip(&air).zip(0..) {
        check_of(said, &of_one[*made_by], *made_by, line, at);
    }
    of_one.iter().chain(&of_many).for_each(|fleet| {
        verify(fleet);
    });
}

/// With a budget for scans, a packet may wait for the scan of any fleet, and is reported once more.
#[test]
fn every_packet_gets_its_final_verdict_under_a_scan_budget() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleets, air) = (fleets(folder.path()), air());
    let outcome = decode_all(&fleets, &["--scan-share", "0"], input(&air)).done();
    let mut last: HashMap<u64, Said> = HashMap::new();
    let (mut lines, mut late) = (0, 0);
    for line in outcome.stdout.lines() {
        let said = Said::parse(line);
        lines += 1;
        late += usize::from(line.contains(",\"late\":true}"));
        last.insert(said.line, said);
    }
    assert_eq!(lines, air.len() + late);
    assert!(late > PACKETS / 10, "{late}");
    for ((made_by, line), number) in air.iter().zip(1..) {
        let said = &last[&number];
        assert!(!outcome.stdout.is_empty() && said.verdict != "malformed");
        if line.verdict == "accepted" && FLEETS[*made_by].1 != "carry24" {
            assert_eq!(said.sender, Some(line.sender), "packet {number}: {said:?}");
            assert_eq!(Path::new(&said.fleet), fleets[*made_by]);
        }
    }
    let reported = outcome.stdout.lines().filter(|line| line.contains("scan budget")).count();
    assert_eq!(reported, late);
}

/// Times go to the fleet that reads them. Its packets and those of counters share the lines.
#[test]
fn a_fleet_with_clocks_stands_beside_one_with_counters() {
    const START: u64 = 1_795_392_000;
    let folder = tempfile::tempdir().expect("a folder");
    let fleets = [folder.path().join("counters"), folder.path().join("clocks")];
    let now = START.to_string();
    provision(&fleets[0], &["--devices", "50", "--now", &now]).done();
    let clocked = ["--devices", "50", "--hint", "speck64", "--nonce", "step:60", "--now", &now];
    provision(&fleets[1], &clocked).done();
    let counters = Devices::of_capture();
    let clocks = Devices::of_capture().hinting(HintScheme::Speck64);
    // Three hours: the clock of the call follows the packets of the fleet that reads times.
    let at = |packet: u64| START + 600 * packet;
    let mut lines = String::new();
    for packet in 0..18 {
        lines += &counters.line_at(at(packet), 7, packet, b"count");
        lines += &clocks.line_at(at(packet), 7, at(packet) / 60, b"clock");
        lines += &counters.line(8, packet, b"no time");
    }
    let outcome = decode_all(&fleets, &["--now", &now], lines).done();
    for (said, at) in outcome.verdicts().iter().zip(0..) {
        let number = usize::from(at % 3 == 1);
        assert_eq!(Path::new(&said.fleet), fleets[number], "{said:?}");
        assert_eq!((said.verdict.as_str(), said.source.as_str()), ("accepted", "snapshot"));
        assert_eq!(said.time.is_empty(), number == 0);
    }
    // A packet of a fleet of counters with a text that is no time is not taken beside clocks.
    let line = counters.line(9, 0, b"").replace('\n', " rssi\n");
    assert_eq!(decode(&fleets[0], &[], line.clone()).done().verdicts()[0].verdict, "accepted");
    let refused = decode_all(&fleets, &["--now", &now], line);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("is no time"), "{}", refused.stderr);
}

/// The lines of one fleet alone are as they were: no member more.
#[test]
fn one_fleet_is_not_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "10"]).done();
    let outcome = decode(&fleet, &[], Devices::of_capture().line(3, 0, b"a")).done();
    let expected = "{\"line\":1,\"verdict\":\"accepted\",\"device\":3,\"nonce\":0,\"payload\":\"61\",\
                    \"source\":\"snapshot\"}\n";
    assert_eq!(outcome.stdout, expected);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
}

/// The name of a folder is text of JSON, whatever the folder is called.
#[test]
fn a_verdict_names_the_folder_as_it_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleets = [folder.path().join("a \"fleet\"\\"), folder.path().join("other")];
    provision(&fleets[0], &["--devices", "10"]).done();
    provision(&fleets[1], &["--devices", "10", "--hint", "speck64"]).done();
    let said = decode_all(&fleets, &[], Devices::of_capture().line(3, 0, b"a")).done();
    assert_eq!(Path::new(&said.verdicts()[0].fleet), fleets[0]);
    let order = "{\"line\":1,\"verdict\":\"accepted\",\"fleet\":\"";
    assert!(said.stdout.starts_with(order), "{}", said.stdout);
}

#[test]
fn calls_with_several_fleets_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (one, two, copy, link) = (path("one"), path("two"), path("copy"), path("link"));
    provision(&one, &["--devices", "10"]).done();
    provision(&two, &["--devices", "10", "--hint", "speck64"]).done();
    copy_folder(&one, &copy);
    symlink(&one, &link).expect("a link");
    let with = |more: &[&Path], options: &[&str]| {
        let fleets: Vec<PathBuf> = more.iter().map(|path| path.to_path_buf()).collect();
        decode_all(&fleets, options, "00\n")
    };
    with(&[&one, &one], &[]).refused(2, &["one folder", "name each fleet once"]);
    with(&[&one, &two, &link], &[]).refused(2, &["one", "link", "one folder"]);
    with(&[&one, &copy], &[]).refused(2, &["one", "copy", "the same fleet", "leave"]);
    with(&[&one, &path("missing")], &[]).refused(2, &["missing"]);
    let many: Vec<&Path> = [one.as_path(); 17].to_vec();
    with(&many, &[]).refused(2, &["17 folders", "16"]);
    with(&[&one, &two], &["--snapshot", "x.hdx"]).refused(2, &["--snapshot", "one fleet"]);
    let key = |name: &str, byte: &str| {
        let file = path(name);
        fs::write(&file, byte.repeat(16)).expect("a file");
        file.to_str().expect("ASCII").to_owned()
    };
    let (a, b) = (key("a.key", "7a"), key("b.key", "7a"));
    let cose = ["--output", "cose", "--hop-key", &a];
    with(&[&one, &two], &cose).refused(2, &["1 given, 2 needed", "--index", "order"]);
    with(&[&one], &[&cose[..], &["--hop-key", &b]].concat()).refused(2, &["2 given, 1 needed"]);
    with(&[&one, &two], &[&cose[..], &["--hop-key", &b]].concat())
        .refused(2, &["two", "repeat nonces"]);
    // Another process has the second fleet. The first is not changed.
    let mut running = Running::start(&two, &[]);
    running.send(&Devices::of_capture().hinting(HintScheme::Speck64).line(3, 0, b"a"));
    assert_eq!(running.next_verdict().verdict, "accepted");
    let refused = with(&[&one, &two], &[]);
    refused.refused(2, &[two.to_str().expect("ASCII"), "hintdex decode", "stop"]);
    running.end().done();
}

/// Each fleet seals its payloads under its hop key.
#[test]
fn payloads_of_each_fleet_pass_sealed_under_its_own_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleets = [folder.path().join("one"), folder.path().join("two")];
    provision(&fleets[0], &["--devices", "10"]).done();
    provision(&fleets[1], &["--devices", "10", "--hint", "speck64"]).done();
    let key = |name: &str, byte: &str| {
        let file = folder.path().join(name);
        fs::write(&file, byte.repeat(16)).expect("a file");
        file.to_str().expect("ASCII").to_owned()
    };
    let keys = [key("a.key", "7a"), key("b.key", "7b")];
    let lines = [
        Devices::of_capture().line(3, 0, b"one"),
        Devices::of_capture().hinting(HintScheme::Speck64).line(3, 0, b"two"),
    ];
    let cose = ["--output", "cose", "--hop-key", &keys[0], "--hop-key", &keys[1]];
    let sealed = decode_all(&fleets, &cose, lines.concat()).done();
    for (number, line) in sealed.stdout.lines().enumerate() {
        let id = inspect(&fleets[number])["index_id"].as_str().expect("an id").to_owned();
        let open = |key: &str| {
            let words = ["cose", "open", "--hop-key", key, "--fleet", &id, "-"];
            run_with(command(words), line.to_owned())
        };
        let opened = open(&keys[number]).done().stdout;
        assert!(opened.contains(&hex::encode(["one", "two"][number])), "{opened}");
        open(&keys[1 - number]).refused(1, &["no message"]);
    }
}

/// Packets without a hint stand beside packets with one: every packet may be of either fleet.
#[test]
fn a_fleet_without_hints_stands_beside_one_with_hints() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleets = [folder.path().join("hints"), folder.path().join("points")];
    let station_key = [0x4b; 32];
    let key = folder.path().join("station.hex");
    fs::write(&key, hex::encode(station_key)).expect("a file");
    let key = key.to_str().expect("ASCII");
    provision(&fleets[0], &["--devices", "50"]).done();
    let points = ["--devices", "50", "--suite", "x25519-seq", "--station-key", key];
    provision(&fleets[1], &points).done();

    let master: [u8; 32] =
        hex::decode(Capture::master_key_hex()).expect("hex").try_into().expect("32 bytes");
    let mac_key = MasterKey::new(&master).mac_key(KeyId::first(DeviceId(7)));
    let (suite, point) = (EphemeralSuite::X25519Seq, *StationSecret::new(&station_key).point());
    let mut sealer = EphemeralSealer::new(suite, DeviceId(7), point, mac_key, 0);
    let hinted = Devices::of_capture();
    let (mut lines, mut expected) = (String::new(), Vec::new());
    for number in 0..20_u8 {
        let mut packet = vec![0; suite.overhead_bytes() + 6];
        sealer.seal(&[number; 32], b"21.5 C", &mut packet).expect("the buffer fits");
        // A leap that the index does not look ahead to, so that each kind of fleet does its last
        // step for packets of the other.
        let leap = u64::from(number) * 1000;
        lines += &format!("{}\n", hex::encode(&packet));
        lines += &hinted.line(7, leap, b"a payload as long as a point and more than that");
        lines += &format!("{}\n", hex::encode(&packet));
        lines += &format!("{}\n", "5a".repeat(60));
        let nonce = u64::from(number);
        expected.push(("accepted", Some((7, nonce)), 1));
        expected.push(("accepted", Some((7, leap)), 0));
        expected.push(("replay", Some((7, nonce)), 1));
        expected.push(("unknown", None, 2));
    }
    for order in [[0, 1], [1, 0]] {
        let copies = order.map(|fleet: usize| {
            let copy = folder.path().join(format!("{fleet} in {order:?}"));
            copy_folder(&fleets[fleet], &copy);
            copy
        });
        let said = decode_all(&copies, &[], lines.as_str()).done().verdicts();
        assert_eq!(said.len(), expected.len());
        for (said, (verdict, sender, fleet)) in said.iter().zip(&expected) {
            assert_eq!((said.verdict.as_str(), said.sender), (*verdict, *sender), "{said:?}");
            let place = order.iter().position(|at| at == fleet);
            let of = place.map_or(Path::new(""), |place| copies[place].as_path());
            assert_eq!(Path::new(&said.fleet), of, "{said:?}");
        }
    }
}
