//! An estimate is the truth, nearly, before anything is built.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use hintdex_snapshot::{Dial, Encoding, SampleShard};
use hintdex_wire::{HintScheme, TruncatedLen};
use support::{Fleet, build, params};

/// How far an estimate may be from the truth.
const MARGIN: f64 = 0.02;

fn hold_against_the_truth(fleet: &Fleet, encoding: Encoding, dial: Dial, scheme: HintScheme) {
    let mut params = params(encoding, dial, fleet.slots.clone());
    params.hint_scheme = scheme;
    let hints = u64::from(fleet.slots.end - fleet.slots.start) * u64::from(fleet.per_slot);
    let sample = SampleShard::new(&params, hints).expect("good parameters");
    let estimate = sample.build().expect("a shard");
    let truth = build(fleet, params).stats();
    let off = estimate.bytes as f64 / truth.bytes as f64 - 1.0;
    assert!(off.abs() <= MARGIN, "{hints} hints, {encoding} {dial:?} {scheme}: off by {off:.4}");
    let named: u64 = estimate.sections.iter().map(|section| section.bytes).sum();
    assert_eq!(named, estimate.bytes);
    for section in &truth.sections {
        // A part of a hundredth of the file may be off by more.
        let guess = estimate.sections.iter().find(|guess| guess.name == section.name);
        let guess = guess.map_or(0, |guess| guess.bytes);
        let off = guess.abs_diff(section.bytes) as f64 / truth.bytes as f64;
        assert!(off <= MARGIN, "{encoding}, {}: {guess} for {}", section.name, section.bytes);
    }
}

#[test]
fn every_encoding_and_dial_is_foretold() {
    for &encoding in Encoding::ALL {
        for dial in [Dial::Tries(1), Dial::Tries(32), Dial::Tries(500), Dial::Bits(12)] {
            let fleet = Fleet::new(20_000, 16);
            hold_against_the_truth(&fleet, encoding, dial, HintScheme::Aes128);
        }
    }
}

#[test]
fn files_of_many_shards_are_foretold() {
    let fleet = Fleet::new(150_000, 30);
    for &encoding in Encoding::ALL {
        hold_against_the_truth(&fleet, encoding, Dial::Tries(32), HintScheme::Aes128);
    }
}

#[test]
fn hints_that_collide_are_foretold() {
    let short = TruncatedLen::new(4).expect("4 bytes");
    let fleet = Fleet { hint_len_bytes: 4, ..Fleet::new(300_000, 8) };
    for &encoding in Encoding::ALL {
        let scheme = HintScheme::Aes128Truncated(short);
        hold_against_the_truth(&fleet, encoding, Dial::Tries(32), scheme);
    }
}
