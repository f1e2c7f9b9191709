//! Fleets whose packets begin with a lead byte: the verdicts are those of the packets behind it.

use std::path::{Path, PathBuf};

use hintdex::wire::HintScheme;
use hintdex_tests::capture::Line;
use hintdex_tests::program::{inspect, verify};
use hintdex_tests::{Devices, Outcome, decode, provision, run};

use crate::suites::{self, DATA};
use crate::{ephemeral, schedule};

const DEVICES: u32 = 400;
const PACKETS: usize = 1_200;

/// The packets of a capture behind a lead.
fn led(lead: &str, lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{lead}{}\n", line.packet)).collect()
}

fn fleet(folder: &Path, name: &str, more: &[&str]) -> PathBuf {
    let fleet = folder.join(name);
    let count = DEVICES.to_string();
    provision(&fleet, &[&["--devices", &count][..], more].concat()).done();
    fleet
}

/// Decodes a capture of each suite, led by a byte; then the packets without it, and behind another one.
#[test]
fn captures_behind_a_lead_have_the_verdicts_of_those_without() {
    let folder = tempfile::tempdir().expect("a folder");
    for (suite, hint, data) in [("aes-ctr-hmac", "aes128", ""), ("aes-siv", "speck64", DATA)] {
        let of_fleet = ["--suite", suite, "--hint", hint, "--lead", "e0"];
        let data_of = if data.is_empty() { vec![] } else { vec!["--associated-data", data] };
        let fleet = fleet(folder.path(), suite, &[&of_fleet[..], &data_of].concat());
        let lines = suites::capture(suite, hint, data, DEVICES, PACKETS);
        let scheme = HintScheme::from_name(hint).expect("there is such a scheme");
        let said = decode(&fleet, &[], led("e0", &lines)).done().verdicts();
        assert_eq!(said.len(), lines.len());
        for (at, (said, line)) in said.iter().zip(&lines).enumerate() {
            suites::check(said, line, scheme, at);
        }
        // What was accepted would be a replay: the lead decides before the tag.
        let refused = decode(&fleet, &[], led("e1", &lines));
        assert_eq!(refused.code, Some(1));
        let why = "it begins with e1, packets of this fleet with e0";
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        let said = decode(&fleet, &[], led("", &lines)).done().verdicts();
        let by_chance = lines.iter().filter(|line| line.packet.starts_with("e0")).count();
        let malformed = said.iter().filter(|said| said.verdict == "malformed").count();
        assert_eq!(malformed, lines.len() - by_chance);
        assert!(!said.iter().any(|said| matches!(said.verdict.as_str(), "accepted" | "replay")));
        verify(&fleet);
    }
}

#[test]
fn packets_without_hints_have_leads_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    ephemeral::create(&fleet, "x25519-seq", &["--devices", "20000", "--lead", "e0"]);
    let lines = ephemeral::capture("x25519-seq", "7");
    let said = decode(&fleet, &[], led("e0", &lines)).done().verdicts();
    assert_eq!(said.len(), lines.len());
    said.iter()
        .zip(&lines)
        .enumerate()
        .for_each(|(at, (said, line))| ephemeral::check(said, line, at));
    schedule::decoded_behind("e0", "none", 100);
}

/// A fleet with a lead and one without decode the same input; both have the same devices and keys.
#[test]
fn fleets_with_and_without_a_lead_stand_beside_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let with = fleet(folder.path(), "with", &["--lead", "e0"]);
    let without = fleet(folder.path(), "without", &[]);
    let devices = Devices::of_capture();
    let packets: Vec<String> =
        (0..200).map(|device| hex::encode(devices.packet(device, 3, b"21.5 C"))).collect();
    let input: String =
        packets.iter().map(|packet| format!("e0{packet}\n{packet}\ne0{packet}\n")).collect();
    let other = ["--index", without.to_str().expect("ASCII")];
    let said = decode(&with, &other, input).done().verdicts();
    for (device, said) in (0..).zip(said.chunks(3)) {
        let told: Vec<_> = said
            .iter()
            .map(|said| (said.verdict.as_str(), said.sender, said.fleet.as_str()))
            .collect();
        let (with, without) = (with.to_str().expect("ASCII"), without.to_str().expect("ASCII"));
        let sender = Some((device, 3));
        let expected =
            [("accepted", sender, with), ("accepted", sender, without), ("replay", sender, with)];
        assert_eq!(told, expected);
    }
}

#[test]
fn a_lead_is_shown_and_kept_and_another_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let led = fleet(folder.path(), "led", &["--lead", "e0"]);
    assert_eq!(
        (&inspect(&led)["lead"], &inspect(&led)["overhead_bytes"]),
        (&"e0".into(), &25.into())
    );
    let text = run(["inspect".as_ref(), led.as_os_str()]).done().stdout;
    assert!(text.contains("25 bytes around the payload, behind the lead e0"), "{text}");
    let plain = fleet(folder.path(), "plain", &[]);
    assert_eq!(
        (&inspect(&plain)["lead"], &inspect(&plain)["overhead_bytes"]),
        (&().into(), &24.into())
    );
    let more = |fleet: &Path, lead: &str| -> Outcome {
        provision(fleet, &["--devices", "1", "--first-device", "900", "--lead", lead])
    };
    more(&led, "e1").refused(2, &["lead e0", "repeat these values"]);
    more(&plain, "e0").refused(2, &["lead none"]);
    more(&led, "e0").done();
    for bad in ["", "e", "e0e0", "xx", "0xe0"] {
        let path = folder.path().join("bad");
        provision(&path, &["--devices", "1", "--lead", bad])
            .refused(2, &["two hex digits like e0"]);
    }
    // Devices seal for the fleet that they are in.
    let export = folder.path().join("devices.jsonl");
    let call = |verb: &str, fleet: &Path, option: &[&str]| {
        let (fleet, file) = (fleet.to_str().expect("ASCII"), export.to_str().expect("ASCII"));
        run([&["device", verb, "--index", fleet], option, &[file]].concat())
    };
    call("export", &led, &["--out"]).done();
    call("import", &plain, &[]).refused(1, &["another lead than this fleet", "--lead"]);
}
