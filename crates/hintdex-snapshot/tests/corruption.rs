//! Damage is told, or does no harm: never a wrong answer, never a panic.
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
use std::os::unix::fs::FileExt;

use hintdex_snapshot::{Damage, Dial, Encoding, OpenError, Snapshot};
use rayon::prelude::*;
use support::repair::repair;
use support::{Fleet, build_bytes, hint, key, params, scramble};

/// A snapshot, some of its hints, and what it says of them.
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

    /// A damaged snapshot gives the same answers or tells the damage.
    fn assert_harmless(&self, snapshot: &Snapshot, what: impl Fn() -> String) {
        for (&head, expected) in self.heads.iter().zip(&self.answers) {
            if let Ok(got) = answer(snapshot, head) {
                assert_eq!(got, *expected, "hint {head:016x}, {}", what());
            }
        }
        assert!(snapshot.verify().is_err(), "nobody noticed: {}", what());
    }

    /// Flips each of `bits` in turn, in a file of each thread's own.
    fn assert_flips_are_harmless(&self, bits: impl IndexedParallelIterator<Item = usize>) {
        // Only the data are checked later than at opening.
        let data = 4096..self.bytes.len() - manifest_len(&self.bytes);
        let copy = || {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(&self.bytes).expect("written");
            file
        };
        bits.for_each_init(copy, |file, bit| {
            let at = bit as u64 / 8;
            let byte = self.bytes[bit / 8];
            file.as_file().write_all_at(&[byte ^ 1 << (bit % 8)], at).expect("written");
            let opened = Snapshot::open(file.path(), &key());
            assert_eq!(opened.is_ok(), data.contains(&(bit / 8)), "bit {bit}: {opened:?}");
            if let Ok(snapshot) = opened {
                self.assert_harmless(&snapshot, || format!("bit {bit}"));
            }
            file.as_file().write_all_at(&[byte], at).expect("written");
        });
    }

    fn assert_cut_is_refused(&self, len: usize) {
        let opened = Snapshot::from_bytes(&self.bytes[..len], &key());
        match opened {
            Err(OpenError::TooShort { .. } | OpenError::NotASnapshot) => {}
            other => panic!("cut to {len} bytes: {:?}", other.map(|snapshot| snapshot.stats())),
        }
    }
}

fn answer(snapshot: &Snapshot, head: u64) -> Result<Vec<Range<u32>>, Damage> {
    Ok(snapshot.candidates(&hint(head))?.collect())
}

fn manifest_len(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[120..128].try_into().expect("eight bytes")) as usize
}

/// Snapshots of 64 KiB and a little more.
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
fn bit_flips_of_a_small_snapshot() {
    for &encoding in Encoding::ALL {
        let whole = small(encoding);
        // The checks are the same code for all encodings: one gets every flip,
        // the others one in seven.
        let one_in = if encoding == Encoding::Ribbon { 1 } else { 7 };
        let bits = (0..whole.bytes.len() * 8 / one_in).into_par_iter();
        whole.assert_flips_are_harmless(bits.map(|at| at * one_in));
    }
}

#[test]
fn every_truncation_of_a_small_snapshot() {
    for &encoding in Encoding::ALL {
        let whole = small(encoding);
        (0..whole.bytes.len()).into_par_iter().for_each(|len| whole.assert_cut_is_refused(len));
        let longer = [&whole.bytes[..], &[0]].concat();
        let opened = Snapshot::from_bytes(&longer, &key());
        assert!(matches!(opened, Err(OpenError::TooLong { .. })));
    }
}

/// Blocks of the same file swapped, and blocks of another file put in.
#[test]
fn every_block_out_of_place() {
    let whole = small(Encoding::Ribbon);
    let other = Fleet { seed: 2, ..Fleet::new(9_000, 4) };
    let mut params = params(Encoding::Ribbon, Dial::Tries(1), other.slots.clone());
    params.origin = *b"another day's st";
    let other = build_bytes(&other, params);
    let blocks = (whole.bytes.len() - manifest_len(&whole.bytes) - 4096) / 8192;
    let place = |block: usize| 4096 + block * 8192..4096 + (block + 1) * 8192;
    for to in 0..blocks {
        for from in (0..blocks).filter(|&from| from != to) {
            let mut bytes = whole.bytes.clone();
            bytes.copy_within(place(from), place(to).start);
            let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("opened");
            whole.assert_harmless(&snapshot, || format!("block {from} at {to}"));
        }
        let mut bytes = whole.bytes.clone();
        bytes[place(to)].copy_from_slice(&other[place(to)]);
        let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("opened");
        whole.assert_harmless(&snapshot, || format!("a foreign block at {to}"));
    }
}

/// One flip in a hundred of a snapshot of 1 MiB.
#[test]
fn some_bit_flips_of_a_large_snapshot() {
    flips_of_a_large_snapshot(100);
}

#[test]
#[ignore = "long: half an hour with --release"]
fn every_bit_flip_of_a_large_snapshot() {
    flips_of_a_large_snapshot(1);
}

fn flips_of_a_large_snapshot(one_in: usize) {
    let whole = Whole::new(Encoding::Ribbon, Dial::Tries(1), 124_000, 16);
    assert!((0xf_f000..0x12_0000).contains(&whole.bytes.len()), "{} bytes", whole.bytes.len());
    let bits = (0..whole.bytes.len() * 8 / one_in).into_par_iter();
    let within = |at: usize| (scramble(at as u64) % one_in as u64) as usize;
    whole.assert_flips_are_harmless(bits.map(|at| at * one_in + within(at)));
    let cuts = (0..whole.bytes.len() / one_in).into_par_iter();
    cuts.for_each(|at| whole.assert_cut_is_refused(at * one_in));
}

/// With every check repaired nothing stands between the reader and the bytes:
/// answers may be wrong then, but they are answers.
#[test]
fn bytes_that_pass_every_check_are_still_not_trusted() {
    for &encoding in Encoding::ALL {
        let whole = small(encoding);
        let manifest_at = whole.bytes.len() - manifest_len(&whole.bytes);
        // All of the header and the directory, one bit in fifty of the rest.
        let told =
            (0..256).chain(manifest_at..manifest_at + 64).flat_map(|byte| byte * 8..byte * 8 + 8);
        let rest = (4096 * 8..whole.bytes.len() * 8).step_by(50);
        let bits: Vec<usize> = told.chain(rest).collect();
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
            snapshot.verify().expect("the checks were repaired");
            let _ = snapshot.stats();
        });
    }
}

#[test]
fn another_key_is_told_from_damage() {
    let whole = small(Encoding::Ribbon);
    let other = hintdex_snapshot::ManifestKey::from_bytes([8; 32]);
    assert!(matches!(Snapshot::from_bytes(&whole.bytes, &other), Err(OpenError::WrongKey)));
}

/// A header whose CRC is right and whose HMAC is not: somebody else's work.
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
fn a_newer_version_is_told_from_damage() {
    let whole = small(Encoding::Ribbon);
    let mut bytes = whole.bytes.clone();
    bytes[8] = 2;
    let opened = Snapshot::from_bytes(&bytes, &key());
    assert!(matches!(opened, Err(OpenError::NewerVersion { got: 2, newest: 1 })));
}

#[test]
fn reserved_bytes_are_checked() {
    let whole = small(Encoding::Ribbon);
    for at in (176..220).chain([4095]) {
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
