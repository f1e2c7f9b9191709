//! The parts of a file and their lengths, as the format's page lays them out.
#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::collections::BTreeMap;

use hintdex_snapshot::{CandidateBatch, Dial, Encoding, Snapshot};
use support::answers::manifest_len;
use support::golden::{Golden, kept, large};
use support::{Fleet, build, hint, key, params};

fn number(bytes: &[u8], at: usize, len_bytes: usize) -> usize {
    let mut word = [0; 8];
    word[..len_bytes].copy_from_slice(&bytes[at..at + len_bytes]);
    u64::from_le_bytes(word) as usize
}

/// The lengths of the named parts of a file in bytes, by its header and its directory.
fn sections(file: &[u8], encoding: Encoding) -> BTreeMap<&'static str, usize> {
    let (value_bits, shards) = (usize::from(file[13]), 1 << file[15]);
    let data_len = number(file, 112, 8);
    let mut sections = BTreeMap::new();
    let mut add = |name, bytes: usize| *sections.entry(name).or_default() += bytes;
    let mut named = 0;
    let manifest = &file[file.len() - manifest_len(file)..];
    for record in manifest.chunks(64).take(shards) {
        let parts: Vec<usize> = (0..5).map(|part| number(record, 24 + 8 * part, 8)).collect();
        let shard = if encoding == Encoding::Ribbon {
            let blocks: Vec<usize> = parts.iter().map(|part| part % (1 << 32)).collect();
            let layers = blocks.iter().take_while(|blocks| **blocks > 0).count();
            let rows: usize = blocks.iter().map(|blocks| blocks * 8 * value_bits).sum();
            let bumping = &blocks[..layers.saturating_sub(1)];
            let buckets = bumping.iter().map(|blocks| (8 * blocks - 7).div_ceil(32));
            let thresholds: usize = buckets.map(|buckets| buckets.next_multiple_of(8)).sum();
            let duplicates = 12 * number(record, 20, 4);
            [("rows", rows), ("thresholds", thresholds), ("duplicates", duplicates)]
        } else {
            let (buckets, codes_bits, relative_bits) = (parts[0], parts[1], parts[2] % 256);
            let absolute = (4 * buckets.div_ceil(16)).next_multiple_of(8);
            let relative = (buckets * relative_bits).div_ceil(8).next_multiple_of(8);
            let codes = codes_bits.div_ceil(8).next_multiple_of(8);
            [("codes", codes), ("bucket offsets", absolute + relative), ("", 0)]
        };
        for (name, bytes) in shard {
            add(name, bytes);
            named += bytes;
        }
    }
    add("padding", data_len - named);
    add("header", 4096);
    add("directory", 64 * shards);
    add("block checks", 4 * data_len.div_ceil(8192));
    sections.retain(|name, bytes| *bytes > 0 || *name == "padding");
    sections
}

#[test]
fn the_sections_of_a_file_are_those_of_the_page() {
    let known = [Encoding::Ribbon, Encoding::Dense, Encoding::Sorted];
    let all = kept().into_iter().chain(large());
    for golden in all.filter(|golden| known.contains(&golden.encoding)) {
        let bytes = golden.bytes();
        let stats = Snapshot::from_bytes(&bytes, &key()).expect("opened").stats();
        let got: BTreeMap<_, _> =
            stats.sections.iter().map(|section| (section.name, section.bytes as usize)).collect();
        assert_eq!(got.len(), stats.sections.len(), "each name stands once");
        assert_eq!(got, sections(&bytes, golden.encoding), "{golden:?}");
        assert_eq!(got.values().sum::<usize>(), bytes.len());
        check_figures(&golden, &bytes, &stats);
    }
}

fn check_figures(golden: &Golden, bytes: &[u8], stats: &hintdex_snapshot::SnapshotStats) {
    let hints = golden.hints();
    let slots = golden.slots().len() as f64;
    assert_eq!((stats.encoding, stats.bytes), (golden.encoding, bytes.len() as u64));
    assert_eq!((stats.hints, stats.slots), (hints.len() as u64, golden.slots().len() as u32));
    assert_eq!(stats.value_bits, bytes[13]);
    assert_eq!(stats.tries as usize, number(bytes, 76, 4));
    let per_hint = bytes.len() as f64 * 8.0 / hints.len() as f64;
    assert!((stats.bits_per_hint - per_hint).abs() < 1e-9, "{stats:?}");
    let bound = (slots / f64::from(stats.tries)).log2().max(0.0);
    assert!((stats.bound_bits_per_hint - bound).abs() < 1e-9, "{stats:?}");
    let duplicates = stats.sections.iter().find(|section| section.name == "duplicates");
    assert_eq!(stats.duplicates, duplicates.map_or(0, |section| section.bytes / 12));
}

/// A snapshot of no hint has no bits a hint to tell, and no negative bound.
#[test]
fn figures_of_a_snapshot_without_hints_are_numbers() {
    for encoding in support::STORED {
        let fleet = Fleet::new(10, 0);
        let stats = build(&fleet, params(encoding, Dial::Tries(32), 0..10)).stats();
        assert_eq!((stats.hints, stats.duplicates, stats.slots), (0, 0, 10));
        assert!(stats.bits_per_hint.is_finite() && stats.bound_bits_per_hint >= 0.0, "{stats:?}");
    }
}

#[test]
fn a_batch_has_the_candidates_of_each_hint_at_its_place() {
    for encoding in support::STORED {
        let fleet = Fleet { hint_len_bytes: 2, ..Fleet::new(300, 5) };
        let snapshot = build(&fleet, params(encoding, Dial::Tries(4), fleet.slots.clone()));
        let mut batch = CandidateBatch::default();
        assert!(batch.is_empty());
        assert_eq!((batch.len(), batch.get(0)), (0, &[][..]));
        let hints: Vec<_> = fleet.all().take(40).map(|(head, _)| hint(head)).collect();
        for count in [40, 0, 1, 3] {
            snapshot.candidates_batch(&hints[..count], &mut batch).expect("whole");
            assert_eq!((batch.len(), batch.is_empty()), (count, count == 0));
            for (at, one) in hints[..count].iter().enumerate() {
                let alone: Vec<_> = snapshot.candidates(one).expect("whole").collect();
                assert_eq!(batch.get(at), alone, "{encoding} {at}");
                assert!(!alone.is_empty());
            }
            assert!(batch.get(count).is_empty() && batch.get(usize::MAX).is_empty());
            assert_eq!(batch.iter().count(), count);
        }
    }
}
