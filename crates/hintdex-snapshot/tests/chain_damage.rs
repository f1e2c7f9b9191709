//! Damage of chains: reported, or harmless in bounded work.
#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use hintdex_snapshot::{Damage, OpenError, PointHints, Snapshot, VerifyError};
use hintdex_wire::{Hint, HintScheme, Nonce, Slot};
use rayon::prelude::*;
use support::answers::manifest_len;
use support::chains::{Keys, Runs, build, find, uniform};
use support::flips::{each_flip, each_repaired_flip};
use support::repair::repair;
use support::{key, scramble};

/// The dial of the large chain, and the most hints that a lookup computes for each evaluation of
/// it.
const EVALUATIONS: u32 = 9;
const MAX_HINTS_PER_EVALUATION: u64 = 64;

/// The hints that are looked up in turn: so many that together they read every block.
const KNOWN: usize = 1024;
const FOREIGN: u32 = 256;

/// The lookups among which the shortest one that reads a block is chosen.
const CHOICES: usize = 8;

/// How many hints are looked up in each file.
const ASKED: usize = 4;

/// Where the data of a file begins, and the length of a check block.
const DATA_AT: usize = 4096;
const BLOCK_LEN_BYTES: usize = 8192;

/// The points that made a hint.
type Points = Vec<(u32, Nonce)>;

/// Counts the hints that one lookup computes.
struct Counted<'k> {
    keys: &'k Keys,
    computed: AtomicU64,
}

impl PointHints for Counted<'_> {
    fn prefetch(&self, _: Slot) {}

    fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
        self.computed.fetch_add(points.len() as u64, Ordering::Relaxed);
        self.keys.hints(points, hints);
    }
}

/// The result of a lookup, and how many hints it computed.
struct Looked {
    result: Result<(), Damage>,
    computed: u64,
}

/// An undamaged chain, some hints, and the points that made them.
struct Whole {
    bytes: Vec<u8>,
    keys: Keys,
    hints: Vec<Hint>,
    points: Vec<Points>,
}

impl Whole {
    /// About 1 MiB: two shards, and runs of several lengths.
    fn large() -> Self {
        let keys = Keys::new(HintScheme::Aes128);
        let runs: Runs = (0..160_000)
            .map(|slot| (Slot(slot), u64::from(slot % 5)..10 + u64::from(slot % 3)))
            .collect();
        let bytes = build(&keys, &runs, EVALUATIONS, 0);
        assert!((0xe_0000..0x12_0000).contains(&bytes.len()), "{} bytes", bytes.len());
        let known = (0..KNOWN as u64).map(|at| {
            let slot = u32::try_from(scramble(at) % 160_000).expect("a slot");
            keys.hint(slot, 5)
        });
        let foreign = (0..FOREIGN).map(|slot| keys.hint(u32::MAX - slot, 5));
        let hints: Vec<_> = known.chain(foreign).collect();
        let points = find(&Snapshot::from_bytes(&bytes, &key()).expect("opened"), &keys, &hints);
        assert!(points[..KNOWN].iter().all(|found| found.len() == 1));
        assert!(points[KNOWN..].iter().all(Vec::is_empty));
        Self { bytes, keys, hints, points }
    }

    /// Flips each of `bits`, one at a time. Each flip is reported by the opening, or by the
    /// lookups that need the block; the other lookups are right. One flip in 64 is verified.
    fn assert_flips_are_reported(&self, bits: impl IndexedParallelIterator<Item = usize>) {
        let data = 4096..self.bytes.len() - manifest_len(&self.bytes);
        each_flip(&self.bytes, bits, |bit, opened| {
            let block = (bit / 8).saturating_sub(4096) as u64 / 8192;
            match opened {
                Ok(snapshot) => {
                    assert!(data.contains(&(bit / 8)), "bit {bit} is not reported");
                    self.assert_lookups_are_right(&snapshot, bit, block);
                }
                // The header of the chains is checked when the file is opened.
                Err(OpenError::Damaged { what: "chains", offset_bytes }) => {
                    assert_eq!(offset_bytes.saturating_sub(4096) / 8192, block, "bit {bit}");
                }
                Err(error) => assert!(!data.contains(&(bit / 8)), "bit {bit}: {error}"),
            }
        });
    }

    /// The places of four of the hints, by `bit`.
    fn some_hints(&self, bit: usize) -> Range<usize> {
        let first = scramble(bit as u64) as usize % (self.hints.len() - ASKED);
        first..first + ASKED
    }

    /// Looks the hints at `asked` up. Returns the points of each, and the damage. Bounds the work.
    fn look_up(&self, snapshot: &Snapshot, asked: Range<usize>) -> (Vec<Points>, Looked) {
        let mut found = vec![Points::new(); asked.len()];
        let source = Counted { keys: &self.keys, computed: AtomicU64::new(0) };
        let most = MAX_HINTS_PER_EVALUATION * u64::from(EVALUATIONS) * asked.len() as u64;
        let result = snapshot.points(&source, &self.hints[asked], |at, slot, nonce| {
            found[at].push((slot.0, nonce));
        });
        let computed = source.computed.into_inner();
        assert!(computed <= most, "{computed} hints");
        (found, Looked { result, computed })
    }

    /// For each block of the data, a hint whose lookup reads the block after few evaluations; none
    /// for a block that the opening reads or that no lookup reads.
    fn readers(&self) -> Vec<Option<usize>> {
        let data_len = self.bytes.len() - manifest_len(&self.bytes) - DATA_AT;
        let reader = |block: usize| {
            let mut bytes = self.bytes.clone();
            bytes[DATA_AT + block * BLOCK_LEN_BYTES] ^= 1;
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(&bytes).expect("written");
            // A block is checked once an opening, so each lookup has an opening of its own.
            let evaluations = |at: usize| {
                let snapshot = Snapshot::open(file.path(), &key()).ok()?;
                let (_, looked) = self.look_up(&snapshot, at..at + 1);
                looked.result.is_err().then_some((looked.computed, at))
            };
            (0..self.hints.len()).filter_map(evaluations).take(CHOICES).min().map(|(_, at)| at)
        };
        (0..data_len.div_ceil(BLOCK_LEN_BYTES)).into_par_iter().map(reader).collect()
    }

    /// Flips each of `bits`, one at a time. Each flip is reported by the opening, or by a lookup
    /// that reads the block. A block without such a lookup is reported by `verify`.
    fn assert_a_lookup_reports(&self, bits: impl IndexedParallelIterator<Item = usize>) {
        let readers = self.readers();
        let unread = readers.iter().filter(|reader| reader.is_none()).count();
        println!("{} blocks, {unread} of them read by no lookup", readers.len());
        let data = DATA_AT..self.bytes.len() - manifest_len(&self.bytes);
        each_flip(&self.bytes, bits, |bit, opened| {
            let snapshot = match opened {
                Ok(snapshot) => snapshot,
                Err(OpenError::Damaged { what: "chains", .. }) => return,
                Err(error) => return assert!(!data.contains(&(bit / 8)), "bit {bit}: {error}"),
            };
            assert!(data.contains(&(bit / 8)), "bit {bit} is not reported");
            let block = (bit / 8 - DATA_AT) / BLOCK_LEN_BYTES;
            let Some(reader) = readers[block] else {
                let verified = snapshot.verify();
                let Err(VerifyError::Damaged(damage)) = verified else { panic!("{verified:?}") };
                assert_eq!(damage.block, block as u64, "bit {bit}");
                return;
            };
            let (found, looked) = self.look_up(&snapshot, reader..reader + 1);
            let damage = looked.result.expect_err("the lookup reads the block");
            assert_eq!(damage.block, block as u64, "bit {bit}");
            assert!(found[0].is_empty() || found[0] == self.points[reader], "bit {bit}: {found:?}");
        });
    }

    fn assert_lookups_are_right(&self, snapshot: &Snapshot, bit: usize, block: u64) {
        let asked = self.some_hints(bit);
        let (found, looked) = self.look_up(snapshot, asked.clone());
        for (found, expected) in found.iter().zip(&self.points[asked]) {
            match &looked.result {
                Ok(()) => assert_eq!(found, expected, "bit {bit}"),
                Err(damage) => {
                    assert_eq!(damage.block, block, "bit {bit}");
                    assert!(found == expected || found.is_empty(), "bit {bit}: {found:?}");
                }
            }
        }
        if bit % 64 == bit / 8 % 64 {
            let verified = snapshot.verify();
            let Err(VerifyError::Damaged(damage)) = verified else { panic!("{bit}: {verified:?}") };
            assert_eq!(damage.block, block, "bit {bit}");
        }
    }

    /// Flips each of `bits`, one at a time, and repairs the checks. Whatever the file then
    /// holds, the lookup that reads the block finds no point that did not make the hint. Returns
    /// how many of the files were opened, and how many of the lookups lost their answer.
    fn assert_repaired_flips_are_harmless(
        &self,
        bits: impl IndexedParallelIterator<Item = usize>,
    ) -> [u64; 2] {
        let (files, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        let readers = self.readers();
        each_repaired_flip(&self.bytes, bits, |bit, opened| {
            let Ok(snapshot) = opened else { return };
            files.fetch_add(1, Ordering::Relaxed);
            let block = (bit / 8).checked_sub(DATA_AT).map(|at| at / BLOCK_LEN_BYTES);
            let reader = block.and_then(|block| readers.get(block).copied().flatten());
            let at = reader.unwrap_or_else(|| self.some_hints(bit).start);
            let (found, _) = self.look_up(&snapshot, at..at + 1);
            let (found, expected) = (&found[0], &self.points[at]);
            assert!(found == expected || found.is_empty(), "bit {bit}: {found:?}");
            lost.fetch_add(u64::from(found != expected), Ordering::Relaxed);
        });
        [files.into_inner(), lost.into_inner()]
    }
}

/// One flip and one truncation in a hundred of a chain of 1 MiB.
#[test]
#[cfg_attr(debug_assertions, ignore = "minutes without optimization: with --release")]
fn some_flips_and_truncations_of_a_large_chain_are_reported() {
    let whole = Whole::large();
    let bits = (0..whole.bytes.len() * 8 / 100).into_par_iter();
    let within = |at: usize| scramble(at as u64) as usize % 100;
    let bits = bits.map(|at| at * 100 + within(at));
    whole.assert_flips_are_reported(bits.clone());
    whole.assert_a_lookup_reports(bits);
    (0..whole.bytes.len() / 100).into_par_iter().for_each(|at| {
        assert_refused(Snapshot::from_bytes(&whole.bytes[..at * 100 + within(at)], &key()));
    });
}

#[test]
#[ignore = "long: minutes with --release"]
fn every_flip_of_a_large_chain_is_reported() {
    let whole = Whole::large();
    println!("{} flips", whole.bytes.len() * 8);
    whole.assert_a_lookup_reports((0..whole.bytes.len() * 8).into_par_iter());
}

/// One flip in a hundred of a chain of 1 MiB whose checks are repaired.
#[test]
#[cfg_attr(debug_assertions, ignore = "minutes without optimization: with --release")]
fn some_flips_of_a_large_chain_are_harmless_behind_the_checks() {
    let whole = Whole::large();
    let bits = (0..whole.bytes.len() * 8 / 100).into_par_iter();
    let within = |at: usize| scramble(at as u64) as usize % 100;
    let [files, lost] =
        whole.assert_repaired_flips_are_harmless(bits.map(|at| at * 100 + within(at)));
    assert!(files > whole.bytes.len() as u64 * 7 / 100, "{files} files were opened");
    assert!(lost > 0, "no lookup read a flipped bit");
}

#[test]
#[ignore = "long: minutes with --release"]
fn every_flip_of_a_large_chain_is_harmless_behind_the_checks() {
    let whole = Whole::large();
    let bits = (0..whole.bytes.len() * 8).into_par_iter();
    println!("{} flips", bits.len());
    let [files, lost] = whole.assert_repaired_flips_are_harmless(bits);
    println!("{files} files were opened, {lost} of their lookups lost the answer");
}

#[test]
#[ignore = "long: a minute with --release"]
fn every_truncation_of_a_large_chain_is_refused() {
    let whole = Whole::large();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&whole.bytes).expect("written");
    for len in (0..whole.bytes.len()).rev() {
        file.as_file().set_len(len as u64).expect("cut");
        assert_refused(Snapshot::open(file.path(), &key()));
    }
}

fn assert_refused(opened: Result<Snapshot, OpenError>) {
    assert!(matches!(opened, Err(OpenError::TooShort { .. } | OpenError::NotASnapshot)));
}

/// Where the parts of a chain of one shard and one table without blocks begin.
struct Places {
    chains_at: usize,
    lines_at: usize,
    before_at: usize,
    end: usize,
}

impl Places {
    /// By the page of the format.
    fn of(file: &[u8]) -> Self {
        let number = |at: usize| {
            let word = file[at..at + 8].try_into().expect("eight bytes");
            usize::try_from(u64::from_le_bytes(word)).expect("a place in the file")
        };
        let manifest_at = file.len() - manifest_len(file);
        assert_eq!(file[15], 0, "one shard");
        let chains_at = 4096 + number(manifest_at + 64);
        let points = number(chains_at);
        let places = points.div_ceil(1 << file[chains_at + 36]);
        let lines_at = chains_at + 64 + 64;
        let before_at = lines_at + places.div_ceil(480) * 64;
        Self { chains_at, lines_at, before_at, end: chains_at + number(manifest_at + 64 + 8) }
    }
}

/// The most hints that a lookup of one of `hints` computes in a file whose checks are repaired.
/// No lookup finds a wrong point.
fn most_evaluations(mut bytes: Vec<u8>, keys: &Keys, hints: &[Hint]) -> u64 {
    repair(&mut bytes);
    let Ok(chain) = Snapshot::from_bytes(&bytes, &key()) else { return 0 };
    let evaluations = hints.iter().map(|hint| {
        keys.computed.store(0, Ordering::Relaxed);
        let looked_up = chain.points(keys, &[*hint], |_, slot, nonce| {
            assert_eq!(keys.hint(slot.0, nonce), *hint, "a wrong point");
        });
        looked_up.expect("the checks are repaired");
        keys.computed.load(Ordering::Relaxed)
    });
    evaluations.max().unwrap_or(0)
}

/// Seeds and marks of any content, and a header that allows the longest walk: a lookup computes
/// at most 64 hints for each evaluation of the dial.
#[test]
fn no_file_makes_a_lookup_compute_more_than_64_hints_for_each_evaluation() {
    const EVALUATIONS: u32 = 5;
    let keys = Keys::new(HintScheme::Aes128);
    let file = build(&keys, &uniform(2000, 5), EVALUATIONS, 2);
    let places = Places::of(&file);
    let most = 64 * EVALUATIONS;
    let known = (0..40).map(|slot| keys.hint(slot * 49, 3));
    let hints: Vec<_> = known.chain((0..40).map(|slot| keys.hint(u32::MAX - slot, 3))).collect();
    let with = |range: Range<usize>, byte: &dyn Fn(usize) -> u8, longest: u32| {
        let mut bytes = file.clone();
        range.for_each(|at| bytes[at] = byte(at));
        bytes[places.chains_at + 32..][..4].copy_from_slice(&longest.to_le_bytes());
        most_evaluations(bytes, &keys, &hints)
    };
    let marks = places.lines_at..places.before_at;
    let sound = with(0..0, &|_| 0, most);
    assert!((5..64).contains(&sound), "{sound}");
    // Without marks, walks go around their cycles, until they are given up.
    assert_eq!(with(marks.clone(), &|_| 0, most), u64::from(most));
    // A file whose header allows more is refused.
    assert_eq!(with(marks.clone(), &|_| 0, most + 1), 0);
    // All numbers marked, no seed left, marks before of any number, and noise in each of them.
    let noise = |seed: u64| move |at: usize| scramble(seed ^ at as u64).to_le_bytes()[0];
    let all = [4096..places.chains_at, marks, places.before_at..places.end];
    for range in all {
        for byte in [0, 0xff] {
            assert!(with(range.clone(), &|_| byte, most) <= u64::from(most), "{range:?} {byte}");
        }
        for seed in 0..if cfg!(debug_assertions) { 3 } else { 100 } {
            let got = with(range.clone(), &noise(seed << 32), most);
            assert!(got <= u64::from(most), "{range:?}, noise {seed}: {got}");
        }
    }
}

/// The ranges of bits that have to be zero, by the second reader.
fn padding(file: &[u8]) -> Vec<Range<usize>> {
    let stored = tempfile::NamedTempFile::new().expect("a file");
    stored.as_file().write_all(file).expect("written");
    let script =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/second_reader/snapshot_v1.py");
    let mut python = Command::new("python3");
    let output = python.arg(script).arg("07".repeat(32)).arg(stored.path()).arg("-").output();
    let output = output.expect("python3 is installed (make setup)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    let range = |line: &str| {
        let (start, end) = line.split_once(' ').expect("two numbers");
        start.parse().expect("a number")..end.parse().expect("a number")
    };
    text.lines().map(range).collect()
}

/// Every bit of the padding, with all checks repaired: only `verify` reads padding. The bits
/// around it are no padding.
#[test]
fn padding_of_chains_that_is_not_zero_is_refused() {
    let keys = Keys::new(HintScheme::Aes128);
    let uneven: Runs = (3..700)
        .flat_map(|slot| {
            let first = u64::from(slot) * 977 % 3000;
            let second = (slot % 50 == 1).then_some((Slot(slot), 5000..5003));
            [(Slot(slot), first..first + 3 + u64::from(slot % 3))].into_iter().chain(second)
        })
        .collect();
    let mut refused = std::collections::BTreeSet::new();
    for (runs, evaluations) in [(uneven, 5), (uniform(300, 5), 16), (uniform(7, 3), 3)] {
        let file = build(&keys, &runs, evaluations, 1);
        Snapshot::from_bytes(&file, &key()).expect("opened").verify().expect("sound");
        let padding = padding(&file);
        let with = |bit: usize| {
            let mut bytes = file.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            repair(&mut bytes);
            Snapshot::from_bytes(&bytes, &key()).map(|chain| chain.verify())
        };
        let bits: Vec<_> = padding.iter().cloned().flatten().collect();
        for &bit in &bits {
            let Err(VerifyError::Padding { behind, offset_bytes }) =
                with(bit).expect("lookups read no padding")
            else {
                panic!("bit {bit} is not reported");
            };
            assert_eq!(offset_bytes, bit as u64 / 8, "{behind}");
            refused.insert(behind);
        }
        for bit in padding.iter().flat_map(|bits| [bits.start - 1, bits.end]) {
            if !bits.contains(&bit)
                && let Ok(verified) = with(bit)
            {
                assert!(verified.is_ok(), "bit {bit}: {verified:?}");
            }
        }
    }
    let all = ["block of runs", "chains", "free places", "marks", "marks before", "runs", "seeds"];
    let all: Vec<_> = all.into_iter().chain(["shard"]).collect();
    assert!(refused.iter().copied().eq(all), "{refused:?}");
}
