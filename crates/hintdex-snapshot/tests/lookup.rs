//! Every hint is found, with every encoding, size and dial.
#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::collections::BTreeMap;

use hintdex_snapshot::{CandidateBatch, Dial, Encoding, Kernel, Snapshot, SnapshotParams};
use proptest::prelude::*;
use support::{Fleet, Listed, build, hint, params, scramble};

/// Looks up every hint of `fleet` with every kernel, one at a time and in a batch.
fn assert_all_found(snapshot: Snapshot, fleet: &Fleet) -> Snapshot {
    let all: Vec<(u64, u32)> = fleet.all().collect();
    let hints: Vec<_> = all.iter().map(|&(head, _)| hint(head)).collect();
    let mut batch = CandidateBatch::default();
    Kernel::all().fold(snapshot, |snapshot, kernel| {
        let snapshot = snapshot.with_kernel(kernel);
        snapshot.candidates_batch(&hints, &mut batch).expect("whole");
        assert_eq!(batch.len(), hints.len());
        for ((ranges, one), (head, slot)) in batch.iter().zip(&hints).zip(&all) {
            assert!(
                ranges.iter().any(|slots| slots.contains(slot)),
                "{kernel:?}: hint {head:016x} of slot {slot} is not in {ranges:?}"
            );
            let alone: Vec<_> = snapshot.candidates(one).expect("whole").collect();
            assert_eq!(alone, ranges, "{kernel:?}: hint {head:016x}");
        }
        snapshot
    })
}

fn check(fleet: &Fleet, params: SnapshotParams) -> Snapshot {
    let snapshot = assert_all_found(build(fleet, params), fleet);
    snapshot.verify().expect("whole");
    // All blocks have passed now, so lookups take the quick path.
    assert_all_found(snapshot, fleet)
}

fn check_encodings(fleet: &Fleet) {
    for (encoding, dial) in [
        (Encoding::Ribbon, Dial::Tries(1)),
        (Encoding::Ribbon, Dial::Tries(32)),
        (Encoding::Dense, Dial::Tries(32)),
        (Encoding::Sorted, Dial::Tries(1)),
        (Encoding::Sorted, Dial::Tries(7)),
    ] {
        check(fleet, params(encoding, dial, fleet.slots.clone()));
    }
}

#[test]
fn every_hint_of_a_thousand_devices_is_found() {
    check_encodings(&Fleet::new(1_000, 1));
    check_encodings(&Fleet::new(1_003, 7));
}

#[test]
fn every_hint_of_a_hundred_thousand_is_found() {
    check_encodings(&Fleet::new(9_999, 10));
    check_encodings(&Fleet { slots: 70_000..80_007, ..Fleet::new(0, 10) });
}

#[test]
fn every_hint_of_one_device_is_found() {
    check_encodings(&Fleet::new(1, 1));
    check_encodings(&Fleet::new(1, 500));
    check_encodings(&Fleet { slots: 4_000_000_000..4_000_000_001, ..Fleet::new(0, 3) });
}

#[test]
fn every_hint_of_a_few_or_none_is_found() {
    for hints in 0..70 {
        check_encodings(&Fleet::new(1 + hints / 3, if hints == 0 { 0 } else { 3 }));
    }
}

#[test]
fn every_hint_is_found_with_every_number_of_bits() {
    // Slots of all 32 bits, so that every dial has enough groups.
    let slots = 0..u32::MAX;
    let entries: Vec<(u64, u32)> = (0..5_000_u64)
        .map(|at| (scramble(at), (scramble(at + 1_000_000) % u64::from(u32::MAX)) as u32))
        .collect();
    for bits in 1..=32 {
        for encoding in [Encoding::Ribbon, Encoding::Sorted] {
            let params = params(encoding, Dial::Bits(bits), slots.clone());
            assert_eq!(params.value_bits(), bits);
            let snapshot = build(&Listed::new(slots.clone(), entries.clone()), params);
            for kernel in Kernel::all() {
                let path = snapshot.params().tries();
                let mut tried = 0_u64;
                for &(head, slot) in &entries {
                    let mut candidates = snapshot.candidates(&hint(head)).expect("whole");
                    let found = candidates.find(|slots| {
                        tried += slots.len() as u64;
                        slots.contains(&slot)
                    });
                    assert!(found.is_some(), "{encoding}, {bits} bits, {kernel:?}");
                }
                assert!(
                    tried <= u64::from(path) * 5_000 * 101 / 100,
                    "tries of {encoding}, {bits} bits"
                );
            }
        }
    }
}

#[test]
fn short_hints_collide_and_all_their_slots_are_candidates() {
    for hint_len_bytes in [2, 3, 4, 8] {
        check_encodings(&Fleet { hint_len_bytes, ..Fleet::new(20_000, 3) });
    }
    // So many hints of one byte that nearly all collide.
    check_encodings(&Fleet { hint_len_bytes: 1, ..Fleet::new(3_000, 2) });
}

#[test]
fn hints_of_equal_head_are_one_key() {
    // The same hint twice for one slot, and once for another slot of its group.
    let entries = vec![(5 << 60, 3), (5 << 60, 3), (5 << 60, 4), (9 << 60, 60)];
    let params = params(Encoding::Ribbon, Dial::Tries(32), 0..64);
    let snapshot = build(&Listed::new(0..64, entries), params);
    assert_eq!(snapshot.stats().duplicates, 0);
    let mut candidates = snapshot.candidates(&hint(5 << 60)).expect("whole");
    assert_eq!((candidates.next(), candidates.next()), (Some(0..32), None));
}

#[test]
fn foreign_hints_have_few_candidates_or_none() {
    let fleet = Fleet::new(50_000, 4);
    let foreign = |at: u64| hint(scramble(at ^ 0xdead_beef_0000_0000));
    let tried = |snapshot: &Snapshot| -> usize {
        let candidates = |at| snapshot.candidates(&foreign(at)).expect("whole");
        (0..100_000).map(|at| candidates(at).map(|slots| slots.len()).sum::<usize>()).sum()
    };
    let sorted = check(&fleet, params(Encoding::Sorted, Dial::Tries(1), fleet.slots.clone()));
    // 200,000 hints in 2^18 places, and 8 check bits: 1 in 335.
    assert!((200..400).contains(&tried(&sorted)), "{} of 100,000", tried(&sorted));
    let dense = check(&fleet, params(Encoding::Dense, Dial::Tries(32), fleet.slots.clone()));
    assert!((3_000_000..3_200_000).contains(&tried(&dense)), "{}", tried(&dense));
    let ribbon = check(&fleet, params(Encoding::Ribbon, Dial::Tries(32), fleet.slots.clone()));
    // A foreign hint has one of 2¹¹ values, of which 1,563 number groups of 32 slots: 2,441,000.
    assert!((2_425_000..2_460_000).contains(&tried(&ribbon)), "{}", tried(&ribbon));
}

/// 10⁷ hints, at the sizes for which the format is designed.
#[test]
#[ignore = "long: a minute with --release"]
fn ten_million_hints_are_found_within_their_bytes() {
    let fleet = Fleet::new(1_000_000, 10);
    let cases = [
        (Encoding::Ribbon, Dial::Bits(20), 1.005 * 20.0 / 8.0),
        (Encoding::Ribbon, Dial::Bits(15), 1.005 * 15.0 / 8.0),
        (Encoding::Ribbon, Dial::Bits(10), 1.005 * 10.0 / 8.0),
        (Encoding::Dense, Dial::Tries(32), 2.2),
        (Encoding::Sorted, Dial::Tries(1), 3.95),
    ];
    for (encoding, dial, most_bytes_per_hint) in cases {
        let snapshot = build(&fleet, params(encoding, dial, fleet.slots.clone()));
        let stats = snapshot.stats();
        println!(
            "{encoding}, {dial:?}: {:.4} bytes a hint",
            stats.bytes as f64 / stats.hints as f64
        );
        assert!(stats.bytes as f64 <= most_bytes_per_hint * stats.hints as f64 + 8192.0);
        assert_eq!(stats.sections.iter().map(|section| section.bytes).sum::<u64>(), stats.bytes);
        assert_all_found(snapshot, &fleet);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Compares candidates with a map from heads to slots, also for crowded heads.
    #[test]
    fn candidates_contain_the_slots_of_a_map(
        heads in prop::collection::vec((any::<u64>(), 0_u32..300), 0..400),
        crowd_bits in 0_u32..64,
        tries in 1_u32..40,
        encoding in prop::sample::select(&support::STORED[..]),
    ) {
        let entries: Vec<(u64, u32)> =
            heads.iter().map(|&(head, slot)| (head >> crowd_bits, 100 + slot)).collect();
        let mut map: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        entries.iter().for_each(|&(head, slot)| map.entry(head).or_default().push(slot));
        let params = params(encoding, Dial::Tries(tries), 100..400);
        let snapshot = build(&Listed::new(100..400, entries), params);
        for kernel in Kernel::all() {
            for (&head, slots) in &map {
                let candidates: Vec<_> = snapshot.candidates(&hint(head)).expect("whole").collect();
                for slot in slots {
                    prop_assert!(candidates.iter().any(|range| range.contains(slot)), "{:?}", kernel);
                }
                prop_assert!(candidates.iter().all(|range| range.start >= 100 && range.end <= 400));
            }
        }
    }
}
