//! How many shards, hints and passes a build has, known before anything is built.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use hintdex_snapshot::{Dial, Encoding, SampleShard};
use hintdex_wire::{HintScheme, TruncatedLen};
use support::params;

const SHARD_LEN_HINTS: u64 = 1 << 20;

fn sample(hints: u64) -> SampleShard {
    let params = params(Encoding::Sorted, Dial::Tries(4), 0..1000);
    SampleShard::new(&params, hints).expect("as many as a snapshot may have")
}

#[test]
fn a_shard_has_half_of_its_most_hints_at_least() {
    let most = SHARD_LEN_HINTS;
    for (hints, expected) in [
        (0, 0),
        (1, 1),
        (most, most),
        (most + 1, most / 2),
        (2 * most, most),
        (2 * most + 1, most / 2),
        (most << 20, most),
    ] {
        assert_eq!(sample(hints).hints(), expected, "{hints}");
    }
}

/// A hint takes 12 bytes while it waits for its shard and 48 bytes while its shard is built.
/// A shard of 2²⁰ hints has room for 6 × 2¹⁰ + 64 more.
#[test]
fn a_build_makes_as_many_passes_as_its_memory_asks_for() {
    let all = sample(SHARD_LEN_HINTS << 20);
    let shards = 1_usize << 20;
    let shard_len_bytes = 12 * (SHARD_LEN_HINTS + 6 * 1024 + 64);
    let building_bytes = 48 * SHARD_LEN_HINTS;
    for (threads, shards_a_pass) in [(1, 1), (1, 2), (1, 80), (2, 76), (16, 1)] {
        let memory_bytes = threads as u64 * building_bytes + shards_a_pass as u64 * shard_len_bytes;
        assert_eq!(all.passes(memory_bytes, threads), shards.div_ceil(shards_a_pass));
        let less = (shards_a_pass - 1).max(1);
        assert_eq!(all.passes(memory_bytes - 1, threads), shards.div_ceil(less));
    }
    assert_eq!(all.passes(0, 1), shards);
    assert_eq!(all.passes(u64::MAX, 1), 1);
    // Two shards of a few hints more than one shard has.
    let two = sample(SHARD_LEN_HINTS + 1);
    assert_eq!((two.passes(0, 1), two.passes(1 << 30, 1)), (2, 1));
    assert_eq!(sample(0).passes(0, 1), 1);
}

/// Two builds of the same sample did the same work: it is the same to the byte. Figures
/// that were accepted once rest on these bytes.
#[test]
fn a_sample_is_the_same_to_the_byte() {
    let built = |encoding, scheme, hints| {
        let mut params = params(encoding, Dial::Tries(32), 5..2000);
        params.hint_scheme = scheme;
        let sample = SampleShard::new(&params, hints).expect("good parameters");
        let estimate = sample.build().expect("a shard");
        assert_eq!(estimate.sampled_hints, hints / estimate.shards);
        (estimate.shards, estimate.bytes, estimate.sample_crc32)
    };
    let short = TruncatedLen::new(4).map(HintScheme::Aes128Truncated).expect("4 bytes");
    let samples = [
        built(Encoding::Ribbon, HintScheme::Aes128, 20_000),
        built(Encoding::Ribbon, short, 20_000),
        built(Encoding::Dense, HintScheme::Speck64, 20_000),
        built(Encoding::Sorted, HintScheme::Aes128, 3 << 19),
    ];
    let expected = [
        (1, 19_464, 2_627_304_724),
        (1, 19_464, 3_583_691_116),
        (1, 23_948, 4_256_357_986),
        (2, 3_243_696, 3_891_193_935),
    ];
    assert_eq!(samples, expected);
}
