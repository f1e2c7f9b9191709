//! Ways to open a file: a copied snapshot does not depend on the file, and a file that does not
//! match its header is rejected before it is read into memory.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use hintdex_snapshot::{Builder, Dial, Encoding, ManifestKey, OpenError, Snapshot};
use hintdex_wire::{Hint, MasterKey};
use support::{Fleet, build_bytes, hint, key, params, scramble};
use tempfile::TempDir;

/// A snapshot of several blocks in a folder of its own, and its fleet.
fn built() -> (TempDir, PathBuf, Vec<u8>, Fleet) {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::new(20_000, 10);
    let bytes = build_bytes(&fleet, params(Encoding::Ribbon, Dial::Tries(1), fleet.slots.clone()));
    let path = folder.path().join("fleet.hdx");
    fs::write(&path, &bytes).expect("written");
    (folder, path, bytes, fleet)
}

type Open = fn(&PathBuf) -> Result<Snapshot, OpenError>;

const COPYING: [Open; 3] = [
    |path| Snapshot::open_in_memory(path, &key()),
    |path| Snapshot::open_own(path, &key()),
    |path| Snapshot::open_unauthenticated(path),
];

#[test]
fn a_copied_snapshot_answers_after_its_file_was_truncated_and_overwritten() {
    for open in COPYING {
        let (_folder, path, _, fleet) = built();
        let snapshot = open(&path).expect("opened");
        let file = OpenOptions::new().write(true).open(&path).expect("it is there");
        file.set_len(100).expect("cut");
        file.write_all_at(&[0xff; 5000], 0).expect("written");
        for (head, slot) in fleet.all() {
            let hint: Hint = hint(head);
            let mut ranges = snapshot.candidates(&hint).expect("whole");
            assert!(ranges.any(|range| range.contains(&slot)), "{slot}");
        }
        snapshot.verify().expect("whole");
    }
}

#[test]
fn every_way_to_open_a_file_rejects_the_same_files() {
    let (folder, path, bytes, _) = built();
    let ways = COPYING.into_iter().chain([(|path| Snapshot::open(path, &key())) as Open]);
    for open in ways {
        let cut = |len: usize| {
            fs::write(&path, bytes.get(..len).expect("it is longer")).expect("written");
            open(&path).expect_err("it was cut")
        };
        assert!(matches!(cut(0), OpenError::NotASnapshot));
        for len in [1, 8, 255, 4095, 4096, 4097, bytes.len() / 2, bytes.len() - 1] {
            assert!(matches!(cut(len), OpenError::TooShort { .. }), "{len}");
        }
        fs::write(&path, [&bytes[..], b"!"].concat()).expect("written");
        assert!(matches!(open(&path), Err(OpenError::TooLong { .. })));
        assert!(matches!(open(&folder.path().to_owned()), Err(OpenError::NotASnapshot)));
        let none = folder.path().join("none");
        assert!(matches!(open(&none), Err(OpenError::Io(_))));
        fs::write(&path, &bytes).expect("written");
        open(&path).expect("whole");
    }
}

/// The file is longer than any memory: a test that read it would fail.
#[test]
fn a_file_of_a_wrong_length_is_rejected_before_it_is_read() {
    const HUGE_LEN_BYTES: u64 = 1 << 43;
    let (_folder, path, _, _) = built();
    let file = File::options().write(true).open(&path).expect("it is there");
    // A sparse file. A file system that cannot hold it proves nothing.
    if file.set_len(HUGE_LEN_BYTES).is_err() {
        return;
    }
    for open in COPYING {
        match open(&path) {
            Err(OpenError::TooLong { got_bytes: HUGE_LEN_BYTES, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let foreign = ManifestKey::of_fleet(&MasterKey::new(&[9; 32]));
    for opened in [Snapshot::open_in_memory(&path, &foreign), Snapshot::open_own(&path, &foreign)] {
        assert!(matches!(opened, Err(OpenError::WrongKey)), "{opened:?}");
    }
}

/// A line of `/proc/self/status`, in MiB.
fn resident_mib(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a number");
    let kib: f64 = line.split_ascii_whitespace().next().expect("kB").parse().expect("a number");
    kib / 1024.0
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The figures of docs/results/snapshot.md.
#[test]
#[ignore = "long, prints figures only: half a minute with --release"]
fn mapped_and_copied_snapshots_of_a_million_devices() {
    const LOOKUPS: u64 = 1 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fleet.hdx");
    let fleet = Fleet::new(1_000_000, 64);
    let params = params(Encoding::Ribbon, Dial::Tries(32), fleet.slots.clone());
    Builder::new(params, &key()).build(&fleet, &path).expect("built");
    println!("{} MiB", fs::metadata(&path).expect("it is there").len() >> 20);
    let ways: [(&str, Open); 2] = [
        ("mapped", |path| Snapshot::open(path, &key())),
        ("copied", |path| Snapshot::open_in_memory(path, &key())),
    ];
    let look_up = |snapshot: &Snapshot, turn: u64| {
        let started = Instant::now();
        for at in 0..LOOKUPS {
            let slot = u32::try_from(scramble(at ^ turn << 32) % 1_000_000).expect("small");
            let hint: Hint = hint(fleet.head(slot, u32::try_from(at % 64).expect("small")));
            assert!(snapshot.candidates(&hint).expect("whole").any(|range| range.contains(&slot)));
        }
        started.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64
    };
    let mut opened = Vec::new();
    for (name, open) in ways {
        let before = (resident_mib("RssAnon:"), resident_mib("RssFile:"));
        let open_once = || {
            let started = Instant::now();
            let snapshot = open(&path).expect("opened");
            (started.elapsed().as_secs_f64() * 1e3, snapshot)
        };
        let times = (0..9).map(|_| open_once().0).collect();
        let snapshot = open_once().1;
        let first_ns = look_up(&snapshot, 0);
        snapshot.verify().expect("whole");
        look_up(&snapshot, 0);
        let (anon, file) = (resident_mib("RssAnon:"), resident_mib("RssFile:"));
        let (anon, file) = (anon - before.0, file - before.1);
        println!(
            "{name}: opened in {:.2} ms, first lookups {first_ns:.0} ns; {anon:.0} MiB private, {file:.0} MiB of the file resident",
            median(times)
        );
        opened.push(snapshot);
    }
    let [mapped, copied] = &opened[..] else { panic!("two") };
    let turns: Vec<_> =
        (1..=25).map(|turn| (look_up(mapped, turn), look_up(copied, turn))).collect();
    let ratio = median(turns.iter().map(|(mapped, copied)| copied / mapped).collect());
    let of = |which: fn(&(f64, f64)) -> f64| median(turns.iter().map(which).collect());
    println!(
        "lookups and the generator of their hints: mapped {:.0} ns, copied {:.0} ns, copied / mapped {ratio:.2}",
        of(|turn| turn.0),
        of(|turn| turn.1)
    );
}
