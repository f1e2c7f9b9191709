//! Estimates are close to the sizes of files that are then built.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use hintdex_snapshot::{Builder, Dial, Encoding, SampleShard};
use hintdex_wire::{HintScheme, TruncatedLen};
use support::{Fleet, build, chains, params};

/// The greatest relative error of an estimate.
const MARGIN: f64 = 0.02;

fn assert_close(fleet: &Fleet, encoding: Encoding, dial: Dial, scheme: HintScheme) {
    let mut params = params(encoding, dial, fleet.slots.clone());
    params.hint_scheme = scheme;
    let hints = u64::from(fleet.slots.end - fleet.slots.start) * u64::from(fleet.per_slot);
    let sample = SampleShard::new(&params, hints).expect("good parameters");
    let estimate = sample.build().expect("a shard");
    let built = build(fleet, params).stats();
    let off = estimate.bytes as f64 / built.bytes as f64 - 1.0;
    assert!(off.abs() <= MARGIN, "{hints} hints, {encoding} {dial:?} {scheme}: off by {off:.4}");
    let named: u64 = estimate.sections.iter().map(|section| section.bytes).sum();
    assert_eq!(named, estimate.bytes);
    for section in &built.sections {
        // Relative to the file: a small section may have a larger error of its own.
        let estimated = estimate.sections.iter().find(|estimated| estimated.name == section.name);
        let estimated = estimated.map_or(0, |estimated| estimated.bytes);
        if ["header", "directory"].contains(&section.name) {
            assert_eq!(estimated, section.bytes, "{encoding}, {}", section.name);
        }
        if section.name == "block checks" {
            let off = estimated.abs_diff(section.bytes);
            assert!(off <= section.bytes / 50 + 4, "{encoding}: {estimated} for {}", section.bytes);
        }
        let off = estimated.abs_diff(section.bytes) as f64 / built.bytes as f64;
        assert!(off <= MARGIN, "{encoding}, {}: {estimated} for {}", section.name, section.bytes);
    }
}

#[test]
fn estimates_of_every_encoding_and_dial_are_close() {
    for encoding in support::STORED {
        for dial in [Dial::Tries(1), Dial::Tries(32), Dial::Tries(500), Dial::Bits(12)] {
            let fleet = Fleet::new(20_000, 16);
            assert_close(&fleet, encoding, dial, HintScheme::Aes128);
        }
    }
}

#[test]
fn estimates_of_files_of_many_shards_are_close() {
    let fleet = Fleet::new(150_000, 30);
    for encoding in support::STORED {
        assert_close(&fleet, encoding, Dial::Tries(32), HintScheme::Aes128);
    }
}

#[test]
fn estimates_with_colliding_hints_are_close() {
    let short = TruncatedLen::new(4).expect("4 bytes");
    let fleet = Fleet { hint_len_bytes: 4, ..Fleet::new(300_000, 8) };
    for encoding in support::STORED {
        let scheme = HintScheme::Aes128Truncated(short);
        assert_close(&fleet, encoding, Dial::Tries(32), scheme);
    }
}

/// A build of a chain keeps its shards in memory, a quarter of a byte a hint, and its passes have
/// the rest of the memory.
#[test]
fn passes_of_a_chain_leave_room_for_its_shards() {
    let hints = 20_000_000;
    let ribbon = params(Encoding::Ribbon, Dial::Tries(32), 0..1_000_000);
    let chain = chains::params(HintScheme::Aes128, 0..1_000_000, 16);
    let passes = |params, memory_bytes| {
        let sample = SampleShard::new(params, hints).expect("good parameters");
        sample.passes(memory_bytes, 2)
    };
    let mut more = 0;
    for memory_bytes in (100_000_000..400_000_000).step_by(7_000_003) {
        let of_chain = passes(&chain, memory_bytes);
        assert_eq!(of_chain, passes(&ribbon, memory_bytes - hints / 4), "{memory_bytes}");
        more += usize::from(of_chain > passes(&ribbon, memory_bytes));
    }
    assert!(more > 0, "the image makes no difference");
}

/// The builder counts passes as the estimate does, at the memory that decides between two.
#[test]
#[cfg_attr(debug_assertions, ignore = "a million hints: with --release")]
fn a_chain_is_built_in_the_passes_of_its_estimate() {
    let keys = chains::Keys::new(HintScheme::Aes128);
    let (runs, hints) = (chains::uniform(110_000, 11), 1_210_000);
    let params = chains::params(HintScheme::Aes128, 0..110_000, 16);
    let sample = SampleShard::new(&params, hints).expect("good parameters");
    // The least memory for one pass.
    let memory_bytes = (1_u64 << 20..1 << 27).step_by(1 << 16);
    let least = memory_bytes.into_iter().find(|memory_bytes| sample.passes(*memory_bytes, 1) == 1);
    let least = least.expect("one pass in 128 MiB");
    let folder = tempfile::tempdir().expect("a folder");
    let key = support::key();
    for (memory_bytes, expected) in [(least, 1), (least - (1 << 16), 2)] {
        let builder = Builder::new(params.clone(), &key).threads(1).memory_bytes(memory_bytes);
        let report = builder.build_chain(&runs, &keys, folder.path().join("chain.hdx"));
        assert_eq!(report.expect("it is built").passes, expected, "{memory_bytes}");
    }
}
