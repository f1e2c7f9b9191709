//! Sorted snapshots as lists: in order, merged, compared.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use hintdex_snapshot::{Damage, Dial, Encoding, ListError, Side, Snapshot};
use proptest::prelude::*;
use support::{Fleet, Listed, build, build_bytes, hint, key, params};

/// A prefix and the first slot of a group.
type Entry = (u64, u32);

fn list(snapshot: &Snapshot) -> Vec<Entry> {
    let entry = |hint: Result<hintdex_snapshot::ListedHint, Damage>| {
        let hint = hint.expect("whole");
        (hint.prefix, hint.slots.start)
    };
    snapshot.list().expect("sorted").map(entry).collect()
}

fn cut(head: u64, bits: u32) -> u64 {
    head & !u64::MAX.checked_shr(bits).unwrap_or(0)
}

/// The list by its definition.
fn expected(entries: &[Entry], bits: u32, first_slot: u32, tries: u32) -> BTreeSet<Entry> {
    let group = |slot: u32| (slot - first_slot) / tries * tries + first_slot;
    entries.iter().map(|&(head, slot)| (cut(head, bits), group(slot))).collect()
}

#[test]
fn every_hint_is_listed_in_order() {
    for (fleet, tries) in [
        (Fleet::new(1, 1), 1),
        (Fleet::new(1_000, 7), 1),
        (Fleet { slots: 500..30_500, ..Fleet::new(0, 3) }, 7),
        (Fleet { hint_len_bytes: 3, ..Fleet::new(20_000, 3) }, 1),
        // Two shards.
        (Fleet::new(150_000, 8), 1),
    ] {
        let snapshot =
            build(&fleet, params(Encoding::Sorted, Dial::Tries(tries), fleet.slots.clone()));
        let bits = snapshot.list().expect("sorted").prefix_bits();
        let all: Vec<Entry> = fleet.all().collect();
        let expected = expected(&all, bits, fleet.slots.start, tries);
        assert!(list(&snapshot).into_iter().eq(expected), "{:?}", fleet.slots);
    }
}

#[test]
fn a_list_of_nothing_is_empty() {
    let fleet = Fleet::new(10, 0);
    let snapshot = build(&fleet, params(Encoding::Sorted, Dial::Tries(1), 0..10));
    assert_eq!(list(&snapshot), []);
}

#[test]
fn other_encodings_have_no_list() {
    let fleet = Fleet::new(100, 2);
    for encoding in [Encoding::Ribbon, Encoding::Dense] {
        let snapshot = build(&fleet, params(encoding, Dial::Tries(1), 0..100));
        assert_eq!(snapshot.list().err(), Some(ListError::NotSorted { encoding }));
        let sorted = build(&fleet, params(Encoding::Sorted, Dial::Tries(1), 0..100));
        assert_eq!(sorted.merge(&snapshot).err(), Some(ListError::NotSorted { encoding }));
    }
    let by_one = build(&fleet, params(Encoding::Sorted, Dial::Tries(1), 0..100));
    let by_two = build(&fleet, params(Encoding::Sorted, Dial::Tries(2), 0..100));
    assert_eq!(by_one.merge(&by_two).err(), Some(ListError::Unlike));
}

/// Each device has moved on by two of its ten hints, and new ones have come.
#[test]
fn a_diff_is_what_came_and_what_went() {
    let hints = |fleet: &Fleet, numbers: core::ops::Range<u32>| -> Vec<Entry> {
        let slots = fleet.slots.clone();
        slots.flat_map(|slot| numbers.clone().map(move |at| (fleet.head(slot, at), slot))).collect()
    };
    let (before, after) = (Fleet::new(3_001, 10), Fleet::new(3_100, 10));
    let (old, new) = (hints(&before, 0..10), hints(&after, 2..12));
    let snapshot = |slots, entries: &Vec<Entry>| {
        let source = Listed::new(slots, entries.clone());
        build(&source, params(Encoding::Sorted, Dial::Tries(4), source.slots.clone()))
    };
    let (left, right) = (snapshot(0..3_001, &old), snapshot(0..3_100, &new));
    let bits = left.list().expect("sorted").prefix_bits();
    let (old, new) = (expected(&old, bits, 0, 4), expected(&new, bits, 0, 4));
    let mut sides: BTreeMap<u8, BTreeSet<Entry>> = BTreeMap::new();
    let mut last = None;
    for hint in left.merge(&right).expect("alike") {
        let (side, hint) = hint.expect("whole");
        let entry = (hint.prefix, hint.slots.start);
        assert!(last < Some(entry), "in order, each once");
        last = Some(entry);
        assert!(sides.entry(side as u8).or_default().insert(entry));
    }
    let only_old: BTreeSet<Entry> = old.difference(&new).copied().collect();
    let only_new: BTreeSet<Entry> = new.difference(&old).copied().collect();
    let both: BTreeSet<Entry> = old.intersection(&new).copied().collect();
    assert!(only_old.len() > 5_000 && only_new.len() > 5_000 && both.len() > 20_000);
    assert_eq!(sides.get(&(Side::Left as u8)), Some(&only_old));
    assert_eq!(sides.get(&(Side::Right as u8)), Some(&only_new));
    assert_eq!(sides.get(&(Side::Both as u8)), Some(&both));
    let told = left.diff(&right).expect("alike").count();
    assert_eq!(told, only_old.len() + only_new.len());
    assert_eq!(left.diff(&left).expect("alike").count(), 0);
}

#[test]
fn damage_is_told_and_the_rest_listed() {
    let fleet = Fleet::new(20_000, 4);
    let mut bytes = build_bytes(&fleet, params(Encoding::Sorted, Dial::Tries(1), 0..20_000));
    let whole = list(&Snapshot::from_bytes(&bytes, &key()).expect("opened"));
    // A byte of the third block.
    if let Some(byte) = bytes.get_mut(4096 + 3 * 8192 - 100) {
        *byte ^= 4;
    }
    let snapshot = Snapshot::from_bytes(&bytes, &key()).expect("opened");
    let (mut listed, mut damaged) = (Vec::new(), 0);
    for hint in snapshot.list().expect("sorted") {
        match hint {
            Ok(hint) => listed.push((hint.prefix, hint.slots.start)),
            Err(damage) => {
                assert_eq!(damage.block, 2);
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    let whole: BTreeSet<Entry> = whole.into_iter().collect();
    assert!(listed.iter().all(|entry| whole.contains(entry)));
    assert!(listed.len() > whole.len() * 8 / 10, "{} of {}", listed.len(), whole.len());
    assert!(snapshot.candidates(&hint(0)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Heads that crowd, slots that share groups, and two snapshots that keep
    /// unlike numbers of bits.
    #[test]
    fn merged_lists_are_those_of_sets(
        left in prop::collection::vec((any::<u64>(), 100_u32..400), 0..300),
        right in prop::collection::vec((any::<u64>(), 100_u32..400), 0..40),
        shared in prop::collection::vec((any::<u64>(), 100_u32..400), 0..40),
        crowd_bits in 0_u32..64,
        tries in 1_u32..40,
    ) {
        let entries = |own: &[Entry]| -> Vec<Entry> {
            own.iter().chain(&shared).map(|&(head, slot)| (head >> crowd_bits, slot)).collect()
        };
        let (left, right) = (entries(&left), entries(&right));
        let snapshot = |entries: &Vec<Entry>| {
            let params = params(Encoding::Sorted, Dial::Tries(tries), 100..400);
            build(&Listed::new(100..400, entries.clone()), params)
        };
        let snapshots = (snapshot(&left), snapshot(&right));
        let bits = |snapshot: &Snapshot| snapshot.list().expect("sorted").prefix_bits();
        let bits = bits(&snapshots.0).min(bits(&snapshots.1));
        let (left, right) = (expected(&left, bits, 100, tries), expected(&right, bits, 100, tries));
        let expected = left.union(&right).map(|entry| {
            let side = match (left.contains(entry), right.contains(entry)) {
                (true, true) => Side::Both,
                (true, false) => Side::Left,
                _ => Side::Right,
            };
            (side, *entry)
        });
        let merged = snapshots.0.merge(&snapshots.1).expect("alike").map(|hint| {
            let (side, hint) = hint.expect("whole");
            (side, (hint.prefix, hint.slots.start))
        });
        prop_assert_eq!(merged.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
