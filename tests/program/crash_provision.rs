//! `provision` killed with SIGKILL at random moments, the making of the index
//! included: devices whose provisioning was acknowledged are there, others are
//! there as a whole range or not at all, and the same call works again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hintdex_tests::capture::Capture;
use hintdex_tests::program::{command, run_with, verify};
use hintdex_tests::{Devices, Outcome, Random, decode, files};

/// A run of ids that one call provisions.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u32,
    count: u32,
}

fn call(fleet: &Path, range: Range) -> Command {
    let key = Capture::master_key_file();
    let (first, count) = (range.first.to_string(), range.count.to_string());
    let mut command = command(["provision", "--lookahead", "8", "--first-device", &first]);
    command.args(["--devices", &count, "--index"]).arg(fleet).arg("--master-key").arg(key);
    command
}

/// Provisions a range, killed after a while; whether it was acknowledged.
fn provision_and_kill(fleet: &Path, range: Range, after: Duration) -> bool {
    let mut command = call(fleet, range);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    std::thread::sleep(after);
    child.kill().expect("a child can be killed");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("messages are text");
    // The capture's key is for everybody to read, and a note says so.
    let is_note = |line: &&str| line.starts_with("hintdex: note: ");
    let failures: Vec<&str> = said.lines().filter(|line| !is_note(line)).collect();
    assert_eq!(failures, [""; 0], "it failed by itself");
    output.stdout.starts_with(b"provisioned devices ") && output.stdout.ends_with(b"\n")
}

/// The devices of `ranges` whose packet under `nonce` the index does not know.
fn missing(fleet: &Path, ranges: &[Range], nonce: u64) -> Vec<u32> {
    let devices = Devices::of_capture();
    let ids: Vec<u32> =
        ranges.iter().flat_map(|range| range.first..range.first + range.count).collect();
    let packets: String = ids.iter().map(|id| devices.line(*id, nonce, b"")).collect();
    let said = decode(fleet, &[], packets).done().verdicts();
    assert_eq!(said.len(), ids.len());
    let known = |id, said: &hintdex_tests::Said| {
        said.verdict == "accepted"
            && said.sender == Some((id, nonce))
            && said.found_by() == "lookup"
    };
    ids.iter().zip(&said).filter(|(id, said)| !known(**id, said)).map(|(id, _)| *id).collect()
}

/// The range that a refused call says is there already.
fn refused_range(outcome: &Outcome) -> Option<(u32, u32)> {
    // Notes may stand before the refusal.
    let words = outcome.stderr.lines().last()?.strip_prefix("hintdex: devices ")?;
    let (first, rest) = words.split_once(" to ")?;
    let (last, _) = rest.split_once(' ')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Kills provisionings of one fleet after the other; how many fell into one, and
/// how many of those had added their devices already.
fn killed_while_provisioning(kills: u64, seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(seed);
    let (mut cut, mut added, mut made) = (0, 0, 0);
    let mut done = 0;
    while done < kills {
        let fleet: PathBuf = folder.path().join(format!("fleet-{done}"));
        let mut ranges: Vec<Range> = Vec::new();
        let mut first = random.below_u32(1000);
        for nonce in 0..8 {
            // Few devices are added to the window, many make the index roll.
            let most = if random.chance(50) { 20 } else { 3000 };
            let count = 1 + random.below_u32(most);
            let range = Range { first, count };
            let after =
                Duration::from_micros(random.below(typical(&folder.path().join("typical"))));
            let acknowledged = provision_and_kill(&fleet, range, after);
            made += u64::from(!fleet.join("index").exists());
            done += 1;
            let again = run_with(call(&fleet, range), "");
            let was_there = again.code != Some(0);
            if was_there {
                again.refused(2, &["nothing was added"]);
                let whole = (range.first, range.first + range.count - 1);
                assert_eq!(refused_range(&again), Some(whole), "seed {seed}: half of it is there");
            }
            assert!(was_there || !acknowledged, "seed {seed}: {range:?} was acknowledged and lost");
            cut += u64::from(!acknowledged);
            added += u64::from(was_there && !acknowledged);
            ranges.push(range);
            first += count + random.below_u32(3);
            assert_eq!(missing(&fleet, &ranges, nonce), [0; 0], "seed {seed}");
        }
        verify(&fleet);
        std::fs::remove_dir_all(&fleet).expect("it is there");
    }
    eprintln!(
        "{done} kills, {cut} before the acknowledgement, {made} of them before there was an index, \
         {added} after the devices were added; none acknowledged lost, none half-added"
    );
    assert!(cut > kills / 3, "{cut} of {kills} kills fell into a provisioning");
}

/// How long a call takes that is not killed, in microseconds.
fn typical(folder: &Path) -> u64 {
    use std::sync::OnceLock;
    static MICROSECONDS: OnceLock<u64> = OnceLock::new();
    *MICROSECONDS.get_or_init(|| {
        let started = Instant::now();
        run_with(call(folder, Range { first: 0, count: 3000 }), "").done();
        u64::try_from(started.elapsed().as_micros()).expect("less than an age")
    })
}

#[test]
fn forty_kills_while_provisioning_lose_no_device_and_add_none_by_half() {
    killed_while_provisioning(40, 1);
}

#[test]
#[ignore = "two minutes"]
fn two_hundred_kills_while_provisioning_lose_no_device_and_add_none_by_half() {
    killed_while_provisioning(200, 2);
}

#[test]
fn devices_that_are_lost_are_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fleet, backup) = (folder.path().join("fleet"), folder.path().join("backup"));
    let (first, second) = (Range { first: 10, count: 90 }, Range { first: 500, count: 7 });
    run_with(call(&fleet, first), "").done();
    files::copy_folder(&fleet, &backup);
    run_with(call(&fleet, second), "").done();
    assert_eq!(missing(&fleet, &[first, second], 0), [0; 0]);
    files::replace_folder(&backup, &fleet);
    assert_eq!(missing(&fleet, &[first, second], 1), [500, 501, 502, 503, 504, 505, 506]);
}
