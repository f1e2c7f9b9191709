//! Writes and syncs that fail while devices are provisioned: nobody knows then what reached
//! the disk, so nothing may be undone as if nothing had happened. Whatever call fails, the
//! fleet opens with its keys, has all of the devices or none, and goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hintdex_tests::devices::{own_keys, own_packet};
use hintdex_tests::program::{inspect, path, run, run_with, verify};
use hintdex_tests::{Devices, Outcome, decode, files};
use tempfile::TempDir;

/// More calls of one kind than a provisioning makes.
const MAX_CALLS: u32 = 60;

/// Runs the program so that the `number`th of its calls of the system's `call` fails.
fn failing(call: &str, number: u32, args: &[&str]) -> Outcome {
    let mut strace = Command::new("strace");
    let (trace, inject) =
        (format!("trace={call}"), format!("inject={call}:error=EIO:when={number}"));
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]).arg(path());
    run_with(
        {
            strace.args(args);
            strace
        },
        "",
    )
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in ASCII")
}

/// A provisioning that fails in every way.
struct Case {
    /// The devices that are there before, with keys of their own; no fleet if there is none.
    before: std::ops::Range<u32>,
    /// The devices to add.
    added: std::ops::Range<u32>,
    /// Whether those come with keys.
    has_keys: bool,
}

impl Case {
    fn args(&self, folder: &Path, fleet: &Path) -> Vec<String> {
        let mut args = vec!["provision".to_owned(), "--index".to_owned(), text(fleet).to_owned()];
        let count = self.added.len().to_string();
        if self.has_keys {
            let file = folder.join("added.csv");
            fs::write(&file, csv(self.added.clone())).expect("a file can be written");
            args.extend(["--keys".to_owned(), text(&file).to_owned()]);
        } else {
            let first = self.added.start.to_string();
            args.extend(["--devices".to_owned(), count, "--first-device".to_owned(), first]);
        }
        args
    }

    /// Makes the fleet as it is before.
    fn base(&self, folder: &Path) -> Option<PathBuf> {
        let base = folder.join("base");
        let file = folder.join("before.csv");
        fs::write(&file, csv(self.before.clone())).expect("a file can be written");
        let args = ["provision", "--lookahead", "4", "--index", text(&base), "--keys", text(&file)];
        (!self.before.is_empty()).then(|| run(args).done()).map(|_| base)
    }

    /// Lets each of the calls fail in turn, until the program makes no such call more;
    /// returns how many failed with the devices there all the same.
    fn fail_each(&self, call: &str) -> usize {
        let folder = tempfile::tempdir().expect("a folder");
        let base = self.base(folder.path());
        let mut there_all_the_same = 0;
        for number in 1..MAX_CALLS {
            let fleet = folder.path().join("fleet");
            if let Some(base) = &base {
                files::copy_folder(base, &fleet);
            }
            let args = self.args(folder.path(), &fleet);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let outcome = failing(call, number, &args);
            if outcome.code == Some(0) {
                self.goes_on(&fleet, true);
                return there_all_the_same;
            }
            let context = format!("{call} {number}: {}", outcome.stderr);
            outcome.refused(1, &["failed"]);
            let is_there = self.is_there(&fleet, &context);
            if is_there {
                assert!(outcome.stderr.contains("not known"), "{context}");
                there_all_the_same += 1;
            }
            // The same call adds the devices, or says that they are there.
            let again = run(args);
            if is_there {
                again.refused(2, &["in the index already"]);
            } else {
                assert_eq!(again.code, Some(0), "{context}then {}", again.stderr);
            }
            self.goes_on(&fleet, false);
            fs::remove_dir_all(&fleet).expect("it is there");
        }
        panic!("{call}: it fails for ever");
    }

    /// Whether the devices were added: all of them or none, and no other one is gone.
    fn is_there(&self, fleet: &Path, context: &str) -> bool {
        if self.before.is_empty() && !fleet.join("index").exists() {
            return false;
        }
        let opened = run(["inspect", text(fleet), "--json"]);
        assert_eq!(opened.code, Some(0), "{context}then {}", opened.stderr);
        let devices = inspect(fleet)["devices"].as_u64().expect("a number");
        let (before, all) = (self.before.len() as u64, self.before.len() + self.added.len());
        assert!(devices == before || devices == all as u64, "{devices} devices: {context}");
        devices == all as u64
    }

    /// That packets of all devices are accepted, and everything is sound.
    fn goes_on(&self, fleet: &Path, is_verified: bool) {
        let key = fs::read_to_string(fleet.join("master.key")).expect("it is there");
        let mut secret = [0; 32];
        hex::decode_to_slice(key.trim(), &mut secret).expect("64 digits");
        let derived = Devices::new(&secret);
        let packet = |id| match self.has_keys || self.before.contains(&id) {
            true => own_packet(id, 1),
            false => derived.packet(id, 1, b"x"),
        };
        let ids = || self.before.clone().chain(self.added.clone());
        let lines: String = ids().map(|id| hex::encode(packet(id)) + "\n").collect();
        for (id, said) in ids().zip(decode(fleet, &[], lines).done().verdicts()) {
            let expected = ("accepted", Some((id, 1)), "lookup");
            assert_eq!((said.verdict.as_str(), said.sender, said.found_by()), expected);
        }
        if is_verified {
            verify(fleet);
        }
    }
}

fn csv(ids: std::ops::Range<u32>) -> String {
    let row = |id| {
        let (hint_key, dev_key) = own_keys(id);
        format!("{id},{},{}\n", hex::encode(hint_key), hex::encode(dev_key))
    };
    format!("id,hint_key,dev_key\n{}", ids.map(row).collect::<String>())
}

/// Few beside the fleet: they are added to its window.
const FEW: Case = Case { before: 0..100, added: 1000..1004, has_keys: true };
/// Many beside the fleet: the index rolls.
const MANY: Case = Case { before: 0..5, added: 1000..1040, has_keys: true };
/// A new fleet whose devices come with keys.
const NEW: Case = Case { before: 0..0, added: 0..30, has_keys: true };
/// A new fleet under a key of its own.
const NEW_DERIVED: Case = Case { before: 0..0, added: 0..30, has_keys: false };

#[test]
fn a_sync_that_fails_while_few_devices_are_added_takes_no_key_back() {
    let there = FEW.fail_each("fdatasync") + FEW.fail_each("fsync");
    assert!(there > 0, "the declaration never failed behind its write");
}

#[test]
fn a_sync_that_fails_while_the_index_rolls_takes_no_key_back() {
    let there = MANY.fail_each("fdatasync") + MANY.fail_each("fsync");
    assert!(there > 0, "the declaration never failed behind its write");
}

#[test]
fn a_sync_that_fails_while_a_fleet_is_made_leaves_one_that_opens_or_none() {
    let there = NEW.fail_each("fdatasync") + NEW.fail_each("fsync");
    assert!(there > 0, "the declaration never failed behind its write");
}

#[test]
#[ignore = "a minute"]
fn whatever_call_fails_while_devices_are_provisioned_all_of_them_are_there_or_none() {
    for case in [FEW, MANY, NEW, NEW_DERIVED] {
        for call in ["fdatasync", "fsync", "rename", "ftruncate", "link", "unlink", "mkdir"] {
            let there = case.fail_each(call);
            eprintln!("{call}: {there} failed behind the declaration");
        }
    }
}

/// What strace injects is what the program meets.
#[test]
fn a_call_that_fails_is_noticed() {
    let folder = TempDir::new().expect("a folder");
    let fleet = folder.path().join("fleet");
    let outcome =
        failing("fdatasync", 1, &["provision", "--devices", "3", "--index", text(&fleet)]);
    outcome.refused(1, &["Input/output error"]);
}
