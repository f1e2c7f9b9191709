//! SplitMix64: the published sequence, and numbers below an end.

use hintdex_host::SplitMix64;

/// The first numbers of seed 1234567, as the reference implementation (Vigna, `splitmix64.c`)
/// prints them.
const PUBLISHED: [u64; 5] = [
    6_457_827_717_110_365_317,
    3_203_168_211_198_807_973,
    9_817_491_932_198_370_423,
    4_593_380_528_125_082_431,
    16_408_922_859_458_223_821,
];

#[test]
fn the_sequence_is_the_published_one() {
    let mut random = SplitMix64::new(1_234_567);
    assert_eq!(PUBLISHED.map(|_| random.next_u64()), PUBLISHED);
}

#[test]
fn a_sequence_continues_from_every_index() {
    for (index, number) in (0..).zip(PUBLISHED) {
        assert_eq!(SplitMix64::at(1_234_567, index).next_u64(), number, "number {index}");
    }
}

#[test]
fn numbers_stay_below_their_end_and_reach_it() {
    let mut random = SplitMix64::new(7);
    let drawn: Vec<_> = (0..1000).map(|_| random.below(10)).collect();
    assert!((0..10).all(|number| drawn.contains(&number)), "{drawn:?}");
    assert!(drawn.iter().all(|number| *number < 10), "{drawn:?}");
    // Half of the numbers lie in the upper half: the upper bits of a word decide.
    assert!((0..100).any(|_| random.below(u64::MAX) > u64::MAX / 2));
    assert_eq!((random.below(0), random.below(1), random.below_u32(1)), (0, 0, 0));
    let (mut long, mut short) = (random.clone(), random);
    assert_eq!(long.below(1000), u64::from(short.below_u32(1000)));
}

#[test]
fn bytes_are_the_numbers_in_order() {
    let mut bytes = [0; 19];
    SplitMix64::new(1_234_567).fill(&mut bytes);
    let all = PUBLISHED.map(u64::to_le_bytes).concat();
    assert!(all.starts_with(&bytes), "{bytes:?}");
}
