//! A golden file with some bytes changed and its checks made right: lookups
//! give slots of the snapshot, the same from every kernel, alone or in batches.
//!
//! Input: the number of the golden file, the number of changes, five bytes a change
//! (place, value), and heads of eight bytes.
#![no_main]

#[path = "../../../crates/hintdex-snapshot/tests/support/repair.rs"]
mod repair;

use hintdex_snapshot::{CandidateBatch, Kernel, ManifestKey, Snapshot};
use hintdex_wire::{Hint, HintScheme};
use libfuzzer_sys::fuzz_target;

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../crates/hintdex-snapshot/tests/golden/", $name, ".hdx"))
    };
}

const GOLDEN: [&[u8]; 12] = [
    golden!("v1-ribbon"),
    golden!("v1-dense"),
    golden!("v1-sorted"),
    golden!("v1-ribbon-4-byte"),
    golden!("v1-dense-4-byte"),
    golden!("v1-sorted-4-byte"),
    golden!("v1-ribbon-shared"),
    golden!("v1-dense-shared"),
    golden!("v1-sorted-shared"),
    golden!("v1-ribbon-wide"),
    golden!("v1-dense-wide"),
    golden!("v1-sorted-wide"),
];

fuzz_target!(|input: &[u8]| {
    let [golden, changes, rest @ ..] = input else { return };
    let mut bytes = GOLDEN[usize::from(*golden) % GOLDEN.len()].to_vec();
    let (changes, rest) = rest.split_at(rest.len().min(5 * usize::from(changes % 16)));
    for change in changes.as_chunks::<5>().0 {
        let [a, b, c, d, value] = *change;
        let at = u32::from_le_bytes([a, b, c, d]) as usize % bytes.len();
        bytes[at] = value;
    }
    repair::repair(&mut bytes);
    let key = ManifestKey::from_bytes([7; 32]);
    let Ok(mut snapshot) = Snapshot::from_bytes(&bytes, &key) else { return };
    let slots = snapshot.params().slots.clone();
    let hints: Vec<Hint> = rest
        .as_chunks::<8>()
        .0
        .iter()
        .map(|head| {
            let mut hint = [0; 16];
            hint[..8].copy_from_slice(head);
            Hint::read(HintScheme::Aes128, &hint).unwrap()
        })
        .collect();
    let mut batch = CandidateBatch::default();
    let mut first = None;
    for kernel in Kernel::all() {
        snapshot = snapshot.with_kernel(kernel);
        snapshot.candidates_batch(&hints, &mut batch).expect("the checks are right");
        let batched: Vec<Vec<_>> = batch.iter().map(<[_]>::to_vec).collect();
        for (hint, expected) in hints.iter().zip(&batched) {
            let alone: Vec<_> = snapshot.candidates(hint).expect("the checks are right").collect();
            assert_eq!(alone, *expected);
            assert!(alone.iter().all(|range| slots.start <= range.start && range.end <= slots.end));
        }
        assert_eq!(*first.get_or_insert_with(|| batched.clone()), batched);
    }
});
