//! Estimates are close to the sizes of files that are then built.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use hintdex_snapshot::{Dial, Encoding, SampleShard};
use hintdex_wire::{HintScheme, TruncatedLen};
use support::{Fleet, build, params};

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
