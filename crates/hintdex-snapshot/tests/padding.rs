//! Padding is zero, and `verify` checks each bit of it, as the page of the format defines.
#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod support;

use core::ops::Range;
use std::collections::BTreeSet;

use hintdex_snapshot::{Dial, Encoding, Snapshot, VerifyError};
use support::answers::{answer, manifest_len};
use support::repair::repair;
use support::{Fleet, build_bytes, key, params};

/// A little-endian number of a record, by the page of the format.
fn number(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize
}

/// The padding within and behind each shard in bits, by the page of the format.
fn padding(bytes: &[u8], encoding: Encoding, value_bits: usize) -> Vec<Range<usize>> {
    let mut padding = Vec::new();
    let mut pad = |bits: usize, align_bytes: usize| {
        let end = bits.next_multiple_of(align_bytes * 8);
        padding.push(bits..end);
        end
    };
    let manifest = &bytes[bytes.len() - manifest_len(bytes)..];
    for record in manifest.chunks(64).take(1 << bytes[15]) {
        let start = (4096 + number(record, 0)) * 8;
        let parts: Vec<usize> = (0..5).map(|part| number(record, 24 + 8 * part)).collect();
        if encoding == Encoding::Ribbon {
            let blocks: Vec<usize> = parts.iter().map(|part| part % (1 << 32)).collect();
            let blocks = &blocks[..blocks.iter().take_while(|&&blocks| blocks > 0).count()];
            let rows: usize = blocks.iter().map(|blocks| blocks * 64 * value_bits).sum();
            let bumping = &blocks[..blocks.len().saturating_sub(1)];
            bumping
                .iter()
                .fold(start + rows, |at, blocks| pad(at + (8 * blocks - 7).div_ceil(32) * 8, 8));
        } else {
            let at = pad(start + parts[1], 8);
            let at = pad(at + parts[0].div_ceil(16) * 32, 8);
            pad(at + parts[0] * (parts[2] % 256), 8);
        }
        pad(start + number(record, 8) * 8, 64);
    }
    padding.retain(|bits| !bits.is_empty());
    padding
}

/// Sets each bit of the padding and repairs every check: only `verify` reads padding.
#[test]
fn padding_that_is_not_zero_is_refused() {
    let mut refused = BTreeSet::new();
    for (encoding, dial, slots) in [
        (Encoding::Ribbon, Dial::Tries(1), 9_000),
        (Encoding::Ribbon, Dial::Tries(5), 3_001),
        (Encoding::Dense, Dial::Tries(30), 1_201),
        (Encoding::Dense, Dial::Tries(33), 1_201),
        (Encoding::Sorted, Dial::Tries(1), 100),
        (Encoding::Sorted, Dial::Tries(7), 20_011),
    ] {
        let fleet = Fleet::new(slots, 5);
        let whole = build_bytes(&fleet, params(encoding, dial, fleet.slots.clone()));
        Snapshot::from_bytes(&whole, &key()).expect("opened").verify().expect("sound");
        let padding = padding(&whole, encoding, whole[13].into());
        let set = |bits: &[usize]| {
            let mut bytes = whole.clone();
            bits.iter().for_each(|bit| bytes[bit / 8] |= 1 << (bit % 8));
            repair(&mut bytes);
            let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("lookups read no padding");
            for (head, slot) in fleet.all().take(100) {
                let found = answer(&snapshot, head).expect("the checks were repaired");
                assert!(found.iter().any(|range| range.contains(&slot)));
            }
            snapshot.verify()
        };
        for bits in &padding {
            for bit in bits.clone() {
                let error = set(&[bit]).expect_err("not zero");
                let VerifyError::Padding { behind, .. } = error else { panic!("{error}") };
                refused.insert((encoding.name(), behind));
                assert_eq!(error.offset_bytes(), bit as u64 / 8, "{encoding}: {error}");
            }
        }
        // Of several bytes, the first is reported.
        let (first, last) = (padding[0].start, padding[padding.len() - 1].end - 1);
        let error = set(&[last, first]).expect_err("not zero").to_string();
        assert!(error.contains(&format!("offset {},", first / 8)), "{error}");
    }
    let buckets = ["absolute offsets", "codes", "relative offsets", "shard"];
    let of = |encoding: Encoding| buckets.map(|behind| (encoding.name(), behind));
    let ribbon = ["shard", "thresholds"].map(|behind| ("ribbon", behind));
    let all = of(Encoding::Dense).into_iter().chain(ribbon).chain(of(Encoding::Sorted));
    assert!(refused.iter().copied().eq(all), "{refused:?}");
}

/// Changes each bit of the word before the padding: `verify` must not report it.
#[test]
fn bits_before_the_padding_are_not_checked_as_padding() {
    for encoding in support::STORED {
        let fleet = Fleet::new(9_000, 5);
        let whole = build_bytes(&fleet, params(encoding, Dial::Tries(3), 0..9_000));
        for bits in padding(&whole, encoding, whole[13].into()) {
            for bit in bits.start - 64..bits.start {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                repair(&mut bytes);
                let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("opened");
                let is_padding = padding(&whole, encoding, whole[13].into())
                    .iter()
                    .any(|bits| bits.contains(&bit));
                assert_eq!(snapshot.verify().is_err(), is_padding, "{encoding}, bit {bit}");
            }
        }
    }
}
