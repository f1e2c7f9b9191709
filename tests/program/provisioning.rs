//! Devices as their owners have them: scattered ids, files of keys, and a provisioning that
//! is cut off and goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use hintdex_tests::devices::{own_keys, own_packet};
use hintdex_tests::program::{command, inspect, run_with, verify};
use hintdex_tests::{Devices, Outcome, decode, provision};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    (folder, fleet)
}

/// Provisions the devices of a file with this text.
fn from_file(fleet: &Path, text: impl AsRef<[u8]>, more: &[&str]) -> Outcome {
    let file = fleet.with_extension("keys");
    fs::write(&file, text).expect("a file can be written");
    let file = file.to_str().expect("text").to_owned();
    provision(fleet, &[&["--lookahead", "4", "--keys", &file], more].concat())
}

/// That a packet under `nonce` of each device is accepted, and found without a scan.
#[track_caller]
fn are_heard(fleet: &Path, ids: &[u32], packet: impl Fn(u32) -> Vec<u8>, nonce: u64) {
    let lines: String = ids.iter().map(|id| hex::encode(packet(*id)) + "\n").collect();
    let said = decode(fleet, &[], lines).done().verdicts();
    assert_eq!(said.len(), ids.len());
    for (id, said) in ids.iter().zip(&said) {
        assert_eq!((said.verdict.as_str(), said.sender), ("accepted", Some((*id, nonce))));
        assert_eq!(said.found_by(), "lookup");
    }
}

fn csv(ids: &[u32]) -> String {
    let row = |id: &u32| {
        let (hint_key, dev_key) = own_keys(*id);
        format!("{id},{},{}\n", hex::encode(hint_key), hex::encode(dev_key))
    };
    format!("id,hint_key,dev_key\n{}", ids.iter().map(row).collect::<String>())
}

fn json(ids: &[u32]) -> String {
    let row = |id: &u32| {
        let (hint_key, dev_key) = own_keys(*id);
        let (hint_key, dev_key) = (hex::encode(hint_key), hex::encode_upper(dev_key));
        format!("{{\"dev_key\":\"{dev_key}\",\"id\":{id},\"hint_key\":\"{hint_key}\"}}\n")
    };
    ids.iter().map(row).collect()
}

fn binary(ids: &[u32]) -> Vec<u8> {
    let mut bytes = b"\x89hdxdev\n".to_vec();
    for id in ids {
        let (hint_key, dev_key) = own_keys(*id);
        bytes.extend(id.to_be_bytes());
        bytes.extend(hint_key);
        bytes.extend(dev_key);
    }
    bytes
}

#[test]
fn ids_may_be_scattered_and_come_in_one_call() {
    let (_folder, fleet) = folder();
    let ids = "5,100-199,7,4294967290-4294967295";
    let said = provision(&fleet, &["--ids", ids, "--lookahead", "4"]).done().stdout;
    assert!(said.contains("devices 5 to 4294967295, 108 of these ids"), "{said}");
    let devices = Devices::of_capture();
    let heard: Vec<u32> =
        [5, 7].into_iter().chain(100..200).chain(4_294_967_290..=u32::MAX).collect();
    are_heard(&fleet, &heard, |id| devices.packet(id, 0, b"x"), 0);
    for (ids, words) in [
        ("0-6", ["devices 5 to 5", "nothing was added"].as_slice()),
        ("1,2,1", &["--ids", "id 1", "twice"]),
        ("9-8", &["--ids", "not above"]),
        ("x", &["--ids"]),
        ("0-4294967295", &["--ids", "number of slots"]),
    ] {
        provision(&fleet, &["--ids", ids]).refused(2, words);
    }
    provision(&fleet, &["--ids", "1", "--devices", "2"]).refused(2, &["--devices"]);
    provision(&fleet, &[]).refused(2, &["--devices"]);
    assert_eq!(inspect(&fleet)["devices"], 108);
    verify(&fleet);
}

#[test]
fn keys_come_from_csv_json_lines_and_binary_files() {
    let ids = [9, 4_000_000_000, 3, 4, 5];
    for text in [csv(&ids).into_bytes(), json(&ids).into_bytes(), binary(&ids)] {
        let (_folder, fleet) = folder();
        from_file(&fleet, text, &[]).done();
        are_heard(&fleet, &ids, |id| own_packet(id, 0), 0);
        // More of them, and some that are derived.
        from_file(&fleet, csv(&[1000]), &[]).done();
        from_file(&fleet, "id\n2000\n2002\n", &[]).done();
        are_heard(&fleet, &[1000, 9], |id| own_packet(id, 1), 1);
        let devices = Devices::of_capture();
        are_heard(&fleet, &[2000, 2002], |id| devices.packet(id, 0, b"x"), 0);
        assert_eq!(inspect(&fleet)["devices"], 8);
        verify(&fleet);
    }
}

#[test]
fn a_bad_file_of_keys_is_named_by_its_line_and_leaves_nothing() {
    let good = csv(&[1, 2]);
    let (hint_key, dev_key) = own_keys(3);
    let (hint_key, dev_key) = (hex::encode(hint_key), hex::encode(dev_key));
    let mut cut = binary(&[1, 2]);
    cut.pop();
    let cases: [(Vec<u8>, i32, &[&str]); 11] = [
        (format!("{good}3,{hint_key}\n").into(), 1, &["line 4", "2 values", "3 columns"]),
        (format!("{good}3,{hint_key},11\n").into(), 1, &["line 4", "dev_key has 2", "64"]),
        (format!("{good}3,{hint_key}z,{dev_key}\n").into(), 1, &["line 4", "hint_key"]),
        (format!("{good}-3,{hint_key},{dev_key}\nx").into(), 1, &["line 4", "id", "1 more line"]),
        (format!("{good}1,{hint_key},{dev_key}\n").into(), 2, &["device 1", "twice"]),
        ("id,key\n1,2\n".into(), 1, &["line 1", "unknown column \"key\""]),
        ("hint_key,dev_key\n".into(), 1, &["line 1", "no column id"]),
        (
            format!(
                "{{\"id\":1}}\n{{\"id\":2,\"hint_key\":\"{hint_key}\",\"dev_key\":\"{dev_key}\"}}"
            )
            .into(),
            1,
            &["line 2", "in two calls"],
        ),
        ("id\n".into(), 1, &["no device"]),
        (cut, 1, &["within a record"]),
        (b"\x89PNG\r\n\x1a\n".to_vec(), 1, &["binary keys"]),
    ];
    for (text, code, words) in cases {
        let (_folder, fleet) = folder();
        from_file(&fleet, &text, &[]).refused(code, words);
        // Nothing is left that would be in the way of another try, with other parameters.
        assert!(!fleet.join("index").exists(), "{words:?}");
        from_file(&fleet, &good, &["--hint", "speck64"]).done();
        assert_eq!(inspect(&fleet)["devices"], 2);
    }
    let (_folder, fleet) = folder();
    from_file(&fleet, csv(&[1, 2]), &[]).done();
    let other_key = csv(&[7, 9]).replace("\n9,", "\n2,");
    from_file(&fleet, other_key, &[]).refused(2, &["devices 2 to 2", "nothing was added"]);
    are_heard(&fleet, &[1, 2], |id| own_packet(id, 0), 0);
    // No part of a key is in a message, wherever it stands.
    for text in [
        csv(&[7]).replace("id,hint_key,dev_key\n", ""),
        csv(&[7]).replace("id,hint_key", "hint_key,id"),
    ] {
        let said = from_file(&fleet, text, &[]);
        said.refused(1, &["line"]);
        let (hint_key, _) = own_keys(7);
        assert!(!said.stderr.contains(&hex::encode(&hint_key[..4])), "{}", said.stderr);
    }
    let missing = fleet.with_extension("nowhere");
    provision(&fleet, &["--keys", missing.to_str().expect("text")]).refused(2, &["opening"]);
}

/// Keys that two devices share, or that are none, are named by the line, or the record, of
/// the device; blank lines count.
#[test]
fn keys_that_are_shared_or_zeros_are_named_by_their_line() {
    let case = include_str!("../data/cases/shared-keys.csv");
    let row = |id: u32, hint_key: [u8; 16], dev_key: [u8; 32]| {
        format!("{id},{},{}\n", hex::encode(hint_key), hex::encode(dev_key))
    };
    let ((hint, dev), (other_hint, other_dev)) = (own_keys(1), own_keys(9));
    let header = "id,hint_key,dev_key\n";
    let good = row(1, hint, dev);
    let swapped: [u8; 32] = [&other_dev[..16], &dev[..16]].concat().try_into().expect("32 bytes");
    let mut half_zero = other_dev;
    half_zero[16..].fill(0);
    let shared = format!("{header}{good}\n\n{}", row(9, hint, other_dev));
    let mut records = binary(&[1, 2, 3]);
    records.extend([&[0, 0, 0, 9], &hint[..], &other_dev[..]].concat());
    let (_folder, fleet) = folder();
    let cases: [(&[u8], &[&str]); 6] = [
        (case.as_bytes(), &["line 2", "device 5", "2 more lines are bad"]),
        (shared.as_bytes(), &["line 5", "hint_key of device 9", "hint_key of device 1"]),
        (
            &format!("{header}{good}{}", row(9, other_hint, swapped)).into_bytes(),
            &["line 3", "second half of the dev_key of device 9", "first half of the dev_key of"],
        ),
        (
            &format!("{header}{good}{}", row(9, other_hint, half_zero)).into_bytes(),
            &["line 3", "second half of the dev_key of device 9", "zeros"],
        ),
        (
            &format!("{header}9,{},{}", "0".repeat(32), "0".repeat(64)).into_bytes(),
            &["line 2", "zeros"],
        ),
        (&records, &["record 4", "hint_key of device 9", "hint_key of device 1"]),
    ];
    for (text, words) in cases {
        from_file(&fleet, text, &[]).refused(1, words);
        from_file(&fleet, text, &[]).refused(1, &["nothing was imported"]);
        assert!(!fleet.join("index").exists(), "{words:?}");
    }
    // And against devices that came before.
    from_file(&fleet, csv(&[1, 2]), &[]).done();
    let again = csv(&[1]).replace("\n1,", "\n8,");
    from_file(&fleet, again, &[]).refused(1, &["line 2", "device 8", "device 1"]);
    from_file(&fleet, csv(&[3, 9]), &[]).done();
    are_heard(&fleet, &[1, 2, 3, 9], |id| own_packet(id, 0), 0);
    verify(&fleet);
}

/// 34 passes over 200,000 devices, because few of their hints fit into the memory.
fn in_many_passes(fleet: &Path) -> Command {
    let mut command = command(["provision", "--full", "--devices", "200000", "--memory", "1M"]);
    command.arg("--index").arg(fleet);
    command
}

#[test]
fn a_provisioning_that_is_killed_again_and_again_comes_to_its_end() {
    let (folder, whole) = folder();
    let started = Instant::now();
    run_with(in_many_passes(&whole), "").done();
    let took = started.elapsed();
    let fleet = folder.path().join("killed");
    // Each try has two fifths of the time that all of it takes.
    let mut tries = 0;
    loop {
        tries += 1;
        assert!(tries < 12, "it starts over each time");
        let mut command = in_many_passes(&fleet);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        thread::sleep(took * 2 / 5);
        child.kill().expect("a child can be killed");
        let output = child.wait_with_output().expect("it ends");
        if output.status.success() {
            break;
        }
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "it failed by itself");
    }
    assert!(tries > 1, "it was never killed");
    eprintln!("{tries} tries of two fifths of {took:?}");
    verify(&fleet);
    assert!(!fleet.join("index/bulk").exists());
    let bytes = |fleet: &Path| inspect(fleet)["sections"][0]["bytes"].as_u64().expect("a number");
    let (killed, at_once) = (bytes(&fleet), bytes(&whole));
    assert!(killed.abs_diff(at_once) * 100 < at_once, "{killed} and {at_once} bytes");
}

/// What was left by another call, or before packets came, is of no use and does no harm.
#[test]
fn what_a_killed_provisioning_left_serves_no_other_one() {
    let (_folder, fleet) = folder();
    run_with(in_many_passes(&fleet), "").done();
    let more = |first: &str, count: &str| {
        let mut command = command(["provision", "--first-device", first, "--devices", count]);
        command.args(["--full", "--memory", "1M", "--index"]).arg(&fleet);
        command
    };
    let kill = |mut command: Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let plan = fleet.join("index/bulk/plan");
        while !plan.exists() && child.try_wait().expect("it can be asked").is_none() {
            thread::yield_now();
        }
        child.kill().expect("a child can be killed");
        assert!(!child.wait().expect("it ends").success(), "it was not killed");
    };
    kill(more("1000000", "100000"));
    run_with(more("2000000", "60000"), "").done();
    verify(&fleet);
    kill(more("1000000", "100000"));
    // States move on.
    let key = fs::read_to_string(fleet.join("master.key")).expect("it is there");
    let mut secret = [0; 32];
    hex::decode_to_slice(key.trim(), &mut secret).expect("64 digits");
    let devices = Devices::new(&secret);
    let ids: Vec<u32> = (0..2000).collect();
    are_heard(&fleet, &ids, |id| devices.packet(id, 9, b"x"), 9);
    run_with(more("1000000", "100000"), "").done();
    verify(&fleet);
    are_heard(&fleet, &ids, |id| devices.packet(id, 17, b"x"), 17);
}
