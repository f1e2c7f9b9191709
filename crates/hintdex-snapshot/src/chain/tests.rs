use std::ops::Range;

use hintdex_wire::{Nonce, Slot};
use proptest::prelude::*;

use super::*;
use crate::chain::points::Points;
use crate::format::Checks;

/// Runs of nonces of a slot.
type Runs = Vec<(Slot, Range<Nonce>)>;

/// Each point of `runs` as the written tables number it.
fn points_of(runs: &Runs, slots: Range<u32>) -> Vec<(Slot, Nonce)> {
    let tables = tables::write(runs);
    let header = ChainHeader {
        point_count: tables.point_count.into(),
        table_count: tables.count.into(),
        ..ChainHeader::default()
    };
    let mut parts = Parts::new(0..tables.bytes.len());
    let records = Points::records(&header, &mut parts).expect("a few tables");
    let records = &tables.bytes[records];
    let points = Points::open(&header, records, &slots, &mut parts).expect("as written");
    assert_eq!(parts.at, parts.end, "all bytes are some part");
    let checks = Checks::nothing();
    let bytes = Checked::new(&tables.bytes, &checks);
    (0..points.count()).map(|number| points.point(&bytes, number).expect("whole")).collect()
}

/// The points of `runs`, table by table: the model.
fn model(runs: &Runs) -> Vec<(Slot, Nonce)> {
    let mut tables: Vec<Vec<(Slot, Nonce)>> = Vec::new();
    for same in runs.chunk_by(|one, other| one.0 == other.0) {
        for (number, (slot, nonces)) in same.iter().enumerate() {
            if tables.len() <= number {
                tables.push(Vec::new());
            }
            tables[number].extend(nonces.clone().map(|nonce| (*slot, nonce)));
        }
    }
    tables.concat()
}

#[test]
fn equal_runs_take_one_record() {
    let runs: Runs = (5..1005).map(|slot| (Slot(slot), 7..17)).collect();
    assert_eq!(tables::write(&runs).bytes.len(), points::TABLE_RECORD_LEN_BYTES);
    assert_eq!(points_of(&runs, 5..1005), model(&runs));
}

#[test]
fn runs_that_begin_anywhere_have_their_points() {
    let runs: Runs = (0..1000_u32)
        .map(|slot| (Slot(slot), u64::from(slot) * 977 % 5000))
        .map(|(slot, first)| (slot, first..first + 10))
        .collect();
    assert_eq!(points_of(&runs, 0..1000), model(&runs));
}

proptest! {
    /// Slots without a run, with short ones, with several, with nonces of all sizes.
    #[test]
    fn points_are_numbered_as_the_model_says(
        seeds in prop::collection::vec((0_u32..5, 0_u64..4, any::<u64>(), 0_u32..64), 1..900),
        run_len in 1_u64..40,
    ) {
        let mut runs = Runs::new();
        let mut slot = 3;
        for (gap, less, first, shift) in seeds {
            // Mostly the next slot, mostly a run as long as others.
            slot += if gap == 0 { 3 } else { 1 };
            let first = (first >> shift).min(u64::MAX - 200);
            let len = if less == 0 { run_len / 2 } else { run_len };
            if len != 0 {
                runs.push((Slot(slot), first..first + len));
            }
            if gap == 4 {
                runs.push((Slot(slot), first + 100..first + 100 + less));
                runs.retain(|(_, run)| !run.is_empty());
            }
        }
        prop_assume!(!runs.is_empty());
        prop_assert_eq!(points_of(&runs, 0..slot + 1), model(&runs));
    }
}

#[test]
fn twins_keep_the_numbers_dense() {
    // Points 1 and 4 share a head, 2, 5 and 7 another; of eight points five are left.
    let lists = twins::TwinLists::new(vec![(9, 4), (9, 1), (3, 7), (3, 2), (3, 5)], 5);
    assert_eq!(lists.twins, [(3, 5), (3, 7), (9, 4)]);
    // Of the points 0, 1, 2, 3, 6, the last takes number 4.
    assert_eq!(lists.moved, [(4, 6)]);
}
