//! Chains: every hint is found with its slot and nonce, every other hint is refused.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::Ordering;

use hintdex_snapshot::{
    BuildError, Builder, Dial, Encoding, HintSource, OpenError, PointHints, SampleShard, Snapshot,
    SnapshotParams,
};
use hintdex_wire::{Hint, HintScheme, Nonce, Slot, TruncatedLen};
use proptest::prelude::*;
use support::chains::{Keys, Runs, build, find, params, uniform};
use support::key;

/// Every hint of `runs` is found with all points that made it, and no foreign hint is. Returns
/// the mean number of evaluations of known hints.
fn is_exact(keys: &Keys, runs: &Runs, evaluations: u32) -> f64 {
    let file = build(keys, runs, evaluations, 2);
    let chain = Snapshot::from_bytes(&file, &key()).expect("it opens");
    chain.verify().expect("it is sound");
    let mut made: HashMap<Hint, Vec<(u32, Nonce)>> = HashMap::new();
    for (slot, run) in runs {
        for nonce in run.clone() {
            made.entry(keys.hint(slot.0, nonce)).or_default().push((slot.0, nonce));
        }
    }
    let hints: Vec<Hint> = made.keys().copied().collect();
    keys.computed.store(0, Ordering::Relaxed);
    let found = find(&chain, keys, &hints);
    let mean = keys.computed.load(Ordering::Relaxed) as f64 / hints.len() as f64;
    for (hint, found) in hints.iter().zip(found) {
        let mut expected = made[hint].clone();
        expected.sort_unstable();
        assert_eq!(found, expected, "{hint:?}");
    }
    let strange: Vec<Hint> = (0..hints.len().min(20_000) as u64)
        .map(|n| keys.hint(u32::MAX, n))
        .filter(|hint| !made.contains_key(hint))
        .collect();
    assert!(find(&chain, keys, &strange).iter().all(Vec::is_empty), "a foreign hint was found");
    // One hint alone is looked up by other code.
    for hint in hints.iter().take(300).chain(strange.iter().take(300)) {
        let mut found = find(&chain, keys, &[*hint]).concat();
        found.sort_unstable();
        let mut expected = made.get(hint).cloned().unwrap_or_default();
        expected.sort_unstable();
        assert_eq!(found, expected, "{hint:?} alone");
    }
    mean
}

#[test]
fn chains_of_all_sizes_are_exact() {
    let keys = Keys::new(HintScheme::Aes128);
    for (slots, nonces) in [(1, 1), (1, 2), (2, 1), (1, 100), (3, 7), (100, 10), (999, 10)] {
        for evaluations in [1, 2, 3, 5, 16, 50] {
            if cfg!(debug_assertions) && slots > 100 && evaluations != 5 {
                continue;
            }
            is_exact(&keys, &uniform(slots, nonces), evaluations);
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimization: with --release")]
fn evaluations_are_those_of_the_dial() {
    let keys = Keys::new(HintScheme::Aes128);
    for evaluations in [3, 5, 9, 16, 32, 50] {
        let mean = is_exact(&keys, &uniform(10_000, 10), evaluations);
        println!("{evaluations}: {mean:.2}");
        let wanted = f64::from(evaluations);
        assert!((0.85 * wanted..1.05 * wanted).contains(&mean), "{evaluations}: {mean}");
    }
}

/// Slots 90 to 99 have the keys of slots 0 to 9, and slot 80 that of slot 0 as well: their hints
/// have twins, which the chain lists beside its cycles.
#[test]
fn hints_of_shared_keys_are_found_with_all_their_points() {
    let key_slot = |slot| match slot {
        80 => 0,
        90..100 => slot - 90,
        _ => slot,
    };
    let keys = Keys { key_slot, ..Keys::new(HintScheme::Aes128) };
    for evaluations in [1, 5, 16] {
        let runs = uniform(100, 10);
        is_exact(&keys, &runs, evaluations);
        let file = build(&keys, &runs, evaluations, 1);
        let chain = Snapshot::from_bytes(&file, &key()).expect("it opens");
        assert_eq!(chain.stats().duplicates, 110);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimization: with --release")]
fn short_hints_that_collide_are_found_with_all_their_points() {
    let four = HintScheme::Aes128Truncated(TruncatedLen::new(4).expect("a length"));
    let keys = Keys::new(four);
    // 300,000 of 2^32: ten pairs or so.
    let runs = uniform(30_000, 10);
    let mean = is_exact(&keys, &runs, 9);
    assert!(mean < 10.0, "{mean}");
    let chain = Snapshot::from_bytes(&build(&keys, &runs, 9, 2), &key()).expect("it opens");
    assert!(chain.stats().duplicates > 0, "no hint has a twin");
    for scheme in [HintScheme::Speck64, HintScheme::Aes128Wide] {
        is_exact(&Keys::new(scheme), &uniform(1000, 10), 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 8 } else { 64 }))]

    /// Slots without a run, with several, with runs of any length and beginning.
    #[test]
    fn runs_of_all_kinds_are_found(
        seeds in prop::collection::vec((0_u32..4, 0_u64..12, any::<u32>()), 1..300),
        evaluations in 1_u32..40,
    ) {
        let mut runs = Runs::new();
        let mut slot = 0;
        for (gap, len, first) in seeds {
            slot += if gap == 0 { 5 } else { 1 };
            let first = u64::from(first >> (gap * 8).min(31));
            if len != 0 {
                runs.push((Slot(slot), first..(first + len).min(u32::MAX.into())));
                runs.retain(|(_, run)| !run.is_empty());
            }
        }
        prop_assume!(!runs.is_empty());
        is_exact(&Keys::new(HintScheme::Aes128), &runs, evaluations);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimization: with --release")]
fn the_same_input_is_the_same_file_for_any_threads_and_memory() {
    let keys = Keys::new(HintScheme::Aes128);
    let runs = uniform(20_000, 10);
    let one = build(&keys, &runs, 16, 1);
    assert_eq!(build(&keys, &runs, 16, 2), one);
    assert_eq!(build(&keys, &runs, 16, 5), one);
}

/// Several shards, several passes; the same file.
#[test]
#[cfg_attr(debug_assertions, ignore = "a million hints: with --release")]
fn chains_of_several_shards_and_passes_are_exact() {
    let keys = Keys::new(HintScheme::Aes128);
    let runs: Runs = (0..110_000).map(|slot| (Slot(slot), u64::from(slot % 7)..15)).collect();
    is_exact(&keys, &runs, 16);
    let folder = tempfile::tempdir().expect("a folder");
    let key = key();
    let build = |memory_bytes, threads| {
        let path = folder.path().join("chain.hdx");
        let report = Builder::new(params(HintScheme::Aes128, 0..110_000, 16), &key)
            .memory_bytes(memory_bytes)
            .threads(threads)
            .build_chain(&runs, &keys, &path)
            .expect("it is built");
        (report.passes, std::fs::read(path).expect("a file"))
    };
    let ((one, file), (several, same)) = (build(1 << 30, 2), build(8 << 20, 1));
    assert!(one == 1 && several > 1, "{one} and {several} passes");
    assert!(file == same);
}

/// Points that answer otherwise when they are asked again end the build with an error, and so do
/// runs that no chain is built of.
#[test]
fn hints_that_change_and_runs_without_order_are_refused() {
    struct Changing(Keys);
    impl PointHints for Changing {
        fn prefetch(&self, _: Slot) {}

        fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
            self.0.hints(points, hints);
            // From the second time on, all points have one hint.
            if self.0.computed.load(Ordering::Relaxed) > 5000 {
                hints.fill(self.0.hint(3, 3));
            }
        }
    }
    let changing = Changing(Keys::new(HintScheme::Aes128));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain.hdx");
    let key = key();
    let builder = Builder::new(params(HintScheme::Aes128, 0..500, 16), &key).threads(2);
    let built = builder.build_chain(&uniform(500, 10), &changing, &path);
    assert!(matches!(built, Err(BuildError::HintsChanged { .. })), "{built:?}");
    assert!(!path.exists());
    let keys = Keys::new(HintScheme::Aes128);
    for runs in [
        vec![(Slot(5), 0..1), (Slot(3), 0..1)],
        (0..65).map(|run| (Slot(4), 10 * run..10 * run + 3)).collect(),
    ] {
        let built = builder.build_chain(&runs, &keys, &path);
        assert!(matches!(built, Err(BuildError::Params { .. })), "{built:?}");
    }
}

/// Hints that a builder of stored hints takes; no chain is built of them.
struct NoHints;

impl HintSource for NoHints {
    fn hint_count(&self) -> u64 {
        0
    }

    fn hints(&self, _: Range<u32>, _: &mut dyn FnMut(u64, Slot)) {}
}

#[test]
fn a_chain_is_built_of_points_and_of_nothing_else() {
    let key = key();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain.hdx");
    let of_heads = Builder::new(params(HintScheme::Aes128, 0..5, 16), &key).build(&NoHints, &path);
    assert!(matches!(of_heads, Err(BuildError::NeedsPoints)), "{of_heads:?}");
    // A dial of another encoding, and none at all.
    for dial in [Dial::Tries(32), Dial::Bits(5), Dial::Evaluations(0), Dial::Evaluations(1025)] {
        let params = SnapshotParams { dial, ..params(HintScheme::Aes128, 0..5, 16) };
        let keys = Keys::new(HintScheme::Aes128);
        let built = Builder::new(params, &key).build_chain(&uniform(5, 2), &keys, &path);
        assert!(matches!(built, Err(BuildError::Params { .. })), "{built:?}");
    }
    let mut ribbon = params(HintScheme::Aes128, 0..5, 16);
    ribbon.encoding = Encoding::Ribbon;
    let built = Builder::new(ribbon, &key).build(&NoHints, &path);
    assert!(matches!(built, Err(BuildError::Params { .. })), "{built:?}");
    // Slots that the snapshot does not cover, and memory that does not suffice.
    let keys = Keys::new(HintScheme::Aes128);
    let small = Builder::new(params(HintScheme::Aes128, 0..5, 16), &key);
    let outside = small.build_chain(&uniform(6, 2), &keys, &path);
    assert!(matches!(
        outside,
        Err(BuildError::HintsChanged { .. } | BuildError::SlotOutside { .. })
    ));
    let params = params(HintScheme::Aes128, 0..50_000, 16);
    let built = Builder::new(params, &key).memory_bytes(4096).build_chain(
        &uniform(50_000, 2),
        &keys,
        &path,
    );
    assert!(matches!(built, Err(BuildError::ChainNeedsMemory { .. })), "{built:?}");
    assert!(!path.exists());
}

/// Without keys, a chain rules no slot out.
#[test]
fn every_slot_is_a_candidate_without_keys() {
    let keys = Keys::new(HintScheme::Aes128);
    let file = build(&keys, &uniform(100, 3), 9, 1);
    let chain = Snapshot::from_bytes(&file, &key()).expect("it opens");
    let candidates: Vec<_> = chain.candidates(&keys.hint(7, 1)).expect("whole").collect();
    assert_eq!(candidates, [Range { start: 0, end: 100 }]);
    let stats = chain.stats();
    assert_eq!((stats.evaluations, stats.tries, stats.hints), (Some(9), 1, 300));
    assert_eq!(stats.sections.iter().map(|section| section.bytes).sum::<u64>(), stats.bytes);
}

/// A key that the fleet no longer has costs lookups their answers, and never answers wrongly.
#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimization: with --release")]
fn keys_that_are_gone_cost_their_share_of_the_lookups() {
    let keys = Keys::new(HintScheme::Aes128);
    let file = build(&keys, &uniform(10_000, 10), 16, 2);
    let chain = Snapshot::from_bytes(&file, &key()).expect("it opens");
    struct Without<'k>(&'k Keys, u32);
    impl PointHints for Without<'_> {
        fn prefetch(&self, _: Slot) {}

        fn hints(&self, points: &[(Slot, Nonce)], hints: &mut [Hint]) {
            self.0.hints(points, hints);
            for ((slot, _), hint) in points.iter().zip(hints) {
                if slot.0 % self.1 == 0 {
                    *hint = Hint::ZERO;
                }
            }
        }
    }
    let hints: Vec<Hint> = (0..10_000).map(|slot| keys.hint(slot, 3)).collect();
    let mut found = 0;
    chain
        .points(&Without(&keys, 1000), &hints, |index, slot, nonce| {
            assert_eq!((index, nonce), (slot.index(), 3));
            found += 1;
        })
        .expect("nothing is damaged");
    // One key in a thousand is gone: a lookup computes sixteen hints, so 1.6 % are lost.
    assert!((9700..9950).contains(&found), "{found}");
}

/// Flips of bits, with checks that find them: an error or the right answer. Then with every
/// check repaired: any answer, in bounded work, and never a wrong point.
#[test]
fn changed_bits_are_reported_or_do_no_harm() {
    let keys = Keys::new(HintScheme::Aes128Truncated(TruncatedLen::new(4).expect("a length")));
    // Runs of two lengths and a twin: every part of the file has bytes.
    let mut runs: Runs = (0..2000).map(|slot| (Slot(slot), 0..u64::from(8 + slot % 3))).collect();
    runs.push((Slot(1999), 700..703));
    let file = build(&keys, &runs, 9, 2);
    let hints: Vec<Hint> = (0..60).map(|slot| keys.hint(slot * 33, 5)).collect();
    let expected = find(&Snapshot::from_bytes(&file, &key()).expect("it opens"), &keys, &hints);
    assert!(expected.iter().all(|found| !found.is_empty()));
    let answers = |bytes: &[u8]| -> Option<Vec<Vec<(u32, Nonce)>>> {
        let chain = Snapshot::from_bytes(bytes, &key()).ok()?;
        let mut found = vec![Vec::new(); hints.len()];
        keys.computed.store(0, Ordering::Relaxed);
        let result = chain.points(&keys, &hints, |index, slot, nonce| {
            assert_eq!(keys.hint(slot.0, nonce), hints[index], "a wrong point");
            found[index].push((slot.0, nonce));
        });
        let most = 64 * 9 * (hints.len() as u64 + 32) * 2;
        assert!(keys.computed.load(Ordering::Relaxed) <= most, "unbounded work");
        result.ok().map(|()| found)
    };
    for bit in (0..file.len() * 8).step_by(if cfg!(debug_assertions) { 9_973 } else { 101 }) {
        let mut bytes = file.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Some(found) = answers(&bytes) {
            // The block was not needed; what was found is right, or missing by no fault.
            assert_eq!(found, expected, "bit {bit}");
        }
        support::repair::repair(&mut bytes);
        answers(&bytes);
    }
    for len in (0..file.len()).step_by(if cfg!(debug_assertions) { 997 } else { 53 }) {
        assert!(Snapshot::from_bytes(&file[..len], &key()).is_err(), "{len} bytes");
    }
}

/// The header of the chains and the records of their tables are read when a file is opened, so
/// their block is checked then.
#[test]
fn damage_of_the_header_of_the_chains_is_reported_at_open() {
    let keys = Keys::new(HintScheme::Aes128);
    // More than a block of seeds, before a block in which the chains begin.
    let file = build(&keys, &uniform(10_000, 10), 3, 2);
    let number = |at: usize| {
        let word = file[at..at + 8].try_into().expect("eight bytes");
        usize::try_from(u64::from_le_bytes(word)).expect("a place in the file")
    };
    let (data_at, directory_record_len) = (4096, 64);
    let manifest_at = data_at + number(112);
    // One shard, then the chains.
    let chains_at = data_at + number(manifest_at + directory_record_len);
    assert!(chains_at > data_at + 8192, "the seeds fill a block");
    for at in (chains_at..chains_at + 128).step_by(3) {
        let mut bytes = file.clone();
        bytes[at] ^= 1;
        let opened = Snapshot::from_bytes(&bytes, &key());
        assert!(
            matches!(opened, Err(OpenError::Damaged { what: "chains", .. })),
            "byte {at}: {opened:?}"
        );
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimization: with --release")]
fn the_bytes_of_a_chain_are_estimated() {
    let keys = Keys::new(HintScheme::Aes128);
    for evaluations in [3, 9, 16, 50] {
        let file = build(&keys, &uniform(20_000, 10), evaluations, 2);
        let params = params(HintScheme::Aes128, 0..20_000, evaluations);
        let estimate = SampleShard::new(&params, 200_000).and_then(SampleShard::build);
        let estimate = estimate.expect("good parameters");
        let off = estimate.bytes as f64 / file.len() as f64 - 1.0;
        assert!(off.abs() < 0.03, "{evaluations}: off by {off:.4}");
        let named: u64 = estimate.sections.iter().map(|section| section.bytes).sum();
        assert_eq!(named, estimate.bytes);
    }
}

/// The sizes of the issue that chains were built for, at a tenth of its points.
#[test]
#[cfg_attr(debug_assertions, ignore = "a minute without optimization: with --release")]
fn a_hint_takes_half_a_byte() {
    let keys = Keys::new(HintScheme::Aes128);
    for (evaluations, most_bytes) in [(5, 0.98), (9, 0.64), (16, 0.47), (50, 0.32)] {
        let file = build(&keys, &uniform(100_000, 10), evaluations, 2);
        let bytes = (file.len() as f64 - 4096.0) / 1e6;
        println!("{evaluations} evaluations: {bytes:.4} bytes a hint");
        assert!(bytes < most_bytes, "{evaluations}: {bytes}");
    }
}

#[test]
fn a_chain_of_no_hint_finds_none() {
    let keys = Keys::new(HintScheme::Aes128);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain.hdx");
    let key = key();
    let builder = Builder::new(params(HintScheme::Aes128, 0..5, 16), &key);
    builder.build_chain(&[], &keys, &path).expect("it is built");
    let chain = Snapshot::open(&path, &key).expect("it opens");
    chain.verify().expect("it is sound");
    assert_eq!(chain.stats().hints, 0);
    let hints: Vec<Hint> = (0..100).map(|slot| keys.hint(slot, 0)).collect();
    assert!(find(&chain, &keys, &hints).iter().all(Vec::is_empty));
}
