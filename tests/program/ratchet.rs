//! Fleets whose keys move on with the nonces, through the program alone.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use hintdex_tests::capture::Capture;
use hintdex_tests::program::{inspect, run, verify};
use hintdex_tests::{Devices, Outcome, Random, decode, provision};
use hintdex_wire::{Chain, DeviceId, HintScheme, KeyId, RatchetBits, Sealer};

const BITS: u8 = 4;

/// The first chain of a unit that brings its own.
fn own_chain(unit: u32) -> [u8; 32] {
    Random::new(u64::from(unit) ^ 0x00ff_0000_0000).bytes(32).try_into().expect("32 bytes")
}

/// The packet that such a unit sends under `nonce`.
fn own_packet(unit: u32, nonce: u64) -> Vec<u8> {
    let bits = RatchetBits::new(BITS).expect("1 to 24");
    let chain = Chain::copy_of(0, &own_chain(unit));
    let sealer = Sealer::ratcheted(HintScheme::Aes128, bits, chain, nonce);
    let mut sealer = sealer.expect("for counters");
    let mut packet = vec![0; sealer.packet_len_bytes(4)];
    sealer.seal(&unit.to_be_bytes(), &mut packet).expect("it fits");
    packet
}

fn device(fleet: &Path, verb: &str, more: &[&str]) -> Outcome {
    let base = ["device".as_ref(), verb.as_ref(), "--index".as_ref(), fleet.as_os_str()];
    run(base.into_iter().chain(more.iter().map(OsStr::new)))
}

fn said(fleet: &Path, packets: &[Vec<u8>]) -> Vec<String> {
    let lines: String = packets.iter().map(|packet| format!("{}\n", hex::encode(packet))).collect();
    let verdicts = decode(fleet, &[], lines).done().verdicts();
    verdicts.iter().map(|said| said.verdict.clone()).collect()
}

/// A list of ids with the chains of units.
fn list(path: &Path, units: &[(u32, u32)]) -> String {
    let line = |(id, unit): &(u32, u32)| format!("{id},{}\n", hex::encode(own_chain(*unit)));
    let lines: String = units.iter().map(line).collect();
    fs::write(path, format!("id,chain_key\n{lines}")).expect("it can be written");
    path.to_str().expect("a name").to_owned()
}

#[test]
fn derived_keys_move_on_through_jumps_and_reopenings() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    provision(&fleet, &["--devices", "50", "--ratchet-bits", "4"]).done();
    let air = Devices::of_capture().ratcheted(BITS);
    let packet = |nonce| air.packet(7, nonce, b"x");
    // Over the end of an epoch, back within the window, and 120 epochs ahead.
    let first = [packet(15), packet(16), packet(14), packet(16), packet(2000)];
    assert_eq!(said(&fleet, &first), ["accepted", "accepted", "accepted", "replay", "accepted"]);
    // Stale within the epoch of the window, and unknown before it.
    let then = [packet(2001), packet(1936), packet(1900), packet(16)];
    assert_eq!(said(&fleet, &then), ["accepted", "stale", "unknown", "unknown"]);
    // To the end of the epoch that 256 epochs ahead of the next nonce reach, and no further.
    let last = (2002 + 256 * 16 - 1) / 16;
    assert_eq!(said(&fleet, &[packet((last + 1) * 16)]), ["unknown"]);
    assert_eq!(said(&fleet, &[packet(last * 16 + 15)]), ["accepted"]);
    // Keys of no epoch but its own open a packet.
    let other = Devices::of_capture().packet(9, 3, b"x");
    assert_eq!(said(&fleet, &[other]), ["unknown"]);
    verify(&fleet);
    assert_eq!(inspect(&fleet)["ratchet_bits"], 4);
    let table = run(["inspect".as_ref(), fleet.as_os_str()]).done().stdout;
    assert!(table.contains("moving on after 16 nonces"), "{table}");
}

#[test]
fn devices_bring_chains_and_get_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = folder.path().join("fleet");
    let path = folder.path().join("list.csv");
    let keys = list(&path, &[(1, 1), (2, 2), (3, 3)]);
    provision(&fleet, &["--keys", &keys, "--ratchet-bits", "4"]).done();
    assert_eq!(said(&fleet, &[own_packet(1, 0), own_packet(2, 200)]), ["accepted", "accepted"]);
    // The same list changes nothing, although the chains have moved.
    let synced = device(&fleet, "sync", &[&keys]).done();
    assert!(synced.stderr.contains("0 added, 0 changed, 3 unchanged"), "{}", synced.stderr);
    // A later chain in the field, and a new unit under a known id.
    device(&fleet, "rekey", &[&list(&path, &[(1, 11)])]).done();
    assert_eq!(
        said(&fleet, &[own_packet(1, 1), own_packet(11, 0), own_packet(1, 2)]),
        ["accepted", "accepted", "unknown"]
    );
    device(&fleet, "replace", &["--keys", &list(&path, &[(2, 12)])]).done();
    assert_eq!(said(&fleet, &[own_packet(2, 201), own_packet(12, 0)]), ["unknown", "accepted"]);
    device(&fleet, "rotate", &["3"]).done();
    device(&fleet, "revoke", &["3", "--generation", "0"]).done();
    let derived = own_packet(3, 0);
    assert_eq!(said(&fleet, &[derived]), ["unknown"]);
    device(&fleet, "retire", &["1"]).done();
    assert_eq!(said(&fleet, &[own_packet(11, 1)]), ["unknown"]);
    verify(&fleet);
    // The file holds nothing of chains that no packet needs, and of the others one cell.
    let text = fs::read(fleet.join("device.chains")).expect("it is there");
    let in_use = text[128..].chunks(128).filter(|record| record.iter().any(|byte| *byte != 0));
    assert_eq!(in_use.count(), 1, "that of unit 12");
}

#[test]
fn chains_travel_wrapped_and_go_on_where_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (here, there, other) = (path("here"), path("there"), path("other"));
    let keys = list(&path("list.csv"), &[(1, 1), (2, 2)]);
    provision(&here, &["--keys", &keys, "--ratchet-bits", "4"]).done();
    provision(&here, &["--ids", "5,6"]).done();
    assert_eq!(said(&here, &[own_packet(1, 300), own_packet(2, 3)]), ["accepted"; 2]);
    let (wrap, out) = (path("wrap.key"), path("export"));
    fs::write(&wrap, "ab".repeat(32)).expect("it can be written");
    let [wrap, file] = [&wrap, &out].map(|path| path.to_str().expect("a name").to_owned());
    device(&here, "export", &["--out", &file, "--wrap-key", &wrap]).done();
    let exported = fs::read_to_string(&out).expect("it is there");
    assert!(exported.lines().next().is_some_and(|line| line.contains("\"ratchet_bits\":4")));
    provision(&other, &["--ids", "99"]).done();
    device(&other, "import", &[&file, "--wrap-key", &wrap])
        .refused(1, &["key epochs of 2^4 nonces", "keys that do not move on"]);
    provision(&there, &["--ids", "99", "--ratchet-bits", "4"]).done();
    device(&there, "import", &[&file, "--wrap-key", &wrap]).done();
    let heard = [own_packet(1, 300), own_packet(1, 299), own_packet(1, 301), own_packet(1, 100)];
    assert_eq!(said(&there, &heard), ["replay", "accepted", "accepted", "unknown"]);
    assert_eq!(said(&there, &[own_packet(2, 4)]), ["accepted"]);
    verify(&there);
    // The file there never held an earlier chain.
    let bytes = fs::read(there.join("device.chains")).expect("it is there");
    let epoch = |record: &[u8]| u32::from_be_bytes(record[8..12].try_into().expect("4 bytes"));
    let epochs: Vec<u32> = bytes[128..].chunks(128).map(epoch).filter(|epoch| *epoch > 0).collect();
    assert!(epochs.iter().all(|epoch| *epoch >= (301 - 64) / 16), "{epochs:?}");
}

#[test]
fn calls_that_no_ratchet_has_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (fleet, plain) = (path("fleet"), path("plain"));
    for (bits, why) in [("0", "1 to 24"), ("25", "1 to 24"), ("x", "1 to 24")] {
        provision(&fleet, &["--devices", "1", "--ratchet-bits", bits]).refused(2, &[why]);
    }
    let clocked = ["--devices", "1", "--ratchet-bits", "4", "--nonce", "step:60"];
    provision(&fleet, &clocked).refused(2, &["a ratchet needs counters"]);
    provision(&fleet, &["--devices", "9", "--ratchet-bits", "4"]).done();
    provision(&fleet, &["--ids", "20", "--ratchet-bits", "5"]).refused(2, &["ratchet bits 4"]);
    // Keys of the other kind of fleet.
    let chains = list(&path("chains.csv"), &[(30, 1)]);
    provision(&plain, &["--keys", &chains]).refused(1, &["line 2", "--ratchet-bits"]);
    let keys = path("keys.csv");
    let text = format!(
        "id,hint_key,dev_key\n30,{},{}{}\n",
        "1f".repeat(16),
        "2e".repeat(16),
        "3d".repeat(16)
    );
    fs::write(&keys, text).expect("it can be written");
    let keys = keys.to_str().expect("a name");
    provision(&fleet, &["--keys", keys]).refused(1, &["line 2", "chain_key"]);
    let both = path("both.csv");
    let text = format!("id,hint_key,dev_key,chain_key\n30,{0},{0}{0},{0}{0}\n", "1f".repeat(16));
    fs::write(&both, text).expect("it can be written");
    provision(&fleet, &["--keys", both.to_str().expect("a name")])
        .refused(1, &["line 2", "chain_key"]);
    let twice = list(&path("twice.csv"), &[(31, 5), (32, 5)]);
    provision(&fleet, &["--keys", &twice]).refused(1, &["chain_key of device 32", "device 31"]);
    // Snapshots: a ribbon serves, a chain cannot.
    let out = path("snapshot.hdx");
    let rebuild = |encoding: &str| {
        let args: [&OsStr; 7] = [
            "rebuild".as_ref(),
            "--index".as_ref(),
            fleet.as_ref(),
            "--out".as_ref(),
            out.as_ref(),
            "--encoding".as_ref(),
            encoding.as_ref(),
        ];
        run(args)
    };
    rebuild("chain").refused(2, &["build a ribbon, dense or sorted snapshot"]);
    let air = Devices::of_capture().ratcheted(BITS);
    for (at, encoding) in [(20, "ribbon"), (37, "dense"), (54, "sorted")] {
        rebuild(encoding).done();
        let lines = format!("{}\n", hex::encode(air.packet(4, at, b"x")));
        let snapshot = ["--snapshot", out.to_str().expect("a name")];
        let verdicts = decode(&fleet, &snapshot, lines).done().verdicts();
        assert_eq!((verdicts[0].verdict.as_str(), verdicts[0].found_by()), ("accepted", "lookup"));
    }
    assert!(Capture::master_key_hex().len() == 64);
    let id = KeyId::first(DeviceId(4));
    assert_eq!(said(&fleet, &[air.packet_under(id, 55, b"x")]), ["accepted"]);
}
