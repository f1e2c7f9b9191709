//! Damage is reported or harmless: never a wrong answer, never a panic.
#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod support;

use core::ops::Range;
use std::io::Write;

use hintdex_snapshot::{Dial, Encoding, OpenError, Snapshot, VerifyError};
use rayon::prelude::*;
use support::answers::{answer, manifest_len};
use support::flips::each_flip;
use support::repair::{repair, seal};
use support::{Fleet, build_bytes, key, params, scramble};

/// An undamaged snapshot, some of its hints, and their candidates.
struct Whole {
    bytes: Vec<u8>,
    heads: Vec<u64>,
    answers: Vec<Vec<Range<u32>>>,
}

impl Whole {
    fn new(encoding: Encoding, dial: Dial, slots: u32, hints: usize) -> Self {
        let fleet = Fleet::new(slots, 4);
        let bytes = build_bytes(&fleet, params(encoding, dial, fleet.slots.clone()));
        let all: Vec<u64> = fleet.all().map(|(head, _)| head).collect();
        let heads: Vec<u64> =
            (0..hints as u64).map(|at| all[(scramble(at) % all.len() as u64) as usize]).collect();
        let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("opened");
        let answers = heads.iter().map(|&head| answer(&snapshot, head).expect("whole")).collect();
        Self { bytes, heads, answers }
    }

    /// Asserts that a damaged snapshot returns the same candidates or reports the damage.
    fn assert_harmless(&self, snapshot: &Snapshot, what: impl Fn() -> String) {
        for (&head, expected) in self.heads.iter().zip(&self.answers) {
            if let Ok(got) = answer(snapshot, head) {
                assert_eq!(got, *expected, "hint {head:016x}, {}", what());
            }
        }
        assert!(snapshot.verify().is_err(), "damage not reported: {}", what());
    }

    /// Flips each of `bits`, one at a time.
    fn assert_flips_are_harmless(&self, bits: impl IndexedParallelIterator<Item = usize>) {
        // Opening checks everything but the data.
        let data = 4096..self.bytes.len() - manifest_len(&self.bytes);
        each_flip(&self.bytes, bits, |bit, opened| {
            assert_eq!(opened.is_ok(), data.contains(&(bit / 8)), "bit {bit}: {opened:?}");
            if let Ok(snapshot) = opened {
                self.assert_harmless(&snapshot, || format!("bit {bit}"));
            }
        });
    }

    /// Flips each of `bits`, one at a time. Each flip is reported by the opening, or by every
    /// lookup that needs the block.
    ///
    /// For a large file: looks up two hints that need the block and two others, and verifies
    /// the whole file for one flip in 64 only.
    fn assert_flips_are_reported(&self, bits: impl IndexedParallelIterator<Item = usize>) {
        let data = 4096..self.bytes.len() - manifest_len(&self.bytes);
        let needed = self.heads_by_block();
        each_flip(&self.bytes, bits, |bit, opened| {
            assert_eq!(opened.is_ok(), data.contains(&(bit / 8)), "bit {bit}: {opened:?}");
            if let Ok(snapshot) = opened {
                let block = (bit / 8 - 4096) / 8192;
                for &head in needed[block].iter().take(2) {
                    let damage = answer(&snapshot, self.heads[head]).expect_err("damaged");
                    assert_eq!(damage.block, block as u64, "bit {bit}");
                }
                for head in [bit % self.heads.len(), bit / 8 % self.heads.len()] {
                    if !needed[block].contains(&head) {
                        let got = answer(&snapshot, self.heads[head]).expect("whole");
                        assert_eq!(got, self.answers[head], "bit {bit}");
                    }
                }
                if bit % 64 == bit / 8 % 64 {
                    assert_eq!(damaged_block(&snapshot), Some(block), "bit {bit}");
                }
            }
        });
    }

    /// The hints that need each block.
    fn heads_by_block(&self) -> Vec<Vec<usize>> {
        let needed = |block: usize| {
            let mut bytes = self.bytes.clone();
            bytes[place(block).start] ^= 1;
            let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("opened");
            let heads =
                (0..self.heads.len()).filter(|&at| answer(&snapshot, self.heads[at]).is_err());
            heads.collect::<Vec<_>>()
        };
        let last = 4096 + self.data_blocks() * 8192 < self.bytes.len() - manifest_len(&self.bytes);
        let needed: Vec<_> = (0..self.data_blocks() + usize::from(last)).map(needed).collect();
        let most = needed.iter().filter(|heads| heads.len() >= 2).count();
        assert!(most + 2 >= needed.len(), "hints for {most} blocks of {}", needed.len());
        needed
    }

    /// The number of full blocks of the data.
    fn data_blocks(&self) -> usize {
        (self.bytes.len() - manifest_len(&self.bytes) - 4096) / 8192
    }

    /// The place of a block's CRC.
    fn crc_place(&self, block: usize) -> Range<usize> {
        let data_len = self.bytes.len() - manifest_len(&self.bytes) - 4096;
        let at = self.bytes.len() - (data_len.div_ceil(8192) - block) * 4;
        at..at + 4
    }

    /// Swaps two blocks of `bytes` and their CRCs.
    fn swap(&self, bytes: &mut [u8], first: usize, second: usize) {
        bytes.copy_within(place(second), place(first).start);
        bytes[place(second)].copy_from_slice(&self.bytes[place(first)]);
        bytes.copy_within(self.crc_place(second), self.crc_place(first).start);
        bytes[self.crc_place(second)].copy_from_slice(&self.bytes[self.crc_place(first)]);
    }

    /// Asserts that `verify` reports one of the damaged `blocks`, and that each lookup returns
    /// the same candidates or reports one of them.
    fn assert_reported(&self, bytes: &[u8], blocks: &[usize]) {
        let snapshot = Snapshot::from_bytes(bytes, &key()).expect("opened");
        let is_damaged = |block: usize| blocks.contains(&block);
        for (&head, expected) in self.heads.iter().zip(&self.answers).take(32) {
            match answer(&snapshot, head) {
                Ok(got) => assert_eq!(got, *expected, "hint {head:016x}, blocks {blocks:?}"),
                Err(damage) => {
                    assert!(is_damaged(damage.block as usize), "{damage:?} for {blocks:?}");
                }
            }
        }
        assert!(
            damaged_block(&snapshot).is_some_and(is_damaged),
            "damage of {blocks:?} not reported"
        );
    }

    fn assert_cut_is_refused(&self, len: usize) {
        assert_refused(len, Snapshot::from_bytes(&self.bytes[..len], &key()));
    }
}

fn assert_refused(len: usize, opened: Result<Snapshot, OpenError>) {
    match opened {
        Err(OpenError::TooShort { .. } | OpenError::NotASnapshot) => {}
        other => panic!("cut to {len} bytes: {:?}", other.map(|snapshot| snapshot.stats())),
    }
}

/// The first damaged block, as reported by `verify`.
fn damaged_block(snapshot: &Snapshot) -> Option<usize> {
    match snapshot.verify() {
        Err(VerifyError::Damaged(damage)) => Some(damage.block as usize),
        _ => None,
    }
}

/// The place of a block of the data.
fn place(block: usize) -> Range<usize> {
    4096 + block * 8192..4096 + (block + 1) * 8192
}

/// A snapshot of about 64 KiB.
fn small(encoding: Encoding) -> Whole {
    let whole = match encoding {
        Encoding::Ribbon => Whole::new(encoding, Dial::Tries(1), 9_000, 24),
        Encoding::Dense => Whole::new(encoding, Dial::Tries(32), 12_500, 24),
        _ => Whole::new(encoding, Dial::Tries(1), 5_000, 24),
    };
    assert!((0xf000..0x1_2000).contains(&whole.bytes.len()), "{} bytes", whole.bytes.len());
    whole
}

#[test]
fn bit_flips_of_a_small_snapshot_are_reported() {
    for encoding in support::STORED {
        let whole = small(encoding);
        // All encodings share the code of the checks: one encoding gets every flip, the others
        // one flip in seven.
        let one_in = if encoding == Encoding::Ribbon { 1 } else { 7 };
        let bits = (0..whole.bytes.len() * 8 / one_in).into_par_iter();
        whole.assert_flips_are_harmless(bits.map(|at| at * one_in));
    }
}

#[test]
fn every_truncation_of_a_small_snapshot_is_refused() {
    for encoding in support::STORED {
        let whole = small(encoding);
        (0..whole.bytes.len()).into_par_iter().for_each(|len| whole.assert_cut_is_refused(len));
        let longer = [&whole.bytes[..], &[0]].concat();
        let opened = Snapshot::from_bytes(&longer, &key());
        assert!(matches!(opened, Err(OpenError::TooLong { .. })));
    }
}

/// Swapped blocks of one file, and blocks of another file, with their CRCs.
///
/// The digests of manifest and header are repaired, so that only the block's number and the
/// file id in the CRC reveal the change.
#[test]
fn every_misplaced_block_is_reported() {
    let whole = small(Encoding::Ribbon);
    let blocks = whole.data_blocks();
    assert!(blocks >= 7);
    for first in 0..blocks {
        for second in first + 1..blocks {
            let mut bytes = whole.bytes.clone();
            whole.swap(&mut bytes, first, second);
            seal(&mut bytes);
            whole.assert_reported(&bytes, &[first, second]);
        }
    }
    let other = Fleet { seed: 2, ..Fleet::new(9_000, 4) };
    let mut params = params(Encoding::Ribbon, Dial::Tries(1), other.slots.clone());
    params.origin = *b"another day's st";
    let other = build_bytes(&other, params);
    let other = Whole { bytes: other, heads: Vec::new(), answers: Vec::new() };
    for block in 0..blocks.min(other.data_blocks()) {
        let mut bytes = whole.bytes.clone();
        bytes[place(block)].copy_from_slice(&other.bytes[place(block)]);
        bytes[whole.crc_place(block)].copy_from_slice(&other.bytes[other.crc_place(block)]);
        seal(&mut bytes);
        whole.assert_reported(&bytes, &[block]);
    }
}

/// One flip in a hundred of a snapshot of 1 MiB.
#[test]
fn some_bit_flips_of_a_large_snapshot_are_reported() {
    let whole = large();
    let bits = (0..whole.bytes.len() * 8 / 100).into_par_iter();
    let within = |at: usize| (scramble(at as u64) % 100) as usize;
    whole.assert_flips_are_reported(bits.map(|at| at * 100 + within(at)));
    let cuts = (0..whole.bytes.len() / 100).into_par_iter();
    cuts.for_each(|at| whole.assert_cut_is_refused(at * 100));
}

#[test]
#[ignore = "long: minutes with --release"]
fn every_bit_flip_of_a_large_snapshot_is_reported() {
    let whole = large();
    println!("{} flips", whole.bytes.len() * 8);
    whole.assert_flips_are_reported((0..whole.bytes.len() * 8).into_par_iter());
}

#[test]
#[ignore = "long: a minute with --release"]
fn every_truncation_of_a_large_snapshot_is_refused() {
    let whole = large();
    // From the longest to the shortest; each thread has a file of its own.
    let runs = whole.bytes.len().div_ceil(4096);
    (0..runs).into_par_iter().for_each(|run| {
        let lens = run * 4096..whole.bytes.len().min((run + 1) * 4096);
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&whole.bytes[..lens.end]).expect("written");
        for len in lens.rev() {
            file.as_file().set_len(len as u64).expect("cut");
            assert_refused(len, Snapshot::open(file.path(), &key()));
        }
    });
    println!("{} truncations", whole.bytes.len());
}

#[test]
#[ignore = "long: a minute with --release"]
fn every_block_substitution_of_a_large_snapshot_is_reported() {
    let whole = large();
    let blocks = whole.data_blocks();
    (0..blocks).into_par_iter().for_each(|to| {
        let mut bytes = whole.bytes.clone();
        for from in (0..blocks).filter(|&from| from != to) {
            // First without the CRC of the block, then with it.
            bytes.copy_within(place(from), place(to).start);
            whole.assert_reported(&bytes, &[to]);
            bytes.copy_within(whole.crc_place(from), whole.crc_place(to).start);
            seal(&mut bytes);
            whole.assert_reported(&bytes, &[to]);
            bytes[whole.crc_place(to)].copy_from_slice(&whole.bytes[whole.crc_place(to)]);
            bytes[..256].copy_from_slice(&whole.bytes[..256]);
        }
    });
    println!("{} substitutions", 2 * blocks * (blocks - 1));
}

/// A snapshot of about 1 MiB.
fn large() -> Whole {
    let whole = Whole::new(Encoding::Ribbon, Dial::Tries(1), 124_000, 2_000);
    assert!((0xf_f000..0x12_0000).contains(&whole.bytes.len()), "{} bytes", whole.bytes.len());
    whole
}

/// With every check repaired, lookups read the changed bytes: candidates may be wrong then,
/// but they are slots of the snapshot.
#[test]
fn changed_bytes_that_pass_every_check_yield_slots_of_the_snapshot() {
    for encoding in support::STORED {
        let whole = small(encoding);
        let manifest_at = whole.bytes.len() - manifest_len(&whole.bytes);
        // All of the header and the directory, one bit in fifty of the rest.
        let all =
            (0..256).chain(manifest_at..manifest_at + 64).flat_map(|byte| byte * 8..byte * 8 + 8);
        let rest = (4096 * 8..whole.bytes.len() * 8).step_by(50);
        let bits: Vec<usize> = all.chain(rest).collect();
        bits.into_par_iter().for_each(|bit| {
            let mut bytes = whole.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            repair(&mut bytes);
            let Ok(snapshot) = Snapshot::from_bytes(&bytes, &key()) else { return };
            let slots = snapshot.params().slots.clone();
            for &head in whole.heads.iter().chain([&0, &u64::MAX]) {
                for candidate in answer(&snapshot, head).expect("the checks were repaired") {
                    assert!(slots.start <= candidate.start && candidate.end <= slots.end);
                }
            }
            match snapshot.verify() {
                // The flip hit padding, or changed a record so that padding lies elsewhere.
                Ok(()) | Err(VerifyError::Padding { .. }) => {}
                other => panic!("bit {bit}: {other:?}"),
            }
            let _ = snapshot.stats();
        });
    }
}

#[test]
fn another_key_is_distinguished_from_damage() {
    let whole = small(Encoding::Ribbon);
    let other = hintdex_snapshot::ManifestKey::from_bytes([8; 32]);
    assert!(matches!(Snapshot::from_bytes(&whole.bytes, &other), Err(OpenError::WrongKey)));
}

/// A header with a valid CRC and a wrong HMAC: an attacker changed it.
#[test]
fn a_forged_header_is_refused() {
    let whole = small(Encoding::Ribbon);
    let mut bytes = whole.bytes.clone();
    bytes[48] ^= 1;
    let crc = crc32fast::hash(&bytes[..220]);
    bytes[220..224].copy_from_slice(&crc.to_le_bytes());
    let opened = Snapshot::from_bytes(&bytes, &key());
    assert!(matches!(opened, Err(OpenError::Damaged { what: "header (HMAC)", .. })));
}

#[test]
fn a_newer_version_is_distinguished_from_damage() {
    let whole = small(Encoding::Ribbon);
    let mut bytes = whole.bytes.clone();
    bytes[8] = 2;
    let opened = Snapshot::from_bytes(&bytes, &key());
    assert!(matches!(opened, Err(OpenError::NewerVersion { got: 2, newest: 1 })));
}

#[test]
fn reserved_bytes_are_checked() {
    let whole = small(Encoding::Ribbon);
    for at in (192..220).chain([4095]) {
        let mut bytes = whole.bytes.clone();
        bytes[at] = 1;
        repair(&mut bytes);
        let opened = Snapshot::from_bytes(&bytes, &key());
        assert!(
            matches!(
                opened,
                Err(OpenError::Field { field: "reserved", .. } | OpenError::Damaged { .. })
            ),
            "byte {at}"
        );
    }
}

/// Both fields are zero in a file without a time span; otherwise the end is not before the start.
#[test]
fn a_time_that_ends_before_it_begins_is_refused() {
    let whole = small(Encoding::Ribbon);
    for at in 176..184 {
        let mut bytes = whole.bytes.clone();
        bytes[at] = 1;
        repair(&mut bytes);
        let opened = Snapshot::from_bytes(&bytes, &key());
        let is_reported = matches!(opened, Err(OpenError::Field { field: "to_unix_s", got: 0 }));
        assert!(is_reported, "byte {at}");
        // With a later end the span is valid.
        bytes.copy_within(176..184, 184);
        bytes[184] += 1;
        repair(&mut bytes);
        Snapshot::from_bytes(&bytes, &key()).expect("a valid span");
    }
}

/// The place of the list of duplicate hints of a snapshot of one shard, by its record.
fn duplicates(bytes: &[u8]) -> Range<usize> {
    let record = &bytes[bytes.len() - manifest_len(bytes)..][..64];
    let len = u64::from_le_bytes(record[8..16].try_into().expect("eight bytes")) as usize;
    let count = u32::from_le_bytes(record[20..24].try_into().expect("four bytes")) as usize;
    4096 + len - 12 * count..4096 + len
}

/// Damage in a list of many blocks affects only the hints whose entries, or the place of whose
/// entries, are in a damaged block.
#[test]
fn damage_in_the_list_of_duplicates_affects_no_other_hint() {
    let fleet = Fleet { hint_len_bytes: 2, ..Fleet::new(9_000, 4) };
    let whole = build_bytes(&fleet, params(Encoding::Ribbon, Dial::Tries(1), 0..9_000));
    let list = duplicates(&whole);
    let entries: Vec<u64> = whole[list.clone()]
        .chunks(12)
        .map(|entry| u64::from_le_bytes(entry[..8].try_into().expect("eight bytes")))
        .collect();
    let snapshot = Snapshot::from_bytes(&whole, &key()).expect("opened");
    let heads = (0..1 << 16_u64).map(|head| head << 48);
    let answers: Vec<_> =
        heads.map(|head| (head, answer(&snapshot, head).expect("whole"))).collect();
    // The blocks that hold only entries.
    let blocks = (list.start - 4096).div_ceil(8192)..(list.end - 4096) / 8192;
    assert!(blocks.len() > 20, "{blocks:?}");
    let single = blocks.clone().map(|block| vec![block]);
    let pairs = blocks.clone().skip(1).map(|block| vec![block - 1, block]);
    let others = [
        blocks.clone().collect(),
        blocks.clone().step_by(2).collect(),
        blocks.clone().skip(1).step_by(2).collect(),
        vec![blocks.start, blocks.end - 1],
    ];
    let cases: Vec<Vec<usize>> = single.chain(pairs).chain(others).collect();
    cases.into_par_iter().for_each(|damaged| {
        let mut bytes = whole.clone();
        damaged.iter().for_each(|&block| bytes[place(block).start + 5000] ^= 1);
        let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("opened");
        // The heads from the last entry before each damaged block to the first entry behind it.
        let lost: Vec<_> = damaged
            .iter()
            .map(|&block| {
                let start = (place(block).start - list.start) / 12;
                let end = (place(block).end - list.start).div_ceil(12);
                let before = start.checked_sub(1).map_or(0, |before| entries[before]);
                before..=entries.get(end).copied().unwrap_or(u64::MAX)
            })
            .collect();
        for (head, expected) in &answers {
            let is_lost = lost.iter().any(|lost| lost.contains(head));
            match answer(&snapshot, *head) {
                Ok(got) => assert!(!is_lost && got == *expected, "{head:016x}, {damaged:?}"),
                Err(damage) => {
                    assert!(is_lost, "{head:016x}, {damaged:?}");
                    assert!(damaged.contains(&(damage.block as usize)), "{damage}");
                }
            }
        }
    });
}
