//! The usual form of an index: its snapshot holds the coming hints, and the window lacks them.
//! The same verdicts from a fraction of the bytes, also when the snapshot goes away.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use hintdex::wire::HintScheme;
use hintdex_tests::capture::DEVICES;
use hintdex_tests::program::{inspect, verify};
use hintdex_tests::trace::ends_before;
use hintdex_tests::{Capture, Devices, Said, decode, provision, run};

/// Lines a process decodes before the next one takes over.
const LINES_PER_PROCESS: usize = 1500;

fn roll(fleet: &Path, more: &[&str]) {
    let named = ["roll".as_ref(), "--index".as_ref(), fleet.as_os_str()];
    run(named.into_iter().chain(more.iter().map(OsStr::new))).done();
}

/// Decodes the capture over several processes; `between` may meddle before each.
fn capture_over_processes(lookahead: &str, between: impl Fn(usize, &Path)) {
    let (folder, capture) = (tempfile::tempdir().expect("a folder"), Capture::load());
    let fleet = folder.path().join("fleet");
    let devices = DEVICES.to_string();
    provision(&fleet, &["--devices", &devices, "--lookahead", lookahead]).done();
    let parts = capture.packets.chunks(LINES_PER_PROCESS);
    for (number, (part, first)) in parts.zip((0..).step_by(LINES_PER_PROCESS)).enumerate() {
        between(number, &fleet);
        let said = decode(&fleet, &[], part.join("\n")).done().verdicts();
        capture.check(first, &said);
    }
    verify(&fleet);
}

/// The verdicts on a packet with this nonce from each of the devices of `ids`.
fn packets_of(fleet: &Path, ids: std::ops::Range<u32>, nonce: u64) -> Vec<Said> {
    let devices = Devices::of_capture();
    let lines: String = ids.map(|device| devices.line(device, nonce, b"?")).collect();
    let said = decode(fleet, &[], lines).done().verdicts();
    assert!(said.iter().all(|said| said.verdict == "accepted"), "nonce {nonce}");
    said
}

fn scans(said: &[Said]) -> usize {
    said.iter().filter(|said| said.found_by() == "scan").count()
}

fn is_lean(fleet: &Path) -> bool {
    !inspect(fleet)["left_to_snapshot"].is_null()
}

#[test]
fn the_capture_is_decoded_as_expected_beside_rolls() {
    for lookahead in ["1", "10"] {
        capture_over_processes(lookahead, |number, fleet| {
            if number % 5 == 0 {
                roll(fleet, &[]);
            }
        });
    }
}

#[test]
fn the_capture_is_decoded_as_expected_by_a_full_index() {
    capture_over_processes("10", |number, fleet| {
        if number == 0 {
            roll(fleet, &["--full"]);
        }
    });
}

#[test]
fn the_capture_is_decoded_as_expected_when_the_snapshot_is_gone() {
    capture_over_processes("10", |number, fleet| {
        let snapshot = fleet.join("snapshot.hdx");
        match number % 5 {
            0 => roll(fleet, &[]),
            2 => fs::remove_file(snapshot).expect("there is one"),
            // A snapshot that is whole, and is not the one that the window needs.
            4 => {
                roll(fleet, &[]);
                let older = fs::read(&snapshot).expect("there is one");
                roll(fleet, &[]);
                fs::write(&snapshot, older).expect("it can be written");
            }
            _ => {}
        }
    });
}

/// The loss costs scans while the next snapshot is built, and nothing afterwards.
#[test]
fn a_lost_snapshot_is_built_again_in_the_background() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20000", "--lookahead", "10"]).done();
    assert_eq!(scans(&packets_of(&fleet, 0..20_000, 0)), 0);
    fs::remove_file(fleet.join("snapshot.hdx")).expect("there is one");
    let first = packets_of(&fleet, 0..64, 1);
    assert!(scans(&first) > 0, "nothing else knows the hints");
    assert!(is_lean(&fleet));
    assert_eq!(scans(&packets_of(&fleet, 64..20_000, 1)), 0);
    verify(&fleet);
}

/// Commands that only read leave the fleet as it is.
#[test]
fn inspect_and_verify_report_a_lost_snapshot_and_build_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, snapshot) = (folder.path().join("fleet"), folder.path().join("fleet/snapshot.hdx"));
    provision(&fleet, &["--devices", "300"]).done();
    fs::remove_file(&snapshot).expect("there is one");
    assert!(is_lean(&fleet));
    let said = run(["verify".as_ref(), fleet.as_os_str()]);
    said.refused(1, &["slot 0", "roll"]);
    assert!(!snapshot.exists());
}

/// With hints of 4 bytes two devices may well have one: whoever is asked first, the
/// device whose tag verifies is found.
#[test]
fn authentic_packets_with_hints_that_collide_are_accepted_wherever_the_hints_are_held() {
    let (folder, old, new) = (tempfile::tempdir().expect("a folder"), 300_000u32, 3_000u32);
    let fleet = folder.path().join("fleet");
    let scheme = ["--lookahead", "16", "--hint", "aes128-trunc:4"];
    provision(&fleet, &[&["--devices", &old.to_string()], &scheme[..]].concat()).done();
    let added = ["--devices", &new.to_string(), "--first-device", &old.to_string()];
    provision(&fleet, &added).done();
    // Their hints are in the window; those of some of the others in the snapshot.
    let devices = Devices::of_capture().hinting(HintScheme::from_name(scheme[3]).expect("one"));
    let lines: String =
        (old..old + new).map(|device| devices.line(device, 3, b"who am I?")).collect();
    let said = decode(&fleet, &[], lines).done().verdicts();
    let senders: Vec<_> = said.iter().map(|said| said.sender).collect();
    let expected: Vec<_> = (old..old + new).map(|device| Some((device, 3))).collect();
    assert_eq!(senders, expected);
}

/// A lookup that meets a damaged block goes without it, and the snapshot is built again.
#[test]
fn damage_to_the_snapshot_costs_scans_until_the_next_one_is_built() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20000", "--lookahead", "10"]).done();
    let snapshot = fleet.join("snapshot.hdx");
    let mut bytes = fs::read(&snapshot).expect("there is one");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&snapshot, &bytes).expect("it can be written");
    let first = packets_of(&fleet, 0..20_000, 0);
    assert!((1..20_000).contains(&scans(&first)), "{}", scans(&first));
    assert!(fs::read(&snapshot).expect("there is one") != bytes, "it is built again");
    assert_eq!(scans(&packets_of(&fleet, 0..20_000, 1)), 0);
    assert!(is_lean(&fleet));
    verify(&fleet);
}

#[test]
fn the_window_holds_next_to_nothing_unless_it_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20000", "--lookahead", "10"]).done();
    let shown = || inspect(&fleet);
    let entries = || shown()["entries"].as_u64().expect("a number");
    assert_eq!(entries(), 0);
    assert_eq!(shown()["hints"], 20_000 * 40);
    assert!(shown()["bits_per_hint"].as_f64().expect("a number") < 6.0);
    verify(&fleet);
    roll(&fleet, &["--full"]);
    assert_eq!(entries(), 200_000);
    assert!(!is_lean(&fleet));
    verify(&fleet);
    roll(&fleet, &[]);
    assert_eq!(entries(), 0);
    verify(&fleet);
}

/// A few devices go into the window beside the snapshot, many into the next snapshot.
#[test]
fn new_devices_leave_the_form_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20000"]).done();
    for (first, count, expected) in [("20000", "100", 1600), ("50000", "20000", 0)] {
        provision(&fleet, &["--first-device", first, "--devices", count]).done();
        assert!(is_lean(&fleet));
        assert_eq!(inspect(&fleet)["entries"], expected);
        verify(&fleet);
    }
    let ids = || (0..20_100).chain(50_000..70_000);
    for nonce in [0, 63] {
        let devices = Devices::of_capture();
        let lines: String = ids().map(|device| devices.line(device, nonce, b"?")).collect();
        let said = decode(&fleet, &[], lines).done().verdicts();
        assert_eq!(scans(&said), 0, "nonce {nonce}");
        let senders = said.iter().map(|said| said.sender);
        assert!(senders.eq(ids().map(|device| Some((device, nonce)))));
    }
}

/// A chain needs memory that a full window does not. What is refused is reported, and the
/// window is rolled all the same.
#[test]
fn a_roll_without_memory_for_a_chain_leaves_a_full_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "20000", "--lookahead", "10"]).done();
    let little = ["--memory", "1M", "--index"].map(OsStr::new);
    let rolled = run(["roll".as_ref()].into_iter().chain(little).chain([fleet.as_os_str()]));
    rolled.refused(1, &["a chain", "bytes", "more memory"]);
    assert!(!is_lean(&fleet));
    verify(&fleet);
    let provision = ["provision", "--first-device", "50000", "--devices", "20000"].map(OsStr::new);
    let refused = run(provision.into_iter().chain(little).chain([fleet.as_os_str()]));
    refused.refused(1, &["a chain", "bytes", "more memory"]);
    assert_eq!(inspect(&fleet)["slots"], 20_000, "all of them or none");
}

/// The name of the snapshot is checked before a window is declared that needs the name.
#[test]
fn a_fleet_whose_snapshot_cannot_be_replaced_still_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, snapshot) = (folder.path().join("fleet"), folder.path().join("fleet/snapshot.hdx"));
    provision(&fleet, &["--devices", "300"]).done();
    let elsewhere = folder.path().join("elsewhere.hdx");
    fs::copy(&snapshot, &elsewhere).expect("there is one");
    fs::remove_file(&snapshot).expect("it can be removed");
    std::os::unix::fs::symlink(&elsewhere, &snapshot).expect("a link can be made");
    run(["roll".as_ref(), "--index".as_ref(), fleet.as_os_str()]).refused(1, &["symbolic link"]);
    assert_eq!(scans(&packets_of(&fleet, 0..300, 0)), 0);
    verify(&fleet);
}

/// The evaluations of the present snapshot are those of the next one.
#[test]
fn a_roll_keeps_the_evaluations_unless_it_is_given_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let evaluations = || {
        let file = fleet.join("snapshot.hdx");
        let shown = run(["inspect".as_ref(), "--json".as_ref(), file.as_os_str()]).done().stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        (shown["encoding"].clone(), shown["evaluations"].clone())
    };
    provision(&fleet, &["--devices", "300"]).done();
    assert_eq!(evaluations(), ("chain".into(), 9.into()));
    for (given, expected) in [(&["--evaluations", "16"][..], 16), (&[], 16), (&["--full"], 16)] {
        roll(&fleet, given);
        assert_eq!(evaluations(), ("chain".into(), expected.into()));
    }
}

/// A fleet that grows, whose devices send in turn.
struct Growing {
    fleet: PathBuf,
    /// The number of devices added at a time, and the turn before their first packet.
    added: Vec<(u32, u64)>,
    turn: u64,
}

impl Growing {
    fn devices(&self) -> u32 {
        self.added.iter().map(|(count, _)| count).sum()
    }

    /// Notes the devices that a provisioning has added: all of `count`, or none.
    fn note_added(&mut self, count: u32, ended: bool) {
        let slots = inspect(&self.fleet)["slots"].as_u64().expect("a number");
        let before = u64::from(self.devices());
        if slots > before {
            assert_eq!(slots, before + u64::from(count), "all of them or none");
            self.added.push((count, self.turn));
        }
        assert!(slots > before || !ended, "a provisioning that ends adds its devices");
    }

    /// The next packet of every device is accepted, and none of them is scanned for.
    fn all_send(&mut self, when: &str) {
        let (devices, mut first, mut lines) = (Devices::of_capture(), 0, String::new());
        for (count, born) in &self.added {
            let ids = first..first + count;
            lines.extend(ids.map(|device| devices.line(device, self.turn - born, b"?")));
            first += count;
        }
        let said = decode(&self.fleet, &[], lines).done().verdicts();
        assert!(said.iter().all(|said| said.verdict == "accepted"), "{when}");
        assert_eq!(scans(&said), 0, "{when}");
        self.turn += 1;
    }
}

/// A roll, and then a provisioning, killed at each of these calls: the declared window and the
/// snapshot that it needs are there, so no packet is scanned for.
#[test]
fn a_snapshot_and_its_window_are_whole_after_a_kill_at_any_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "300", "--lookahead", "4"]).done();
    let mut growing = Growing { fleet: fleet.clone(), added: vec![(300, 0)], turn: 0 };
    let mut kills = 0;
    for call in ["fsync", "fdatasync", "rename", "unlink"] {
        for nth in 1.. {
            let roll = ["roll", "--threads", "1", "--index"].map(OsStr::new);
            let roll_ended = ends_before(call, nth, roll.into_iter().chain([fleet.as_os_str()]));
            growing.all_send(&format!("after a roll killed at {call} number {nth}"));

            let count = growing.devices();
            if count < 2000 {
                let count_text = count.to_string();
                let more = ["provision", "--first-device", &count_text, "--devices", &count_text];
                let more = more.map(OsStr::new).into_iter();
                let more = more.chain(["--index".as_ref(), fleet.as_os_str()]);
                growing.note_added(count, ends_before(call, nth, more));
                growing.all_send(&format!("after a provisioning killed at {call} number {nth}"));
            }
            assert!(is_lean(&fleet));
            assert!(!fleet.join("snapshot-next.hdx").exists(), "the next opening settles it");
            if roll_ended {
                break;
            }
            kills += 1;
        }
        verify(&fleet);
    }
    assert!(kills > 10, "{kills} kills only");
}
